// IPv6 packets in and out (RFC 8200). Extension headers are walked in ipv6-headers.ts, fragments joined in reassembly.ts.
//
// Invariants
// 1. An interface without `v6` takes no IPv6 packet: nobody has asked for it.
// 2. Addresses of a link carry the interface's number from here up (wire/ipv6.ts); ::ffff:0:0/96 never comes from a wire, as
//    it stands for IPv4 everywhere above (RFC 4291, 2.5.5.2).
// 3. Neighbour discovery is never taken out of fragments (RFC 6980).

import { Errno, Packet, PacketFlag } from "../../runtime";
import { linkOutput } from "../link/ethernet";
import { Interface } from "../link/interface";
import { Stack } from "../stack";
import { EtherType } from "../wire/ethernet";
import { Icmp6Parameter, Icmp6Type, Icmp6Unreachable } from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import {
  checkIpv6,
  emitIpv6,
  FRAGMENT_BYTES,
  fragmentId,
  fragmentWord,
  IPV6_BYTES,
  IPV6_DST,
  IPV6_SRC,
  ipv6Class,
  ipv6Total,
  loadHi,
  loadLo,
  NextHeader,
  unfragment,
  zoned,
} from "../wire/ipv6";
import { isV4 } from "./address";
import { icmp6Input, reportError6, sendIcmp6Error } from "./icmpv6";
import { send4 } from "./ipv4";
import { fragment6 } from "./ipv6-fragment";
import { findTransport, skipHeaders, walkAt, walkHeaders, walkType, walkTypeAt } from "./ipv6-headers";
import { ReversePath } from "./hook";
import { reversePathHolds } from "./reverse-path";
import { Route, RouteKind, RouteOption } from "./route";
import { IcmpError } from "./transport";

/** Takes a packet (`data` at the IPv6 header) from the link, or `looped` from ourselves. Owns it. */
export function input6(stack: Stack, iface: Interface, p: Packet, looped: bool): void {
  const counters = stack.counters;
  counters.ip6InReceives++;
  const v6 = iface.v6;
  if ((v6 == null && !looped) || !p.pull(IPV6_BYTES) || !checkIpv6(p.data, p.len, p.totalLen)) {
    counters.ip6InHdrErrors++;
    p.free();
    return;
  }
  const h = p.data;
  const total = ipv6Total(h);
  if (total < p.totalLen) p.trim(p.totalLen - total);
  let srcHi = zoned(loadHi(h + IPV6_SRC), iface.index);
  let srcLo = loadLo(h + IPV6_SRC);
  let dstHi = zoned(loadHi(h + IPV6_DST), iface.index);
  let dstLo = loadLo(h + IPV6_DST);
  const group = dstHi >> 56 == 0xff;
  const link = p.flags & (PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST);
  if (!looped && isMartian6(srcHi, srcLo, dstHi, dstLo)) {
    counters.ip6InMartians++;
    p.free();
    return;
  }
  p.l3 = 0;
  if (group) p.flags |= PacketFlag.LINK_MULTICAST;
  if (looped) {
    deliver(stack, iface, p, srcHi, srcLo, dstHi, dstLo, false);
    return;
  }
  const loose = iface.reversePath == ReversePath.LOOSE;
  const reverse = iface.reversePath != 0 && (srcHi | srcLo) != 0;
  if (reverse && !reversePathHolds(stack, iface, loose, srcHi, srcLo, dstHi, dstLo)) {
    counters.ip6InReversePath++;
    p.free();
    return;
  }
  const filter = stack.ip.filter;
  const router = stack.ip.router;
  if (filter != null) {
    const whole = wholePacket(stack, p, srcHi, srcLo, dstHi, dstLo);
    if (whole == null) return;
    p = whole;
    if (!filter.preRoute(stack, iface, p)) return;
    dstHi = zoned(loadHi(p.data + IPV6_DST), iface.index);
    dstLo = loadLo(p.data + IPV6_DST);
    srcHi = zoned(loadHi(p.data + IPV6_SRC), iface.index);
    srcLo = loadLo(p.data + IPV6_SRC);
  }
  if (router != null && router.quick6(stack, iface, p, srcHi, srcLo, dstHi, dstLo)) return;
  let ours = false;
  if (group) {
    ours = v6!.mld.isMember(dstHi, dstLo);
  } else {
    const entry = stack.ip.table.lookup(dstHi, dstLo);
    ours = entry != null && entry.kind == RouteKind.LOCAL;
    if (!ours && router != null) {
      router.forward6(stack, iface, p, srcHi, srcLo, dstHi, dstLo);
      return;
    }
    // A frame to all that carries a packet to one is nobody's.
    if (link != 0) ours = false;
  }
  if (!ours) {
    counters.ip6InAddrErrors++;
    p.free();
    return;
  }
  if (filter != null && !filter.input(stack, iface, p)) return;
  deliver(stack, iface, p, srcHi, srcLo, dstHi, dstLo, p.fragmentBytes != 0);
}

