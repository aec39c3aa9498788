// IP as the rest of the stack sees it: routes, the way out, the transports above. What is IPv4's own lies in ipv4.ts
// (headers in and out),
// fragment.ts, reassembly.ts and icmp.ts.
//
// Standards: RFC 791, 792, 1122 (hosts), 1191 (path MTU), 6864 (identification), 6890 (special addresses).

import { Errno, Packet } from "../../runtime";
import { Interface } from "../link/interface";
import { Limits, stackAt } from "../stack";
import { isMulticast, isV4, v4 } from "./address";
import { PacketFilter, Router } from "./hook";
import { IcmpLimiter } from "./icmp";
import { input4, output4, unreachable4 } from "./ipv4";
import { input6, output6, unreachable6 } from "./ipv6";
import { selectSource } from "./address-selection";
import { MIN_MTU, MIN_MTU6, PathMtus } from "./pmtu";
import { Reassembly } from "./reassembly";
import { Route, RouteKind, RouteOption } from "./route";
import { RouteEntry, RoutingTable } from "./routes";
import { Transport } from "./transport";

/** `lo` of 255.255.255.255. */
export const V4_ALL: u64 = 0xffffffffffff;
/** Bytes of headroom that `Ip.output` needs: an Ethernet header with a VLAN tag, an IPv6 header, the device's own. */
export const OUTPUT_HEADROOM: u32 = 18 + 40 + 12;
const DEFAULT_TTL: u32 = 64;

export class Ip {
  /** Changes with addresses, routes and path MTUs; never 0, so that a zeroed Route is unresolved. */
  generation: u32 = 1;
  readonly table: RoutingTable = new RoutingTable();
  readonly pathMtus: PathMtus;
  readonly reassembly: Reassembly;
  readonly icmpLimiter: IcmpLimiter;
  /** What takes packets to others; null: we are a host. */
  router: Router | null = null;
  /** What judges packets; null: everything passes. */
  filter: PacketFilter | null = null;
  private readonly transports: StaticArray<Transport | null> = new StaticArray<Transport | null>(256);
  private readonly registered: Array<Transport> = [];
  /** Counters of identification values, one for each hash of (source, destination, protocol); see `nextId`. */
  private readonly ids: StaticArray<u16> = new StaticArray<u16>(1024);

  constructor(
    private readonly stackId: u32,
    limits: Limits,
  ) {
    this.pathMtus = new PathMtus(stackId, limits);
    this.reassembly = new Reassembly(stackId, limits);
    this.icmpLimiter = new IcmpLimiter(limits);
  }

  // ---- transports

  /** Hands packets of a protocol to `transport`. */
  register(protocol: u32, transport: Transport): void {
    this.transports[protocol & 255] = transport;
    if (!this.registered.includes(transport)) this.registered.push(transport);
  }
  /** Gives each transport its `turn`. */
  turn(): void {
    const registered = this.registered;
    for (let i = 0, n = registered.length; i < n; i++) unchecked(registered[i]).turn();
  }


  @inline transport(protocol: u32): Transport | null {
    return unchecked(this.transports[protocol & 255]);
  }

  // ---- routes

  /** What Routes remember is out of date. */
  changed(): void {
    if (++this.generation == 0) this.generation = 1;
  }

  /**
   * Adds a route.
   * @param bits prefix length as pair bits (IPv4: 96 more than in CIDR)
   * @param hopHi, hopLo the gateway, or 0: destinations are on the link
   * @param srcHi, srcLo the preferred source, or 0
   * @param metric of routes to the same prefix the least wins
   * @param fromHi, fromLo, fromBits only for packets from this prefix (policy by source); 0 bits: for all
   * @returns 0, or EINVAL
   */
  addRoute(
    hi: u64,
    lo: u64,
    bits: u32,
    kind: RouteKind,
    iface: u32,
    hopHi: u64,
    hopLo: u64,
    srcHi: u64,
    srcLo: u64,
    metric: u32,
    fromHi: u64 = 0,
    fromLo: u64 = 0,
    fromBits: u32 = 0,
  ): i32 {
    if (bits > 128 || fromBits > 128) return Errno.EINVAL;
    const entry = this.table.add(hi, lo, bits, kind, metric, fromHi, fromLo, fromBits);
    entry.iface = iface;
    entry.hopHi = hopHi;
    entry.hopLo = hopLo;
    entry.srcHi = srcHi;
    entry.srcLo = srcLo;
    this.changed();
    return 0;
  }

