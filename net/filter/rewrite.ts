// Changing a packet's ends in place, and the checksums with them (RFC 1624): addresses in the IP header, ports in the
// transport's, identifiers of ICMP queries.
//
// A transport checksum that is still to be completed (CHECKSUM_PENDING in, CHECKSUM_PARTIAL out) holds the folded sum of the
// pseudo header: only addresses are in it. One that is complete holds the complement of the sum of everything.

import { Packet, PacketFlag } from "../../runtime";
import { finish, fold, sumBytes, sumPacket, sumPseudo } from "../wire/checksum";
import { ICMP_CHECKSUM } from "../wire/icmp";
import { ipv4HeaderBytes, Protocol } from "../wire/ipv4";
import { IPV6_DST, IPV6_SRC, storeAddress } from "../wire/ipv6";
import { TCP_CHECKSUM } from "../wire/tcp";
import { UDP_CHECKSUM } from "../wire/udp";

const V4_CHECKSUM: usize = 10;
const V4_SRC: usize = 12;
const V4_DST: usize = 16;

/** A port that stays as it is: of an ICMP message, whose identifier belongs to the other end. */
export const KEEP: u32 = u32.MAX_VALUE;

/** Which end of a packet. */
export const enum End {
  SOURCE = 0,
  DESTINATION = 1,
}

// The complemented checksum `old` after a change of what it covers, by the sums of the words before and after.
@inline
function update(old: u16, before: u64, after: u64): u16 {
  return <u16>~fold(<u64>(old ^ 0xffff) + <u64>(fold(before) ^ 0xffff) + after);
}

/**
 * Sets an address and a port (or ICMP identifier) of a packet whose headers, to the transport's checksum, lie in the linear
 * part.
 * @param at the IP header
 * @param l4 offset of the transport header
 * @param pending whether the transport's checksum is still to be completed
 * @param quoted how many bytes from the transport header on are there: for quoted packets, which may be cut
 */
export function setEnd(
  at: usize,
  end: End,
  l4: u32,
  protocol: u32,
  hi: u64,
  lo: u64,
  port: u32,
  pending: bool,
  quoted: u32,
): void {
  const v6 = load<u8>(at) >> 4 == 6;
  let before: u64 = 0;
  let after: u64 = 0;
  if (v6) {
    const to = at + (end == End.SOURCE ? IPV6_SRC : IPV6_DST);
    before = sumBytes(to, 16);
    storeAddress(to, hi, lo);
    after = sumBytes(to, 16);
  } else {
    const to = end == End.SOURCE ? at + V4_SRC : at + V4_DST;
    before = load<u32>(to);
    const value = bswap<u32>(<u32>lo);
    store<u32>(to, value);
    after = value;
    store<u16>(at, update(load<u16>(at, V4_CHECKSUM), before, after), V4_CHECKSUM);
  }
  const header = at + l4;
  switch (protocol) {
    case Protocol.TCP:
    case Protocol.UDP: {
      const to = header + (end == End.SOURCE ? 0 : 2);
      const old = load<u16>(to);
      const value = bswap<u16>(<u16>port);
      store<u16>(to, value);
      const field = protocol == Protocol.TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
      if (quoted < <u32>field + 2) return;
      const sum = load<u16>(header + field);
      if (pending) {
        store<u16>(header + field, <u16>fold(<u64>sum + <u64>(fold(before) ^ 0xffff) + after));
        return;
      }
      // UDP over IPv4 without a checksum stays without.
      if (protocol == Protocol.UDP && sum == 0) return;
      let fresh = update(sum, before + old, after + value);
      if (protocol == Protocol.UDP && fresh == 0) fresh = 0xffff;
      store<u16>(header + field, fresh);
      return;
    }
    case Protocol.ICMP:
    case Protocol.ICMPV6: {
      const old = load<u16>(header, 4);
      const value = port == KEEP ? old : bswap<u16>(<u16>port);
      store<u16>(header, value, 4);
      // Only ICMPv6 has the addresses in its checksum.
      const sum = load<u16>(header, ICMP_CHECKSUM);
      const extra = protocol == Protocol.ICMPV6;
      if (pending) {
        if (extra) store<u16>(header, <u16>fold(<u64>sum + <u64>(fold(before) ^ 0xffff) + after), ICMP_CHECKSUM);
        return;
      }
      store<u16>(header, update(sum, (extra ? before : 0) + old, (extra ? after : 0) + value), ICMP_CHECKSUM);
      return;
    }
  }
}

/** The same for a packet in hand. Of an ICMP answer the identifier is the destination's port (key.ts). */
export function setPacketEnd(p: Packet, end: End, l4: u32, protocol: u32, hi: u64, lo: u64, port: u32): void {
  const pending = (p.flags & (PacketFlag.CHECKSUM_PENDING | PacketFlag.CHECKSUM_PARTIAL)) != 0;
  setEnd(p.data, end, l4, protocol, hi, lo, port, pending, p.len - l4);
}

/** Sets an address only: of a packet whose transport has no ports, or of one that carries a translated error. */
export function setAddress(p: Packet, end: End, hi: u64, lo: u64): void {
  setEnd(p.data, end, 0, 0, hi, lo, 0, false, 0);
}

/** Computes an ICMP message's checksum anew. */
export function sealIcmp(p: Packet, l4: u32, protocol: u32, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): void {
  const at = p.data + l4;
  const bytes = p.totalLen - l4;
  store<u16>(at, 0, ICMP_CHECKSUM);
  let sum: u64 = sumPacket(p, l4, bytes);
  if (protocol == Protocol.ICMPV6) sum += sumPseudo(srcHi, srcLo, dstHi, dstLo, protocol, bytes);
  store<u16>(at, finish(sum), ICMP_CHECKSUM);
}

/** Computes an IPv4 header's checksum anew. */
export function sealIpv4(at: usize): void {
  store<u16>(at, 0, V4_CHECKSUM);
  store<u16>(at, finish(sumBytes(at, ipv4HeaderBytes(at))), V4_CHECKSUM);
}

/**
 * Lowers the MSS option of a SYN (RFC 9293, 3.7.1) to `mss`; one without the option stays without: its 536 fit anywhere.
 * @param header bytes of the TCP header, which lie in the linear part
 */
export function clampMss(p: Packet, l4: u32, header: u32, mss: u32): void {
  const at = p.data + l4;
  for (let i: u32 = 20; i < header;) {
    const kind = load<u8>(at + i);
    if (kind == 0) return;
    if (kind == 1) {
      i++;
      continue;
    }
    if (i + 1 >= header) return;
    const length = <u32>load<u8>(at + i, 1);
    if (length < 2 || i + length > header) return;
    if (kind == 2 && length == 4) {
      const field = at + i + 2;
      const old = load<u16>(field);
      if (<u32>bswap<u16>(old) <= mss) return;
      const fresh = bswap<u16>(<u16>mss);
      store<u16>(field, fresh);
      if (p.flags & (PacketFlag.CHECKSUM_PENDING | PacketFlag.CHECKSUM_PARTIAL)) return;
      // At an odd offset its bytes are each other's place in the sum.
      const odd = (i & 1) != 0;
      const before: u64 = odd ? bswap<u16>(old) : old;
      const after: u64 = odd ? bswap<u16>(fresh) : fresh;
      store<u16>(at, update(load<u16>(at, TCP_CHECKSUM), before, after), TCP_CHECKSUM);
      return;
    }
    i += length;
  }
}
