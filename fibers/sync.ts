// Mutual exclusion and waiting among fibers of one core: fair, first come first served.

import { Errno } from "../runtime";
import { currentTask } from "./scheduler";
import { Task } from "./task";
import { WaitQueue } from "./wait-queue";

/** Lets at most `permits` fibers through at a time. */
export class Semaphore {
  private readonly waiting: WaitQueue = WaitQueue.create();

  constructor(private permits: i32) {}

  /** Takes a permit; waits for one. @returns 0, ETIMEDOUT, ECANCELED */
  acquire(deadline_ns: i64 = i64.MAX_VALUE): i32 {
    if (this.permits > 0 && this.waiting.isEmpty) {
      this.permits--;
      return 0;
    }
    // A released permit is handed to the first waiter, so that nobody overtakes it.
    return this.waiting.wait(deadline_ns);
  }

  /** Takes a permit if there is one. */
  tryAcquire(): bool {
    if (this.permits <= 0 || !this.waiting.isEmpty) return false;
    this.permits--;
    return true;
  }

  /** Gives a permit back. */
  release(): void {
    if (!this.waiting.wakeOne()) this.permits++;
  }

  /** Permits that nobody has. */
  get available(): i32 {
    return this.permits;
  }
}

/** A lock that one fiber holds; needed only around code that suspends, because nothing else lets another fiber run. */
export class Mutex {
  private owner: Task | null = null;
  private readonly waiting: WaitQueue = WaitQueue.create();

  /** @returns 0; EDEADLK when the fiber holds it already; ETIMEDOUT, ECANCELED */
  lock(deadline_ns: i64 = i64.MAX_VALUE): i32 {
    const self = currentTask();
    if (this.owner == null) {
      this.owner = self;
      return 0;
    }
    if (this.owner == self) return Errno.EDEADLK;
    return this.waiting.wait(deadline_ns);
  }

  tryLock(): bool {
    if (this.owner != null) return false;
    this.owner = currentTask();
    return true;
  }

  /** @returns 0, or EPERM when the fiber does not hold it */
  unlock(): i32 {
    if (this.owner == null || this.owner != currentTask()) return Errno.EPERM;
    // The next owner is named before it runs: nobody gets in between.
    this.owner = this.waiting.head;
    this.waiting.wakeOne();
    return 0;
  }

  get locked(): bool {
    return this.owner != null;
  }
}

/** Waits for a condition under a mutex. */
export class CondVar {
  private readonly waiting: WaitQueue = WaitQueue.create();

  /**
   * Unlocks `mutex`, waits for `signal`, locks again. Check the condition in a loop.
   * @returns 0, ETIMEDOUT, ECANCELED, the mutex being locked in each case; EPERM when it was not
   */
  wait(mutex: Mutex, deadline_ns: i64 = i64.MAX_VALUE): i32 {
    const unlocked = mutex.unlock();
    if (unlocked < 0) return unlocked;
    const waited = this.waiting.wait(deadline_ns);
    mutex.lock();
    return waited;
  }

  signal(): void {
    this.waiting.wakeOne();
  }
  broadcast(): void {
    this.waiting.wakeAll();
  }
}

/** Waits until as many `done` as `add` were counted. */
export class WaitGroup {
  private count: i32 = 0;
  private readonly waiting: WaitQueue = WaitQueue.create();

  add(n: i32 = 1): void {
    this.count += n;
  }
  /** @returns 0, or EINVAL for more `done` than `add` */
  done(): i32 {
    if (this.count == 0) return Errno.EINVAL;
    if (--this.count == 0) this.waiting.wakeAll();
    return 0;
  }
  /** @returns 0, ETIMEDOUT, ECANCELED */
  wait(deadline_ns: i64 = i64.MAX_VALUE): i32 {
    return this.count == 0 ? 0 : this.waiting.wait(deadline_ns);
  }
}
