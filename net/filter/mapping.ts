// Source NAT's mappings: which external port an internal endpoint has (RFC 4787, 4.1: endpoint-independent; RFC 5382).
//
//   (protocol, internal address, port, external address) --> Mapping <-- (protocol, external address, external port)
//
// Invariants
// 1. An internal endpoint has one external port for all its destinations, for as long as it has flows (`flows`).
// 2. An external port belongs to one internal endpoint: ports are never overloaded. With none left, new mappings are refused.
// 3. The port is kept where it is free (and 1024 or above); else one of the same parity is drawn at random (RFC 4787, 4.2.2).
// 4. Memory: pieces from the heap, at most `limit` mappings.
// 5. Of several cores each gives out its own ports only: pairs of ports in turn (owner.ts).

import { Stack } from "../stack";

const PIECE: u32 = 256;
/** Ports that are given out. Those below belong to services, among them port forwards. */
export const PORT_MIN: u32 = 1024;
export const PORT_MAX: u32 = 65535;
/** Ports that are tried at random, before all are looked through from a random place. */
const DRAWS: u32 = 16;


@unmanaged
export class Mapping {
  /** Next in the bucket of the internal endpoint, and of the external one. */
  nextInternal: Mapping | null;
  nextExternal: Mapping | null;
  hi: u64;
  lo: u64;
  externalHi: u64;
  externalLo: u64;
  port: u16;
  externalPort: u16;
  protocol: u32;
  flows: u32;
  reserved: u32;
}

/** External ports that must not be given out, such as those of port forwards. */
export abstract class PortKeeper {
  abstract kept(protocol: u32, hi: u64, lo: u64, port: u32): bool;
}

export class Mappings {
  count: u32 = 0;
  private readonly internal: usize;
  private readonly external: usize;
  private readonly mask: u32;
  private free: Mapping | null = null;
  private made: u32 = 0;

  constructor(
    private readonly stack: Stack,
    private readonly limit: u32,
    public keeper: PortKeeper,
    private readonly self: u32 = 0,
    private readonly cores: u32 = 1,
  ) {
    const buckets: u32 = (<u32>1) << (32 - clz<u32>(max<u32>(min<u32>(limit, 131072), 16) - 1));
    this.mask = buckets - 1;
    const bytes = <usize>buckets * sizeof<usize>();
    this.internal = heap.alloc(bytes);
    this.external = heap.alloc(bytes);
    memory.fill(this.internal, 0, bytes);
    memory.fill(this.external, 0, bytes);
  }

  private bucket(table: usize, hi: u64, lo: u64, port: u32, protocol: u32): usize {
    const hash = this.stack.hash(hi, lo, port | (protocol << 16));
    return table + ((<usize>(hash & this.mask)) << alignof<usize>());
  }

  /** The mapping of an internal endpoint to an external address, with a flow more on it; null when no port is left. */
  acquire(protocol: u32, hi: u64, lo: u64, port: u32, externalHi: u64, externalLo: u64): Mapping | null {
    const bucket = this.bucket(this.internal, hi, lo, port, protocol);
    for (let m: Mapping | null = changetype<Mapping | null>(load<usize>(bucket)); m != null;) {
      if (
        m.lo == lo &&
        m.hi == hi &&
        <u32>m.port == port &&
        m.protocol == protocol &&
        m.externalLo == externalLo &&
        m.externalHi == externalHi
      ) {
        m.flows++;
        return m;
      }
      const next: Mapping | null = m.nextInternal;
      m = next;
    }
    if (this.count >= this.limit) return null;
    const external = this.choose(protocol, port, externalHi, externalLo);
    if (external == 0) return null;
    return this.add(bucket, protocol, hi, lo, port, externalHi, externalLo, external);
  }

