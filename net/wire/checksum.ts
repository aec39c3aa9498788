// The Internet checksum (RFC 1071) over memory and over packets with slices.
//
// Invariants
// 1. Partial sums are sums of 16-bit words *as loaded on this little-endian machine*. The one's complement sum does
//    not care
//    about byte order (RFC 1071, 2 (B)), so a result is stored with a plain store<u16>, and a value of host order is
//    swapped
//    before it is added.
// 2. A partial sum that begins at an odd offset of the whole is swapped before it is added.

import { Packet } from "../../runtime";
import { isV4 } from "../ip/address";
import { unzoned } from "./ipv6";

/** Folds a sum to 16 bits. */
@inline
export function fold(sum: u64): u32 {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  let s = <u32>(sum >> 16) + ((<u32>sum) & 0xffff);
  s = (s >> 16) + (s & 0xffff);
  return (s >> 16) + (s & 0xffff);
}

/** The value to store in a checksum field for the sum of everything that it covers. */
@inline
export function finish(sum: u64): u16 {
  return <u16>~fold(sum);
}

/** Sum of `bytes` bytes at `at`, not folded; at most 2^33 of them. */
export function sumBytes(at: usize, bytes: u32): u64 {
  // 32 bytes a turn in 64-bit words whose carries go around (2^64 is 1 modulo 2^16 - 1): an add and an adc each. A loop
  // over 32-bit words is not vectorised here, as its address could wrap.
  let wide: u64 = 0;
  let carries: u64 = 0;
  const endWide = at + (bytes & ~31);
  for (; at < endWide; at += 32) {
    const a = load<u64>(at);
    wide += a;
    carries += u64(wide < a);
    const b = load<u64>(at, 8);
    wide += b;
    carries += u64(wide < b);
    const c = load<u64>(at, 16);
    wide += c;
    carries += u64(wide < c);
    const d = load<u64>(at, 24);
    wide += d;
    carries += u64(wide < d);
  }
  let sum = (wide & 0xffffffff) + (wide >> 32) + carries;
  const end = at + (bytes & 28);
  for (; at < end; at += 4) sum += load<u32>(at);
  if (bytes & 2) {
    sum += load<u16>(at);
    at += 2;
  }
  if (bytes & 1) sum += load<u8>(at);
  return sum;
}

/** Sum of `bytes` bytes from `offset` of a packet, linear part and slices, folded. The range lies in the packet. */
export function sumPacket(p: Packet, offset: u32, bytes: u32): u32 {
  let sum: u64 = 0;
  let odd = false;
  let skip = offset;
  const count = p.sliceCount;
  for (let i: u32 = 0; bytes > 0 && i <= count; i++) {
    const at = i == 0 ? p.data : p.sliceAddress(i - 1);
    const len = i == 0 ? p.len : p.sliceLen(i - 1);
    if (skip >= len) {
      skip -= len;
      continue;
    }
    const take = min(bytes, len - skip);
    const part = sumBytes(at + skip, take);
    sum += odd ? <u64>bswap<u16>(<u16>fold(part)) : part;
    if (take & 1) odd = !odd;
    bytes -= take;
    skip = 0;
  }
  return fold(sum);
}

/**
 * Sum of the pseudo header of IPv4 (RFC 9293, 3.1) or IPv6 (RFC 8200, 8.1) for `bytes` of transport header and data.
 */
export function sumPseudo(srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, protocol: u32, bytes: u32): u32 {
  let sum: u64 = <u64>bswap<u16>(<u16>protocol) + <u64>bswap<u16>(<u16>bytes) + <u64>bswap<u16>(<u16>(bytes >> 16));
  if (isV4(dstHi, dstLo)) {
    sum += <u64>bswap<u32>(<u32>srcLo) + <u64>bswap<u32>(<u32>dstLo);
  } else {
    sum += wordSum(unzoned(srcHi)) + wordSum(srcLo) + (wordSum(unzoned(dstHi)) + wordSum(dstLo));
  }
  return fold(sum);
}


@inline
function wordSum(word: u64): u64 {
  const swapped = bswap<u64>(word);
  return (swapped & 0xffffffff) + (swapped >> 32);
}
