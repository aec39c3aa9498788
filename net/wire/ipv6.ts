// IPv6 header and fragment header (RFC 8200, 3 and 4.5): `checkIpv6` once, then accessors that cannot fail.
//
//   0                4         6      7          8     24    40       fragment header: 0      1     2            4
//   |ver|class|label | payload | next | hop limit| src | dst |                         | next | 0 | offset|0|M | id |
//
// Addresses of a link (fe80::/10) mean something only there. Inside the stack they carry the interface's number in bits
// 32 to 47 of `hi`, which are zero on the wire (RFC 4291, 2.5.6), so that they are as unique as others: whoever reads one
// from a packet puts it in (`zoned`), whoever writes one takes it out (`storeAddress`).

export const IPV6_BYTES: u32 = 40;
export const FRAGMENT_BYTES: u32 = 8;
/** Every link carries packets of so many bytes (RFC 8200, 5). */
export const IPV6_MIN_MTU: u32 = 1280;

const PAYLOAD: usize = 4;
const NEXT: usize = 6;
const HOP_LIMIT: usize = 7;
export const IPV6_SRC: usize = 8;
export const IPV6_DST: usize = 24;

/** Values of a Next Header field that are not a transport. */
export const enum NextHeader {
  HOP_BY_HOP = 0,
  ROUTING = 43,
  FRAGMENT = 44,
  NONE = 59,
  DESTINATION = 60,
}

/** Is there an IPv6 header with its payload in `packet_bytes` bytes at `at`, of which `linear_bytes` may be read? */
@inline
export function checkIpv6(at: usize, linear_bytes: u32, packet_bytes: u32): bool {
  return linear_bytes >= IPV6_BYTES && load<u8>(at) >> 4 == 6 && ipv6Total(at) <= packet_bytes;
}

/** Header and payload, bytes. */
@inline
export function ipv6Total(at: usize): u32 {
  return IPV6_BYTES + <u32>bswap<u16>(load<u16>(at, PAYLOAD));
}


@inline
export function ipv6Class(at: usize): u32 {
  return ((<u32>bswap<u16>(load<u16>(at))) >> 4) & 255;
}


@inline
export function ipv6Next(at: usize): u32 {
  return load<u8>(at, NEXT);
}


@inline
export function ipv6HopLimit(at: usize): u32 {
  return load<u8>(at, HOP_LIMIT);
}

/** No checksum covers it. It is above 0. */
@inline
export function lowerHopLimit(at: usize): void {
  store<u8>(at, load<u8>(at, HOP_LIMIT) - 1, HOP_LIMIT);
}


@inline
export function loadHi(at: usize): u64 {
  return bswap<u64>(load<u64>(at));
}


@inline
export function loadLo(at: usize): u64 {
  return bswap<u64>(load<u64>(at, 8));
}

/** `hi` of an address read on an interface, with the number of the interface where it means something only there. */
@inline
export function zoned(hi: u64, iface: u32): u64 {
  return hi >> 54 == 0x3fa ? (hi & ~0xffff00000000) | ((<u64>(iface + 1)) << 32) : hi;
}

/** `hi` as it stands on the wire. */
@inline
export function unzoned(hi: u64): u64 {
  return hi >> 54 == 0x3fa ? hi & ~0xffff00000000 : hi;
}

/** Writes an address. */
@inline
export function storeAddress(at: usize, hi: u64, lo: u64): void {
  store<u64>(at, bswap<u64>(unzoned(hi)));
  store<u64>(at, bswap<u64>(lo), 8);
}

/** Writes a header. @param payload bytes behind it */
export function emitIpv6(
  at: usize,
  trafficClass: u32,
  label: u32,
  payload: u32,
  next: u32,
  hopLimit: u32,
  srcHi: u64,
  srcLo: u64,
  dstHi: u64,
  dstLo: u64,
): void {
  store<u32>(at, bswap<u32>(0x60000000 | (trafficClass << 20) | (label & 0xfffff)));
  setIpv6Payload(at, payload);
  store<u8>(at, <u8>next, NEXT);
  store<u8>(at, <u8>hopLimit, HOP_LIMIT);
  storeAddress(at + IPV6_SRC, srcHi, srcLo);
  storeAddress(at + IPV6_DST, dstHi, dstLo);
}


@inline
export function setIpv6Payload(at: usize, bytes: u32): void {
  store<u16>(at, bswap<u16>(<u16>bytes), PAYLOAD);
}

// ---- fragment header

/** Offset in bytes of a fragment's payload, and in bit 0 whether others follow. */
@inline
export function fragmentWord(at: usize): u32 {
  return (<u32>bswap<u16>(load<u16>(at, 2))) & 0xfff9;
}


@inline
export function fragmentId(at: usize): u32 {
  return bswap<u32>(load<u32>(at, 4));
}

export function emitFragment(at: usize, next: u32, word: u32, id: u32): void {
  store<u8>(at, <u8>next);
  store<u8>(at, 0, 1);
  store<u16>(at, bswap<u16>(<u16>word), 2);
  store<u32>(at, bswap<u32>(id), 4);
}

/**
 * Takes the fragment header out of a packet at `at`: what stands before it moves FRAGMENT_BYTES up, where the packet begins
 * from then on.
 * @param typeAt where in the packet the type of the fragment header stands
 * @param end offset of the first byte behind the fragment header
 * @param total bytes of the packet with the fragment header
 */
export function unfragment(at: usize, typeAt: u32, end: u32, total: u32): void {
  const header = end - FRAGMENT_BYTES;
  store<u8>(at + typeAt, load<u8>(at + header));
  setIpv6Payload(at, total - FRAGMENT_BYTES - IPV6_BYTES);
  memory.copy(at + FRAGMENT_BYTES, at, header);
}
