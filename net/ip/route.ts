// A Route: where packets to one destination leave, remembered by whoever sends them (a connection, a socket) so that
// the routing table and
// the neighbour cache are asked once, not for each packet.
//
// Invariants
// 1. A Route is plain memory without ownership: it may be dropped, copied or zeroed at any time. All zero is a valid,
//    unresolved Route.
// 2. It is good while `generation` equals the one of `Ip`, which grows with each change of addresses, routes or path
//    MTUs. `Ip.output` checks and
//    resolves again by itself; who uses `mtu` or `src` calls `Ip.resolve` first.
// 3. `neighbour` is only a hint: used while its `serial` is unchanged, as entries are recycled.

import { Neighbour } from "../link/neighbour";

export const enum RouteKind {
  NONE = 0,
  /** To the next hop `hop` on `iface`. */
  UNICAST = 1,
  /** An own address. */
  LOCAL = 2,
  /** To all on `iface`. */
  BROADCAST = 3,
  MULTICAST = 4,
  /** Dropped without a word (a blackhole route). */
  BLACKHOLE = 5,
}

/** Bits of `Route.options`, set by the owner. */
export const enum RouteOption {
  /** Never fragment: IPv4 packets carry DF, and larger ones fail with EMSGSIZE (RFC 1191). */
  DONT_FRAGMENT = 1,
  /** `iface` is given by the owner: broadcast, multicast and addresses that only mean something on one link. */
  FIXED_INTERFACE = 2,
}


@unmanaged
export class Route {
  // Set by the owner.
  /** Bits of `RouteOption`. */
  options: u8;
  /** Time to live, hop limit; 0: the default, 64. */
  ttl: u8;

  // Set by `Ip.resolve`, except `iface` with FIXED_INTERFACE.
  /** Index of the interface. */
  iface: u16;
  kind: RouteKind;
  /** Largest packet with its IP header, bytes. */
  mtu: u32;
  generation: u32;
  neighbourSerial: u32;
  neighbour: Neighbour | null;
  /** The own address to use as source when the sender has none yet. */
  srcHi: u64;
  srcLo: u64;
  /** The next hop: the gateway, or the destination itself. */
  hopHi: u64;
  hopLo: u64;
}

/**
 * Bytes of a Route, a multiple of 8: to embed one, allocate so much more behind the object (`changetype<Route>(object
 * + offsetof<T>())`).
 */
export const ROUTE_BYTES: usize = offsetof<Route>();

/** A Route of its own on the heap, unresolved. */
export function newRoute(): Route {
  const at = heap.alloc(ROUTE_BYTES);
  memory.fill(at, 0, ROUTE_BYTES);
  return changetype<Route>(at);
}
