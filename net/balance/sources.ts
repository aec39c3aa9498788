// Tables by source address, of a fixed size, hashed with a key random per boot: to which backend a source sticks, and how many
// connections it has.
//
//   sets of 8 ways; an entry stands in the set of its hash. A look-up takes at most 8 steps.
//
// Invariants
// 1. Nothing is allocated after construction, whatever sources come.
// 2. A full set gives up what is over, else the entry that is used least recently (`StickTable`), or refuses (`SourceCounts`).

import { sipHash } from "../../runtime";

const WAYS: u32 = 8;


@unmanaged
class Stick {
  hi: u64;
  lo: u64;
  /** When it was last used, ns; 0: free. */
  used_ns: i64;
  backend: u32;
}

const STICK_BYTES: usize = (offsetof<Stick>() + 7) & ~7;

/** Which backend a source has, until it has not come for the time-out. */
export class StickTable {
  private readonly memory: usize;
  private readonly mask: u32;
  evicted: u64 = 0;

  /** @param entries a power of two of at least 8 */
  constructor(
    private readonly key0: u64,
    private readonly key1: u64,
    readonly timeout_ns: i64,
    entries: u32,
  ) {
    this.mask = entries / WAYS - 1;
    this.memory = heap.alloc(<usize>entries * STICK_BYTES);
    memory.fill(this.memory, 0, <usize>entries * STICK_BYTES);
  }


  @inline private set(hi: u64, lo: u64): usize {
    return this.memory + <usize>(((<u32>sipHash(this.key0, this.key1, hi, lo, 1)) & this.mask) * WAYS) * STICK_BYTES;
  }

  private entry(hi: u64, lo: u64, now_ns: i64): Stick | null {
    const set = this.set(hi, lo);
    for (let i: usize = 0; i < WAYS; i++) {
      const e = changetype<Stick>(set + i * STICK_BYTES);
      if (e.lo == lo && e.hi == hi && e.used_ns != 0 && now_ns - e.used_ns < this.timeout_ns) return e;
    }
    return null;
  }

  /** The backend of a source, whose time begins anew; -1 when it has none. */
  find(hi: u64, lo: u64, now_ns: i64): i32 {
    const e = this.entry(hi, lo, now_ns);
    if (e == null) return -1;
    e.used_ns = now_ns;
    return e.backend;
  }

  put(hi: u64, lo: u64, backend: u32, now_ns: i64): void {
    let e = this.entry(hi, lo, now_ns);
    if (e == null) {
      const set = this.set(hi, lo);
      let oldest = changetype<Stick>(set);
      for (let i: usize = 1; i < WAYS; i++) {
        const other = changetype<Stick>(set + i * STICK_BYTES);
        if (other.used_ns < oldest.used_ns) oldest = other;
      }
      if (oldest.used_ns != 0 && now_ns - oldest.used_ns < this.timeout_ns) this.evicted++;
      e = oldest;
    }
    e.hi = hi;
    e.lo = lo;
    e.backend = backend;
    e.used_ns = now_ns;
  }
}


@unmanaged
class Count {
  hi: u64;
  lo: u64;
  /** 0: the entry is free. */
  count: u32;
}

const COUNT_BYTES: usize = (offsetof<Count>() + 7) & ~7;

/** How many connections each source has, below a limit. */
export class SourceCounts {
  private readonly memory: usize;
  private readonly mask: u32;

  /** @param entries a power of two of at least 8 */
  constructor(
    private readonly key0: u64,
    private readonly key1: u64,
    readonly limit: u32,
    entries: u32,
  ) {
    this.mask = entries / WAYS - 1;
    this.memory = heap.alloc(<usize>entries * COUNT_BYTES);
    memory.fill(this.memory, 0, <usize>entries * COUNT_BYTES);
  }


  @inline private set(hi: u64, lo: u64): usize {
    return this.memory + <usize>(((<u32>sipHash(this.key0, this.key1, hi, lo, 2)) & this.mask) * WAYS) * COUNT_BYTES;
  }

  /** One more of a source; false when it is at the limit, or when there is no room to count it. */
  add(hi: u64, lo: u64): bool {
    const set = this.set(hi, lo);
    let free: Count | null = null;
    for (let i: usize = 0; i < WAYS; i++) {
      const e = changetype<Count>(set + i * COUNT_BYTES);
      if (e.count == 0) {
        free = e;
      } else if (e.lo == lo && e.hi == hi) {
        if (e.count >= this.limit) return false;
        e.count++;
        return true;
      }
    }
    if (free == null) return false;
    free.hi = hi;
    free.lo = lo;
    free.count = 1;
    return true;
  }

  /** One less of a source that `add` has taken. */
  remove(hi: u64, lo: u64): void {
    const set = this.set(hi, lo);
    for (let i: usize = 0; i < WAYS; i++) {
      const e = changetype<Count>(set + i * COUNT_BYTES);
      if (e.count > 0 && e.lo == lo && e.hi == hi) {
        e.count--;
        return;
      }
    }
  }
}
