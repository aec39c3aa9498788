// ICMP for IPv4 (RFC 792, RFC 1191): accessors for a message of at least ICMP_BYTES, which the caller has checked.
//
//   0      1      2          4                8
//   | type | code | checksum | rest of header | data
//                              echo: id, sequence     fragmentation needed: 0, next-hop MTU

export const ICMP_BYTES: u32 = 8;

const TYPE: usize = 0;
const CODE: usize = 1;
export const ICMP_CHECKSUM: usize = 2;
const REST: usize = 4;
const MTU: usize = 6;

export const enum IcmpType {
  ECHO_REPLY = 0,
  UNREACHABLE = 3,
  SOURCE_QUENCH = 4,
  REDIRECT = 5,
  ECHO_REQUEST = 8,
  TIME_EXCEEDED = 11,
  PARAMETER_PROBLEM = 12,
}

/** Codes of UNREACHABLE. */
export const enum IcmpUnreachable {
  NET = 0,
  HOST = 1,
  PROTOCOL = 2,
  PORT = 3,
  FRAGMENTATION_NEEDED = 4,
  SOURCE_ROUTE_FAILED = 5,
  NET_PROHIBITED = 9,
  HOST_PROHIBITED = 10,
  PROHIBITED = 13,
}

/** Codes of REDIRECT and TIME_EXCEEDED. */
export const enum IcmpRedirect {
  NET = 0,
  HOST = 1,
}
export const enum IcmpTimeExceeded {
  TTL = 0,
  REASSEMBLY = 1,
}


@inline
export function icmpType(at: usize): u32 {
  return load<u8>(at, TYPE);
}


@inline
export function icmpCode(at: usize): u32 {
  return load<u8>(at, CODE);
}
/** The four bytes behind the checksum. */
@inline
export function icmpRest(at: usize): u32 {
  return bswap<u32>(load<u32>(at, REST));
}


@inline
export function icmpMtu(at: usize): u32 {
  return bswap<u16>(load<u16>(at, MTU));
}

/** Is it a message about another packet, never to be answered by one (RFC 1122, 3.2.2)? Unknown types count as such. */
export function icmpIsError(type: u32): bool {
  return !(type == 0 || type == 8 || type == 9 || type == 10 || (type >= 13 && type <= 18));
}

/** Writes the header with checksum 0. */
export function emitIcmp(at: usize, type: u32, code: u32, rest: u32): void {
  store<u8>(at, <u8>type, TYPE);
  store<u8>(at, <u8>code, CODE);
  store<u16>(at, 0, ICMP_CHECKSUM);
  store<u32>(at, bswap<u32>(rest), REST);
}
