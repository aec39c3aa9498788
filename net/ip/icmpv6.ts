// ICMPv6 (RFC 4443): echo is answered, errors in are handed to the transport whose packet they quote, errors out are limited
// in rate and never answer errors or groups. Neighbour discovery is in link/ndp.ts, group membership in mld.ts.
// clang: -Oz

import { allocPacket, Packet, PacketFlag } from "../../runtime";
import { Interface } from "../link/interface";
import { ndpInput } from "../link/ndp";
import { Stack } from "../stack";
import { finish, sumPacket, sumPseudo } from "../wire/checksum";
import {
  emitIcmp6,
  icmp6Code,
  Icmp6Parameter,
  icmp6Rest,
  Icmp6Type,
  icmp6Type,
  Icmp6Unreachable,
  ICMPV6_BYTES,
  ICMPV6_CHECKSUM,
} from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import {
  IPV6_BYTES,
  IPV6_DST,
  IPV6_MIN_MTU,
  IPV6_SRC,
  ipv6Class,
  ipv6HopLimit,
  ipv6Next,
  ipv6Total,
  loadHi,
  loadLo,
  zoned,
} from "../wire/ipv6";
import { scratchRoute } from "./icmp";
import { findTransport, walkType } from "./ipv6-headers";
import { IcmpError } from "./transport";

/** Takes an ICMPv6 packet to us: `data` at the IPv6 header, `l4` behind the headers. Owns it. */
export function icmp6Input(
  stack: Stack,
  iface: Interface,
  p: Packet,
  srcHi: u64,
  srcLo: u64,
  dstHi: u64,
  dstLo: u64,
  joined: bool,
): void {
  const counters = stack.counters;
  counters.icmp6InMsgs++;
  const l4: u32 = p.l4;
  const bytes = p.totalLen - l4;
  if (p.totalLen < l4 + ICMPV6_BYTES || !p.pull(l4 + ICMPV6_BYTES)) {
    counters.icmp6InErrors++;
    p.free();
    return;
  }
  if ((p.flags & PacketFlag.CHECKSUM_OK) == 0) {
    const sum = sumPacket(p, l4, bytes) + sumPseudo(srcHi, srcLo, dstHi, dstLo, Protocol.ICMPV6, bytes);
    if ((sum & 0xffff) + (sum >> 16) != 0xffff) {
      counters.icmp6InCsumErrors++;
      p.free();
      return;
    }
  }
  const type = icmp6Type(p.data + l4);
  if (type == Icmp6Type.ECHO_REQUEST) {
    counters.icmp6InEchos++;
    echo(stack, p, srcHi, srcLo, dstHi, dstLo);
    return;
  }
  if (type == Icmp6Type.ECHO_REPLY) {
    // Whoever pings registers as the transport of ICMPv6.
    const transport = stack.ip.transport(Protocol.ICMPV6);
    if (transport != null) {
      transport.input(p, srcHi, srcLo, dstHi, dstLo, ipv6Class(p.data));
      return;
    }
  } else if (type <= <u32>Icmp6Type.PARAMETER_PROBLEM && type != 0) {
    counters.icmp6InDestUnreachs++;
    errorInput(stack, p, l4);
    p.free();
    return;
  } else if (iface.v6 != null) {
    const hops = ipv6HopLimit(p.data);
    const nd = type >= <u32>Icmp6Type.ROUTER_SOLICITATION && type <= <u32>Icmp6Type.REDIRECT;
    // Hop limit 255: no router was on its way (RFC 4861, 11.2).
    if (nd && (joined || hops != 255 || icmp6Code(p.data + l4) != 0)) {
      counters.ndInErrors++;
      p.free();
      return;
    }
    if (nd) {
      ndpInput(stack, iface, p, srcHi, srcLo, dstHi, dstLo);
      return;
    }
    if (type == Icmp6Type.MLD_QUERY || type == Icmp6Type.MLD_REPORT) {
      if (type == Icmp6Type.MLD_QUERY && hops == 1) iface.v6!.mld.query(p, srcHi);
      else counters.icmp6InIgnored++;
      p.free();
      return;
    }
  }
  counters.icmp6InIgnored++;
  p.free();
}

