// ICMPv6 (RFC 4443): types, and accessors for a message of at least ICMPV6_BYTES, which the caller has checked. The layout is
// that of ICMP; the checksum covers a pseudo header too.

export const ICMPV6_BYTES: u32 = 8;
export const ICMPV6_CHECKSUM: usize = 2;

export const enum Icmp6Type {
  UNREACHABLE = 1,
  TOO_BIG = 2,
  TIME_EXCEEDED = 3,
  PARAMETER_PROBLEM = 4,
  ECHO_REQUEST = 128,
  ECHO_REPLY = 129,
  MLD_QUERY = 130,
  MLD_REPORT = 131,
  MLD_DONE = 132,
  ROUTER_SOLICITATION = 133,
  ROUTER_ADVERTISEMENT = 134,
  NEIGHBOUR_SOLICITATION = 135,
  NEIGHBOUR_ADVERTISEMENT = 136,
  REDIRECT = 137,
  MLD2_REPORT = 143,
}

/** Codes of UNREACHABLE. */
export const enum Icmp6Unreachable {
  NO_ROUTE = 0,
  PROHIBITED = 1,
  BEYOND_SCOPE = 2,
  ADDRESS = 3,
  PORT = 4,
  POLICY = 5,
  REJECT = 6,
}

/** Codes of PARAMETER_PROBLEM; `rest` is the offset of what is wrong. */
export const enum Icmp6Parameter {
  HEADER = 0,
  NEXT_HEADER = 1,
  OPTION = 2,
  /** The first fragment does not have all headers (RFC 7112). */
  CHAIN = 3,
}


@inline
export function icmp6Type(at: usize): u32 {
  return load<u8>(at);
}


@inline
export function icmp6Code(at: usize): u32 {
  return load<u8>(at, 1);
}
/** The four bytes behind the checksum: a MTU, a pointer, or id and sequence. */
@inline
export function icmp6Rest(at: usize): u32 {
  return bswap<u32>(load<u32>(at, 4));
}

/** Writes the header with checksum 0. */
export function emitIcmp6(at: usize, type: u32, code: u32, rest: u32): void {
  store<u32>(at, type | (code << 8));
  store<u32>(at, bswap<u32>(rest), 4);
}
