// The router's way for packets to others (RFC 1812, 5.2 and 5.3): look-up, TTL, errors, redirects, fragmentation, and the
// offloads of a received frame carried over to the one sent.
//
//   quick:   path of this pair of addresses known? --yes--> filter, TTL, MTU, checksum, out
//                | no                                         ^
//   forward: addresses allowed? a route? -- path remembered --+
//
// Invariants
// 1. A Path is the whole decision about (source, destination, interface it came in on); it is good while its Route is
//    (`Ip.generation`). The table is direct-mapped and of fixed size: peers can make it miss, which costs the look-ups
//    that it saves, and nothing else.
// 2. Every error quotes the packet as it came: it is sent before the router has changed anything in it.
// 3. Only what came to our own hardware address is sent on (RFC 1812, 5.3.4).
// 4. What is cut, is cut to the MTU of the link it leaves through. Path MTUs learnt for our own connections do not count:
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
import { isLinkLocal, isV4Multicast, v4 } from "./address";
import { carryOffload, GSO, segmentBytes } from "./carry";
import { fragment4 } from "./fragment";
import { Router } from "./hook";
import { sendIcmpError } from "./icmp";
import { send4 } from "./ipv4";
import { Route, ROUTE_BYTES, RouteKind } from "./route";

/** Pairs of addresses whose path is remembered; a power of two. */
const PATHS: u32 = 1024;
/** Redirects for one pair: at most one in this time (RFC 1812, 4.3.2.8 asks for a limit). */
const REDIRECT_NS: i64 = 1_000_000_000;
const LINK_GROUP: u32 = PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST;


@unmanaged
class Path {
  srcHi: u64;
  srcLo: u64;
  dstHi: u64;
  dstLo: u64;
  /** When the source was last told of a better way, ns; i64.MIN_VALUE: not yet. */
  redirected_ns: i64;
  /** Index of the interface it came in on. */
  iface: u32;
  /** The source would reach the next hop without us. */
  detour: bool;


  @inline get route(): Route {
    return changetype<Route>(changetype<usize>(this) + PATH_ROUTE);
  }
}

const PATH_ROUTE: usize = (offsetof<Path>() + 7) & ~7;
const PATH_BYTES: usize = PATH_ROUTE + ROUTE_BYTES;

/** Makes a stack a router: `stack.ip.router = new Forwarder(stack)`. */
export class Forwarder extends Router {
  private readonly paths: usize = heap.alloc(<usize>PATHS * PATH_BYTES);
  /** Which place a pair has is not to be predicted. */
  private readonly key: u64;

  constructor(stack: Stack) {
    super();
    memory.fill(this.paths, 0, <usize>PATHS * PATH_BYTES);
    this.key = stack.random64() | 1;
  }


  @inline private place(iface: u32, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): Path {
    let x = (srcHi ^ rotl<u64>(dstHi, 32) ^ iface) * this.key;
    x = (x ^ srcLo ^ rotl<u64>(dstLo, 17)) * this.key;
    return changetype<Path>(this.paths + <usize>((x >> 40) & (PATHS - 1)) * PATH_BYTES);
  }


  @inline private fits(path: Path, iface: u32, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): bool {
    return (
      path.dstLo == dstLo && path.srcLo == srcLo && path.dstHi == dstHi && path.srcHi == srcHi && path.iface == iface
    );
  }

  quick4(stack: Stack, iface: Interface, p: Packet): bool {
    const src = v4(ipv4Src(p.data));
    const dst = v4(ipv4Dst(p.data));
    const path = this.place(iface.index, 0, src, 0, dst);
    if (path.route.generation != stack.ip.generation || !this.fits(path, iface.index, 0, src, 0, dst)) return false;
    if ((p.flags & LINK_GROUP) != 0) return false;
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
    const path = this.find(stack, iface, 0, v4(src), 0, v4(dst));
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
      path.route.generation = 0;
      p.free();
      return;
    }
    this.pass4(stack, iface, p, path);
  }

  // The path of a pair from the routing table; null without a route.
  private find(stack: Stack, iface: Interface, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): Path | null {
    const ip = stack.ip;
    const entry = ip.table.lookupFrom(dstHi, dstLo, srcHi, srcLo);
    if (entry == null) return null;
    const path = this.place(iface.index, srcHi, srcLo, dstHi, dstLo);
    path.srcHi = srcHi;
    path.srcLo = srcLo;
    path.dstHi = dstHi;
    path.dstLo = dstLo;
    path.iface = iface.index;
    path.redirected_ns = i64.MIN_VALUE;
    const route = path.route;
    const direct = (entry.hopHi | entry.hopLo) == 0;
    route.hopHi = direct ? dstHi : entry.hopHi;
    route.hopLo = direct ? dstLo : entry.hopLo;
    route.kind = entry.kind;
    route.iface = <u16>entry.iface;
    route.neighbour = null;
    route.mtu = stack.interfaces[entry.iface].mtu;
    route.generation = ip.generation;
    path.detour = false;
    if (entry.kind == RouteKind.UNICAST && entry.iface == iface.index) {
      const back = ip.table.lookup(srcHi, srcLo);
      path.detour = back != null && back.iface == iface.index && (back.hopHi | back.hopLo) == 0;
    }
    return path;
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
    lowerTtl(h);
    if (filter != null && !filter.postRoute(stack, to, p)) return;
    counters.ipForwDatagrams++;
    if (bytes <= limit) {
      send4(stack, p, route);
    } else if (p.flags & GSO) {
      // Without DF the sender lets routers cut: smaller segments spare the receiver the joining.
      p.gsoSize -= <u16>(bytes - limit);
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
}

// Sources that are nobody's or our own, and destinations that stay on their link (RFC 1812, 5.3.7; RFC 3927, 2.7).
function mayPass4(stack: Stack, src: u32, dst: u32): bool {
  if (src == 0 || isV4Multicast(dst) || dst >> 28 == 15) return false;
  if (isLinkLocal(0, v4(src)) || isLinkLocal(0, v4(dst))) return false;
  const origin = stack.ip.table.lookup(0, v4(src));
  return origin == null || (origin.kind != RouteKind.LOCAL && origin.kind != RouteKind.BROADCAST);
}