/** Completes an ICMPv6 message's checksum: `data` at its header. */
export function checksumIcmp6(p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): void {
  store<u16>(p.data, 0, ICMPV6_CHECKSUM);
  const sum = <u64>sumPacket(p, 0, p.totalLen);
  const all = sum + sumPseudo(srcHi, srcLo, dstHi, dstLo, Protocol.ICMPV6, p.totalLen);
  store<u16>(p.data, finish(all), ICMPV6_CHECKSUM);
}

function echo(stack: Stack, p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): void {
  const counters = stack.counters;
  const route = scratchRoute();
  const group = dstHi >> 56 == 0xff;
  const trafficClass = ipv6Class(p.data);
  // To a group: answered as tools expect, but a limited number of times, as it makes many hosts answer one.
  if (
    (srcHi | srcLo) == 0 ||
    p.refs > 1 ||
    (group && !stack.ip.icmpLimiter.allow(stack)) ||
    stack.ip.resolve(route, srcHi, srcLo) < 0
  ) {
    counters.icmp6InIgnored++;
    p.free();
    return;
  }
  const fromHi = group ? route.srcHi : dstHi;
  const fromLo = group ? route.srcLo : dstLo;
  p.drop(p.l4);
  store<u8>(p.data, Icmp6Type.ECHO_REPLY);
  p.flags = 0;
  p.csumStart = 0;
  checksumIcmp6(p, fromHi, fromLo, srcHi, srcLo);
  counters.icmp6OutMsgs++;
  counters.icmp6OutEchoReps++;
  stack.ip.output(p, route, fromHi, fromLo, srcHi, srcLo, Protocol.ICMPV6, trafficClass);
}

function errorInput(stack: Stack, p: Packet, l4: u32): void {
  const quoted = l4 + ICMPV6_BYTES;
  // The quoted header, some extension headers, and what there may be of the transport header.
  if (!p.pull(min<u32>(p.totalLen, quoted + IPV6_BYTES + 256))) {
    stack.counters.icmp6InErrors++;
    return;
  }
  const at = p.data + l4;
  const code = icmp6Code(at);
  let error: IcmpError = IcmpError.PARAMETER_PROBLEM;
  let mtu: u32 = 0;
  switch (icmp6Type(at)) {
    case Icmp6Type.UNREACHABLE:
      if (code == Icmp6Unreachable.PORT) error = IcmpError.PORT_UNREACHABLE;
      else if (code == Icmp6Unreachable.NO_ROUTE) error = IcmpError.NET_UNREACHABLE;
      else if (code == Icmp6Unreachable.ADDRESS || code == Icmp6Unreachable.BEYOND_SCOPE)
        error = IcmpError.HOST_UNREACHABLE;
      else error = IcmpError.PROHIBITED;
      break;
    case Icmp6Type.TOO_BIG:
      error = IcmpError.TOO_BIG;
      mtu = icmp6Rest(at);
      // Less than the least MTU is not believed (RFC 8201, 4), nor more than what was sent.
      if (mtu < IPV6_MIN_MTU || p.len < quoted + IPV6_BYTES || mtu >= ipv6Total(p.data + quoted)) {
        stack.counters.icmp6InErrors++;
        return;
      }
      break;
    case Icmp6Type.TIME_EXCEEDED:
      error = IcmpError.TIME_EXCEEDED;
      break;
    default:
      // Nobody there takes that protocol: as hard as a refused one.
      if (code == Icmp6Parameter.NEXT_HEADER) error = IcmpError.PROTOCOL_UNREACHABLE;
  }
  reportError6(stack, p.iface, p.data + quoted, p.len - quoted, error, mtu);
}

/**
 * Hands an error about a packet of ours, quoted from its IPv6 header on, to its transport. `bytes` of it may be read; all of
 * it is hostile.
 * @param iface interface that its addresses of a link belong to
 */
