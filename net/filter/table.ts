// The connection table: flows by the keys of both directions, their ages, and how many each source has.
//
//   find(key) --keyed hash--> bucket --> Half --> Flow
//   wheel: SLOTS rings of one second; a flow moves only when its slot comes up, so that a packet costs one store
//   young: flows without a reply in the order of their birth, the first to go when the table is full; before them TCP
//   connections that have ended
//
// Invariants
// 1. Memory is bounded: flows come in pieces of PIECE from the heap up to `limit`, and are used again; buckets are as many as
//    the limit's power of two. With 1,000,000 flows all of it is less than 256 MiB.
// 2. A live flow has both halves in buckets, is in one ring of the wheel and counted at its source.
// 3. Hashes are keyed at random: nobody outside can aim at a bucket.
// 4. Full means: a connection that has ended goes, else the oldest flow without a reply; when every other flow has had one, the new one is refused (counted), so that
//    a flood costs the established nothing.

import { Timer } from "../../runtime";
import { Stack } from "../stack";
import { Flow, FLOW_BYTES, Half, ORIGINAL, REPLY } from "./flow";
import { Key } from "./key";

const PIECE: u32 = 256;
const SECOND_NS: i64 = 1_000_000_000;
const SLOT_COUNT: u32 = 1024;
/** Flows looked at in one go of the wheel, so that it does not hold the loop up; the rest follows a millisecond later. */
const SWEEP: u32 = 2048;
const AGAIN_NS: i64 = 1_000_000;

/** How many flows a source has. */
@unmanaged
export class SourceCount {
  next: SourceCount | null;
  count: u32;
  hi: u64;
  lo: u64;
}

/** Called before a flow leaves the table. */
export abstract class FlowWatcher {
  abstract ended(flow: Flow): void;
}

let tables: Array<FlowTable> = [];

export class FlowTable {
  /** Live flows; most that there may be, and of one source. */
  count: u32 = 0;
  limit: u32;
  perSource: u32;
  /** Flows that had to go for others, and that expired. */
  evicted: u64 = 0;
  expired: u64 = 0;
  /** Flows without a reply. */
  young: u32 = 0;
  private readonly buckets: usize;
  private readonly mask: u32;
  private readonly sources: usize;
  private readonly sourceMask: u32;
  private readonly key0: u64;
  private readonly key1: u64;
  private freeFlow: Flow | null = null;
  private freeSource: SourceCount | null = null;
  private made: u32 = 0;
  private readonly wheel: usize;
  private slot_s: i64;
  private readonly timer: Timer;
  private youngFirst: Flow | null = null;
  private youngLast: Flow | null = null;

  constructor(
    private readonly stack: Stack,
    limit: u32,
    perSource: u32,
    private readonly watcher: FlowWatcher,
  ) {
    this.limit = limit;
    this.perSource = perSource;
    const buckets: u32 = (<u32>1) << (32 - clz<u32>(max<u32>(limit, 16) - 1));
    this.mask = buckets - 1;
    this.buckets = zeroed(<usize>buckets * sizeof<usize>());
    const sources = max<u32>(buckets >> 2, 16);
    this.sourceMask = sources - 1;
    this.sources = zeroed(<usize>sources * sizeof<usize>());
    this.wheel = zeroed(<usize>SLOT_COUNT * sizeof<usize>());
    this.key0 = stack.random64();
    this.key1 = stack.random64() | 1;
    this.slot_s = stack.now_ns / SECOND_NS;
    const timer = changetype<Timer>(zeroed(offsetof<Timer>()));
    timer.init(onWheel, tables.length);
    this.timer = timer;
    tables.push(this);
  }

  // ---- look-up

  // Two multiplications under a secret key for each 64 bits: enough that nobody outside can make collisions.
  @inline private hash(srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, ports: u64): u32 {
    const key0 = this.key0;
    const key1 = this.key1;
    let x = (srcLo ^ key0) * 0x9e3779b97f4a7c15;
    x = (rotl<u64>(x, 29) ^ dstLo ^ key1) * 0xbf58476d1ce4e5b9;
    if ((srcHi | dstHi) != 0) {
      x = (rotl<u64>(x, 31) ^ srcHi ^ key0) * 0x94d049bb133111eb;
      x = (rotl<u64>(x, 27) ^ dstHi ^ key1) * 0x9e3779b97f4a7c15;
    }
    x = (rotl<u64>(x, 32) ^ ports ^ key1) * (key0 | 1);
    x = (x ^ (x >> 32)) * (key1 | 1);
    return <u32>(x >> 32);
  }

  /** The half with these ends, or null. */
  lookup(srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, srcPort: u32, dstPort: u32, tag: u32): Half | null {
    const ports = (<u64>srcPort) | ((<u64>dstPort) << 16) | ((<u64>tag) << 32);
    const hash = this.hash(srcHi, srcLo, dstHi, dstLo, ports);
    let half = changetype<Half | null>(load<usize>(this.buckets + ((<usize>(hash & this.mask)) << alignof<usize>())));
    while (half != null) {
      if (
        half.hash == hash &&
        half.srcLo == srcLo &&
        half.dstLo == dstLo &&
        <u32>half.srcPort == srcPort &&
        <u32>half.dstPort == dstPort &&
        <u32>half.tag == tag &&
        half.srcHi == srcHi &&
        half.dstHi == dstHi
      )
        return half;
      half = half.next;
    }
    return null;
  }

