// The flow table: a hash table with chains, keyed with a secret of the stack (net/hash.ts), so that a peer cannot choose endpoints that
// meet in one bucket. At least as many buckets as flows: a look-up is O(1).
//
// Invariant: a flow stands in exactly the bucket of its `hash`, at most once; no two flows have the same four-tuple.

import { Stack } from "../stack";
import { Connection, State } from "./connection";
import { Flow, FlowKind } from "./flow";

export class FlowTable {
  private readonly heads: usize;
  private readonly mask: u32;
  count: u32 = 0;

  /** @param capacity most flows that the table will hold */
  constructor(capacity: u32) {
    let buckets: u32 = 16;
    while (buckets < capacity) buckets <<= 1;
    this.mask = buckets - 1;
    this.heads = heap.alloc(<usize>buckets * sizeof<usize>());
    memory.fill(this.heads, 0, <usize>buckets * sizeof<usize>());
  }


  @inline private bucket(hash: u32): usize {
    return this.heads + <usize>(hash & this.mask) * sizeof<usize>();
  }

  /** Number of buckets, and the first flow of one of them. */
  get buckets(): u32 {
    return this.mask + 1;
  }
  first(bucket: u32): Flow | null {
    return changetype<Flow | null>(load<usize>(this.bucket(bucket)));
  }

  /** Connections that are open, or have something that the peer has not acknowledged; one whose end it has may be forgotten. */
  unfinished(): u32 {
    let count: u32 = 0;
    for (let bucket: u32 = 0; bucket <= this.mask; bucket++) {
      let next: Flow | null = null;
      for (let f: Flow | null = this.first(bucket); f != null; f = next) {
        next = f.hashNext;
        if (f.kind == FlowKind.CONNECTION && changetype<Connection>(f).state != State.FIN_WAIT_2) count++;
      }
    }
    return count;
  }

  find(
    hash: u32,
    localHi: u64,
    localLo: u64,
    remoteHi: u64,
    remoteLo: u64,
    localPort: u32,
    remotePort: u32,
  ): Flow | null {
    let fNext: Flow | null = null;
    for (let f: Flow | null = changetype<Flow | null>(load<usize>(this.bucket(hash))); f != null; f = fNext) {
      fNext = f.hashNext;
      if (
        f.hash == hash &&
        f.remotePort == remotePort &&
        f.localPort == localPort &&
        f.remoteLo == remoteLo &&
        f.localLo == localLo &&
        f.remoteHi == remoteHi &&
        f.localHi == localHi
      ) {
        return f;
      }
    }
    return null;
  }

  /** Puts in a flow whose key and `hash` are set and whose four-tuple is not there. */
  insert(f: Flow): void {
    const at = this.bucket(f.hash);
    f.hashNext = changetype<Flow | null>(load<usize>(at));
    store<usize>(at, changetype<usize>(f));
    this.count++;
  }

  /** Takes out a flow; one that is not in stays so. */
  remove(f: Flow): void {
    const at = this.bucket(f.hash);
    let previous: Flow | null = null;
    let gNext: Flow | null = null;
    for (let g: Flow | null = changetype<Flow | null>(load<usize>(at)); g != null; g = gNext) {
      gNext = g.hashNext;
      if (g == f) {
        if (previous == null) store<usize>(at, changetype<usize>(f.hashNext));
        else previous.hashNext = f.hashNext;
        f.hashNext = null;
        this.count--;
        return;
      }
      previous = g;
    }
  }
}

/** Hash of a four-tuple under the stack's secret. */
export function flowHash(
  stack: Stack,
  localHi: u64,
  localLo: u64,
  remoteHi: u64,
  remoteLo: u64,
  localPort: u32,
  remotePort: u32,
): u32 {
  // Three words under a keyed hash, twice when the addresses are long: 256 bits of addresses must not be folded by anything weaker.
  const ports = ((<u64>localPort) << 16) | (<u64>remotePort);
  if ((localHi | remoteHi) == 0) return stack.hash(localLo, remoteLo, ports);
  return stack.hash(((<u64>stack.hash(localHi, remoteHi, localLo)) << 32) | ports, remoteLo, remoteHi);
}
