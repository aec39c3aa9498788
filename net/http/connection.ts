// A server's connection: what it must remember between two events, from a fixed pool. One that is idle in keep-alive is
// this and nothing else: no stack, no buffer.
//
//   HEAD --a whole head--> (BODY --> ) respond --> SENDING --all queued--> HEAD        next request, also pipelined
//     |                                   |            `--Connection: close--> LINGERING --peer closed, or time--> freed
//     |  ^                                |
//     v  `--verdict-- HELD                |
//     `--time, malformed: error response -'
//
// LINGERING: our end is finished and input is thrown away until the peer closes too, as a reset would destroy the response on
// its way (RFC 9112, 9.6).

import { Timer } from "../../runtime";
import { ChunkedReader } from "./chunked";

export const enum HttpState {
  HEAD = 0,
  BODY = 1,
  SENDING = 2,
  LINGERING = 3,
  /** A head is there, and its credentials are being verified. */
  HELD = 4,
}


@unmanaged
export class HttpConnection {
  /** Link of the free list, or of those whose request is held. */
  next: HttpConnection | null;
  /** The stream's handle; 0 when the connection is free. */
  handle: usize;
  /** Number of its server. */
  server: u32;
  state: u32;
  /** The peer has sent its last byte. */
  peerClosed: bool;
  /** The connection ends after this response. */
  close: bool;
  /** Bytes of the next head have come, since when the header time-out runs. */
  headStarted: bool;
  /** The request was HEAD; it was HTTP/1.0. */
  headOnly: bool;
  http10: bool;
  /** Body of the request: content bytes left, or chunks. */
  chunked: bool;
  bodyLeft: u64;
  /** The response that follows the request's body: a status and a Resource. */
  status: i32;
  resource: usize;
  /** Part of the response's body that is not queued yet. */
  sendAt: usize;
  sendLeft: u32;
  /** That part lies in the heap. */
  copied: bool;
  /** Number of the request's site when it has a policy, and of the origin that it allows. */
  site: u32;
  origin: u32;
  /** Status that any request gets: there are too many connections. */
  refusal: i32;
  /** Its entry among the sources that are counted. */
  source: usize;
  /** What the access log keeps of the request while its body comes. */
  line: usize;
  /** Bytes that were there when a head was last found incomplete. */
  seen: u32;
  /** When the connection's patience ends. The timer may be set earlier: it is moved when it runs, not at each request. */
  deadline_ns: i64;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + FIELDS);
  }


  @inline get chunks(): ChunkedReader {
    return changetype<ChunkedReader>(changetype<usize>(this) + FIELDS + TIMER_BYTES);
  }
}

const FIELDS: usize = (offsetof<HttpConnection>() + 7) & ~7;
const TIMER_BYTES: usize = (offsetof<Timer>() + 7) & ~7;
/** Bytes of a connection with what is embedded behind its fields. */
export const HTTP_CONNECTION_BYTES: usize = FIELDS + TIMER_BYTES + ((offsetof<ChunkedReader>() + 7) & ~7);