// Packets are judged by their ports, which only the first fragment has: the filter sees whole packets. Null: not whole yet, or
// dropped.
function wholePacket(stack: Stack, p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): Packet | null {
  const at = skipHeaders(p);
  if (at != 0 && walkType != NextHeader.FRAGMENT) return p;
  if (at != 0) {
    const whole = join(stack, p, at, walkTypeAt, srcHi, srcLo, dstHi, dstLo);
    // One fragment in another is an attempt to get past somebody.
    if (whole == null || (skipHeaders(whole) != 0 && walkType != NextHeader.FRAGMENT)) return whole;
    p = whole;
  }
  stack.counters.ip6InHdrErrors++;
  p.free();
  return null;
}

// Sources that nobody has, destinations that never are on a wire (RFC 4291, 2.5.2, 2.5.3 and 2.7).
function isMartian6(srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): bool {
  if (srcHi >> 56 == 0xff || (dstHi == 0 && (dstLo <= 1 || isV4(0, dstLo)))) return true;
  if (srcHi == 0 && (srcLo == 1 || isV4(0, srcLo))) return true;
  // Interface-local groups and the reserved scope 0.
  return dstHi >> 56 == 0xff && ((dstHi >> 48) & 15) < 2;
}

// Walks the headers of a packet to us, joins fragments, and hands it to its transport. `joined`: it came in fragments.
function deliver(
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
  if (!walkHeaders(stack, p)) {
    counters.ip6InHdrErrors++;
    p.free();
    return;
  }
  let at = walkAt;
  let type = walkType;
  if (type == NextHeader.FRAGMENT) {
    // One fragment in another is an attempt to get past somebody.
    if (joined) {
      counters.ip6InHdrErrors++;
      p.free();
      return;
    }
    const whole = join(stack, p, at, walkTypeAt, srcHi, srcLo, dstHi, dstLo);
    if (whole != null) deliver(stack, iface, whole, srcHi, srcLo, dstHi, dstLo, true);
    return;
  }
  p.l3 = 0;
  p.l4 = <u16>at;
  if (type == Protocol.ICMPV6) {
    counters.ip6InDelivers++;
    icmp6Input(stack, iface, p, srcHi, srcLo, dstHi, dstLo, joined);
    return;
  }
  // Only neighbour discovery and group reports have no source.
  if ((srcHi | srcLo) == 0 || type == NextHeader.NONE) {
    counters.ip6InMartians++;
    p.free();
    return;
  }
  // What came in fragments or behind other headers has come here without regard to its ports.
  const steering = joined || at > <u32>IPV6_BYTES ? stack.steering : null;
  if (steering != null) {
    p.pull(min<u32>(p.totalLen, at + 8));
    const owner = steering.ownerOf(p, srcHi, srcLo, dstHi, dstLo, type);
    if (steering.handPacket(iface, p, owner)) return;
  }
  const transport = stack.ip.transport(type);
  if (transport == null || type == Protocol.ICMP) {
    counters.ip6InUnknownProtos++;
    sendIcmp6Error(stack, p, Icmp6Type.PARAMETER_PROBLEM, Icmp6Parameter.NEXT_HEADER, walkTypeAt);
    p.free();
    return;
  }
  counters.ip6InDelivers++;
  transport.input(p, srcHi, srcLo, dstHi, dstLo, ipv6Class(p.data));
}

