// Channels: bounded queues between fibers of one core.
//
//   send -> [ ring of `capacity` values ] -> receive          capacity 0: a sender waits until a receiver has its value
//
// Invariants
// 1. A value sent is received once, in the order of the sends. What was sent before `close` is still received.
// 2. A fiber waits in `receivers` only while the ring is empty, in `senders` only while it is full.

import { Errno } from "../runtime";
import { WaitQueue } from "./wait-queue";

export class Channel<T> {
  private readonly ring: StaticArray<T>;
  private head: i32 = 0;
  private count: i32 = 0;
  private closed_: bool = false;
  private readonly receivers: WaitQueue = WaitQueue.create();
  private readonly senders: WaitQueue = WaitQueue.create();
  private readonly handovers: WaitQueue = WaitQueue.create();
  private readonly rendezvous: bool;
  /** What the last successful `receive` took: read it before the fiber suspends again. */
  value!: T;

  /** @param capacity values that it holds before a sender has to wait, 0 to 1,000,000 */
  constructor(capacity: i32 = 0) {
    assert(capacity >= 0 && capacity <= 1_000_000, "a channel's capacity is 0 to 1,000,000");
    this.rendezvous = capacity == 0;
    this.ring = new StaticArray<T>(max(capacity, 1));
  }

  /** Values that wait for a receiver. */
  get length(): i32 {
    return this.count;
  }
  get closed(): bool {
    return this.closed_;
  }

  /**
   * Sends a value; waits while the channel is full (with capacity 0: until it was received).
   * @param deadline_ns monotonic; i64.MAX_VALUE: none
   * @returns 0; EPIPE when the channel is closed; ETIMEDOUT, ECANCELED: the value was not sent
   */
  send(value: T, deadline_ns: i64 = i64.MAX_VALUE): i32 {
    while (!this.closed_ && this.count == this.ring.length) {
      const waited = this.senders.wait(deadline_ns);
      if (waited < 0) return waited;
    }
    if (this.closed_) return Errno.EPIPE;
    this.put(value);
    if (!this.rendezvous) return 0;
    const taken = this.handovers.wait(deadline_ns);
    if (taken < 0 && this.count > 0) {
      // Nobody came for it: it is taken back. There is one value at most, and this sender put it there.
      this.count = 0;
      this.senders.wakeOne();
      return taken;
    }
    return 0;
  }

  /** Sends without waiting. @returns 0, EAGAIN when it would have to wait, EPIPE when the channel is closed */
  trySend(value: T): i32 {
    if (this.closed_) return Errno.EPIPE;
    if (this.count == this.ring.length || (this.rendezvous && this.receivers.isEmpty)) return Errno.EAGAIN;
    this.put(value);
    return 0;
  }

  /**
   * Receives a value into `value`; waits while there is none.
   * @returns 0; EPIPE when the channel is closed and empty; ETIMEDOUT, ECANCELED
   */
  receive(deadline_ns: i64 = i64.MAX_VALUE): i32 {
    while (this.count == 0) {
      if (this.closed_) return Errno.EPIPE;
      const waited = this.receivers.wait(deadline_ns);
      if (waited < 0) return waited;
    }
    this.take();
    return 0;
  }

  /** Receives without waiting. @returns 0, EAGAIN when there is nothing, EPIPE when the channel is closed and empty */
  tryReceive(): i32 {
    if (this.count == 0) return this.closed_ ? Errno.EPIPE : Errno.EAGAIN;
    this.take();
    return 0;
  }

  /** No more values: senders get EPIPE, receivers what is left and then EPIPE. */
  close(): void {
    if (this.closed_) return;
    this.closed_ = true;
    this.senders.wakeAll();
    this.receivers.wakeAll();
  }

  private put(value: T): void {
    let at = this.head + this.count;
    if (at >= this.ring.length) at -= this.ring.length;
    this.ring[at] = value;
    this.count++;
    this.receivers.wakeOne();
  }

  private take(): void {
    this.value = unchecked(this.ring[this.head]);
    // The ring must not keep alive what was taken.
    if (isReference<T>()) store<usize>(changetype<usize>(this.ring) + ((<usize>this.head) << alignof<T>()), 0);
    if (++this.head == this.ring.length) this.head = 0;
    this.count--;
    if (this.rendezvous) this.handovers.wakeOne();
    this.senders.wakeOne();
  }
}
