// Limits of rules: token buckets, one for the rule or one for each source.
//
// Invariants
// 1. A bucket holds at most `burst` tokens and earns `rate` in 1,000 seconds; a packet that finds none is dropped.
// 2. Buckets of sources are a table of fixed size under a random key, four places to a set: in a full set the one that was
//    used least recently is taken over, so that a flood of sources forgets, and never fails or grows. A new source begins
//    with a full bucket.

import { Stack } from "../stack";
import { LimitSpec, RuleSpec } from "./rules";

const SETS: u32 = 1024;
const WAYS: u32 = 4;
const NS_PER_UNIT: i64 = 1_000_000_000_000;


@unmanaged
class Bucket {
  hi: u64;
  lo: u64;
  /** Tokens, in units of 1 / NS_PER_UNIT of one: as earned by a rate of 1 in 1,000 s in a ns. */
  tokens: i64;
  filled_ns: i64;
}

class Limit {
  /** One bucket, or the table. */
  readonly buckets: usize;

  constructor(readonly spec: LimitSpec) {
    const bytes = offsetof<Bucket>() * (spec.perSource ? <usize>(SETS * WAYS) : 1);
    this.buckets = heap.alloc(bytes);
    memory.fill(this.buckets, 0, bytes);
  }
}

export class Limits {
  private readonly limits: Array<Limit> = [];

  /** The limits of rules, in the order in which `Rule.limit` numbers them. */
  constructor(specs: Array<RuleSpec>) {
    for (let i = 0; i < specs.length; i++) if (specs[i].limit != null) this.limits.push(new Limit(specs[i].limit!));
  }

  /** Takes a token. False: none is left. @param number `Rule.limit` */
  allow(stack: Stack, number: u32, hi: u64, lo: u64): bool {
    const limit = unchecked(this.limits[number - 1]);
    if (!limit.spec.perSource) return this.spend(changetype<Bucket>(limit.buckets), limit, stack.now_ns);
    const set = limit.buckets + <usize>(stack.hash(hi, lo, number) & (SETS - 1)) * WAYS * offsetof<Bucket>();
    let oldest = changetype<Bucket>(set);
    for (let i: usize = 0; i < WAYS; i++) {
      const bucket = changetype<Bucket>(set + i * offsetof<Bucket>());
      if (bucket.lo == lo && bucket.hi == hi && bucket.filled_ns != 0) return this.spend(bucket, limit, stack.now_ns);
      if (bucket.filled_ns < oldest.filled_ns) oldest = bucket;
    }
    oldest.hi = hi;
    oldest.lo = lo;
    oldest.filled_ns = 0;
    return this.spend(oldest, limit, stack.now_ns);
  }

  private spend(bucket: Bucket, limit: Limit, now_ns: i64): bool {
    const spec = limit.spec;
    const most = spec.burst * NS_PER_UNIT;
    if (bucket.filled_ns == 0) {
      bucket.tokens = most;
    } else {
      // Longer than it takes to fill is as good as full.
      const elapsed = min<i64>(now_ns - bucket.filled_ns, most / max<i64>(spec.rate, 1) + 1);
      bucket.tokens = min(most, bucket.tokens + elapsed * spec.rate);
    }
    bucket.filled_ns = max<i64>(now_ns, 1);
    if (bucket.tokens < NS_PER_UNIT) return false;
    bucket.tokens -= NS_PER_UNIT;
    return true;
  }

  free(): void {
    for (let i = 0; i < this.limits.length; i++) heap.free(this.limits[i].buckets);
  }
}
