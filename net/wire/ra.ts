// Router advertisements (RFC 4861, 4.2): the fixed part and its options, of which `checkNdOptions` (ndp.ts) has shown that they fill
// the message.
//
//   0      1      2          4           5       6          8           12         16
//   | type | code | checksum | hop limit | flags | lifetime | reachable | retrans  | options: | type | length / 8 | ...
//
//   prefix (3), 32 bytes:  | 3 | 4 | bits | flags | valid | preferred | reserved | prefix at 16 |
//   route (24, RFC 4191):  | 24 | n | bits | preference | lifetime | prefix at 8, 0 to 16 bytes |
//   servers (25, RFC 8106): | 25 | n | reserved | lifetime | addresses at 8 |
//
// clang: -Oz

import { storeMac } from "./ethernet";
import { emitIcmp6, Icmp6Type, icmp6Type } from "./icmpv6";
import { storeAddress } from "./ipv6";
import { checkNdOptions } from "./ndp";

export const RA_BYTES: u32 = 16;
export const RS_BYTES: u32 = 8;
/** Bytes of a redirect before its options: target and destination follow the first 8. */
export const REDIRECT_BYTES: u32 = 40;
export const REDIRECT_DST: usize = 24;
const PREFIX_BYTES: u32 = 32;

export const enum RaOption {
  PREFIX = 3,
  MTU = 5,
  ROUTE = 24,
  SERVERS = 25,
}

/** Flags of a prefix. */
export const enum PrefixFlag {
  ON_LINK = 0x80,
  AUTONOMOUS = 0x40,
}


@inline
export function raLifetime_s(at: usize): u32 {
  return bswap<u16>(load<u16>(at, 6));
}

/** How much a router, or a route by it, is preferred (RFC 4191, 2.1): 1, 0, -1; the reserved value counts as 0. */
export function raPreference(flags: u32): i32 {
  const value = (flags >> 3) & 3;
  return value == 1 ? 1 : value == 3 ? -1 : 0;
}

/** Writes the fixed part; gives where options go. @param lifetime_s how long we are a default router, 0: not at all */
export function emitRa(at: usize, lifetime_s: u32): usize {
  emitIcmp6(at, Icmp6Type.ROUTER_ADVERTISEMENT, 0, (64 << 24) | lifetime_s);
  store<u64>(at, 0, 8);
  return at + RA_BYTES;
}

export function emitRaMac(at: usize, mac: u64): usize {
  store<u16>(at, 0x0101);
  storeMac(at + 2, mac);
  return at + 8;
}

export function emitRaMtu(at: usize, mtu: u32): usize {
  store<u32>(at, 0x0105);
  store<u32>(at, bswap<u32>(mtu), 4);
  return at + 8;
}

export function emitRaPrefix(at: usize, hi: u64, valid_s: u32, preferred_s: u32): usize {
  store<u32>(
    at,
    (<u32>RaOption.PREFIX) | (4 << 8) | (64 << 16) | ((<u32>(PrefixFlag.ON_LINK | PrefixFlag.AUTONOMOUS)) << 24),
  );
  store<u32>(at, bswap<u32>(valid_s), 4);
  store<u32>(at, bswap<u32>(preferred_s), 8);
  store<u32>(at, 0, 12);
  storeAddress(at + 16, hi, 0);
  return at + PREFIX_BYTES;
}

/** Whether an advertisement or redirect of `bytes` bytes is one (RFC 4861, 6.1.2 and 8.1); the checksum and hop limit are checked. */
export function isRouterMessage(at: usize, bytes: u32, srcHi: u64): bool {
  const fixed = icmp6Type(at) == Icmp6Type.REDIRECT ? REDIRECT_BYTES : RA_BYTES;
  return srcHi >> 54 == 0x3fa && bytes >= fixed && checkNdOptions(at + fixed, bytes - fixed);
}
