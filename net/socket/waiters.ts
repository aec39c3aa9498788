// Who waits for a connection: two queues of fibers and a handler, in unmanaged memory that the connection's events find by its `context`.

import { WaitQueue } from "../../fibers";
import { Connection, Event } from "../tcp/index";


@unmanaged
export class Waiters {
  readers: WaitQueue;
  writers: WaitQueue;
  /** Index of the one-shot handler of `onReadable` (0: none), and its argument. */
  handler: u32;
  arg: usize;
}

export function newWaiters(): Waiters {
  const w = changetype<Waiters>(heap.alloc(offsetof<Waiters>()));
  w.readers = WaitQueue.create();
  w.writers = WaitQueue.create();
  w.readers.init();
  w.writers.init();
  w.handler = 0;
  w.arg = 0;
  return w;
}

/** Wakes all with `result`, and frees the memory. Woken fibers have left the queues. */
export function freeWaiters(w: Waiters, result: i32): void {
  w.readers.wakeAll(result);
  w.writers.wakeAll(result);
  heap.free(changetype<usize>(w.readers));
  heap.free(changetype<usize>(w.writers));
  heap.free(changetype<usize>(w));
}

/** The handler of connections that belong to a TcpStream. */
export function onConnectionEvents(c: Connection, events: u32): void {
  const w = changetype<Waiters>(c.context);
  if (events & (Event.WRITABLE | Event.ESTABLISHED | Event.CLOSED | Event.ERROR)) w.writers.wakeAll();
  if (events & (Event.READABLE | Event.PEER_CLOSED | Event.CLOSED | Event.ERROR)) {
    w.readers.wakeAll();
    const handler = w.handler;
    if (handler != 0) {
      w.handler = 0;
      call_indirect<void>(handler, w.arg);
    }
  }
}
