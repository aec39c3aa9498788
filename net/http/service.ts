// HTTP/1.1 server for services (RFC 9110, RFC 9112): handlers in blocking style, a fiber for each request that is under way.
// A connection that is idle holds neither fiber nor buffer.
//
//   accept --> IDLE --readable--> a fiber: head, handler, head, handler, ... --nothing there--> IDLE
//               | too long, peer's end                 `--close, error--> closed
//               `--> closed

import { Errno } from "../../runtime";
import { now, sleep, spawn } from "../../fibers";
import { Stream, TcpListener } from "../socket/index";
import { Request, Response } from "./exchange";
import { HeadFlag, INCOMPLETE, newRequestHead, parseHead, RequestHead } from "./head";
import { HttpOptions } from "./options";
import { normalisePath } from "./path";
import { BodyKind, MessageReader } from "./reader";
import { Router } from "./router";
import { statusPhrase } from "./status";

const SWEEP_MS: i64 = 1000;
const SEND_TIMEOUT_NS: i64 = 60_000_000_000;
/** How long, and how many bytes of, a refused request's rest is read, so that the refusal arrives (RFC 9112, 9.6). */
const LINGER_NS: i64 = 2_000_000_000;
const LINGER_BYTES: u32 = 1 << 20;

class ServiceConnection {
  previous: ServiceConnection | null = null;
  next: ServiceConnection | null = null;
  idleSince_ns: i64 = 0;
  idle: bool = false;
  readonly opened_ns: i64 = now();

  constructor(
    readonly server: HttpServer,
    readonly stream: Stream,
  ) {}
}

export class HttpServer {
  readonly options: HttpOptions = new HttpOptions();
  requests: u64 = 0;
  open: u32 = 0;
  private first: ServiceConnection | null = null;
  private listener: TcpListener | null = null;
  private sweeping: bool = false;

  constructor(readonly router: Router) {}

  /**
   * Listens on a port and serves; returns when `close` was called.
   * @param address an own address as text; "" for all
   * @returns 0; the error of the listener: EADDRINUSE, EINVAL, ENETDOWN
   */
  listen(port: u32, address: string = ""): i32 {
    const listener = TcpListener.listen(port, address, 1024);
    if (listener == null) return Errno.EADDRINUSE;
    this.listener = listener;
    while (true) {
      const stream = listener.accept();
      if (stream == null) {
        if (listener.error == Errno.ENOTCONN) break;
        sleep(10); // out of memory for connections: others end
        continue;
      }
      // A response is written in few pieces; its last must not wait for an acknowledgement.
      stream.setNoDelay(true);
      this.serve(stream);
    }
    return 0;
  }

  /** Takes connections no more; those that are open end with their time-outs. */
  close(): void {
    const listener = this.listener;
    if (listener != null) listener.close();
    this.listener = null;
  }

  /** Serves a stream, also one of TLS; returns at once. */
  serve(stream: Stream): void {
    if (this.open >= this.options.connections) {
      stream.abort();
      return;
    }
    const c = new ServiceConnection(this, stream);
    c.next = this.first;
    if (this.first != null) this.first!.previous = c;
    this.first = c;
    this.open++;
    if (!this.sweeping) this.sweeping = spawn<HttpServer>(sweep, this) != null;
    this.wait(c);
  }

  /** Nothing is under way: the connection waits without a fiber. */
  wait(c: ServiceConnection): void {
    c.idle = true;
    c.idleSince_ns = now();
    c.stream.onReadable(onReadable, changetype<usize>(c));
  }

  /** Ends a connection; twice does no harm. */
  end(c: ServiceConnection, abort: bool): void {
    const previous = c.previous;
    const next = c.next;
    if (previous != null) previous.next = next;
    else if (this.first == c) this.first = next;
    else return;
    if (next != null) next.previous = previous;
    c.previous = null;
    c.next = null;
    this.open--;
    if (abort) c.stream.abort();
    else c.stream.close();
  }

  /** Closes what was idle for too long; for ever. */
  sweepIdle(): void {
    while (this.open > 0) {
      sleep(SWEEP_MS);
      const limit = now() - this.options.idleTimeout_ns;
      for (let c = this.first; c != null;) {
        const next: ServiceConnection | null = c.next;
        if (c.idle && c.idleSince_ns < limit) this.end(c, false);
        c = next;
      }
    }
    this.sweeping = false;
  }

