// Maglev's look-up table (Eisenbud and others, NSDI 2016, 3.4), weighted: a prime number of entries, each naming a backend.
// Backends take turns, each claiming the next free entry of its own permutation of the table.
//
// What is added to the paper:
// 1. Quota: a backend gets its weight's exact share of the entries, rounded by largest remainder; in each round backend i takes
//    as many turns as its weight has of the largest weight.
// 2. The table is built over all backends of the configuration; entries of those that are not usable are then dealt out to
//    those that are, by the same turns. So a backend that dies moves only its own flows, and back when it returns, whatever
//    else has happened in between.
//
// Invariants
// 1. The same names, weights, seed and set of usable backends give the same table, whatever their order and history.
// 2. An entry is the index of a usable backend, or NOBODY when there is none.

import { HashSeed } from "./seed";

/** Prime; large enough for 1,000 backends with shares within 1 % (the paper's 65,537). */
export const MAGLEV_ENTRIES: u32 = 65537;
export const NOBODY: u32 = 0xffff;

export class Maglev {
  /** Entries of 2 bytes: the table in use, and the one over all backends. */
  private readonly table: usize;
  private readonly base: usize;
  private readonly count: u32;
  /** For each backend 4 bytes: its next place in its permutation, its step, entries it still gets, its weight. */
  private readonly next: usize;
  private readonly step: usize;
  private readonly quota: usize;
  private readonly weight: usize;
  private readonly start: usize;
  /** Backends in the order of their names. */
  private readonly order: usize;

  /** @param weights of the backends, each above 0 or 0 for one that gets nothing; names are unique */
  constructor(
    seed: HashSeed,
    names: Array<string>,
    weights: Array<u32>,
    readonly entries: u32 = MAGLEV_ENTRIES,
  ) {
    const count = <u32>names.length;
    assert(count < NOBODY && entries > 2);
    this.count = count;
    this.table = heap.alloc(<usize>entries * 2);
    this.base = heap.alloc(<usize>entries * 2);
    const memory_ = heap.alloc(<usize>max<u32>(count, 1) * 24);
    const bytes = <usize>count * 4;
    this.next = memory_;
    this.step = memory_ + bytes;
    this.quota = memory_ + 2 * bytes;
    this.weight = memory_ + 3 * bytes;
    this.start = memory_ + 4 * bytes;
    this.order = memory_ + 5 * bytes;
    for (let i: u32 = 0; i < count; i++) {
      store<u32>(this.start + i * 4, <u32>(seed.offset(names[i]) % entries));
      store<u32>(this.step + i * 4, <u32>(seed.skip(names[i]) % (entries - 1)) + 1);
      store<u32>(this.weight + i * 4, weights[i]);
    }
    // By name: the order of the configuration must not matter.
    const indexes = new Map<string, u32>();
    for (let i: u32 = 0; i < count; i++) indexes.set(names[i], i);
    const sorted = names.slice(0).sort();
    for (let k: u32 = 0; k < count; k++) store<u32>(this.order + k * 4, indexes.get(sorted[k]));
    const all = new StaticArray<u8>(<i32>max<u32>(count, 1));
    all.fill(1);
    memory.fill(this.base, 0xff, <usize>entries * 2);
    this.rewind();
    this.share(changetype<usize>(all), this.base);
    this.deal(this.base, changetype<usize>(all));
    memory.copy(this.table, this.base, <usize>entries * 2);
  }

  /** The backend of a hash, or NOBODY. */
  @inline find(hash: u32): u32 {
    // The high bits choose: as even as a remainder, without a division.
    return load<u16>(this.table + <usize>((<u64>hash * this.entries) >> 32) * 2);
  }

  /** Entry `i` of the table. */
  at(i: u32): u32 {
    return load<u16>(this.table + <usize>i * 2);
  }

  /**
   * Says which backends are usable.
   * @param usable a byte for each, 0 or 1
   */
  setUsable(usable: StaticArray<u8>): void {
    const at = changetype<usize>(usable);
    const table = this.table;
    const bytes = <usize>this.entries * 2;
    let free: u32 = 0;
    memory.copy(table, this.base, bytes);
    for (let e: usize = 0; e < bytes; e += 2) {
      const backend = load<u16>(table + e);
      if (backend != NOBODY && load<u8>(at + backend) != 0) continue;
      store<u16>(table + e, <u16>NOBODY);
      free++;
    }
    if (free == 0) return;
    this.rewind();
    this.share(at, table);
    this.deal(table, at);
  }

