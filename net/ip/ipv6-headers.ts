// The chain of extension headers (RFC 8200, 4; RFC 7045): hop-by-hop and destination options whose unknown options say
// themselves what is to be done with them, routing headers that have run out, up to a fragment header or the transport.
//
// Invariants
// 1. At most MAX_HEADERS headers and, in each, MAX_OPTIONS options besides padding are looked at; what has more is dropped
//    (RFC 8504, 5.3), and so is what does not lie in one buffer.
// 2. No option is acted upon. A routing header with segments left is refused: type 0 is dead (RFC 5095), others are for
//    those who know them.

import { Packet } from "../../runtime";
import { Stack } from "../stack";
import { Icmp6Parameter, Icmp6Type } from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import { IPV6_BYTES, ipv6Next, NextHeader } from "../wire/ipv6";
import { sendIcmp6Error } from "./icmpv6";

const MAX_HEADERS: u32 = 8;
const MAX_OPTIONS: u32 = 8;
const MAX_PADDING: u32 = 8;
/** Offset of the Next Header field in the IPv6 header. */
const NEXT_AT: u32 = 6;

/** Where a walk has ended: what stands at `walkAt`, and where its type stands. */
export let walkType: u32 = 0;
export let walkAt: u32 = 0;
export let walkTypeAt: u32 = 0;


@inline
function isExtension(type: u32): bool {
  return type == NextHeader.HOP_BY_HOP || type == NextHeader.DESTINATION || type == NextHeader.ROUTING;
}

/**
 * Walks a packet (`data` at its IPv6 header) to its transport or fragment header and answers what is wrong.
 * @returns false when the packet is to be dropped; the caller counts and frees it
 */
export function walkHeaders(stack: Stack, p: Packet): bool {
  let type = ipv6Next(p.data);
  let typeAt = NEXT_AT;
  let at = IPV6_BYTES;
  for (let n: u32 = 0; isExtension(type); n++) {
    if (type == NextHeader.HOP_BY_HOP && at != IPV6_BYTES) break;
    if (n == MAX_HEADERS || !p.pull(at + 8)) return false;
    const bytes = (<u32>load<u8>(p.data + at, 1) + 1) << 3;
    if (!p.pull(at + bytes)) return false;
    if (type == NextHeader.ROUTING) {
      if (load<u8>(p.data + at, 3) != 0) return parameter(stack, p, Icmp6Parameter.HEADER, at + 2);
    } else if (!walkOptions(stack, p, at + 2, at + bytes)) {
      return false;
    }
    type = load<u8>(p.data + at);
    typeAt = at;
    at += bytes;
  }
  walkType = type;
  walkAt = at;
  walkTypeAt = typeAt;
  return true;
}

function parameter(stack: Stack, p: Packet, code: u32, at: u32): bool {
  sendIcmp6Error(stack, p, Icmp6Type.PARAMETER_PROBLEM, code, at);
  return false;
}

// Options in [at, end) of the packet. The two highest bits of an unknown one's type say what to do (RFC 8200, 4.2).
function walkOptions(stack: Stack, p: Packet, at: u32, end: u32): bool {
  let options: u32 = 0;
  let padding: u32 = 0;
  while (at < end) {
    const type = <u32>load<u8>(p.data + at);
    let bytes: u32 = 1;
    if (type != 0) {
      if (at + 2 > end) return false;
      bytes = 2 + <u32>load<u8>(p.data + at, 1);
      if (at + bytes > end) return false;
    }
    if (type <= 1) {
      // More padding than alignment needs carries nothing honest (RFC 4942, 2.1.9.5).
      padding += bytes;
      if (padding >= MAX_PADDING) return false;
    } else {
      padding = 0;
      if (++options > MAX_OPTIONS) return false;
      const action = type >> 6;
      if (action == 1) return false;
      if (action == 2 || (action == 3 && load<u8>(p.data + 24) != 0xff))
        return parameter(stack, p, Icmp6Parameter.OPTION, at);
      if (action == 3) return false;
    }
    at += bytes;
  }
  return true;
}

/**
 * Goes over the extension headers of a packet (`data` at its IPv6 header) to its transport or fragment header without judging
 * them, for those between the ends.
 * @returns its offset, with its type in `walkType` and where that stands in `walkTypeAt`; 0 when the headers have no end
 */
export function skipHeaders(p: Packet): u32 {
  return skip(p, false);
}

/**
 * The part of a packet that each of its fragments carries (RFC 8200, 4.5): up to a routing header, else up to hop-by-hop options,
 * else the IPv6 header.
 * @returns its bytes, with the offset of the last type in it in `walkTypeAt`; 0 when the headers have no end
 */
export function unfragmentable(p: Packet): u32 {
  return skip(p, true);
}

function skip(p: Packet, unfragmentable: bool): u32 {
  let type = ipv6Next(p.data);
  let typeAt = NEXT_AT;
  let at = IPV6_BYTES;
  walkTypeAt = typeAt;
  let part = at;
  for (let n: u32 = 0; isExtension(type); n++) {
    if (n == MAX_HEADERS || !p.pull(at + 8)) return 0;
    const bytes = (<u32>load<u8>(p.data + at, 1) + 1) << 3;
    if (!p.pull(at + bytes)) return 0;
    typeAt = at;
    at += bytes;
    if (type != NextHeader.DESTINATION) {
      part = at;
      if (unfragmentable) walkTypeAt = typeAt;
    }
    type = load<u8>(p.data + typeAt);
  }
  if (unfragmentable) return part;
  walkType = type;
  walkTypeAt = typeAt;
  return at;
}

/**
 * Looks for the transport header in `bytes` bytes at `at`, without judging what stands before it: of a first fragment, or of
 * a packet that an error quotes. `type` is the type of what stands there.
 * @returns its offset, with its type in `walkType`; 0 when it is not there, or the packet is a later fragment
 */
export function findTransport(at: usize, bytes: u32, offset: u32, type: u32): u32 {
  for (let n: u32 = 0; n <= MAX_HEADERS; n++) {
    if (offset + 8 > bytes) break;
    if (type == NextHeader.FRAGMENT) {
      if ((load<u8>(at + offset, 2) | (load<u8>(at + offset, 3) & 0xf8)) != 0) return 0;
      type = load<u8>(at + offset);
      offset += 8;
    } else if (isExtension(type)) {
      const length = (<u32>load<u8>(at + offset, 1) + 1) << 3;
      type = load<u8>(at + offset);
      offset += length;
    } else {
      walkType = type;
      // RFC 7112: the whole header up to the transport's own, which is 20 bytes for TCP.
      return type == Protocol.TCP && offset + 20 > bytes ? 0 : offset;
    }
  }
  return 0;
}