  /** The half that a packet belongs to, or null. */
  find(key: Key): Half | null {
    return this.lookup(key.srcHi, key.srcLo, key.dstHi, key.dstLo, <u32>key.srcPort, key.dstPort, key.tag);
  }


  @inline holds(half: Half): bool {
    return this.lookup(half.srcHi, half.srcLo, half.dstHi, half.dstLo, half.srcPort, half.dstPort, half.tag) != null;
  }

  // ---- life

  /** A flow to fill in, not in the table yet; null when there is no room for it. */
  take(): Flow | null {
    if (this.count >= this.limit && !this.evict()) return null;
    let flow = this.freeFlow;
    if (flow == null) {
      if (this.made >= this.limit) return null;
      this.grow();
      flow = this.freeFlow;
      if (flow == null) return null;
    }
    this.freeFlow = flow.wheelNext;
    memory.fill(changetype<usize>(flow), 0, FLOW_BYTES);
    flow.half(REPLY).direction = <u16>REPLY;
    return flow;
  }

  /** Gives a flow back that did not come into the table. */
  untake(flow: Flow): void {
    flow.wheelNext = this.freeFlow;
    this.freeFlow = flow;
  }

  private grow(): void {
    const n = min<u32>(PIECE, this.limit - this.made);
    const at = heap.alloc(<usize>n * FLOW_BYTES);
    for (let i: u32 = 0; i < n; i++) this.untake(changetype<Flow>(at + <usize>i * FLOW_BYTES));
    this.made += n;
  }

  /** Puts a flow into the table: halves filled in, `expires_ns` set. False: its source has as many as it may have. */
  add(flow: Flow): bool {
    const original = flow.half(ORIGINAL);
    const source = this.sourceOf(original.srcHi, original.srcLo);
    if (source == null || source.count >= this.perSource) return false;
    source.count++;
    flow.source = changetype<usize>(source);
    this.link(original);
    this.link(flow.half(REPLY));
    flow.live = true;
    flow.young = true;
    flow.youngNext = null;
    flow.youngPrev = this.youngLast;
    if (this.youngLast != null) this.youngLast!.youngNext = flow;
    else this.youngFirst = flow;
    this.youngLast = flow;
    this.young++;
    if (this.count++ == 0) {
      this.slot_s = this.stack.now_ns / SECOND_NS;
      this.stack.wheel.set(this.timer, this.stack.now_ns + SECOND_NS);
    }
    this.schedule(flow);
    return true;
  }

  /** A reply was seen: the flow no longer goes first. */
  settle(flow: Flow): void {
    if (!flow.young) return;
    flow.young = false;
    const next = flow.youngNext;
    const prev = flow.youngPrev;
    if (next != null) next.youngPrev = prev;
    else this.youngLast = prev;
    if (prev != null) prev.youngNext = next;
    else this.youngFirst = next;
    this.young--;
  }

  /** A settled flow has ended, and stays only for its stragglers: it goes before all others. */
  retire(flow: Flow): void {
    const first = this.youngFirst;
    flow.young = true;
    flow.youngPrev = null;
    flow.youngNext = first;
    if (first != null) first.youngPrev = flow;
    else this.youngLast = flow;
    this.youngFirst = flow;
    this.young++;
  }

  /** Ends a flow. */
  remove(flow: Flow): void {
    this.watcher.ended(flow);
    this.settle(flow);
    this.unlink(flow.half(ORIGINAL));
    this.unlink(flow.half(REPLY));
    this.unschedule(flow);
    flow.live = false;
    this.count--;
    const source = changetype<SourceCount>(flow.source);
    if (--source.count == 0) this.dropSource(source);
    this.untake(flow);
  }

  // Makes room: false when every flow has had a reply.
  private evict(): bool {
    const oldest = this.youngFirst;
    if (oldest == null) return false;
    this.evicted++;
    this.remove(oldest);
    return true;
  }

  private link(half: Half): void {
    const ports = (<u64>half.srcPort) | ((<u64>half.dstPort) << 16) | ((<u64>half.tag) << 32);
    half.hash = this.hash(half.srcHi, half.srcLo, half.dstHi, half.dstLo, ports);
    const bucket = this.buckets + ((<usize>(half.hash & this.mask)) << alignof<usize>());
    half.next = changetype<Half | null>(load<usize>(bucket));
    store<usize>(bucket, changetype<usize>(half));
  }

  private unlink(half: Half): void {
    const bucket = this.buckets + ((<usize>(half.hash & this.mask)) << alignof<usize>());
    let at = changetype<Half>(load<usize>(bucket));
    if (at == half) {
      store<usize>(bucket, changetype<usize>(half.next));
      return;
    }
    while (at.next != half) at = at.next!;
    at.next = half.next;
  }

