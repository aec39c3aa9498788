// Fibers: cooperative threads of a core. What blocks looks blocking and lets others run.

import { initPackets, addSource, Errno, runLoop, exit, watchdog } from "../runtime";
import {
  currentTask,
  DEFAULT_STACK_BYTES,
  now,
  Scheduler,
  spawnTask,
  suspend,
  suspendUntil,
  yieldFiber,
} from "./scheduler";
import { nameTask, Task, TaskFlag } from "./task";

export { Call, callOn } from "./call-on";
export { Channel } from "./channel";
export { CondVar, Mutex, Semaphore, WaitGroup } from "./sync";
export { WaitQueue } from "./wait-queue";
export { now } from "./scheduler";
export { fiberCount } from "./task";

/** A fiber that was spawned. Keeping it, or not, has no influence on the fiber. */
export class Fiber {
  constructor(
    private task: Task,
    private generation: u32,
  ) {}

  /** Whether its function has returned. */
  get ended(): bool {
    return this.task.generation != this.generation;
  }

  /**
   * Waits until the fiber has ended.
   * @returns 0; ETRAP when a trap ended it; EDEADLK for a fiber that would wait for itself
   */
  join(): i32 {
    if (this.ended) return 0;
    const self = currentTask();
    if (self == this.task) return Errno.EDEADLK;
    if (self != null) {
      self.nextJoiner = this.task.joiners;
      this.task.joiners = self;
    }
    return suspend();
  }
}

/**
 * Starts a fiber that runs `fn(arg)`. It runs when the running fiber suspends.
 * @param arg a reference or a number of at most 32 bits
 * @param stackBytes bytes of its native stack, 16 KiB to 32 MiB
 * @returns the fiber, or null when there is no memory for its stack
 */
export function spawn<T>(fn: (arg: T) => void, arg: T, stackBytes: i32 = DEFAULT_STACK_BYTES): Fiber | null {
  const raw = isReference<T>() ? changetype<usize>(arg) : <usize>arg;
  const task = spawnTask(fn.index, raw, stackBytes);
  return task != null ? new Fiber(task, task.generation) : null;
}

/** Lets other fibers run. */
export function yield_(): void {
  yieldFiber();
}

/** Suspends the running fiber for `duration_ms` milliseconds. */
export function sleep(duration_ms: i64): void {
  suspendUntil(now() + duration_ms * 1_000_000);
}

/** How long a fiber may hold the core before it is reported, until a configuration says otherwise. */
const REPORT_NS: i64 = 50_000_000;

let service: () => void = () => {};

function runService(_: usize): void {
  service();
}

/** Boots the runtime, runs `main` as the first fiber, and the loop until it is stopped. The toolchain's entry calls this. */
export function run(main: () => void): void {
  initPackets();
  addSource(new Scheduler(), true);
  service = main;
  const main_ = spawnTask(runService.index, 0, 4 * DEFAULT_STACK_BYTES)!;
  main_.flags = TaskFlag.ESSENTIAL;
  nameTask(main_, "main");
  watchdog(REPORT_NS, i64.MAX_VALUE, i64.MAX_VALUE);
  runLoop();
  exit(0);
}
