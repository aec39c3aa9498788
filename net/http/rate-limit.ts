// Limits by source: requests in time, and open connections. A source is an IPv4 address or the /64 of an IPv6 address, which is
// what one customer can draw addresses from. Tables are keyed at random, so that nobody can choose who shares a slot.
//
// RateLimit is GCRA (ITU-T I.371, the virtual scheduling algorithm): per source only the time at which its bucket would be
// full again. A source whose time has passed is as good as absent, so an entry needs no end; a set of four whose times all
// lie ahead gives up the earliest, which is a source that has used little.

import { random, sipHash } from "../../runtime";

const NS_PER_S: i64 = 1_000_000_000;
const WAYS: u32 = 4;
const ENTRY_BYTES: usize = 16;
const V4_MAPPED: u64 = 0xffff_0000_0000;

class SourceKey {
  private readonly k0: u64;
  private readonly k1: u64;

  constructor() {
    const seed = heap.alloc(16);
    random(seed, 16);
    this.k0 = load<u64>(seed);
    this.k1 = load<u64>(seed, 8);
    heap.free(seed);
  }

  /** Never 0, which marks an empty entry. */
  of(hi: u64, lo: u64): u64 {
    const v4 = hi == 0 && (lo & ~0xffffffff) == V4_MAPPED;
    return sipHash(this.k0, this.k1, hi, v4 ? lo : 0, 0) | 1;
  }
}

export class RateLimit {
  /** Requests refused. */
  refused: u64 = 0;
  private readonly key: SourceKey = new SourceKey();
  private readonly sets: u32;
  private readonly table: usize;
  private readonly interval_ns: i64;
  private readonly tolerance_ns: i64;

  /**
   * @param rate requests in 1,000 seconds, above 0
   * @param burst requests that may come at once, 1 and more
   * @param perSource for each source, or for all together
   * @param sets power of two; sources remembered are four times as many
   */
  constructor(
    rate: i64,
    burst: i64,
    private readonly perSource: bool,
    sets: u32 = 4096,
  ) {
    this.interval_ns = max<i64>((1000 * NS_PER_S) / rate, 1);
    this.tolerance_ns = this.interval_ns * (burst - 1);
    this.sets = perSource ? sets : 1;
    const bytes = <usize>this.sets * WAYS * ENTRY_BYTES;
    this.table = heap.alloc(bytes);
    memory.fill(this.table, 0, bytes);
  }

  /** Takes one request of a source; false when it is too many. */
  take(hi: u64, lo: u64, now_ns: i64): bool {
    const key = this.perSource ? this.key.of(hi, lo) : 1;
    const set = this.table + <usize>((key >> 1) & (this.sets - 1)) * WAYS * ENTRY_BYTES;
    let entry = set;
    for (let i: u32 = 0; i < WAYS; i++) {
      const one = set + i * ENTRY_BYTES;
      if (load<u64>(one) == key) {
        entry = one;
        break;
      }
      if (load<i64>(one, 8) < load<i64>(entry, 8)) entry = one;
    }
    const full_ns = load<u64>(entry) == key ? max(load<i64>(entry, 8), now_ns) : now_ns;
    if (full_ns - now_ns > this.tolerance_ns) {
      this.refused++;
      return false;
    }
    store<u64>(entry, key);
    store<i64>(entry, full_ns + this.interval_ns, 8);
    return true;
  }

  /** Seconds after which a refused source may come again, rounded up. */
  get retry_s(): u32 {
    return <u32>min<i64>((this.interval_ns + NS_PER_S - 1) / NS_PER_S, 3600);
  }
}


@unmanaged
class Source {
  key: u64;
  count: u32;
  next: Source | null;
}

/** Counts the open connections of each source. */
export class SourceCounts {
  private readonly key: SourceKey = new SourceKey();
  private readonly buckets: StaticArray<usize>;
  private free: Source | null = null;

  /** @param expected sources at once, for the table's size */
  constructor(expected: u32) {
    let size = 256;
    while (size < <i32>expected) size <<= 1;
    this.buckets = new StaticArray<usize>(size);
  }

  /** Counts a connection; null when the source has `limit` of them. What it gives is for `leave`. */
  enter(hi: u64, lo: u64, limit: u32): usize {
    const key = this.key.of(hi, lo);
    const bucket = (<i32>(key >> 1)) & (this.buckets.length - 1);
    let source = changetype<Source | null>(unchecked(this.buckets[bucket]));
    while (source != null && source.key != key) source = source.next;
    if (source == null) {
      source = this.free;
      if (source != null) this.free = source.next;
      else source = changetype<Source>(heap.alloc(offsetof<Source>()));
      source.key = key;
      source.count = 0;
      source.next = changetype<Source | null>(unchecked(this.buckets[bucket]));
      unchecked((this.buckets[bucket] = changetype<usize>(source)));
    }
    if (source.count >= limit) return 0;
    source.count++;
    return changetype<usize>(source);
  }

  leave(entered: usize): void {
    const source = changetype<Source>(entered);
    if (--source.count > 0) return;
    const bucket = (<i32>(source.key >> 1)) & (this.buckets.length - 1);
    let before = changetype<Source | null>(unchecked(this.buckets[bucket]));
    if (before == source) {
      unchecked((this.buckets[bucket] = changetype<usize>(source.next)));
    } else {
      while (before != null && before.next != source) before = before.next;
      if (before != null) before.next = source.next;
    }
    source.next = this.free;
    this.free = source;
  }
}