  // ---- sources

  private sourceBucket(hi: u64, lo: u64): usize {
    return this.sources + ((<usize>(this.hash(hi, lo, 0, 0, 0) & this.sourceMask)) << alignof<usize>());
  }

  private sourceOf(hi: u64, lo: u64): SourceCount | null {
    const bucket = this.sourceBucket(hi, lo);
    for (let s: SourceCount | null = changetype<SourceCount | null>(load<usize>(bucket)); s != null;) {
      if (s.lo == lo && s.hi == hi) return s;
      const next: SourceCount | null = s.next;
      s = next;
    }
    let source = this.freeSource;
    if (source == null) {
      const at = heap.alloc(<usize>PIECE * offsetof<SourceCount>());
      for (let i: usize = 0; i < PIECE; i++) {
        const one = changetype<SourceCount>(at + i * offsetof<SourceCount>());
        one.next = this.freeSource;
        this.freeSource = one;
      }
      source = this.freeSource;
      if (source == null) return null;
    }
    this.freeSource = source.next;
    source.hi = hi;
    source.lo = lo;
    source.count = 0;
    source.next = changetype<SourceCount | null>(load<usize>(bucket));
    store<usize>(bucket, changetype<usize>(source));
    return source;
  }

  private dropSource(source: SourceCount): void {
    const bucket = this.sourceBucket(source.hi, source.lo);
    let at = changetype<SourceCount>(load<usize>(bucket));
    if (at == source) {
      store<usize>(bucket, changetype<usize>(source.next));
    } else {
      while (at.next != source) at = at.next!;
      at.next = source.next;
    }
    source.next = this.freeSource;
    this.freeSource = source;
  }

  // ---- ages

  private schedule(flow: Flow): void {
    const due_s = flow.expires_ns / SECOND_NS + 1;
    const distance = max<i64>(min<i64>(due_s - this.slot_s, SLOT_COUNT - 1), 1);
    const slot = this.wheel + ((<usize>((this.slot_s + distance) & (SLOT_COUNT - 1))) << alignof<usize>());
    const first = changetype<Flow | null>(load<usize>(slot));
    flow.wheelNext = first;
    flow.wheelPrev = null;
    if (first != null) first.wheelPrev = flow;
    store<usize>(slot, changetype<usize>(flow));
    flow.wheelSlot = <u16>((this.slot_s + distance) & (SLOT_COUNT - 1));
  }

  /** Sets when a flow expires. Later costs a store; earlier moves it in the wheel. */
  @inline expire(flow: Flow, at_ns: i64): void {
    const before = flow.expires_ns;
    flow.expires_ns = at_ns;
    if (at_ns < before) this.move(flow);
  }

  private move(flow: Flow): void {
    this.unschedule(flow);
    this.schedule(flow);
  }

  private unschedule(flow: Flow): void {
    const next = flow.wheelNext;
    const prev = flow.wheelPrev;
    if (next != null) next.wheelPrev = prev;
    if (prev != null) prev.wheelNext = next;
    else store<usize>(this.wheel + ((<usize>flow.wheelSlot) << alignof<usize>()), changetype<usize>(next));
  }

  /** Ends what has expired up to now, and sees to the next time. */
  turnWheel(): void {
    const now = this.stack.now_ns;
    const now_s = now / SECOND_NS;
    let left = SWEEP;
    // After a long sleep one round of the wheel is all there is to see.
    if (now_s - this.slot_s > <i64>SLOT_COUNT) this.slot_s = now_s - SLOT_COUNT;
    while (this.slot_s < now_s && left > 0) {
      const slot = this.wheel + ((<usize>((this.slot_s + 1) & (SLOT_COUNT - 1))) << alignof<usize>());
      let flow = changetype<Flow | null>(load<usize>(slot));
      if (flow == null) {
        this.slot_s++;
        continue;
      }
      left--;
      if (flow.expires_ns <= now) {
        this.expired++;
        this.remove(flow);
      } else {
        this.unschedule(flow);
        this.reschedule(flow, now_s);
      }
    }
    if (this.count == 0) return;
    this.stack.wheel.set(this.timer, left > 0 ? now + SECOND_NS : now + AGAIN_NS);
  }

  // As `schedule`, but never into the slot that is being emptied.
  private reschedule(flow: Flow, now_s: i64): void {
    const before = this.slot_s;
    this.slot_s = max(before + 1, now_s);
    this.schedule(flow);
    this.slot_s = before;
  }

  /** The first flow in a ring of the wheel, the others by `wheelNext`: for who goes through all of them. */
  firstFrom(slot: u32): Flow | null {
    return changetype<Flow | null>(load<usize>(this.wheel + ((<usize>slot) << alignof<usize>())));
  }

  /** Rings that `firstFrom` knows. */
  get rings(): u32 {
    return SLOT_COUNT;
  }
}

function zeroed(bytes: usize): usize {
  const at = heap.alloc(bytes);
  memory.fill(at, 0, bytes);
  return at;
}

function onWheel(timer: Timer): void {
  tables[<i32>timer.context].turnWheel();
}
