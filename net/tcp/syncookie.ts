// SYN cookies (RFC 4987, 3.6): under pressure a SYN is answered without keeping anything; what must be known later stands in the sequence number
// and, where the peer uses timestamps, in the lower bits of ours.
//
//   ISN:   | t, 5 bits: 64 s each | m, 3 bits: MSS | MAC of (four-tuple, peer's ISN, t, m), 24 bits |
//   TSval: | ms clock, lower 6 bits replaced: ECN | SACK | window shift of the peer, 15 = none |
//
// Guessing a MAC takes 2^24 / 2 segments within the two minutes in which `t` is valid, and only while cookies are being sent.

import { Stack } from "../stack";
import { Options } from "./options";

/** 3 bits of MSS: common ones (Ethernet, tunnels, PPPoE, the least that must work). The largest not above the peer's is used. */
function cookieMss(index: u32): u32 {
  switch (index) {
    case 0:
      return 216;
    case 1:
      return 536;
    case 2:
      return 1200;
    case 3:
      return 1360;
    case 4:
      return 1400;
    case 5:
      return 1440;
    case 6:
      return 1460;
    default:
      return 8960;
  }
}

const PERIOD_SHIFT: i64 = 36;
/** Bits of the timestamp that carry options. */
const TS_BITS: u32 = 6;
const TS_MASK: u32 = (1 << TS_BITS) - 1;
const TS_SACK: u32 = 1 << 4;
const TS_ECN: u32 = 1 << 5;
const NO_SCALE: u32 = 15;


@inline
function period(stack: Stack): u32 {
  return (<u32>(stack.now_ns >> PERIOD_SHIFT)) & 31;
}

function mac(stack: Stack, o: Options, peerIsn: u32, t: u32, m: u32): u32 {
  const first = stack.hash(o.localHi ^ 0x636f6f6b, o.localLo, o.remoteHi);
  const second = stack.hash(
    ((<u64>first) << 32) | ((<u64>o.localPort) << 16) | (<u64>o.remotePort),
    o.remoteLo,
    0x6965,
  );
  return stack.hash(((<u64>second) << 32) | (<u64>peerIsn), ((<u64>t) << 8) | (<u64>m), 0x6b6965) & 0xffffff;
}

/** The ISN for a SYN. `mss`: what the peer announced, 536 when it did not. */
export function cookieMake(stack: Stack, o: Options, mss: u32): u32 {
  let m: u32 = 7;
  while (m > 0 && cookieMss(m) > mss) m--;
  const t = period(stack);
  return (t << 27) | (m << 24) | mac(stack, o, o.seq, t, m);
}

/** Is the ACK `o` an answer to a cookie of the last two periods? The peer's MSS, or 0. */
export function cookieCheck(stack: Stack, o: Options): u32 {
  const cookie = o.ack - 1;
  const t = cookie >> 27;
  const m = (cookie >> 24) & 7;
  if (((period(stack) - t) & 31) > 1) return 0;
  if ((cookie & 0xffffff) != mac(stack, o, o.seq - 1, t, m)) return 0;
  return cookieMss(m);
}

/** The timestamp to send: not after `now`, with the options of the SYN in its lower bits. */
export function cookieTimestamp(now: u32, shift: u32, hasShift: bool, sack: bool, ecn: bool): u32 {
  const bits = (hasShift ? shift : NO_SCALE) | (sack ? TS_SACK : 0) | (ecn ? TS_ECN : 0);
  const ts = (now & ~TS_MASK) | bits;
  return <i32>(ts - now) > 0 ? ts - (1 << TS_BITS) : ts;
}

/** What an echoed timestamp says: the shift, or 15 for none. */
@inline
export function cookieShift(echo: u32): u32 {
  return echo & 15;
}


@inline
export function cookieSack(echo: u32): bool {
  return (echo & TS_SACK) != 0;
}


@inline
export function cookieEcn(echo: u32): bool {
  return (echo & TS_ECN) != 0;
}
