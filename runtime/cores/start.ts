// The start of the other cores, from core 0's loop in short steps.
// clang: -Oz

import { CORES_MAX, CoreState, coreState, coresStart } from "../platform";
import { log, LogLevel } from "../log";
import { loopNow, timers } from "../loop/loop";
import { Timer } from "../loop/timer";
import { coreCount, coreNumber, initCores } from "./cores";
import { openPublished } from "./published";

let started = false;
let wanted: u32 = CORES_MAX;

/** How many cores are to be used, this one included: before they start. */
export function useCores(count: u32): void {
  wanted = max<u32>(count, 1);
}

/** Cores that are used once they have started. */
export function coresWanted(): u32 {
  return min(wanted, coreCount());
}

/**
 * Joins the cores: each calls it in its `main`, core 0 when the others are to run. There it starts them, each with an
 * instance and a `main` of its own, and returns at once; on the others it makes them reachable. Once; more do nothing.
 * An image that never calls it carries nothing of the cores.
 */
export function startCores(): void {
  initCores();
  if (started || coreNumber() != 0 || coresWanted() < 2) return;
  started = true;
  if (!openPublished()) {
    log(LogLevel.ERROR, "no memory for what the cores share: core 0 works alone");
    return;
  }
  const timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));
  memory.fill(changetype<usize>(timer), 0, offsetof<Timer>());
  timer.init(startStep, 0);
  startStep(timer);
}

function startStep(timer: Timer): void {
  const wait_ns = coresStart(<i32>coresWanted());
  if (wait_ns > 0) timers().set(timer, loopNow() + wait_ns);
}

/** Cores that run, this one included. */
export function coresUp(): u32 {
  let up: u32 = 0;
  for (let core: u32 = 0, n = coreCount(); core < n; core++) if (coreState(core) == CoreState.UP) up++;
  return up;
}
