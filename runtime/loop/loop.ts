// The event loop of a core, to which interrupts are deferred.
//
//   turn:  take the pending word -> poll devices in batches -> run due timers -> run ready fibers
//          -> send what they queued, one notification a device -> collect a little -> halt, if nothing is left
//
// Invariants
// 1. Every source has a budget in a turn, so that none starves another; a source with work left says so and the loop does
//    not halt.
// 2. An interrupt that comes after the pending word was taken makes `wait` return at once.
// 3. `loopNow()` is read once a turn: everything that happens in a turn happens at one time.

import { clockMonotonic, Pending, pendingTake, wait } from "../platform";
import { logReports } from "../log";
import { counter } from "../notes";
import { collectDue, collectStep } from "../memory/collector";
import { TimerWheel } from "./timer";

/** Timers run in a turn, at most. */
const TIMER_BUDGET: u32 = 1024;
/** Objects that the collector looks at in a turn, at most. */
const COLLECT_BUDGET: u32 = 2048;

/** A source of work: a device driver, the network stack, the fiber scheduler. */
export abstract class Source {
  /**
   * Does what is there to do, up to the source's own budget.
   * @param pending bits of the pending word of this turn; a source looks only at its own, and may poll without
   * @returns true when there is more to do at once
   */
  abstract poll(pending: i32, now_ns: i64): bool;

  /** Called at the end of a turn, after all sources were polled: hand over what was queued. */
  flush(): void {}

  /**
   * Called before the core halts: arm the interrupt.
   * @returns true when there is work after all, so that the core must not halt
   */
  arm(): bool {
    return false;
  }

  /** Whether something outside this core's program, a device or another core, can give the source work. */
  wakes(): bool {
    return true;
  }

  /** Called when the core is about to halt for ever: there is no timer, and nothing outside can wake it. */
  stuck(): void {}

  /** When the source wants its turn although nothing raises an interrupt: its own timers. Monotonic, ns. */
  deadline(): i64 {
    return i64.MAX_VALUE;
  }
}

let now_ns: i64 = 0;
let running = false;
const sources: Source[] = [];
let wheel: TimerWheel | null = null;
let lateCount = 0;
let shutdownHandler: Source | null = null;

const turns = counter("loop turns");
const halts = counter("loop halts");

/** Turns of the loop, and times that it halted. */
export function loopTurns(): u64 {
  return turns.value;
}
export function loopHalts(): u64 {
  return halts.value;
}

/** Monotonic time at the start of this turn, ns. */
@inline
export function loopNow(): i64 {
  return now_ns;
}

/** The core's timers. */
export function timers(): TimerWheel {
  let w = wheel;
  if (w == null) {
    now_ns = clockMonotonic();
    w = new TimerWheel(now_ns);
    wheel = w;
  }
  return w;
}

/**
 * Adds a source; sources are polled in the order in which they were added, late ones (the scheduler, which consumes what the
 * others bring) behind the others.
 */
export function addSource(source: Source, late: bool = false): void {
  sources.push(source);
  if (late) {
    lateCount++;
    return;
  }
  for (let i = sources.length - 1; i > sources.length - 1 - lateCount; i--) {
    sources[i] = sources[i - 1];
    sources[i - 1] = source;
  }
}

/** Names who is polled once with `Pending.SHUTDOWN` when the machine is to end; without, the loop ends. */
export function onShutdown(handler: Source): void {
  shutdownHandler = handler;
}

/** Ends the loop after this turn. */
export function stopLoop(): void {
  running = false;
}

function canWake(): bool {
  for (let i = 0; i < sources.length; i++) if (unchecked(sources[i]).wakes()) return true;
  return false;
}

/** Runs the loop until `stopLoop`. */
export function runLoop(): void {
  const w = timers();
  running = true;
  while (running) {
    const pending = pendingTake();
    now_ns = clockMonotonic();
    turns.value++;
    if (pending & Pending.REPORT) logReports();
    if (pending & Pending.SHUTDOWN) {
      const handler = shutdownHandler;
      if (handler == null) return;
      handler.poll(pending, now_ns);
    }
    const ran = w.run(now_ns, TIMER_BUDGET);
    let more = ran == TIMER_BUDGET;
    const count = sources.length;
    for (let i = 0; i < count; i++) {
      if (unchecked(sources[i]).poll(pending, now_ns)) more = true;
    }
    for (let i = 0; i < count; i++) unchecked(sources[i]).flush();
    collectStep(COLLECT_BUDGET);
    // A source that was added in this turn has its first one before the core halts.
    if (more || !running || collectDue() || sources.length != count) continue;
    let deadline = w.nextDeadline();
    for (let i = 0; i < count; i++) {
      const source = unchecked(sources[i]);
      if (source.arm()) more = true;
      deadline = min(deadline, source.deadline());
    }
    if (more) continue;
    if (deadline == i64.MAX_VALUE && shutdownHandler == null && !canWake())
      for (let i = 0; i < count; i++) unchecked(sources[i]).stuck();
    halts.value++;
    wait(deadline);
  }
}
