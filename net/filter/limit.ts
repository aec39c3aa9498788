// Limits of rules: token buckets, one for the rule or one for each source.
//
// Invariants
// 1. A bucket holds at most `burst` tokens and earns `rate` in 1,000 seconds; a packet that finds none is dropped.
// 2. Buckets of sources are a table of fixed size under a random key, four places to a set: in a full set the one that was
//    used least recently is taken over, so that a flood of sources forgets, and never fails or grows. A new source begins
//    with a full bucket.
// 3. A limit means the machine: what one of several cores lets through, the others take from their buckets too, a turn later.
//    So no core waits, and what is let through on top is at most what comes in that time.

import { CoreMessage, coreNumber, post } from "../../runtime";
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

  /** Takes what another core has let through. */
  heard(stack: Stack, number: u32, hi: u64, lo: u64): void {
    if (number - 1 < <u32>this.limits.length) this.allow(stack, number, hi, lo);
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

/** What the cores tell each other goes to these limits. */
export function hearOfSpent(stack: Stack, limits: Limits): void {
  listenerStack = stack;
  listener = limits;
}

let listenerStack: Stack | null = null;
let listener: Limits | null = null;

/** Tells the cores of `serving` but this one that a token of limit `number` is spent. One that is too far behind does not hear of it. */
export function shareSpent(serving: u64, number: u32, hi: u64, lo: u64): void {
  for (let bits = serving & ~((<u64>1) << coreNumber()); bits != 0; bits &= bits - 1) {
    const message = post(<u32>ctz(bits), onSpent);
    if (message == null) continue;
    message.a = number;
    message.c = hi;
    message.d = lo;
  }
}

function onSpent(message: CoreMessage): void {
  const stack = listenerStack;
  const limits = listener;
  if (stack != null && limits != null) limits.heard(stack, message.a, message.c, message.d);
}
