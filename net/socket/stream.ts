// A byte stream as fibers see it: calls that look blocking. TCP gives it, later TLS; who speaks a protocol over it need not know which.
//
// Deadlines are absolute monotonic times in ns (`now() + ...`); i64.MAX_VALUE means none. Errors are negative `Errno`.

export const NO_DEADLINE: i64 = i64.MAX_VALUE;

export abstract class Stream {
  /**
   * Reads what is there, waiting for the first byte.
   * @param to where to, with room for `bytes` (above 0)
   * @returns how many bytes, 0 after the peer's last; ETIMEDOUT, ENOTCONN after `close`, ECONNRESET and others that end a connection
   */
  abstract read(to: usize, bytes: u32, deadline_ns: i64): i32;

  /** Waits for received bytes and gives how many can be used in place at `peek`; 0 after the peer's last; errors as `read`. */
  abstract fill(deadline_ns: i64): i32;
  /** Where the first received bytes lie. Valid until the next call that waits or consumes. */
  abstract peek(): usize;
  /** Gives up the first `bytes` received bytes. */
  abstract consume(bytes: u32): void;

  /**
   * Queues a copy of `bytes` bytes, waiting for room.
   * @returns `bytes`; fewer when the deadline came in between; ETIMEDOUT for none, EPIPE after `shutdown`, ENOTCONN, ECONNRESET and others
   */
  abstract write(from: usize, bytes: u32, deadline_ns: i64): i32;

  /** The same for bytes that never change and never go away (the content region): they are not copied. */
  abstract writeStatic(from: usize, bytes: u32, deadline_ns: i64): i32;

  /** Nothing more will be written: the peer reads its end after what is queued. */
  abstract shutdown(): i32;
  /** Gives the stream up; what is queued is still sent. Waiting fibers get ENOTCONN. */
  abstract close(): void;
  /** Gives the stream up with a reset. */
  abstract abort(): void;

  /** Calls `handler(arg)` once, from the loop, when reading would not wait (also at the end or an error): until then no fiber and no stack is needed. */
  abstract onReadable(handler: (arg: usize) => void, arg: usize): void;

  /** Writes a string as UTF-8. */
  writeText(text: string, deadline_ns: i64 = NO_DEADLINE): i32 {
    const bytes = String.UTF8.encode(text);
    return this.write(changetype<usize>(bytes), <u32>bytes.byteLength, deadline_ns);
  }
}
