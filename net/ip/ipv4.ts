// IPv4 packets in and out (RFC 791; RFC 1122, 3.2). Options are skipped: none is acted upon, which RFC 7126 allows,
// source routes are refused.

import { Errno, Packet, PacketFlag } from "../../runtime";
import { Interface } from "../link/interface";
import { linkOutput } from "../link/ethernet";
import { Stack } from "../stack";
import { EtherType, MAC_BROADCAST } from "../wire/ethernet";
import {
  checkIpv4,
  emitIpv4,
  IPV4_BYTES,
  IPV4_DF,
  Ipv4Check,
  ipv4Dst,
  ipv4HeaderBytes,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4SourceRouted,
  ipv4Src,
  ipv4Tos,
  ipv4Total,
  Protocol,
} from "../wire/ipv4";
import { udpDst } from "../wire/udp";
import { isV4, isV4Loopback, isV4Multicast, V4_PREFIX, v4 } from "./address";
import { fragment4 } from "./fragment";
import { icmpInput, reportError, sendIcmpError } from "./icmp";
import { ReversePath } from "./hook";
import { reversePathHolds } from "./reverse-path";
import { Route, RouteKind, RouteOption } from "./route";
import { IcmpError } from "./transport";
import { IcmpType, IcmpUnreachable } from "../wire/icmp";

const ALL_HOSTS: u32 = 0xe0000001;
const ALL: u32 = 0xffffffff;
const DHCP_CLIENT_PORT: u32 = 68;

/** Takes a packet (`data` at the IPv4 header) from the link, or `looped` from ourselves. Owns it. */
export function input4(stack: Stack, iface: Interface, p: Packet, looped: bool): void {
  const counters = stack.counters;
  counters.ipInReceives++;
  const linear = p.len >= 60 || p.pull(min<u32>(p.totalLen, 60));
  const h = p.data;
  const check = linear ? checkIpv4(h, p.len, p.totalLen) : Ipv4Check.MALFORMED;
  if (check != Ipv4Check.OK) {
    if (check == Ipv4Check.CHECKSUM) counters.ipInCsumErrors++;
    else counters.ipInHdrErrors++;
    p.free();
    return;
  }
  // What is behind the packet is the frame's padding.
  const total = ipv4Total(h);
  if (total < p.totalLen) p.trim(p.totalLen - total);
  const src = ipv4Src(h);
  const header = ipv4HeaderBytes(h);
  if (header > IPV4_BYTES && ipv4SourceRouted(h)) {
    counters.ipInHdrErrors++;
    p.free();
    return;
  }
  p.l3 = 0;
  const filter = stack.ip.filter;
  if (!looped) {
    if (isMartian(iface, src, ipv4Dst(h))) {
      counters.ipInMartians++;
      p.free();
      return;
    }
    const loose = iface.reversePath == ReversePath.LOOSE;
    if (iface.reversePath != 0 && src != 0 && !reversePathHolds(stack, iface, loose, 0, v4(src), 0, v4(ipv4Dst(h)))) {
      counters.ipInReversePath++;
      p.free();
      return;
    }
    if (filter != null) {
      // Judged by their ports, which only the first fragment has: the filter sees whole packets.
      if (ipv4IsFragment(h)) {
        const whole = stack.ip.reassembly.add(p);
        if (whole == null) return;
        p = whole;
      }
      if (!filter.preRoute(stack, iface, p)) return;
    }
    const router = stack.ip.router;
    if (router != null && router.quick4(stack, iface, p)) return;
  }
  if (!isForUs(stack, iface, p, ipv4Dst(p.data), looped)) {
    const router = stack.ip.router;
    if (router != null && !looped) {
      router.forward4(stack, iface, p);
      return;
    }
    counters.ipInAddrErrors++;
    p.free();
    return;
  }
  if (filter != null && !looped && !filter.input(stack, iface, p)) return;
  if (ipv4IsFragment(p.data)) {
    const whole = stack.ip.reassembly.add(p);
    if (whole != null) deliver(stack, iface, whole);
    return;
  }
  deliver(stack, iface, p);
}

// Addresses that cannot come from outside (RFC 1122, 3.2.1.3; RFC 1812, 5.3.7).
function isMartian(iface: Interface, src: u32, dst: u32): bool {
  // A host that has no address yet asks all of its link for one (RFC 1122, 3.2.1.3 (a)).
  if (src == 0) return dst != ALL;
  if (src >> 28 >= 14 || src >> 24 == 127 || src >> 24 == 0) return true;
  return isV4Loopback(dst) || dst >> 24 == 0 || iface.find(0, v4(src)) != null;
}

// Sets the packet's link flags when its IP destination is a group, so that the transports look at one place.
function isForUs(stack: Stack, iface: Interface, p: Packet, dst: u32, looped: bool): bool {
  const link = p.flags & (PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST);
  if (v4(dst) == iface.firstV4 && link == 0) return true;
  if (dst == ALL) {
    p.flags |= PacketFlag.LINK_BROADCAST;
    return true;
  }
  if (isV4Multicast(dst)) {
    p.flags |= PacketFlag.LINK_MULTICAST;
    return dst == ALL_HOSTS;
  }
  const entry = stack.ip.table.lookup(0, v4(dst));
  if (entry != null && entry.kind == RouteKind.BROADCAST) {
    p.flags |= PacketFlag.LINK_BROADCAST;
    return looped || entry.iface == iface.index;
  }
  // A frame to all that carries a packet to one is nobody's (RFC 1122, 3.3.6).
  if (entry != null && entry.kind == RouteKind.LOCAL) return link == 0;
  // A DHCP server may send to the address that it offers (RFC 2131, 4.1).
  return iface.dhcp != null && isDhcpReply(p);
}

