// The router's way for packets to others (RFC 1812, 5.2 and 5.3; IPv6: forward6.ts): look-up, TTL, errors, redirects,
// fragmentation, and the offloads of a received frame carried over to the one sent.
//
//   quick:   path of this pair of addresses known? --yes--> filter, TTL, MTU, checksum, out
//                | no                                         ^
//   forward: addresses allowed? a route? -- path remembered --+
//
// Invariants
// 1. Every error quotes the packet as it came: it is sent before the router has changed anything in it.
// 2. Only what came to our own hardware address is sent on (RFC 1812, 5.3.4).
// 3. What is cut, is cut to the MTU of the link it leaves through. Path MTUs learnt for our own connections do not count:
//    an error forged against one of them must not slow down the traffic of others.

import { Packet, PacketFlag } from "../../runtime";
import { Interface } from "../link/interface";
import { Stack } from "../stack";
import { IcmpRedirect, IcmpTimeExceeded, IcmpType, IcmpUnreachable } from "../wire/icmp";
import {
  IPV4_DF,
  ipv4Dst,
  ipv4Fragment,
  ipv4HeaderBytes,
  ipv4Protocol,
  ipv4Src,
  ipv4Total,
  ipv4Ttl,
  lowerTtl,
} from "../wire/ipv4";
import { tcpHeaderBytes } from "../wire/tcp";
import { Advertiser } from "./advertiser";
import { isLinkLocal, isV4Multicast, v4 } from "./address";
import { carryOffload, GSO, segmentBytes } from "./carry";
import { forward6, pass6 } from "./forward6";
import { fragment4 } from "./fragment";
import { Router } from "./hook";
import { sendIcmpError } from "./icmp";
import { send4 } from "./ipv4";
import { Path, Paths } from "./paths";
import { RouteKind } from "./route";

/** Redirects for one pair: at most one in this time (RFC 1812, 4.3.2.8 asks for a limit). */
const REDIRECT_NS: i64 = 1_000_000_000;
const LINK_GROUP: u32 = PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST;

/** Makes a stack a router: `stack.ip.router = new Forwarder(stack)`. */
export class Forwarder extends Router {
  private readonly paths: Paths;

  constructor(stack: Stack) {
    super();
    this.paths = new Paths(stack);
  }

  quick4(stack: Stack, iface: Interface, p: Packet): bool {
    const path = this.paths.known(stack, iface.index, 0, v4(ipv4Src(p.data)), 0, v4(ipv4Dst(p.data)));
    if (path == null || (p.flags & LINK_GROUP) != 0) return false;
    this.pass4(stack, iface, p, path);
    return true;
  }

  forward4(stack: Stack, iface: Interface, p: Packet): void {
    const counters = stack.counters;
    const h = p.data;
    const src = ipv4Src(h);
    const dst = ipv4Dst(h);
    if ((p.flags & LINK_GROUP) != 0 || !mayPass4(stack, src, dst)) {
      counters.ipInAddrErrors++;
      p.free();
      return;
    }
    const path = this.paths.find(stack, iface, 0, v4(src), 0, v4(dst));
    if (path == null) {
      counters.ipInNoRoutes++;
      if (ipv4Ttl(h) > 1) sendIcmpError(stack, p, IcmpType.UNREACHABLE, IcmpUnreachable.NET, 0);
      else this.tooOld4(stack, p);
      p.free();
      return;
    }
    const kind = path.route.kind;
    if (kind != RouteKind.UNICAST) {
      // A blackhole, or another link's broadcast address, which only helps those who flood (RFC 2644).
      if (kind == RouteKind.BLACKHOLE) counters.ipInBlackholed++;
      else counters.ipInAddrErrors++;
      p.free();
      return;
    }
    this.pass4(stack, iface, p, path);
  }

  private pass4(stack: Stack, from: Interface, p: Packet, path: Path): void {
    const counters = stack.counters;
    const route = path.route;
    const to = unchecked(stack.interfaces[route.iface]);
    if (ipv4Ttl(p.data) <= 1) {
      this.tooOld4(stack, p);
      p.free();
      return;
    }
    const filter = stack.ip.filter;
    if (filter != null && !filter.forward(stack, from, to, p)) return;
    if (path.detour && from.redirects) this.redirect4(stack, p, path);

    const h = p.data;
    const header = ipv4HeaderBytes(h);
    const word = ipv4Fragment(h);
    // What was joined here leaves in pieces no larger than it came in.
    const limit = p.fragmentBytes != 0 ? min<u32>(p.fragmentBytes, route.mtu) : route.mtu;
    const bytes = segmentBytes(p, header, ipv4Total(h));
    if (bytes > limit && (word & IPV4_DF) != 0) {
      counters.ipFragFails++;
      sendIcmpError(stack, p, IcmpType.UNREACHABLE, IcmpUnreachable.FRAGMENTATION_NEEDED, route.mtu);
      p.free();
      return;
    }
    if (!carryOffload(p, header, ipv4Protocol(h))) {
      counters.ipInHdrErrors++;
      p.free();
      return;
    }
    lowerTtl(p.data);
    if (filter != null && !filter.postRoute(stack, to, p)) return;
    counters.ipForwDatagrams++;
    if (bytes <= limit) {
      send4(stack, p, route);
    } else if (p.flags & GSO) {
      // Without DF the sender lets routers cut: smaller segments spare the receiver the joining.
      p.gsoSize = <u16>(limit - header - tcpHeaderBytes(p.data + header));
      send4(stack, p, route);
    } else {
      fragment4(stack, p, route, limit);
    }
  }

  private tooOld4(stack: Stack, p: Packet): void {
    stack.counters.ipInHdrErrors++;
    sendIcmpError(stack, p, IcmpType.TIME_EXCEEDED, IcmpTimeExceeded.TTL, 0);
  }

  // Tells the source of the shorter way; its packet is sent on all the same (RFC 1812, 5.2.7.2).
  private redirect4(stack: Stack, p: Packet, path: Path): void {
    const now = stack.now_ns;
    if (path.redirected_ns != i64.MIN_VALUE && now - path.redirected_ns < REDIRECT_NS) return;
    path.redirected_ns = now;
    stack.counters.icmpOutRedirects++;
    sendIcmpError(stack, p, IcmpType.REDIRECT, IcmpRedirect.HOST, <u32>path.route.hopLo);
  }

  quick6(stack: Stack, iface: Interface, p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): bool {
    const path = this.paths.known(stack, iface.index, srcHi, srcLo, dstHi, dstLo);
    if (path == null || (p.flags & LINK_GROUP) != 0) return false;
    pass6(stack, iface, p, path);
    return true;
  }

  advertise(iface: Interface, on: bool): void {
    const advertiser = iface.enable6().advertiser;
    if (on) new Advertiser(iface).start();
    else if (advertiser != null) (advertiser as Advertiser).stop();
  }

  forward6(stack: Stack, iface: Interface, p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): void {
    forward6(stack, iface, p, this.paths, srcHi, srcLo, dstHi, dstLo);
  }
}

// Sources that are nobody's or our own, and destinations that stay on their link (RFC 1812, 5.3.7; RFC 3927, 2.7).
function mayPass4(stack: Stack, src: u32, dst: u32): bool {
  if (src == 0 || isV4Multicast(dst) || dst >> 28 == 15) return false;
  if (isLinkLocal(0, v4(src)) || isLinkLocal(0, v4(dst))) return false;
  const origin = stack.ip.table.lookup(0, v4(src));
  return origin == null || (origin.kind != RouteKind.LOCAL && origin.kind != RouteKind.BROADCAST);
}
