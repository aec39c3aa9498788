// Which core owns a flow, told from any packet of it, in either direction and before or after translation; so that no core
// ever has to ask another (docs/decisions/firewall-cores.md).
//
//   to an external address  --> destination NAT? --yes--> the ends behind it, as below
//                             | no: to an external port (1024 and above)   the core whose ports they are: coreOfPort
//                             |     to ourselves                           core 0
//   ends behind NAT         --> one of them is where a port forward or one-to-one leads:   hash of both ends
//                               the one is source-NATed toward the other:                  hash of that one: it has one mapping
//                               else                                                       hash of both ends
//
// Protocols without ports have no external port by which to find their flow: where they are source-NATed it is the hash of
// the other end.
//
// Invariants
// 1. The answer depends on the packet, the configuration, addresses and routes, which all cores have alike, and on nothing else.
// 2. An external port belongs to one core (mapping.ts gives out its own only), which keeps the parity of ports (RFC 4787, 4.2.2).
// 3. What comes to ourselves is core 0's in the end: other cores hand on what they know no flow of.

import { Key } from "./key";
import { Nat } from "./nat";
import { Protocol } from "../wire/ipv4";
import { RouteKind } from "../ip/route";
import { Stack } from "../stack";
import { Steering } from "../steering";
import { PORT_MIN } from "./mapping";

/** Packets that went to another core lately: a power of two. */
const REMEMBERED: u32 = 4096;

/** The core whose external ports a port is among. */
@inline
export function coreOfPort(port: u32, cores: u32): u32 {
  return (port >> 1) % cores;
}

/** Where packets with these ends went. */
@unmanaged
class Memory {
  srcHi: u64;
  srcLo: u64;
  dstHi: u64;
  dstLo: u64;
  /** srcPort | dstPort << 16 | tag << 32 | interface << 48. */
  rest: u64;
  version: u32;
  core: u32;
}

export class Owners {
  private readonly memories: usize = heap.alloc(<usize>REMEMBERED * offsetof<Memory>());
  /** Changes with everything that the answer depends on. */
  private version: u32 = 1;
  private routes: u32 = 0;
  private table: u32 = 0;

  constructor(
    private readonly stack: Stack,
    private readonly steering: Steering,
    private nat: Nat,
  ) {
    memory.fill(this.memories, 0, <usize>REMEMBERED * offsetof<Memory>());
  }

  /** Goes by new translations. */
  replace(nat: Nat): void {
    this.nat = nat;
    this.version++;
  }

  /** The owner of a packet's flow. @param from the interface that it came in by */
  of(key: Key, from: u32): u32 {
    const steering = this.steering;
    if (steering.serving == 1) return 0;
    if (this.routes != this.stack.ip.generation || this.table != steering.version) {
      this.routes = this.stack.ip.generation;
      this.table = steering.version;
      this.version++;
    }
    const rest = key.srcPort | ((<u64>key.dstPort) << 16) | ((<u64>(key.tag ^ (from << 16))) << 32);
    let hash = (key.srcLo ^ key.srcHi) * 0x9e3779b97f4a7c15 + (key.dstLo ^ key.dstHi);
    hash = (rotl<u64>(hash, 29) ^ rest) * 0xbf58476d1ce4e5b9;
    const known = changetype<Memory>(
      this.memories + <usize>((<u32>(hash >> 40)) & (REMEMBERED - 1)) * offsetof<Memory>(),
    );
    if (
      known.version == this.version &&
      known.rest == rest &&
      known.srcLo == key.srcLo &&
      known.dstLo == key.dstLo &&
      known.srcHi == key.srcHi &&
      known.dstHi == key.dstHi
    )
      return known.core;
    const core = this.find(key, from);
    known.srcHi = key.srcHi;
    known.srcLo = key.srcLo;
    known.dstHi = key.dstHi;
    known.dstLo = key.dstLo;
    known.rest = rest;
    known.version = this.version;
    known.core = core;
    return core;
  }

  /** As `of`, without memory. */
  find(key: Key, from: u32): u32 {
    const stack = this.stack;
    const steering = this.steering;
    const nat = this.nat;
    const ported = hasPorts(key.protocol);
    const srcPort = <u32>key.srcPort;
    let dstHi = key.dstHi;
    let dstLo = key.dstLo;
    let dstPort = key.dstPort;
    const spec = nat.findDestination(stack, key, from);
    if (spec != null) {
      dstHi = spec.targetHi;
      dstLo = spec.targetLo;
      if (spec.targetPort != 0 && (key.protocol == Protocol.TCP || key.protocol == Protocol.UDP))
        dstPort = spec.targetPort;
    } else if (nat.isExternal(dstHi, dstLo) || stack.ip.isLocal(dstHi, dstLo)) {
      if (!ported) return this.ofEnd(key.srcHi, key.srcLo, 0);
      if (dstPort < PORT_MIN) return 0;
      const core = coreOfPort(dstPort, steering.cores);
      return (steering.serving >> core) & 1 ? core : 0;
    }
    if (
      !nat.isTarget(key.protocol, key.srcHi, key.srcLo, srcPort) &&
      !nat.isTarget(key.protocol, dstHi, dstLo, dstPort)
    ) {
      if (this.translates(key.protocol, key.srcHi, key.srcLo, dstHi, dstLo))
        return ported ? this.ofEnd(key.srcHi, key.srcLo, srcPort) : this.ofEnd(dstHi, dstLo, 0);
      if (this.translates(key.protocol, dstHi, dstLo, key.srcHi, key.srcLo))
        return ported ? this.ofEnd(dstHi, dstLo, dstPort) : this.ofEnd(key.srcHi, key.srcLo, 0);
    }
    return steering.owner(false, dstHi, dstLo, key.srcHi, key.srcLo, dstPort, srcPort);
  }

  private ofEnd(hi: u64, lo: u64, port: u32): u32 {
    return this.steering.owner(false, hi, lo, 0, 1, port, 0);
  }

  // Would a flow from one end to the other get another source?
  private translates(protocol: u32, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): bool {
    const route = this.stack.ip.table.lookupFrom(dstHi, dstLo, srcHi, srcLo);
    if (route == null || route.kind != RouteKind.UNICAST) return false;
    return this.nat.translatesSource(protocol, srcHi, srcLo, dstHi, dstLo, route.iface);
  }
}


@inline
export function hasPorts(protocol: u32): bool {
  return (
    protocol == Protocol.TCP || protocol == Protocol.UDP || protocol == Protocol.ICMP || protocol == Protocol.ICMPV6
  );
}