function isDhcpReply(p: Packet): bool {
  const h = p.data;
  const header = ipv4HeaderBytes(h);
  return (
    ipv4Protocol(h) == Protocol.UDP &&
    !ipv4IsFragment(h) &&
    p.len >= header + 8 &&
    udpDst(h + header) == DHCP_CLIENT_PORT
  );
}

function deliver(stack: Stack, iface: Interface, p: Packet): void {
  const counters = stack.counters;
  const h = p.data;
  const header = ipv4HeaderBytes(h);
  const protocol = ipv4Protocol(h);
  p.l4 = <u16>header;
  const dhcp = iface.dhcp;
  if (dhcp != null && isDhcpReply(p)) {
    counters.ipInDelivers++;
    dhcp.input(p);
    return;
  }
  if (protocol == Protocol.ICMP) {
    counters.ipInDelivers++;
    icmpInput(stack, iface, p);
    return;
  }
  // Only what was joined from fragments has come here without regard to its ports.
  const steering = p.fragmentBytes != 0 ? stack.steering : null;
  if (steering != null) {
    p.pull(min<u32>(p.totalLen, header + 8));
    const owner = steering.ownerOf(p, 0, v4(ipv4Src(p.data)), 0, v4(ipv4Dst(p.data)), protocol);
    if (steering.handPacket(iface, p, owner)) return;
  }
  const transport = stack.ip.transport(protocol);
  if (transport == null) {
    counters.ipInUnknownProtos++;
    sendIcmpError(stack, p, IcmpType.UNREACHABLE, IcmpUnreachable.PROTOCOL, 0);
    p.free();
    return;
  }
  counters.ipInDelivers++;
  transport.input(p, 0, v4(ipv4Src(h)), 0, v4(ipv4Dst(h)), ipv4Tos(h));
}

/** Sends a packet (`data` at the transport header) along a resolved route. Owns it. */
export function output4(
  stack: Stack,
  p: Packet,
  route: Route,
  src: u32,
  dst: u32,
  protocol: u32,
  tos: u32,
  ttl: u32,
): i32 {
  const total = p.totalLen + IPV4_BYTES;
  const gso = (p.flags & (PacketFlag.GSO_TCP4 | PacketFlag.GSO_TCP6)) != 0;
  if (total > 65535 || (gso && <u32>p.gsoSize + IPV4_BYTES > route.mtu)) {
    stack.counters.ipOutDiscards++;
    p.free();
    return Errno.EMSGSIZE;
  }
  const whole = gso || total <= route.mtu;
  const dontFragment = (route.options & RouteOption.DONT_FRAGMENT) != 0;
  if (!whole && dontFragment) {
    stack.counters.ipFragFails++;
    p.free();
    return Errno.EMSGSIZE;
  }
  // An atomic packet's identification means nothing (RFC 6864, 4.1).
  const id = dontFragment ? 0 : stack.ip.nextId(src, dst, protocol);
  emitIpv4(p.push(IPV4_BYTES), tos, total, id, dontFragment ? IPV4_DF : 0, ttl, protocol, src, dst);
  p.csumStart += <u16>IPV4_BYTES;
  const filter = stack.ip.filter;
  if (filter != null && route.kind != RouteKind.LOCAL) {
    const to = unchecked(stack.interfaces[route.iface]);
    if (!filter.output(stack, to, p) || !filter.postRoute(stack, to, p)) return 0;
  }
  if (whole) return send4(stack, p, route);
  return fragment4(stack, p, route, route.mtu);
}

/** Sends a whole packet or a fragment (`data` at the IPv4 header) to the route's next hop. Owns it. */
export function send4(stack: Stack, p: Packet, route: Route): i32 {
  const kind = route.kind;
  const iface = unchecked(stack.interfaces[route.iface]);
  if (kind == RouteKind.UNICAST) {
    const neighbours = stack.neighbours;
    let neighbour = route.neighbour;
    if (neighbour == null || neighbour.serial != route.neighbourSerial) {
      neighbour = neighbours.findOrAdd(iface.index, route.hopHi, route.hopLo);
      if (neighbour == null) {
        if (isV4(route.hopHi, route.hopLo)) stack.counters.ipOutDiscards++;
        else stack.counters.ip6OutDiscards++;
        p.free();
        return Errno.ENOBUFS;
      }
      route.neighbour = neighbour;
      route.neighbourSerial = neighbour.serial;
    }
    neighbours.send(stack, iface, neighbour, p);
    return 0;
  }
  switch (kind) {
    case RouteKind.LOCAL:
      stack.loop(p, iface.index);
      return 0;
    case RouteKind.BROADCAST:
      linkOutput(stack, iface, p, MAC_BROADCAST, EtherType.IPV4);
      return 0;
    case RouteKind.MULTICAST:
      // 01:00:5e and the lower 23 bits of the group (RFC 1112, 6.4).
      linkOutput(stack, iface, p, 0x01005e000000 | (<u64>(ipv4Dst(p.data) & 0x7fffff)), EtherType.IPV4);
      return 0;
    default:
      if (isV4(route.hopHi, route.hopLo)) stack.counters.ipOutNoRoutes++;
      else stack.counters.ip6OutNoRoutes++;
      p.free();
      return Errno.ENETUNREACH;
  }
}

/** Tells the sender of a packet (`data` at the IPv4 header) that its host cannot be reached. Owns the packet. */
export function unreachable4(stack: Stack, p: Packet): void {
  const src = ipv4Src(p.data);
  if (stack.ip.isLocal(0, V4_PREFIX | src)) reportError(stack, p.data, p.len, IcmpError.HOST_UNREACHABLE, 0);
  else sendIcmpError(stack, p, IcmpType.UNREACHABLE, IcmpUnreachable.HOST, 0);
  p.free();
}