  /** Gives its memory back; not to be used after. */
  free(): void {
    heap.free(this.table);
    heap.free(this.base);
    heap.free(this.next);
  }

  private rewind(): void {
    memory.copy(this.next, this.start, <usize>this.count * 4);
  }

  // Sets the quotas: what each usable backend's weight is of the whole table, less what it has in `table`; in all, what is free.
  private share(usable: usize, table: usize): void {
    const count = this.count;
    const entries = <u64>this.entries;
    let total: u64 = 0;
    for (let i: u32 = 0; i < count; i++) if (load<u8>(usable + i) != 0) total += load<u32>(this.weight + i * 4);
    memory.fill(this.quota, 0, <usize>count * 4);
    if (total == 0) return;
    const rests = new StaticArray<u64>(<i32>count);
    let left = <i64>entries;
    for (let i: u32 = 0; i < count; i++) {
      if (load<u8>(usable + i) == 0) continue;
      const exact = entries * load<u32>(this.weight + i * 4);
      store<u32>(this.quota + i * 4, <u32>(exact / total));
      rests[i] = exact % total;
      left -= <i64>(exact / total);
    }
    // Largest remainders get one more; `left` is below the number of backends. Ties by the order of names.
    while (left > 0) {
      let best: u32 = NOBODY;
      for (let k: u32 = 0; k < count; k++) {
        const i = load<u32>(this.order + k * 4);
        if (rests[i] > 0 && (best == NOBODY || rests[i] > rests[best])) best = i;
      }
      if (best == NOBODY) break;
      rests[best] = 0;
      store<u32>(this.quota + best * 4, load<u32>(this.quota + best * 4) + 1);
      left--;
    }
    for (let e: u32 = 0; e < this.entries; e++) {
      const backend = <u32>load<u16>(table + <usize>e * 2);
      if (backend == NOBODY) continue;
      const quota = load<u32>(this.quota + backend * 4);
      if (quota > 0) store<u32>(this.quota + backend * 4, quota - 1);
    }
  }

  // Deals the free entries of a table out by turns.
  private deal(table: usize, usable: usize): void {
    const count = this.count;
    const entries = this.entries;
    let heaviest: u64 = 0;
    let free: u32 = 0;
    for (let i: u32 = 0; i < count; i++)
      if (load<u8>(usable + i) != 0) heaviest = max<u64>(heaviest, load<u32>(this.weight + i * 4));
    if (heaviest == 0) return;
    for (let e: u32 = 0; e < entries; e++) if (load<u16>(table + <usize>e * 2) == NOBODY) free++;
    for (let round: u64 = 0; free > 0; round++) {
      let dealt = false;
      for (let k: u32 = 0; k < count && free > 0; k++) {
        const i = load<u32>(this.order + k * 4);
        let quota = load<u32>(this.quota + i * 4);
        if (quota == 0) continue;
        dealt = true;
        const weight = <u64>load<u32>(this.weight + i * 4);
        const step = load<u32>(this.step + i * 4);
        let place = load<u32>(this.next + i * 4);
        let turns = <u32>(((round + 1) * weight) / heaviest - (round * weight) / heaviest);
        for (; turns > 0 && quota > 0 && free > 0; turns--) {
          while (load<u16>(table + <usize>place * 2) != NOBODY) {
            place += step;
            if (place >= entries) place -= entries;
          }
          store<u16>(table + <usize>place * 2, <u16>i);
          quota--;
          free--;
        }
        store<u32>(this.next + i * 4, place);
        store<u32>(this.quota + i * 4, quota);
      }
      // Quotas can fall short of the free entries by rounding: what is left goes to the first that have a weight.
      if (!dealt) this.top(usable, free);
    }
  }

  private top(usable: usize, free: u32): void {
    for (let k: u32 = 0; k < this.count && free > 0; k++) {
      const i = load<u32>(this.order + k * 4);
      if (load<u8>(usable + i) == 0 || load<u32>(this.weight + i * 4) == 0) continue;
      store<u32>(this.quota + i * 4, 1);
      free--;
    }
  }
}
