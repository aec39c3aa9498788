// The scheduler of a core: cooperative fibers, each on its own native stack, run by the event loop one after another.
//
//   loop's stack --poll--> a ready fiber --suspend, yield_, end--> the next ready fiber --> ... --> loop's stack
//
// A fiber that suspends hands over to the next ready one directly; the turn's budget decides when the loop is back.
//
// Invariants
// 1. A fiber runs until it suspends. Nothing preempts it; interrupts only set bits.
// 2. A task is in the ready queue exactly when its state is READY.
// 3. `current` is the task whose stack runs; null on the loop's stack. Who switches sets it before.
// 4. A fiber that a trap has ended leaves `current` set when the loop is back: nothing else does.
// 5. A parked task is woken by whoever holds it (a wait queue, a timer, a join), once.

import {
  collectAtSwitch,
  counter,
  fibersReport,
  logReports,
  stressing,
  log,
  decimal,
  LogLevel,
  loopNow,
  LOOP_STACK,
  panic,
  Source,
  stackCreate,
  stackFree,
  stackSwitch,
  Timer,
  timers,
  trapTaken,
  Errno,
} from "../runtime";
import { describeTask, fiberCount, giveTask, labelOf, takeTask, Task, TaskState } from "./task";
import { removeWaiter } from "./wait-queue";

/** Bytes of a fiber's stack when nothing else is said. */
export const DEFAULT_STACK_BYTES: i32 = 65536;
/** Switches to fibers in a turn of the loop, at most: packets and timers get their turn too. */
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

let budget: u32 = 0;

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
  reap();
  const task = current!;
  call_indirect<void>(task.entry, arg);
  settle(task, 0);
  ended = task;
  switchAway(nextReady());
}

// What every end of a fiber does: who waits for it learns how it ended.
function settle(task: Task, result: i32): void {
  for (let joiner = task.joiners; joiner != null;) {
    const next: Task | null = joiner.nextJoiner;
    wake(joiner, result);
    joiner = next;
  }
  task.joiners = null;
}

const trapped = counter("fibers ended by traps");

// On the loop's stack: the platform has ended the running fiber by a trap (it resumed the loop as if the fiber had switched to
// it). It was in service code, so it is in no queue and no timer of its runs.
function cleanUp(task: Task): void {
  current = null;
  trapTaken();
  trapped.value++;
  if (task.timer.isSet) timers().cancel(task.timer);
  if (task.queue != 0) removeWaiter(task);
  settle(task, Errno.ETRAP);
  log(LogLevel.ERROR, "fiber " + describeTask(task) + " was ended by a trap");
  stackFree(task.stack);
  giveTask(task);
}

// The fiber that has just ended: whoever runs next gives its stack back.
let ended: Task | null = null;


@inline
function reap(): void {
  const task = ended;
  if (task == null) return;
  ended = null;
  stackFree(task.stack);
  giveTask(task);
}

// The fiber to run next in this turn, taken from the ready queue; null when it is the loop's turn.
@inline
function nextReady(): Task | null {
  return stressing() ? null : takeReady();
}


@inline
function takeReady(): Task | null {
  const task = readyHead;
  if (task == null || budget == 0) return null;
  budget--;
  readyHead = task.next;
  if (readyHead == null) readyTail = null;
  readyCount--;
  task.next = null;
  task.state = TaskState.RUNNING;
  return task;
}

// Gives the core to `task`, or to the loop; returns when the running fiber is resumed.
@inline
function switchAway(task: Task | null): void {
  current = task;
  stackSwitch(task != null ? task.stack : LOOP_STACK);
  reap();
}

/** Makes a fiber that runs the function of that table index with `arg`; null when there is no memory for its stack. */
export function spawnTask(entry: u32, arg: usize, stackBytes: i32): Task | null {
  const task = takeTask();
  const stack = stackCreate(stackBytes, fiberEntry.index, arg, labelOf(task));
  if (stack < 0) {
    giveTask(task);
    return null;
  }
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
  switchAway(nextReady());
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
  // Alone, it lets the loop have its turn; otherwise the others, and the loop when the budget is used up.
  const next = nextReady();
  pushReady(task);
  switchAway(next);
}

/** Runs ready fibers from the loop. */
export class Scheduler extends Source {
  /** The deadlock that the fibers are in was reported. */
  private said: bool = false;

  poll(pending: i32, now_ns: i64): bool {
    budget = RUN_BUDGET;
    if (readyCount > 0) this.said = false;
    for (let task = takeReady(); task != null; task = takeReady()) {
      switchAway(task);
      const victim = current;
      if (victim != null) cleanUp(victim);
      collectAtSwitch();
    }
    return readyCount > 0;
  }

  arm(): bool {
    return readyCount > 0;
  }

  wakes(): bool {
    return false;
  }

  // The fibers that are left wait for one another.
  stuck(): void {
    if (fiberCount == 0 || this.said) return;
    this.said = true;
    log(LogLevel.ERROR, "deadlock: nothing can ever wake the fibers that wait, " + decimal(fiberCount) + " in all");
    fibersReport();
    logReports();
  }
}

/** Now, on the clock that deadlines use: the time at which this turn of the loop began, ns. */
@inline
export function now(): i64 {
  return loopNow();
}
