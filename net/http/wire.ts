// What the HTTP server needs of a byte stream, by handle, without waiting: TCP gives it, later TLS, and tests give it with
// arrays. Events come back through ContentServer.event.

export const enum WireEvent {
  READABLE = 1,
  WRITABLE = 2,
  /** The peer has sent its last byte; what was received before can still be read. */
  PEER_CLOSED = 4,
  /** The stream is gone; nothing can be read or written. */
  GONE = 8,
}

export abstract class Wire {
  /** What passes is encrypted on its way. */
  secure: bool = false;
  /** Monotonic time, ns. */
  abstract now(): i64;
  /** Received bytes that were not consumed. */
  abstract available(handle: usize): u32;
  /** Where the first of them lie, and how many lie there one after the other. Valid until the next call. */
  abstract peek(handle: usize): usize;
  abstract contiguous(handle: usize): u32;
  /** Copies the first `length` received bytes, at most `available`, without consuming them. */
  abstract copy(handle: usize, to: usize, length: u32): void;
  /** Gives up the first `length` received bytes. */
  abstract consume(handle: usize, length: u32): void;
  /** Bytes that `write` takes now. When it is less than `wanted`, WRITABLE comes once there may be more. */
  abstract room(handle: usize, wanted: u32): u32;
  /** Queues a copy; gives how many bytes were taken. */
  abstract write(handle: usize, from: usize, length: u32): u32;
  /** Queues bytes that never change; gives how many were taken. When not all, WRITABLE comes once there is room. */
  abstract writeStatic(handle: usize, from: usize, length: u32): u32;
  /** Nothing more will be written: the peer sees the end after what is queued. */
  abstract finish(handle: usize): void;
  /** Gives the stream up. What is queued is still sent if it was finished; else the peer sees a reset. No events any more. */
  abstract release(handle: usize): void;
  /** The peer's address as a pair (IPv4 mapped). */
  abstract sourceHi(handle: usize): u64;
  abstract sourceLo(handle: usize): u64;
}