  /** Removes a route, as `RoutingTable.remove`. False when there is none such. */
  removeRoute(
    hi: u64,
    lo: u64,
    bits: u32,
    kind: RouteKind,
    iface: u32,
    srcHi: u64,
    srcLo: u64,
    fromHi: u64 = 0,
    fromLo: u64 = 0,
    fromBits: u32 = 0,
    hopHi: u64 = 0,
    hopLo: u64 = 0,
  ): bool {
    const table = this.table;
    const found = table.remove(hi, lo, bits, kind, iface, srcHi, srcLo, fromHi, fromLo, fromBits, hopHi, hopLo);
    if (found) this.changed();
    return found;
  }

  /**
   * Brings a Route to (dstHi, dstLo) up to date: cheap when it is.
   * @returns 0, ENETUNREACH when no route leads there
   */
  @inline resolve(route: Route, dstHi: u64, dstLo: u64): i32 {
    return route.generation == this.generation ? 0 : this.resolveNow(route, dstHi, dstLo);
  }

  private resolveNow(route: Route, dstHi: u64, dstLo: u64): i32 {
    const interfaces = stackAt(this.stackId).interfaces;
    const fixed = (route.options & RouteOption.FIXED_INTERFACE) != 0;
    route.neighbour = null;
    route.hopHi = dstHi;
    route.hopLo = dstLo;
    let index: u32 = route.iface;
    let entry: RouteEntry | null = null;
    if (dstHi == 0 && dstLo == V4_ALL) {
      route.kind = RouteKind.BROADCAST;
      if (!fixed) index = 0;
    } else if (isMulticast(dstHi, dstLo)) {
      route.kind = RouteKind.MULTICAST;
      if (!fixed) {
        entry = this.table.lookup(dstHi, dstLo);
        index = entry != null ? entry.iface : 0;
      }
    } else {
      entry = this.table.lookup(dstHi, dstLo);
      if (entry == null || (fixed && entry.iface != index && entry.kind != RouteKind.LOCAL)) return Errno.ENETUNREACH;
      index = entry.iface;
      route.kind = entry.kind;
      if (entry.hopLo != 0 || entry.hopHi != 0) {
        route.hopHi = entry.hopHi;
        route.hopLo = entry.hopLo;
      }
    }
    if (index >= <u32>interfaces.length) return Errno.ENETUNREACH;
    const iface = unchecked(interfaces[index]);
    route.iface = <u16>index;

    let srcHi: u64 = 0;
    let srcLo: u64 = 0;
    if (route.kind == RouteKind.LOCAL) {
      srcHi = dstHi;
      srcLo = dstLo;
    } else if (entry != null && (entry.srcLo | entry.srcHi) != 0) {
      srcHi = entry.srcHi;
      srcLo = entry.srcLo;
    } else if (isV4(dstHi, dstLo)) {
      srcLo = this.sourceFor(iface, <u32>route.hopLo);
    } else if (route.kind == RouteKind.UNICAST || route.kind == RouteKind.MULTICAST) {
      const v6 = iface.v6;
      const source = v6 != null ? selectSource(v6, dstHi, dstLo) : null;
      if (source == null) return Errno.ENETUNREACH;
      srcHi = source.hi;
      srcLo = source.lo;
    }
    route.srcHi = srcHi;
    route.srcLo = srcLo;

    let mtu = iface.mtu;
    if (route.kind == RouteKind.LOCAL) {
      mtu = 65535;
    } else {
      const learnt = this.pathMtus.lookup(dstHi, dstLo);
      if (learnt != 0 && learnt < mtu) mtu = learnt;
    }
    route.mtu = mtu;
    route.generation = this.generation;
    return 0;
  }

  // The own address in the next hop's prefix, else the first; `lo` of 0.0.0.0 when there is none.
  private sourceFor(iface: Interface, hop: u32): u64 {
    const entry = this.table.lookup(0, v4(hop));
    if (entry != null && entry.iface == iface.index && entry.srcLo != 0) return entry.srcLo;
    return iface.firstV4 != 0 ? iface.firstV4 : v4(0);
  }

  /** Largest TCP payload of a packet without options in the headers; the Route is resolved. */
  @inline mss(route: Route, dstHi: u64, dstLo: u64): u32 {
    return route.mtu - (isV4(dstHi, dstLo) ? 40 : 60);
  }

