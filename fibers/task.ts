// Tasks: what the scheduler knows of a fiber. Recycled, never freed, so that a stale reference is harmless: a task's
// generation says whether it is still the fiber that somebody meant.
//
//            spawn                 scheduler                    suspend
//   FREE ----------> READY ----------------------> RUNNING ----------------> PARKED
//    ^                 ^                              |                         |
//    |                 +------------------------------------- wake -------------+
//    +------------------------- its function has returned

import { heapAlloc } from "./memory";
import { decimal, Timer } from "../runtime";

export const enum TaskState {
  FREE,
  READY,
  RUNNING,
  PARKED,
}


@unmanaged
export class Task {
  /** Link in the ready queue, in a wait queue or in the list of free tasks. */
  next: Task | null;
  prev: Task | null;
  /** The wait queue that holds the task, an address; 0 when none does. */
  queue: usize;
  state: TaskState;
  /** What `suspend` returns: 0, or an error code. */
  result: i32;
  stack: i32;
  stackBytes: i32;
  /** Index of the fiber's function in the function table. */
  entry: u32;
  generation: u32;
  /** What the platform's reports read (`struct label` in boot/platform/common/trap.c): in this order, together. */
  number: u32;
  flags: u32;
  nameBytes: u32;
  name0: u32;
  name1: u32;
  name2: u32;
  name3: u32;
  name4: u32;
  name5: u32;
  /** Runs out when the task has waited long enough. */
  timer: Timer;
  /** First of the tasks that wait for this one's end, linked through `nextJoiner`. */
  joiners: Task | null;
  nextJoiner: Task | null;
}

/** Bits of `flags`. */
export const enum TaskFlag {
  /** A trap in it ends the machine: nothing would be left that does the service's work. */
  ESSENTIAL = 1,
}
/** Bytes of a name. */
const NAME_BYTES: i32 = 24;

let freeTasks: Task | null = null;
let lastNumber: u32 = 0;
/** Fibers that exist now. */
export let fiberCount: u32 = 0;

/** A task in state FREE with a new generation. */
export function takeTask(): Task {
  let task = freeTasks;
  if (task != null) {
    freeTasks = task.next;
  } else {
    task = changetype<Task>(heapAlloc(offsetof<Task>()));
    task.timer = changetype<Timer>(heapAlloc(offsetof<Timer>()));
  }
  task.number = ++lastNumber;
  task.flags = 0;
  task.nameBytes = 0;
  task.next = null;
  task.prev = null;
  task.queue = 0;
  task.result = 0;
  task.joiners = null;
  task.nextJoiner = null;
  fiberCount++;
  return task;
}

/** Where the platform finds number and name. */
@inline
export function labelOf(task: Task): usize {
  return changetype<usize>(task) + offsetof<Task>("number");
}

/** Names the fiber for reports; what is longer than 24 bytes is cut. */
export function nameTask(task: Task, name: string): void {
  const units = min(name.length, NAME_BYTES);
  for (let i = 0; i < units; i++) {
    const c = name.charCodeAt(i);
    store<u8>(changetype<usize>(task) + i, c < 0x80 ? <u8>c : 0x3f, offsetof<Task>("name0"));
  }
  task.nameBytes = units;
}

/** Its number and, where it has one, its name. */
export function describeTask(task: Task): string {
  const number = decimal(task.number);
  if (task.nameBytes == 0) return number;
  return (
    number + " (" + String.UTF8.decodeUnsafe(changetype<usize>(task) + offsetof<Task>("name0"), task.nameBytes) + ")"
  );
}

/** Gives a task back: whoever still means its fiber sees that it has ended. */
export function giveTask(task: Task): void {
  task.generation++;
  task.state = TaskState.FREE;
  task.next = freeTasks;
  freeTasks = task;
  fiberCount--;
}
