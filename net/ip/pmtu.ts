// Path MTUs that were learnt (RFC 1191, RFC 8201): destination -> MTU, in a fixed set of entries, forgotten after ten
// minutes so that a
// path that has become wider is used again.
//
// Invariants
// 1. An MTU is never below MIN_MTU: a forged error cannot make us send tiny packets (Linux has the same floor).
// 2. A value only falls until it is forgotten. The table is a set of 4-way buckets; what does not fit replaces the
//    oldest of its bucket.
// 3. Whoever learns a value has verified the error before (RFC 5927).

import { Limits, stackAt } from "../stack";
import { Timer } from "../../runtime";

export const MIN_MTU: u32 = 552;
export const MIN_MTU6: u32 = 1280;
const LIFETIME_NS: i64 = 600_000_000_000;
const SWEEP_NS: i64 = 60_000_000_000;
const WAYS: u32 = 4;


@unmanaged
class PathMtu {
  hi: u64;
  lo: u64;
  /** 0: the entry is free. */
  mtu: u32;
  reserved: u32;
  learnt_ns: i64;
}

export class PathMtus {
  private readonly entries: usize;
  private readonly capacity: u32;
  private readonly timer: Timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));
  count: u32 = 0;

  constructor(
    private readonly stackId: u32,
    limits: Limits,
  ) {
    const sets = (<u32>1) << (32 - clz<u32>(max<u32>(limits.pathMtus / WAYS, 2) - 1));
    this.capacity = sets * WAYS;
    const bytes = <usize>this.capacity * offsetof<PathMtu>();
    this.entries = heap.alloc(bytes);
    memory.fill(this.entries, 0, bytes);
    this.timer.init(onSweep, stackId);
  }


  @inline private entry(index: u32): PathMtu {
    return changetype<PathMtu>(this.entries + <usize>index * offsetof<PathMtu>());
  }
  private setOf(hi: u64, lo: u64): u32 {
    return stackAt(this.stackId).hash(hi, lo, 0x6d7475) & (this.capacity - 1) & ~(WAYS - 1);
  }

  /** The MTU of the path to an address, or 0 when none was learnt. */
  lookup(hi: u64, lo: u64): u32 {
    if (this.count == 0) return 0;
    const set = this.setOf(hi, lo);
    for (let i: u32 = 0; i < WAYS; i++) {
      const e = this.entry(set + i);
      if (e.mtu != 0 && e.lo == lo && e.hi == hi) return e.mtu;
    }
    return 0;
  }

  /** Remembers an MTU. True when it is news. */
  learn(hi: u64, lo: u64, mtu: u32): bool {
    const stack = stackAt(this.stackId);
    const set = this.setOf(hi, lo);
    let victim = this.entry(set);
    for (let i: u32 = 0; i < WAYS; i++) {
      const e = this.entry(set + i);
      if (e.mtu != 0 && e.lo == lo && e.hi == hi) {
        if (mtu >= e.mtu) return false;
        e.mtu = mtu;
        e.learnt_ns = stack.now_ns;
        return true;
      }
      if (victim.mtu != 0 && (e.mtu == 0 || e.learnt_ns < victim.learnt_ns)) victim = e;
    }
    if (victim.mtu == 0) this.count++;
    victim.hi = hi;
    victim.lo = lo;
    victim.mtu = mtu;
    victim.learnt_ns = stack.now_ns;
    if (!this.timer.isSet) stack.wheel.set(this.timer, stack.now_ns + SWEEP_NS);
    return true;
  }

  /** Sets what a sender's own probes have found out, larger or smaller than before, or once more; 0: nothing is to be remembered. */
  set(hi: u64, lo: u64, mtu: u32): void {
    const set = this.setOf(hi, lo);
    for (let i: u32 = 0; i < WAYS; i++) {
      const e = this.entry(set + i);
      if (e.mtu == 0 || e.lo != lo || e.hi != hi) continue;
      e.mtu = mtu;
      e.learnt_ns = stackAt(this.stackId).now_ns;
      if (mtu == 0) this.count--;
      return;
    }
    if (mtu != 0) this.learn(hi, lo, mtu);
  }

  /** Forgets what is old; sets the timer again while something is left. */
  sweep(): void {
    const stack = stackAt(this.stackId);
    const before = this.count;
    for (let i: u32 = 0; i < this.capacity; i++) {
      const e = this.entry(i);
      if (e.mtu != 0 && stack.now_ns - e.learnt_ns >= LIFETIME_NS) {
        e.mtu = 0;
        this.count--;
      }
    }
    if (this.count != before) stack.ip.changed();
    if (this.count > 0) stack.wheel.set(this.timer, stack.now_ns + SWEEP_NS);
  }
}

function onSweep(timer: Timer): void {
  stackAt(<u32>timer.context).ip.pathMtus.sweep();
}