// Takes a fragment whose fragment header stands at `at`; the whole when it was the last. Owns the fragment.
function join(
  stack: Stack,
  p: Packet,
  at: u32,
  typeAt: u32,
  srcHi: u64,
  srcLo: u64,
  dstHi: u64,
  dstLo: u64,
): Packet | null {
  const counters = stack.counters;
  const header = at + FRAGMENT_BYTES;
  if (!p.pull(header)) {
    counters.ip6InHdrErrors++;
    p.free();
    return null;
  }
  const h = p.data + at;
  const word = fragmentWord(h);
  if (word == 0) {
    // An atomic fragment is a packet of its own, whatever else has its identification (RFC 6946).
    p.fragmentBytes = <u16>p.totalLen;
    unfragment(p.data, typeAt, header, p.totalLen);
    p.drop(FRAGMENT_BYTES);
    // What a card says of a checksum counts from the packet's beginning.
    p.csumStart -= <u16>FRAGMENT_BYTES;
    p.l3 = 0;
    return p;
  }
  const offset = word & 0xfff8;
  const more = (word & 1) != 0;
  const bytes = p.totalLen - header;
  // RFC 8200, 4.5: both are told to the sender. RFC 7112: so are first fragments without all headers.
  let wrong: i32 = -1;
  let code: u32 = Icmp6Parameter.HEADER;
  if (more && (bytes & 7) != 0) {
    wrong = 4;
  } else if (header - FRAGMENT_BYTES - IPV6_BYTES + offset + bytes > 65535) {
    wrong = <i32>at + 2;
  } else if (offset == 0) {
    p.pull(min<u32>(p.totalLen, header + 256));
    if (findTransport(p.data, p.len, header, load<u8>(p.data + at)) == 0) {
      wrong = 0;
      code = Icmp6Parameter.CHAIN;
    }
  }
  if (wrong >= 0) {
    counters.ip6InHdrErrors++;
    sendIcmp6Error(stack, p, Icmp6Type.PARAMETER_PROBLEM, code, wrong);
    p.free();
    return null;
  }
  p.l3 = <u16>typeAt;
  const id = fragmentId(p.data + at);
  return stack.ip.reassembly.addFragment(p, header, offset, more, srcHi, srcLo, dstHi, dstLo, id);
}

/** Sends a packet (`data` at the transport header) along a resolved route. Owns it. */
export function output6(
  stack: Stack,
  p: Packet,
  route: Route,
  srcHi: u64,
  srcLo: u64,
  dstHi: u64,
  dstLo: u64,
  protocol: u32,
  trafficClass: u32,
  hopLimit: u32,
): i32 {
  const payload = p.totalLen;
  const gso = (p.flags & (PacketFlag.GSO_TCP4 | PacketFlag.GSO_TCP6)) != 0;
  const whole = gso || payload + IPV6_BYTES <= route.mtu;
  const dontFragment = (route.options & RouteOption.DONT_FRAGMENT) != 0;
  if (payload > 65535 || (gso ? <u32>p.gsoSize + IPV6_BYTES > route.mtu : !whole && dontFragment)) {
    if (!whole) stack.counters.ip6FragFails++;
    else stack.counters.ip6OutDiscards++;
    p.free();
    return Errno.EMSGSIZE;
  }
  emitIpv6(p.push(IPV6_BYTES), trafficClass, 0, payload, protocol, hopLimit, srcHi, srcLo, dstHi, dstLo);
  p.csumStart += <u16>IPV6_BYTES;
  const filter = stack.ip.filter;
  if (filter != null && route.kind != RouteKind.LOCAL) {
    const to = unchecked(stack.interfaces[route.iface]);
    if (!filter.output(stack, to, p) || !filter.postRoute(stack, to, p)) return 0;
  }
  return whole ? send6(stack, p, route) : fragment6(stack, p, route, route.mtu);
}

/** Sends a whole packet or a fragment (`data` at the IPv6 header) to the route's next hop. Owns it. */
export function send6(stack: Stack, p: Packet, route: Route): i32 {
  if (route.kind != RouteKind.MULTICAST) return send4(stack, p, route);
  // 33:33 and the last 32 bits of the group (RFC 2464, 7).
  const mac = 0x333300000000 | (loadLo(p.data + IPV6_DST) & 0xffffffff);
  linkOutput(stack, unchecked(stack.interfaces[route.iface]), p, mac, EtherType.IPV6);
  return 0;
}

/** Tells the sender of a packet (`data` at the IPv6 header) that its host cannot be reached. Owns the packet. */
export function unreachable6(stack: Stack, p: Packet): void {
  const h = p.data;
  if (stack.ip.isLocal(zoned(loadHi(h + IPV6_SRC), p.iface), loadLo(h + IPV6_SRC)))
    reportError6(stack, p.iface, h, p.len, IcmpError.HOST_UNREACHABLE, 0);
  else sendIcmp6Error(stack, p, Icmp6Type.UNREACHABLE, Icmp6Unreachable.ADDRESS, 0);
  p.free();
}
