// What a router remembers of the ways of packets: the whole decision about (source, destination, interface it came in on).
//
// Invariants
// 1. A Path is good while its Route is (`Ip.generation`).
// 2. The table is direct-mapped and of fixed size: peers can make it miss, which costs the look-ups that it saves, and
//    nothing else. Which place a pair has is not to be predicted.

import { Interface } from "../link/interface";
import { Stack } from "../stack";
import { Route, ROUTE_BYTES, RouteKind } from "./route";

/** Pairs of addresses whose path is remembered; a power of two. */
const PATHS: u32 = 1024;


@unmanaged
export class Path {
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

export class Paths {
  private readonly paths: usize = heap.alloc(<usize>PATHS * PATH_BYTES);
  private readonly key: u64;

  constructor(stack: Stack) {
    memory.fill(this.paths, 0, <usize>PATHS * PATH_BYTES);
    this.key = stack.random64() | 1;
  }


  @inline private place(iface: u32, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): Path {
    let x = (srcHi ^ rotl<u64>(dstHi, 32) ^ iface) * this.key;
    x = (x ^ srcLo ^ rotl<u64>(dstLo, 17)) * this.key;
    return changetype<Path>(this.paths + <usize>((x >> 40) & (PATHS - 1)) * PATH_BYTES);
  }

  /** The path of a pair where it is known, or null. */
  @inline known(stack: Stack, iface: u32, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): Path | null {
    const path = this.place(iface, srcHi, srcLo, dstHi, dstLo);
    const fits =
      path.route.generation == stack.ip.generation &&
      path.dstLo == dstLo &&
      path.srcLo == srcLo &&
      path.dstHi == dstHi &&
      path.srcHi == srcHi &&
      path.iface == iface;
    return fits ? path : null;
  }

  /** The path of a pair from the routing table, remembered unless it leads nowhere; null without a route. */
  find(stack: Stack, iface: Interface, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): Path | null {
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
    const unicast = entry.kind == RouteKind.UNICAST;
    route.hopHi = direct ? dstHi : entry.hopHi;
    route.hopLo = direct ? dstLo : entry.hopLo;
    route.kind = entry.kind;
    route.iface = <u16>entry.iface;
    route.neighbour = null;
    route.mtu = stack.interfaces[entry.iface].mtu;
    route.generation = unicast ? ip.generation : 0;
    path.detour = false;
    if (unicast && entry.iface == iface.index) {
      const back = ip.table.lookup(srcHi, srcLo);
      path.detour = back != null && back.iface == iface.index && (back.hopHi | back.hopLo) == 0;
    }
    return path;
  }
}