  // A mapping to an external port that is free.
  private add(
    bucket: usize,
    protocol: u32,
    hi: u64,
    lo: u64,
    port: u32,
    externalHi: u64,
    externalLo: u64,
    externalPort: u32,
  ): Mapping | null {
    let m = this.free;
    if (m == null) {
      const n = min<u32>(PIECE, this.limit - this.made);
      if (n == 0) return null;
      const at = heap.alloc(<usize>n * offsetof<Mapping>());
      for (let i: u32 = 0; i < n; i++) {
        const one = changetype<Mapping>(at + <usize>i * offsetof<Mapping>());
        one.nextInternal = this.free;
        this.free = one;
      }
      this.made += n;
      m = this.free;
      if (m == null) return null;
    }
    this.free = m.nextInternal;
    m.hi = hi;
    m.lo = lo;
    m.port = <u16>port;
    m.protocol = protocol;
    m.externalHi = externalHi;
    m.externalLo = externalLo;
    m.externalPort = <u16>externalPort;
    m.flows = 1;
    m.nextInternal = changetype<Mapping | null>(load<usize>(bucket));
    store<usize>(bucket, changetype<usize>(m));
    const other = this.bucket(this.external, externalHi, externalLo, externalPort, protocol);
    m.nextExternal = changetype<Mapping | null>(load<usize>(other));
    store<usize>(other, changetype<usize>(m));
    this.count++;
    return m;
  }

  /** Who has an external port, or null. */
  holder(protocol: u32, externalHi: u64, externalLo: u64, port: u32): Mapping | null {
    const bucket = this.bucket(this.external, externalHi, externalLo, port, protocol);
    for (let m: Mapping | null = changetype<Mapping | null>(load<usize>(bucket)); m != null;) {
      if (
        m.externalLo == externalLo &&
        m.externalHi == externalHi &&
        <u32>m.externalPort == port &&
        m.protocol == protocol
      )
        return m;
      const next: Mapping | null = m.nextExternal;
      m = next;
    }
    return null;
  }

  /** A flow less; with the last one the mapping ends. */
  release(m: Mapping): void {
    if (--m.flows > 0) return;
    const first = this.bucket(this.internal, m.hi, m.lo, m.port, m.protocol);
    let at = changetype<Mapping>(load<usize>(first));
    if (at == m) {
      store<usize>(first, changetype<usize>(m.nextInternal));
    } else {
      while (at.nextInternal != m) at = at.nextInternal!;
      at.nextInternal = m.nextInternal;
    }
    const second = this.bucket(this.external, m.externalHi, m.externalLo, m.externalPort, m.protocol);
    at = changetype<Mapping>(load<usize>(second));
    if (at == m) {
      store<usize>(second, changetype<usize>(m.nextExternal));
    } else {
      while (at.nextExternal != m) at = at.nextExternal!;
      at.nextExternal = m.nextExternal;
    }
    m.nextInternal = this.free;
    this.free = m;
    this.count--;
  }

  /** Whether a port is one of those that this core gives out. */
  @inline owns(port: u32): bool {
    return (port >> 1) % this.cores == this.self;
  }

  private usable(protocol: u32, hi: u64, lo: u64, port: u32): bool {
    return this.holder(protocol, hi, lo, port) == null && !this.keeper.kept(protocol, hi, lo, port);
  }

  // A free external port of this core; 0 when there is none.
  private choose(protocol: u32, port: u32, hi: u64, lo: u64): u32 {
    if (port >= PORT_MIN && this.owns(port) && this.usable(protocol, hi, lo, port)) return port;
    const cores = this.cores;
    // Pairs of ports, (2n, 2n + 1), of this core: `first`, then each `cores` further.
    const lowest = PORT_MIN / 2;
    const first = lowest + ((this.self + cores - (lowest % cores)) % cores);
    const pairs = ((PORT_MAX + 1) / 2 - first + cores - 1) / cores;
    const parity = port & 1;
    for (let i: u32 = 0; i < DRAWS; i++) {
      const drawn = 2 * (first + cores * this.stack.randomBelow(pairs)) + parity;
      if (this.usable(protocol, hi, lo, drawn)) return drawn;
    }
    const start = this.stack.randomBelow(pairs);
    for (let k: u32 = 0; k < 2; k++) {
      for (let i: u32 = 0; i < pairs; i++) {
        const one = 2 * (first + cores * ((start + i) % pairs)) + (parity ^ k);
        if (this.usable(protocol, hi, lo, one)) return one;
      }
    }
    return 0;
  }
}
