// The router's way for IPv6 packets to others (RFC 8200; RFC 4443; RFC 4291, 2.5): as forward.ts, but what is too large is never
// cut here, only what was joined here leaves in fragments again. Extension headers are not looked at, but for
// the way to the transport's (RFC 7045, 2.1; RFC 8200, 4.8: hop-by-hop options are for those who are told to look).

import { Packet, PacketFlag } from "../../runtime";
import { Interface } from "../link/interface";
import { Stack } from "../stack";
import { Icmp6Type, Icmp6Unreachable } from "../wire/icmpv6";
import { IPV6_BYTES, ipv6HopLimit, ipv6Total, lowerHopLimit } from "../wire/ipv6";
import { isLinkLocal, isMulticast } from "./address";
import { carryOffload, segmentBytes } from "./carry";
import { sendIcmp6Error } from "./icmpv6";
import { send6 } from "./ipv6";
import { fragment6 } from "./ipv6-fragment";
import { skipHeaders, walkType } from "./ipv6-headers";
import { Path, Paths } from "./paths";
import { RouteKind } from "./route";

const LINK_GROUP: u32 = PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST;
const WORK: u32 = PacketFlag.CHECKSUM_PENDING | PacketFlag.GSO_TCP4 | PacketFlag.GSO_TCP6;

/** Sends a packet on whose path is not known yet, or answers or drops it. Owns it. */
export function forward6(
  stack: Stack,
  iface: Interface,
  p: Packet,
  paths: Paths,
  srcHi: u64,
  srcLo: u64,
  dstHi: u64,
  dstLo: u64,
): void {
  const counters = stack.counters;
  if ((p.flags & LINK_GROUP) != 0 || isMulticast(dstHi, dstLo) || isLinkLocal(dstHi, dstLo) || (srcHi | srcLo) == 0) {
    counters.ip6InAddrErrors++;
    p.free();
    return;
  }
  const origin = stack.ip.table.lookup(srcHi, srcLo);
  if (isLinkLocal(srcHi, srcLo) || (origin != null && origin.kind == RouteKind.LOCAL)) {
    // An address of the link means nothing on another (RFC 4443, 3.1).
    counters.ip6InAddrErrors++;
    if (origin == null || origin.kind != RouteKind.LOCAL)
      sendIcmp6Error(stack, p, Icmp6Type.UNREACHABLE, Icmp6Unreachable.BEYOND_SCOPE, 0);
    p.free();
    return;
  }
  const path = paths.find(stack, iface, srcHi, srcLo, dstHi, dstLo);
  if (path == null) {
    counters.ip6InNoRoutes++;
    if (ipv6HopLimit(p.data) > 1) sendIcmp6Error(stack, p, Icmp6Type.UNREACHABLE, Icmp6Unreachable.NO_ROUTE, 0);
    else tooOld6(stack, p);
    p.free();
    return;
  }
  if (path.route.kind != RouteKind.UNICAST) {
    if (path.route.kind == RouteKind.BLACKHOLE) counters.ip6InBlackholed++;
    else counters.ip6InAddrErrors++;
    p.free();
    return;
  }
  pass6(stack, iface, p, path);
}

/** Sends a packet on along a path. Owns it. */
export function pass6(stack: Stack, from: Interface, p: Packet, path: Path): void {
  const counters = stack.counters;
  const route = path.route;
  const to = unchecked(stack.interfaces[route.iface]);
  if (ipv6HopLimit(p.data) <= 1) {
    tooOld6(stack, p);
    p.free();
    return;
  }
  const filter = stack.ip.filter;
  if (filter != null && !filter.forward(stack, from, to, p)) return;

  const total = ipv6Total(p.data);
  let bytes = total;
  let l4 = IPV6_BYTES;
  let type: u32 = 0;
  if ((p.flags & WORK) != 0) {
    l4 = skipHeaders(p);
    type = walkType;
    if (l4 == 0) {
      counters.ip6InHdrErrors++;
      p.free();
      return;
    }
    bytes = segmentBytes(p, l4, total);
  }
  const joined: u32 = p.fragmentBytes;
  if (joined != 0 ? joined > route.mtu : bytes > route.mtu) {
    counters.ip6InTooBigErrors++;
    sendIcmp6Error(stack, p, Icmp6Type.TOO_BIG, 0, route.mtu);
    p.free();
    return;
  }
  if (!carryOffload(p, l4, type)) {
    counters.ip6InHdrErrors++;
    p.free();
    return;
  }
  lowerHopLimit(p.data);
  if (filter != null && !filter.postRoute(stack, to, p)) return;
  counters.ip6OutForwDatagrams++;
  if (joined != 0 && bytes > joined) fragment6(stack, p, route, joined);
  else send6(stack, p, route);
}

function tooOld6(stack: Stack, p: Packet): void {
  stack.counters.ip6InHdrErrors++;
  sendIcmp6Error(stack, p, Icmp6Type.TIME_EXCEEDED, 0, 0);
}
