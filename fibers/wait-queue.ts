// Wait queues: what everything that blocks is made of. Fibers wait in the order in which they came.

import { heapAlloc } from "./memory";
import { suspendUntil, currentTask, wake } from "./scheduler";
import { Task } from "./task";


@unmanaged
export class WaitQueue {
  head: Task | null;
  tail: Task | null;

  /** A queue of its own in unmanaged memory; free it with `heap.free` when nobody waits. */
  static create(): WaitQueue {
    return changetype<WaitQueue>(heapAlloc(offsetof<WaitQueue>()));
  }

  /** Makes the queue empty, before its first use. */
  init(): void {
    this.head = null;
    this.tail = null;
  }


  @inline get isEmpty(): bool {
    return this.head == null;
  }

  /**
   * Suspends the running fiber until it is woken from this queue.
   * @param deadline_ns monotonic time; i64.MAX_VALUE: none
   * @returns what the waker gave, ETIMEDOUT, or EDEADLK outside a fiber
   */
  wait(deadline_ns: i64): i32 {
    const task = currentTask();
    if (task != null) {
      const tail = this.tail;
      task.next = null;
      task.prev = tail;
      if (tail != null) tail.next = task;
      else this.head = task;
      this.tail = task;
      task.queue = changetype<usize>(this);
    }
    return suspendUntil(deadline_ns);
  }

  /** Wakes the fiber that has waited longest; false when nobody waits. */
  wakeOne(result: i32 = 0): bool {
    const task = this.head;
    if (task == null) return false;
    wake(task, result);
    return true;
  }

  /** Wakes all that wait. */
  wakeAll(result: i32 = 0): void {
    while (this.wakeOne(result)) {}
  }
}

/** Takes a task out of the queue that holds it. */
export function removeWaiter(task: Task): void {
  const queue = changetype<WaitQueue>(task.queue);
  const next = task.next;
  const prev = task.prev;
  if (prev != null) prev.next = next;
  else queue.head = next;
  if (next != null) next.prev = prev;
  else queue.tail = prev;
  task.next = null;
  task.prev = null;
  task.queue = 0;
}
