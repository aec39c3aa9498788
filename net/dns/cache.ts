// What the resolver remembers: addresses of names, and that there are none (RFC 2308), as long as their zones allow.
//
// Invariants
// 1. At most ENTRIES names; what is new takes the place of what has been there longest.
// 2. Nothing is remembered longer than MOST_S, or MOST_NEGATIVE_S for what is not there.
//
// clang: -Oz

const ENTRIES: i32 = 256;
const SECOND_NS: i64 = 1_000_000_000;
const MOST_S: u32 = 86_400;
const MOST_NEGATIVE_S: u32 = 3_600;

/** Addresses of a name, of one version of IP; none: the name, or such addresses of it, are not there. */
export class Answer {
  readonly hi: Array<u64> = [];
  readonly lo: Array<u64> = [];
  /** There is no such name at all. */
  absent: bool = false;
  /** How long it may be remembered, s. */
  ttl_s: u32 = 0;
  expiry_ns: i64 = 0;
}

export class Cache {
  private readonly entries: Map<string, Answer> = new Map();

  get(key: string, now_ns: i64): Answer | null {
    const entries = this.entries;
    if (!entries.has(key)) return null;
    const answer = entries.get(key);
    if (answer.expiry_ns > now_ns) return answer;
    entries.delete(key);
    return null;
  }

  clear(): void {
    this.entries.clear();
  }

  put(key: string, answer: Answer, now_ns: i64): void {
    const ttl_s = min(answer.ttl_s, answer.lo.length > 0 ? MOST_S : MOST_NEGATIVE_S);
    if (ttl_s == 0) return;
    answer.expiry_ns = now_ns + <i64>ttl_s * SECOND_NS;
    const entries = this.entries;
    // A map gives its keys in the order in which they came.
    entries.delete(key);
    if (entries.size >= ENTRIES) entries.delete(entries.keys()[0]);
    entries.set(key, answer);
  }
}
