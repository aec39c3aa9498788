// The stack of a machine: one for each core, driven by the core's event loop. The only file of net/ below net/socket
// that knows the loop, the clock
// and the platform's randomness; tests drive a Stack by hand instead.

import { addSource, clockMonotonic, log, random, Source } from "../runtime";
import { Limits, Stack } from "./stack";

/** Timers of the stack that run in a turn, at most. */
const TIMER_BUDGET: u32 = 4096;

class StackSource extends Source {
  constructor(private readonly stack: Stack) {
    super();
  }

  poll(pending: i32, now_ns: i64): bool {
    this.stack.now_ns = now_ns;
    return this.stack.wheel.run(now_ns, TIMER_BUDGET) == TIMER_BUDGET;
  }

  flush(): void {
    this.stack.turn();
  }

  arm(): bool {
    return this.stack.busy;
  }

  // Its cards are sources of their own.
  wakes(): bool {
    return false;
  }

  deadline(): i64 {
    return this.stack.wheel.nextDeadline();
  }
}

let stackOfCore: Stack | null = null;

/** This core's stack, or null before `startStack`. */
export function coreStack(): Stack | null {
  return stackOfCore;
}

function toLog(level: i32, text: string): void {
  log(level, text);
}

/**
 * Makes the core's stack and adds it to the loop. Before the drivers are added, so that it knows the time of the turn
 * when they call it.
 */
export function startStack(limits: Limits = new Limits()): Stack {
  const seeds = new StaticArray<u64>(2);
  random(changetype<usize>(seeds), 16);
  const stack = new Stack(clockMonotonic(), seeds[0], seeds[1], limits);
  stack.log = toLog;
  stackOfCore = stack;
  addSource(new StackSource(stack));
  return stack;
}
