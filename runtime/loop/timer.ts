// Timers: a hierarchical timing wheel (Varghese and Lauck, 1987), O(1) to set and to cancel, whatever their number.
//
//   level 0: 256 slots of 1 tick   level 1: 64 slots of 256 ticks   level 2: 64 of 2^14   level 3: 64 of 2^20   ...
//   a tick is 2^20 ns (1.05 ms); a timer stands in the level that its distance needs and moves down as time comes near
//
// Invariants
// 1. A timer runs at or after its deadline, never before; late by less than a tick when the loop is idle.
// 2. A set timer is in exactly one slot's ring, an unset one in none (`slot` tells).
// 3. `nextDeadline` is never later than the earliest timer's deadline: a bit per slot says which slots hold timers, so
//    that finding it takes a look at each level, not at each slot. An idle wheel says i64.MAX_VALUE.

/** Called when a timer is due: `timer.context` is the owner's. The timer is no longer set and may be set again. */
export type TimerCallback = (timer: Timer) => void;

/** ns of a tick, as a shift. */
export const TICK_SHIFT: i64 = 20;


@unmanaged
export class Timer {
  next: Timer | null;
  prev: Timer | null;
  /** Monotonic time, ns. */
  deadline_ns: i64;
  /** Index of the callback in the function table. */
  callback: u32;
  /** The owner, an @unmanaged object or an index. */
  context: usize;
  /** Slot that holds the timer plus 1; 0 when it is not set. */
  slot: u32;

  /** Makes the timer ready for `set`. A function reference is static: it needs no root. */
  init(callback: TimerCallback, context: usize): void {
    this.next = null;
    this.prev = null;
    this.slot = 0;
    this.callback = callback.index;
    this.context = context;
  }


  @inline get isSet(): bool {
    return this.slot != 0;
  }
}

const LEVELS: u32 = 7;
const SLOTS0: u32 = 256;
const SLOTS: u32 = 64;
const SLOT_COUNT: u32 = SLOTS0 + (LEVELS - 1) * SLOTS;
// Far beyond it (2^44 ticks = 500 years) a timer waits in the last level and moves again.
const MAX_TICKS: u64 = ((<u64>1) << 44) - 1;

export class TimerWheel {
  /** Ticks that have been run. */
  private now_ticks: u64;
  private slots: usize;
  private bits0: StaticArray<u64> = new StaticArray<u64>(4);
  private bits: StaticArray<u64> = new StaticArray<u64>(LEVELS);
  /** Timers that are set. */
  count: u32 = 0;

  constructor(now_ns: i64) {
    this.now_ticks = (<u64>now_ns) >> TICK_SHIFT;
    this.slots = heap.alloc(SLOT_COUNT * sizeof<usize>());
    memory.fill(this.slots, 0, SLOT_COUNT * sizeof<usize>());
  }

  /** Sets (again) a timer for `deadline_ns`; one in the past runs at the next `run`. */
  set(timer: Timer, deadline_ns: i64): void {
    if (timer.slot != 0) this.unlink(timer);
    timer.deadline_ns = deadline_ns;
    this.link(timer);
  }

  /** Unsets a timer; one that is not set stays so. */
  cancel(timer: Timer): void {
    if (timer.slot != 0) this.unlink(timer);
  }

  /** A time at or before which `run` should be called: the earliest deadline or a tick boundary before it. */
  nextDeadline(): i64 {
    const ticks = this.nextTick();
    return ticks == u64.MAX_VALUE ? i64.MAX_VALUE : <i64>(ticks << TICK_SHIFT);
  }

  /** Runs the timers that are due at `now_ns`, at most `budget` of them; returns how many ran. */
  run(now_ns: i64, budget: u32): u32 {
    const target = (<u64>now_ns) >> TICK_SHIFT;
    let ran: u32 = 0;
    for (let tick = this.nextTick(); tick <= target; tick = this.nextTick()) {
      if (tick > this.now_ticks) this.now_ticks = tick;
      this.cascade();
      const slot = (<u32>this.now_ticks) & (SLOTS0 - 1);
      for (let timer = this.first(slot); timer != null; timer = this.first(slot)) {
        if (ran == budget) return ran;
        this.unlink(timer);
        ran++;
        call_indirect<void>(timer.callback, timer);
      }
    }
    if (target > this.now_ticks) this.now_ticks = target;
    return ran;
  }