  /** A path's MTU, from an error that the transport has verified. True when it is lower than what was known. */
  learnMtu(hi: u64, lo: u64, mtu: u32): bool {
    const value = max(mtu, isV4(hi, lo) ? MIN_MTU : MIN_MTU6);
    const entry = this.table.lookup(hi, lo);
    const interfaces = stackAt(this.stackId).interfaces;
    if (entry == null || entry.kind != RouteKind.UNICAST || value >= interfaces[entry.iface].mtu) return false;
    if (!this.pathMtus.learn(hi, lo, value)) return false;
    this.changed();
    return true;
  }

  /** A transport's own probes have shown that packets of `mtu` bytes arrive and larger ones do not (RFC 8899). */
  probedMtu(hi: u64, lo: u64, mtu: u32): void {
    const entry = this.table.lookup(hi, lo);
    if (entry == null || entry.kind != RouteKind.UNICAST) return;
    const whole = mtu >= stackAt(this.stackId).interfaces[entry.iface].mtu;
    this.pathMtus.set(hi, lo, whole ? 0 : max(mtu, MIN_MTU));
    this.changed();
  }

  /** Is it one of our own addresses (127/8 included)? */
  isLocal(hi: u64, lo: u64): bool {
    const entry = this.table.lookup(hi, lo);
    return entry != null && entry.kind == RouteKind.LOCAL;
  }

  // ---- packets

  /** Takes an IPv4 packet from the link: `data` at its header. */
  @inline input4(iface: Interface, p: Packet): void {
    input4(stackAt(this.stackId), iface, p, false);
  }

  /** The same for IPv6. */
  @inline input6(iface: Interface, p: Packet): void {
    input6(stackAt(this.stackId), iface, p, false);
  }

  /** Takes a packet that we sent to ourselves. */
  inputLocal(iface: Interface, p: Packet): void {
    if (load<u8>(p.data) >> 4 == 6) input6(stackAt(this.stackId), iface, p, true);
    else input4(stackAt(this.stackId), iface, p, true);
  }

  /**
   * Sends a packet: `data` at the transport header, with OUTPUT_HEADROOM before it. Owns the packet, whatever comes of
   * it.
   * @param route a Route for this destination, resolved here when it is not
   * @param tos TOS or traffic class byte
   * @returns 0 (sent, or waiting for the neighbour's address), ENETUNREACH, EMSGSIZE, ENOBUFS
   */
  output(p: Packet, route: Route, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, protocol: u32, tos: u32): i32 {
    const stack = stackAt(this.stackId);
    const counters = stack.counters;
    const isFour = isV4(dstHi, dstLo);
    if (isFour) counters.ipOutRequests++;
    else counters.ip6OutRequests++;
    if (route.generation != this.generation) {
      const error = this.resolveNow(route, dstHi, dstLo);
      if (error < 0) {
        if (isFour) counters.ipOutNoRoutes++;
        else counters.ip6OutNoRoutes++;
        p.free();
        return error;
      }
    }
    if (p.headroom < <usize>OUTPUT_HEADROOM) {
      if (isFour) counters.ipOutDiscards++;
      else counters.ip6OutDiscards++;
      p.free();
      return Errno.EMSGSIZE;
    }
    const ttl = route.ttl != 0 ? <u32>route.ttl : route.kind == RouteKind.MULTICAST ? 1 : DEFAULT_TTL;
    if (!isFour) return output6(stack, p, route, srcHi, srcLo, dstHi, dstLo, protocol, tos, ttl);
    return output4(stack, p, route, <u32>srcLo, <u32>dstLo, protocol, tos, ttl);
  }

  /**
   * A packet that waited for a neighbour in vain (`data` at the IP header): whoever sent it is told. Owns the packet.
   */
  unreachable(p: Packet): void {
    if (load<u8>(p.data) >> 4 == 6) unreachable6(stackAt(this.stackId), p);
    else unreachable4(stackAt(this.stackId), p);
  }

  /**
   * The identification of a packet that may be fragmented (RFC 6864, 4.1): not repeated soon for the same source,
   * destination and protocol, and
   * not to be predicted from what others receive (RFC 7739).
   */
  nextId(src: u32, dst: u32, protocol: u32): u32 {
    const stack = stackAt(this.stackId);
    const hash = stack.hash(<u64>src, <u64>dst, protocol);
    const slot = hash & 1023;
    const value = unchecked(this.ids[slot]);
    unchecked((this.ids[slot] = value + 1));
    return (<u32>value + (hash >> 16)) & 0xffff;
  }
}
