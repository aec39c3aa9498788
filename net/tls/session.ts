// A TLS connection as the sandbox knows it: the TCP connection below, the platform's number of what encrypts, and plaintext
// that was received and not yet read. From a fixed pool; one that is idle holds no buffer.
//
//   HANDSHAKE --READY--> open --CLOSED, FIN--> half closed by the peer
//       `--failed, time--> ended

import { Timer } from "../../runtime";
import { Connection } from "../tcp/index";

/** Bits of `TlsSession.flags`. */
export const enum TlsFlag {
  /** The handshake is done. */
  READY = 1,
  /** The platform has plaintext that did not fit. */
  MORE = 2,
  /** The platform has bytes to send that did not fit. */
  BLOCKED = 4,
  /** The peer's close_notify. */
  CLOSED = 8,
  /** The peer or the library ended it; the alert is queued. */
  FAILED = 16,
  /** The user was told that the peer has closed. */
  TOLD_CLOSED = 32,
  /** Stands in the queue of handshakes. */
  QUEUED = 64,
  /** Freed while it stood there: given back when it comes out. */
  FREED = 128,
  CLIENT = 256,
  /** Its user knows it. */
  OPEN = 512,
}


@unmanaged
export class TlsSession {
  /** Link of the free list, or of the queue of handshakes. */
  next: TlsSession | null;
  /** Null when the session is free. */
  tcp: Connection | null;
  /** The platform's number; below 0: none yet. */
  native: i32;
  flags: u32;
  /** Its layer, which the loop holds for ever; the number of its user there; what the user likes to find. */
  layer: usize;
  user: u32;
  context: i32;
  owner: usize;
  /** Received plaintext: bytes start..end of the buffer; 0 when there is none. */
  buffer: usize;
  room: u32;
  start: u32;
  end: u32;
  /** Encrypted bytes for which the packet pool had no buffer. */
  unsent: usize;
  unsentStart: u32;
  unsentEnd: u32;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + FIELDS);
  }

  /** Received bytes that can be read. */
  @inline get available(): u32 {
    return this.end - this.start;
  }


  @inline has(flag: u32): bool {
    return (this.flags & flag) != 0;
  }
}

const FIELDS: usize = (offsetof<TlsSession>() + 7) & ~7;
export const TLS_SESSION_BYTES: usize = FIELDS + ((offsetof<Timer>() + 7) & ~7);
