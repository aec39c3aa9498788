// Tasks: what the scheduler knows of a fiber. Recycled, never freed, so that a stale reference is harmless: a task's
// generation says whether it is still the fiber that somebody meant.
//
//            spawn                 scheduler                    suspend
//   FREE ----------> READY ----------------------> RUNNING ----------------> PARKED
//    ^                 ^                              |                         |
//    |                 +------------------------------------- wake -------------+
//    +------------------------- its function has returned

import { heapAlloc } from "./memory";
import { Timer } from "../runtime";

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
  /** Runs out when the task has waited long enough. */
  timer: Timer;
  /** First of the tasks that wait for this one's end, linked through `nextJoiner`. */
  joiners: Task | null;
  nextJoiner: Task | null;
}

let freeTasks: Task | null = null;
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
  task.next = null;
  task.prev = null;
  task.queue = 0;
  task.result = 0;
  task.joiners = null;
  task.nextJoiner = null;
  fiberCount++;
  return task;
}

/** Gives a task back: whoever still means its fiber sees that it has ended. */
export function giveTask(task: Task): void {
  task.generation++;
  task.state = TaskState.FREE;
  task.next = freeTasks;
  freeTasks = task;
  fiberCount--;
}