export function reportError6(stack: Stack, iface: u32, inner: usize, bytes: u32, error: IcmpError, mtu: u32): void {
  const counters = stack.counters;
  if (bytes < IPV6_BYTES + 8 || load<u8>(inner) >> 4 != 6) {
    counters.icmp6InErrors++;
    return;
  }
  const l4 = findTransport(inner, bytes, IPV6_BYTES, ipv6Next(inner));
  const srcHi = zoned(loadHi(inner + IPV6_SRC), iface);
  const srcLo = loadLo(inner + IPV6_SRC);
  if (l4 == 0 || !stack.ip.isLocal(srcHi, srcLo)) {
    counters.icmp6InErrors++;
    return;
  }
  const transport = stack.ip.transport(walkType);
  if (transport == null) {
    counters.icmp6InIgnored++;
    return;
  }
  const dstHi = zoned(loadHi(inner + IPV6_DST), iface);
  const dstLo = loadLo(inner + IPV6_DST);
  transport.icmpError(error, mtu, srcHi, srcLo, dstHi, dstLo, inner + l4, bytes - l4);
}

/**
 * Sends an error about a received packet (`data` at its IPv6 header) where one is due (RFC 4443, 2.4). The packet stays the
 * caller's.
 */
export function sendIcmp6Error(stack: Stack, p: Packet, type: u32, code: u32, rest: u32): void {
  const counters = stack.counters;
  const h = p.data;
  const srcHi = zoned(loadHi(h + IPV6_SRC), p.iface);
  const srcLo = loadLo(h + IPV6_SRC);
  const dstHi = zoned(loadHi(h + IPV6_DST), p.iface);
  const dstLo = loadLo(h + IPV6_DST);
  const toAll = (p.flags & (PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST)) != 0 || dstHi >> 56 == 0xff;
  const toGroups = type == Icmp6Type.TOO_BIG || (type == Icmp6Type.PARAMETER_PROBLEM && code == Icmp6Parameter.OPTION);
  if ((toAll && !toGroups) || (srcHi | srcLo) == 0 || srcHi >> 56 == 0xff) return;
  const l4 = findTransport(h, p.len, IPV6_BYTES, ipv6Next(h));
  if (l4 != 0 && walkType == Protocol.ICMPV6 && isErrorOrRedirect(load<u8>(h + l4))) return;
  if (!stack.ip.icmpLimiter.allow(stack)) {
    counters.icmp6OutRateLimited++;
    return;
  }
  const route = scratchRoute();
  if (stack.ip.resolve(route, srcHi, srcLo) < 0) {
    counters.ip6OutNoRoutes++;
    return;
  }
  const e = allocPacket();
  if (e == null) {
    counters.noBuffers++;
    return;
  }
  const quote = min<u32>(p.totalLen, IPV6_MIN_MTU - IPV6_BYTES - ICMPV6_BYTES);
  const at = e.append(ICMPV6_BYTES + quote);
  emitIcmp6(at, type, code, rest);
  p.copyTo(at + ICMPV6_BYTES, 0, quote);
  const own = !toAll && stack.ip.isLocal(dstHi, dstLo);
  const fromHi = own ? dstHi : route.srcHi;
  const fromLo = own ? dstLo : route.srcLo;
  checksumIcmp6(e, fromHi, fromLo, srcHi, srcLo);
  counters.icmp6OutMsgs++;
  counters.icmp6OutErrors++;
  stack.ip.output(e, route, fromHi, fromLo, srcHi, srcLo, Protocol.ICMPV6, 0);
}


@inline
function isErrorOrRedirect(type: u32): bool {
  return type < 128 || type == Icmp6Type.REDIRECT;
}

/** The first fragment of a datagram that was never whole: its sender is told. */
export function fragmentTimeout6(stack: Stack, first: Packet): void {
  sendIcmp6Error(stack, first, Icmp6Type.TIME_EXCEEDED, 1, 0);
}