  /** The fiber of a connection on which something has come. */
  run(c: ServiceConnection): void {
    const reader = new MessageReader(c.stream, this.options.head.bytes);
    const head = newRequestHead();
    let stays = true;
    do {
      stays = this.exchange(c, reader, head);
    } while (stays && reader.available > 0);
    heap.free(changetype<usize>(head));
    if (stays) this.wait(c);
    else this.end(c, false);
  }

  /** One request and its response; false when the connection has ended or is to. */
  private exchange(c: ServiceConnection, reader: MessageReader, head: RequestHead): bool {
    const deadline = now() + this.options.headerTimeout_ns;
    let used = INCOMPLETE;
    while (true) {
      if (reader.available > 0) used = parseHead(reader.at, reader.available, this.options.head, head);
      if (used != INCOMPLETE) break;
      const got = reader.more(deadline);
      if (got == Errno.ETIMEDOUT) return this.refuse(c, reader, 408);
      if (got <= 0) return false;
    }
    this.requests++;
    if (used < 0) return this.refuse(c, reader, -used);
    if (head.contentLength > this.options.bodyBytes) return this.refuse(c, reader, 413);

    // The head's fields point into these bytes: the request keeps them.
    const kept = new StaticArray<u8>(used);
    memory.copy(changetype<usize>(kept), reader.at, used);
    parseHead(changetype<usize>(kept), used, this.options.head, head);
    reader.skip(used);
    if (head.has(HeadFlag.CHUNKED)) reader.begin(BodyKind.CHUNKED, 0);
    else reader.begin(BodyKind.LENGTH, head.contentLength);

    const path = pathOf(head);
    const response = new Response(c.stream, head, SEND_TIMEOUT_NS);
    if (path.length == 0) {
      response.status = 400;
      response.close = true;
      response.text("400 Bad Request\n");
      return false;
    }
    const request = new Request(head, kept, path, reader, this.options.bodyBytes, this.options.bodyTimeout_ns);
    request.opened_ns = c.opened_ns;
    const waits = head.has(HeadFlag.EXPECT_CONTINUE);
    this.router.handle(request, response);
    if (response.error < 0 || request.error < 0) {
      if (response.error == 0) this.linger(reader);
      return false;
    }
    if (response.close) {
      this.linger(reader);
      return false;
    }
    // What the handler has not read is passed over; whether a client that waits for 100 sends it is not known.
    if (request.finished) return true;
    if (waits) return false;
    const scratch = new StaticArray<u8>(2048);
    let got: i32 = 1;
    while (got > 0) got = request.read(changetype<usize>(scratch), 2048);
    return got == 0;
  }

  private refuse(c: ServiceConnection, reader: MessageReader, status: i32): bool {
    const response = new Response(c.stream, null, SEND_TIMEOUT_NS);
    response.status = status;
    response.text(status.toString() + " " + statusPhrase(status) + "\n");
    this.linger(reader);
    return false;
  }

  /** Our end is finished; input is thrown away until the peer's, as a reset would destroy the response on its way. */
  private linger(reader: MessageReader): void {
    const stream = reader.stream;
    stream.shutdown();
    const scratch = new StaticArray<u8>(2048);
    const deadline = now() + LINGER_NS;
    let left = LINGER_BYTES;
    while (left > 0) {
      const got = stream.read(changetype<usize>(scratch), min<u32>(left, 2048), deadline);
      if (got <= 0) return;
      left -= got;
    }
  }
}

function onReadable(arg: usize): void {
  const c = changetype<ServiceConnection>(arg);
  c.idle = false;
  if (spawn<ServiceConnection>(runConnection, c) == null) c.server.end(c, true);
}

function runConnection(c: ServiceConnection): void {
  c.server.run(c);
}

function sweep(server: HttpServer): void {
  server.sweepIdle();
}

/** The normalised path; empty when there is none (RFC 3986, 6.2.2). */
function pathOf(head: RequestHead): string {
  if (head.pathLength == 0) return "/";
  if (load<u8>(head.path) == 0x2a) return "*";
  const out = new StaticArray<u8>(head.pathLength);
  const length = normalisePath(head.path, head.pathLength, changetype<usize>(out));
  return length <= 0 ? "" : String.UTF8.decodeUnsafe(changetype<usize>(out), length);
}
