import { Timer, TimerWheel, TICK_SHIFT } from "../../../runtime/loop/timer";

const TICK: i64 = 1 << TICK_SHIFT;

let ranCount: i32 = 0;
let ranSum: usize = 0;
let lastContext: usize = 0;
let clock: i64 = 0;
let early: i32 = 0;
let late: i32 = 0;

function note(timer: Timer): void {
  ranCount++;
  ranSum += timer.context;
  lastContext = timer.context;
  if (clock < timer.deadline_ns) early++;
  // Run at the first tick boundary at or behind its deadline.
  if (clock - timer.deadline_ns >= 2 * TICK) late++;
}

function newTimer(context: usize): Timer {
  const timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));
  timer.init(note, context);
  return timer;
}

let again: TimerWheel | null = null;
function setAgain(timer: Timer): void {
  ranCount++;
  again!.set(timer, timer.deadline_ns + 5 * TICK);
}

function reset(): void {
  ranCount = 0;
  ranSum = 0;
  early = 0;
  late = 0;
}

/** Steps the wheel from deadline to deadline until `end`, as the loop does. */
function drive(wheel: TimerWheel, end: i64): void {
  while (wheel.nextDeadline() <= end) {
    clock = max(clock, wheel.nextDeadline());
    wheel.run(clock, 1000);
  }
  clock = end;
  wheel.run(clock, 1000000);
}

describe("the timer wheel", () => {
  beforeEach(() => {
    reset();
    clock = 0;
  });

  test("runs nothing before its deadline and everything at it", () => {
    const wheel = new TimerWheel(0);
    wheel.set(newTimer(1), 10 * TICK);
    wheel.run(10 * TICK - 1, 100);
    expect(ranCount).toBe(0);
    clock = 10 * TICK;
    wheel.run(clock, 100);
    expect(ranCount).toBe(1);
    expect(wheel.count).toBe(0);
  });

  test("rounds a deadline inside a tick up, never down", () => {
    const wheel = new TimerWheel(0);
    wheel.set(newTimer(1), 3 * TICK + 1);
    clock = 3 * TICK;
    wheel.run(clock, 100);
    expect(ranCount).toBe(0);
    clock = 4 * TICK;
    wheel.run(clock, 100);
    expect(ranCount).toBe(1);
    expect(early).toBe(0);
  });

  test("runs a timer in the past at the next run", () => {
    const wheel = new TimerWheel(1000 * TICK);
    wheel.set(newTimer(7), 5);
    expect(wheel.nextDeadline()).toBeLessThanOrEqual(1000 * TICK);
    clock = 1000 * TICK;
    wheel.run(clock, 100);
    expect(ranCount).toBe(1);
  });

  test("an idle wheel names no deadline", () => {
    const wheel = new TimerWheel(5);
    expect(wheel.nextDeadline()).toBe(i64.MAX_VALUE);
    const timer = newTimer(1);
    wheel.set(timer, 100 * TICK);
    wheel.cancel(timer);
    expect(wheel.nextDeadline()).toBe(i64.MAX_VALUE);
    expect(timer.isSet).toBe(false);
  });

  test("a cancelled timer does not run, and cancelling twice is harmless", () => {
    const wheel = new TimerWheel(0);
    const a = newTimer(1);
    const b = newTimer(2);
    const c = newTimer(4);
    wheel.set(a, 10 * TICK);
    wheel.set(b, 10 * TICK);
    wheel.set(c, 10 * TICK);
    wheel.cancel(b);
    wheel.cancel(b);
    drive(wheel, 20 * TICK);
    expect(ranSum).toBe(5);
    expect(wheel.count).toBe(0);
  });

  test("setting a set timer moves it", () => {
    const wheel = new TimerWheel(0);
    const timer = newTimer(1);
    wheel.set(timer, 10 * TICK);
    wheel.set(timer, 300000 * TICK);
    expect(wheel.count).toBe(1);
    drive(wheel, 299999 * TICK);
    expect(ranCount).toBe(0);
    drive(wheel, 300000 * TICK);
    expect(ranCount).toBe(1);
  });

  test("timers of one tick run in the order in which they were set", () => {
    const wheel = new TimerWheel(0);
    for (let i: usize = 1; i <= 5; i++) wheel.set(newTimer(i), 10 * TICK);
    clock = 10 * TICK;
    for (let i: usize = 1; i <= 5; i++) {
      wheel.run(clock, 1);
      expect(lastContext).toBe(i);
    }
  });

  test("a budget leaves the rest for the next run", () => {
    const wheel = new TimerWheel(0);
    for (let i = 0; i < 10; i++) wheel.set(newTimer(1), 10 * TICK);
    clock = 10 * TICK;
    expect(wheel.run(clock, 4)).toBe(4);
    expect(wheel.nextDeadline()).toBeLessThanOrEqual(clock);
    expect(wheel.run(clock, 100)).toBe(6);
  });

  test("a timer may set itself again from its callback", () => {
    const wheel = new TimerWheel(0);
    again = wheel;
    const timer = newTimer(1);
    timer.init(setAgain, 0);
    wheel.set(timer, 5 * TICK);
    drive(wheel, 52 * TICK);
    expect(ranCount).toBe(10);
    wheel.cancel(timer);
  });

  test("every distance from a tick to centuries ends in its tick", () => {
    const wheel = new TimerWheel(12345 * TICK);
    clock = 12345 * TICK;
    let n = 0;
    for (let shift: i64 = 0; shift < 42; shift++) {
      for (let near: i64 = -1; near <= 1; near++) {
        const distance = ((<i64>1) << shift) + near;
        wheel.set(newTimer(1), clock + distance * TICK);
        n++;
      }
    }
    drive(wheel, clock + (((<i64>1) << 42) + 2) * TICK);
    expect(ranCount).toBe(n);
    expect(early).toBe(0);
    expect(late).toBe(0);
  });

  test("random sets, moves and cancels agree with a plain list", () => {
    const wheel = new TimerWheel(0);
    const N = 500;
    const timers: usize[] = [];
    const due: i64[] = [];
    for (let i = 0; i < N; i++) {
      timers.push(changetype<usize>(newTimer(1)));
      due.push(-1);
    }
    let seed: u64 = 0x9e3779b97f4a7c15;
    let expected = 0;
    for (let step = 0; step < 20000; step++) {
      seed ^= seed << 13;
      seed ^= seed >> 7;
      seed ^= seed << 17;
      const i = <i32>(seed % N);
      const timer = changetype<Timer>(timers[i]);
      if (((seed >> 20) & 3) == 0) {
        wheel.cancel(timer);
        due[i] = -1;
      } else {
        const span = (<u64>1) << ((seed >> 24) % 34);
        due[i] = clock + <i64>((seed >> 8) % span) + 1;
        wheel.set(timer, due[i]);
      }
      clock += <i64>((seed >> 40) & 0xfffff);
      wheel.run(clock, 1000000);
      for (let k = 0; k < N; k++) {
        if (due[k] < 0) continue;
        const rounded = (due[k] + TICK - 1) & ~(TICK - 1);
        const set = changetype<Timer>(timers[k]).isSet;
        if (rounded <= (clock & ~(TICK - 1))) {
          assert(!set, "a timer is overdue");
          due[k] = -1;
          expected++;
        } else {
          assert(set, "a timer ran early");
        }
      }
      assert(ranCount == expected);
    }
    expect(ranCount).toBeGreaterThan(1000);
    expect(early).toBe(0);
  });
});
