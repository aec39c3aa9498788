// IPv4 header (RFC 791): `checkIpv4` once, then accessors that cannot fail.
//
//   0        1      2       4    6            8     9          10         12    16    20
//   |ver|ihl | tos  | total | id | flags|off  | ttl | protocol | checksum | src | dst | options

import { finish, fold, sumBytes } from "./checksum";

export const IPV4_BYTES: u32 = 20;

const VERSION_IHL: usize = 0;
const TOS: usize = 1;
const TOTAL: usize = 2;
const ID: usize = 4;
const FRAGMENT: usize = 6;
const TTL: usize = 8;
const PROTOCOL: usize = 9;
const CHECKSUM: usize = 10;
const SRC: usize = 12;
const DST: usize = 16;

export const IPV4_DF: u32 = 0x4000;
export const IPV4_MF: u32 = 0x2000;

export const enum Protocol {
  ICMP = 1,
  TCP = 6,
  UDP = 17,
  ICMPV6 = 58,
}

/** What is wrong with a header; the values of `checkIpv4`. */
export const enum Ipv4Check {
  OK = 0,
  /** Version, header length or total length do not fit the bytes that are there. */
  MALFORMED = 1,
  CHECKSUM = 2,
}

/**
 * Checks the header at `at` (RFC 1122, 3.2.1.1-2): version, lengths, checksum.
 * @param linear_bytes bytes that may be read at `at`
 * @param packet_bytes bytes of the packet from there, at least `linear_bytes`
 */
export function checkIpv4(at: usize, linear_bytes: u32, packet_bytes: u32): Ipv4Check {
  if (linear_bytes < IPV4_BYTES) return Ipv4Check.MALFORMED;
  if (load<u8>(at, VERSION_IHL) >> 4 != 4) return Ipv4Check.MALFORMED;
  const header = ipv4HeaderBytes(at);
  const total = ipv4Total(at);
  if (header < IPV4_BYTES || header > linear_bytes || total < header || total > packet_bytes)
    return Ipv4Check.MALFORMED;
  if (fold(sumBytes(at, header)) != 0xffff) return Ipv4Check.CHECKSUM;
  return Ipv4Check.OK;
}


@inline
export function ipv4HeaderBytes(at: usize): u32 {
  return ((<u32>load<u8>(at, VERSION_IHL)) & 15) << 2;
}


@inline
export function ipv4Tos(at: usize): u32 {
  return load<u8>(at, TOS);
}
/** Header and payload, bytes. */
@inline
export function ipv4Total(at: usize): u32 {
  return bswap<u16>(load<u16>(at, TOTAL));
}


@inline
export function ipv4Id(at: usize): u32 {
  return bswap<u16>(load<u16>(at, ID));
}
/** DF and MF with the offset in units of 8 bytes below them. */
@inline
export function ipv4Fragment(at: usize): u32 {
  return bswap<u16>(load<u16>(at, FRAGMENT));
}
/** More fragments, or an offset above 0. */
@inline
export function ipv4IsFragment(at: usize): bool {
  return (ipv4Fragment(at) & 0x3fff) != 0;
}


@inline
export function ipv4Ttl(at: usize): u32 {
  return load<u8>(at, TTL);
}


@inline
export function ipv4Protocol(at: usize): u32 {
  return load<u8>(at, PROTOCOL);
}


@inline
export function ipv4Src(at: usize): u32 {
  return bswap<u32>(load<u32>(at, SRC));
}


@inline
export function ipv4Dst(at: usize): u32 {
  return bswap<u32>(load<u32>(at, DST));
}

/**
 * Has a checked header a source route option (RFC 791, 3.1), or options that cannot be walked? Both are refused (RFC
 * 7126).
 */