  // The tick at which something has to be done: a timer run, or a slot of a higher level moved down.
  private nextTick(): u64 {
    if (this.count == 0) return u64.MAX_VALUE;
    const now = this.now_ticks;
    let best = u64.MAX_VALUE;
    const at = (<u32>now) & (SLOTS0 - 1);
    for (let i: u32 = 0; i <= 4; i++) {
      // The current word twice: its later bits first, its earlier ones (the next turn) last.
      const word = ((at >> 6) + i) & 3;
      let mask = unchecked(this.bits0[word]);
      if (i == 0) mask &= u64.MAX_VALUE << (at & 63);
      if (i == 4) mask &= ~(u64.MAX_VALUE << (at & 63));
      if (mask != 0) {
        const slot = (word << 6) + <u32>ctz(mask);
        best = now + ((slot - at) & (SLOTS0 - 1));
        break;
      }
    }
    for (let level: u32 = 1; level < LEVELS; level++) {
      const mask = unchecked(this.bits[level]);
      if (mask == 0) continue;
      const shift = levelShift(level);
      const current = now >> shift;
      const index = (<u32>current) & (SLOTS - 1);
      // A slot of a higher level is due when time enters it; the current one has been moved down, so it is a turn away.
      const rotated = rotr<u64>(mask, (index + 1) & 63);
      const tick = (current + 1 + <u64>ctz(rotated)) << shift;
      if (tick < best) best = tick;
    }
    return best;
  }

  // Moves down the slots of higher levels that begin at the current tick.
  private cascade(): void {
    const now = this.now_ticks;
    for (let level: u32 = 1; level < LEVELS; level++) {
      const shift = levelShift(level);
      if (now & (((<u64>1) << shift) - 1)) return;
      const slot = SLOTS0 + (level - 1) * SLOTS + ((<u32>(now >> shift)) & (SLOTS - 1));
      for (let timer = this.first(slot); timer != null; timer = this.first(slot)) {
        this.unlink(timer);
        this.link(timer);
      }
    }
  }


  @inline private first(slot: u32): Timer | null {
    return changetype<Timer | null>(load<usize>(this.slots + slot * sizeof<usize>()));
  }

  private link(timer: Timer): void {
    const now = this.now_ticks;
    // Rounded up: a timer never runs early.
    let tick = <u64>max<i64>(timer.deadline_ns, 0);
    tick = (tick + ((1 << TICK_SHIFT) - 1)) >> TICK_SHIFT;
    if (tick < now) tick = now;
    if (tick - now > MAX_TICKS) tick = now + MAX_TICKS;
    let slot: u32;
    if (tick - now < SLOTS0) {
      slot = (<u32>tick) & (SLOTS0 - 1);
      const word = slot >> 6;
      unchecked((this.bits0[word] |= (<u64>1) << (slot & 63)));
    } else {
      let level: u32 = 1;
      // In a level a timer stands less than a whole turn away, so that its slot is not the current one.
      while ((tick >> levelShift(level)) - (now >> levelShift(level)) >= SLOTS) level++;
      const index = (<u32>(tick >> levelShift(level))) & (SLOTS - 1);
      unchecked((this.bits[level] |= (<u64>1) << index));
      slot = SLOTS0 + (level - 1) * SLOTS + index;
    }
    const at = this.slots + slot * sizeof<usize>();
    const head = changetype<Timer | null>(load<usize>(at));
    if (head == null) {
      timer.next = timer;
      timer.prev = timer;
      store<usize>(at, changetype<usize>(timer));
    } else {
      // At the ring's end: timers of one tick run in the order in which they were set.
      const last = head.prev!;
      last.next = timer;
      timer.prev = last;
      timer.next = head;
      head.prev = timer;
    }
    timer.slot = slot + 1;
    this.count++;
  }

  private unlink(timer: Timer): void {
    const slot = timer.slot - 1;
    const at = this.slots + slot * sizeof<usize>();
    const next = timer.next!;
    if (next == timer) {
      store<usize>(at, 0);
      if (slot < SLOTS0) unchecked((this.bits0[slot >> 6] &= ~((<u64>1) << (slot & 63))));
      else unchecked((this.bits[1 + (slot - SLOTS0) / SLOTS] &= ~((<u64>1) << ((slot - SLOTS0) & (SLOTS - 1)))));
    } else {
      next.prev = timer.prev;
      timer.prev!.next = next;
      if (load<usize>(at) == changetype<usize>(timer)) store<usize>(at, changetype<usize>(next));
    }
    timer.slot = 0;
    timer.next = null;
    timer.prev = null;
    this.count--;
  }
}


@inline
function levelShift(level: u32): u64 {
  return 8 + 6 * <u64>(level - 1);
}
