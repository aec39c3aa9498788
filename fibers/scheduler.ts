// The scheduler of a core: cooperative fibers, each on its own native stack, run by the event loop one after another.
//
//   loop's stack --poll--> switch to a ready fiber --- suspend, yield_, end ---> switch back to the loop's stack
//
// Invariants
// 1. A fiber runs until it suspends. Nothing preempts it; interrupts only set bits.
// 2. A task is in the ready queue exactly when its state is READY.
// 3. A parked task is woken by whoever holds it (a wait queue, a timer, a join), once.

import { collectAtSwitch, loopNow, LOOP_STACK, panic, Source, stackCreate, stackFree, stackSwitch, Timer, timers, Errno } from "../runtime";
import { giveTask, takeTask, Task, TaskState } from "./task";
import { removeWaiter } from "./wait-queue";

/** Bytes of a fiber's stack when nothing else is said. */
export const DEFAULT_STACK_BYTES: i32 = 65536;
/** Fibers run in a turn of the loop, at most: packets and timers get their turn too. */
const RUN_BUDGET: u32 = 256;

let current: Task | null = null;
let readyHead: Task | null = null;
let readyTail: Task | null = null;
let readyCount: u32 = 0;

/** Fibers that can run now. */
@inline
export function readyFibers(): u32 {
  return readyCount;
}

/** The running fiber's task, or null on the loop's stack. */
@inline
export function currentTask(): Task | null {
  return current;
}

function pushReady(task: Task): void {
  task.state = TaskState.READY;
  task.next = null;
  const tail = readyTail;
  if (tail != null) tail.next = task;
  else readyHead = task;
  readyTail = task;
  readyCount++;
}

/** Where each fiber starts: on its own stack, with the argument that `spawn` was given. */
function fiberEntry(arg: usize): void {
  const task = current!;
  call_indirect<void>(task.entry, arg);
  for (let joiner = task.joiners; joiner != null; ) {
    const next: Task | null = joiner.nextJoiner;
    wake(joiner, 0);
    joiner = next;
  }
  task.joiners = null;
  ended = task;
  stackSwitch(LOOP_STACK);
}

// The fiber that has just ended: its stack is given back from the loop's.
let ended: Task | null = null;

/** Makes a fiber that runs the function of that table index with `arg`; null when there is no memory for its stack. */
export function spawnTask(entry: u32, arg: usize, stackBytes: i32): Task | null {
  const stack = stackCreate(stackBytes, fiberEntry.index, arg);
  if (stack < 0) return null;
  const task = takeTask();
  task.stack = stack;
  task.stackBytes = stackBytes;
  task.entry = entry;
  pushReady(task);
  return task;
}

/**
 * Suspends the running fiber until `wake`.
 * @returns what `wake` was given
 */
export function suspend(): i32 {
  const task = current;
  if (task == null) {
    blockedOutside();
    return Errno.EDEADLK;
  }
  task.state = TaskState.PARKED;
  stackSwitch(LOOP_STACK);
  return task.result;
}

function blockedOutside(): void {
  const text = String.UTF8.encode("a call that blocks was made outside a fiber");
  panic(changetype<usize>(text), text.byteLength);
}

/** Makes a parked task ready; nothing happens to one that is not parked. */
export function wake(task: Task, result: i32): void {
  if (task.state != TaskState.PARKED) return;
  if (task.timer.isSet) timers().cancel(task.timer);
  if (task.queue != 0) removeWaiter(task);
  task.result = result;
  pushReady(task);
}

function timeOut(timer: Timer): void {
  wake(changetype<Task>(timer.context), Errno.ETIMEDOUT);
}

/**
 * Suspends the running fiber until `wake` or the deadline.
 * @param deadline_ns monotonic; i64.MAX_VALUE: none
 * @returns what `wake` was given, or ETIMEDOUT
 */
export function suspendUntil(deadline_ns: i64): i32 {
  const task = current;
  if (task != null && deadline_ns != i64.MAX_VALUE) {
    task.timer.init(timeOut, changetype<usize>(task));
    timers().set(task.timer, deadline_ns);
  }
  return suspend();
}

/** Lets the other ready fibers, and devices and timers, have their turn. */
export function yieldFiber(): void {
  const task = current;
  if (task == null) {
    blockedOutside();
    return;
  }
  pushReady(task);
  stackSwitch(LOOP_STACK);
}

/** Runs ready fibers from the loop. */
export class Scheduler extends Source {
  poll(pending: i32, now_ns: i64): bool {
    // Only those that were ready at the start: fibers that wake one another must not hold the loop.
    for (let n = min(readyCount, RUN_BUDGET); n > 0; n--) {
      const task = readyHead!;
      readyHead = task.next;
      if (readyHead == null) readyTail = null;
      readyCount--;
      task.next = null;
      task.state = TaskState.RUNNING;
      current = task;
      stackSwitch(task.stack);
      current = null;
      collectAtSwitch();
      if (ended != null) {
        stackFree(task.stack);
        giveTask(task);
        ended = null;
      }
    }
    return readyCount > 0;
  }

  arm(): bool {
    return readyCount > 0;
  }
}

/** Now, on the clock that deadlines use: the time at which this turn of the loop began, ns. */
@inline
export function now(): i64 {
  return loopNow();
}