export function ipv4SourceRouted(at: usize): bool {
  const end = ipv4HeaderBytes(at);
  for (let i = IPV4_BYTES; i < end;) {
    const kind = load<u8>(at + i);
    if (kind == 0) return false;
    if (kind == 1) {
      i++;
      continue;
    }
    if (kind == 131 || kind == 137 || i + 1 >= end) return true;
    const length = <u32>load<u8>(at + i, 1);
    if (length < 2 || i + length > end) return true;
    i += length;
  }
  return false;
}

/** Bytes of the header that fragments but the first have: only options marked so are copied (RFC 791, 3.1). */
export function copiedHeaderBytes(at: usize): u32 {
  return (copyOptions(0, at) + 3) & ~3;
}

/** Writes that header for the checked header at `at`; the fields that differ are `rewriteIpv4`'s. */
export function copyFragmentHeader(target: usize, at: usize): void {
  const bytes = copiedHeaderBytes(at);
  memory.copy(target, at, IPV4_BYTES);
  memory.fill(target + IPV4_BYTES, 0, bytes - IPV4_BYTES);
  copyOptions(target, at);
  store<u8>(target, <u8>(0x40 | (bytes >> 2)), VERSION_IHL);
}

// Copies the options to be copied behind a header at `target` (0: only counts). Gives the header's bytes, unpadded.
function copyOptions(target: usize, at: usize): u32 {
  const end = ipv4HeaderBytes(at);
  let bytes = IPV4_BYTES;
  for (let i = IPV4_BYTES; i < end;) {
    const kind = <u32>load<u8>(at + i);
    if (kind == 0) break;
    let length: u32 = 1;
    if (kind != 1) {
      length = i + 1 < end ? <u32>load<u8>(at + i, 1) : 0;
      if (length < 2 || i + length > end) break;
    }
    if (kind & 0x80) {
      if (target != 0) memory.copy(target + bytes, at + i, length);
      bytes += length;
    }
    i += length;
  }
  return bytes;
}

/** Writes a header of IPV4_BYTES with its checksum. `fragment`: DF, MF and the offset in units of 8 bytes. */
export function emitIpv4(
  at: usize,
  tos: u32,
  total_bytes: u32,
  id: u32,
  fragment: u32,
  ttl: u32,
  protocol: u32,
  src: u32,
  dst: u32,
): void {
  store<u8>(at, 0x45, VERSION_IHL);
  store<u8>(at, <u8>tos, TOS);
  store<u16>(at, bswap<u16>(<u16>total_bytes), TOTAL);
  store<u16>(at, bswap<u16>(<u16>id), ID);
  store<u16>(at, bswap<u16>(<u16>fragment), FRAGMENT);
  store<u8>(at, <u8>ttl, TTL);
  store<u8>(at, <u8>protocol, PROTOCOL);
  store<u16>(at, 0, CHECKSUM);
  store<u32>(at, bswap<u32>(src), SRC);
  store<u32>(at, bswap<u32>(dst), DST);
  store<u16>(at, finish(sumBytes(at, IPV4_BYTES)), CHECKSUM);
}

/** Lowers a TTL above 0 by one, with the checksum (RFC 1624, equation 3: the word falls by 1 in its first byte). */
@inline
export function lowerTtl(at: usize): void {
  store<u8>(at, <u8>(ipv4Ttl(at) - 1), TTL);
  const sum = <u32>load<u16>(at, CHECKSUM) + 1;
  store<u16>(at, <u16>(sum + (sum >> 16)), CHECKSUM);
}

/** Sets the length, the fragment word and the id of an existing header of any length, and its checksum. */
export function rewriteIpv4(at: usize, total_bytes: u32, id: u32, fragment: u32): void {
  store<u16>(at, bswap<u16>(<u16>total_bytes), TOTAL);
  store<u16>(at, bswap<u16>(<u16>id), ID);
  store<u16>(at, bswap<u16>(<u16>fragment), FRAGMENT);
  store<u16>(at, 0, CHECKSUM);
  store<u16>(at, finish(sumBytes(at, ipv4HeaderBytes(at))), CHECKSUM);
}
