// HTTP/1.1 server of static content (RFC 9110, RFC 9112), driven by events of byte streams. No fiber, no allocation and no
// copy of content per request: heads are parsed where they were received, responses are a head made beforehand and bytes
// that lie in memory for ever.
//
// Invariants
// 1. A connection is in the pool's free list or belongs to one stream; its timer is set while it belongs to one.
// 2. Responses leave in the order of requests: the next head is parsed when the response before it is queued whole.
// 3. After a request whose end cannot be known (malformed, body refused) the connection ends with its response.
// 4. A head is parsed when it may be whole: at its first bytes, and again only when new bytes contain a line feed.

import { Timer, TimerWheel, wallTime } from "../../runtime";
import { Writer } from "./bytes";
import { listHasTag, parseRange, rangeFirst, RangeKind, rangeLast } from "./conditional";
import { HttpConnection, HttpState, HTTP_CONNECTION_BYTES } from "./connection";
import { DateLine } from "./date";
import { HeadFlag, INCOMPLETE, Method, newRequestHead, parseHead, RequestHead } from "./head";
import { HttpCounters, HttpOptions } from "./options";
import { AccessLog } from "./access-log";
import { VerdictSink } from "./basic-auth";
import { HOLD, Judge } from "./judge";
import { SourceCounts } from "./rate-limit";
import { Resource, Sites, statusLine } from "./resource";
import { statusPhrase } from "./status";
import { Wire, WireEvent } from "./wire";

/** Room that a response without its content needs at most: the longest path in a redirect, encoded, and its fields. */
const RESPONSE_BYTES: u32 = 2048;
/** How long a finished connection waits for the peer's end. */
const LINGER_NS: i64 = 2_000_000_000;
/** How long a response may make no progress. */
const SEND_TIMEOUT_NS: i64 = 60_000_000_000;
const NS_PER_S: i64 = 1_000_000_000;
/** Connections beyond the limit that are told so (503, 429) before they end; further ones are reset. */
const REFUSALS: u32 = 64;
/** How long one of those has for its request. */
const REFUSAL_NS: i64 = 2_000_000_000;
/** Bytes of copied content that are wanted at once. */
const COPY_BYTES: u32 = 16384;
/** Connections by which the pool grows. */
const POOL_STEP: u32 = 64;

const PIECE_HEAD_BYTES: usize = 8;

const servers: Array<ContentServer> = [];

export class ContentServer extends VerdictSink {
  readonly counters: HttpCounters = new HttpCounters();
  /** Connections that are open, and in the pool. */
  open: u32 = 0;
  /** Those of the open ones that are only told that they are too many. */
  private refusing: u32 = 0;
  private pooled: u32 = 0;
  /** The pool's pieces, each with the address of the piece before it and its connections' number in front. */
  private pieces: usize = 0;
  private draining: bool = false;
  private free: HttpConnection | null = null;
  private id: u32 = 0;
  private head: RequestHead = newRequestHead();
  private date: DateLine = new DateLine();
  private dateDue_ns: i64 = 0;
  /** Where a head that lies in several buffers is put together, a path is normalised, a response's head is written. */
  private scratch: usize;
  private out: usize;
  /** Room that a response without its content needs at most. */
  private responseBytes: u32;
  readonly judge: Judge;
  private sources: SourceCounts | null = null;
  private access: AccessLog | null;
  /** Connections whose request is held, linked by `next`. */
  private held: HttpConnection | null = null;
  private writer: Writer = changetype<Writer>(heap.alloc(offsetof<Writer>()));

  constructor(
    private wire: Wire,
    private wheel: TimerWheel,
    private sites: Sites,
    private options: HttpOptions,
  ) {
    super();
    this.judge = new Judge(sites, options.head.bytes);
    this.scratch = heap.alloc(options.head.bytes);
    this.responseBytes = RESPONSE_BYTES + sites.room + <u32>options.fields.length;
    this.out = heap.alloc(this.responseBytes + 256);
    this.access = options.access;
    if (options.perSource > 0) this.sources = new SourceCounts(min<u32>(options.connections, 16384));
    this.id = servers.length;
    this.judge.verifier.sink = this;
    servers.push(this);
  }

  /**
   * Takes a new stream.
   * @returns what `event` wants for it, or null when there are too many connections: the caller ends the stream
   */
  accept(handle: usize): HttpConnection | null {
    const c = this.take();
    if (c == null) {
      this.counters.connectionsRefused++;
      return null;
    }
    this.counters.connections++;
    this.open++;
    memory.fill(changetype<usize>(c), 0, HTTP_CONNECTION_BYTES);
    c.handle = handle;
    c.server = this.id;
    c.timer.init(onTimer, changetype<usize>(c));
    let patience_ns = this.options.idleTimeout_ns;
    if (this.open - this.refusing > this.options.connections) c.refusal = 503;
    const sources = this.sources;
    if (sources != null && c.refusal == 0) {
      c.source = sources.enter(this.wire.sourceHi(handle), this.wire.sourceLo(handle), this.options.perSource);
      if (c.source == 0) c.refusal = 429;
    }
    if (c.refusal != 0) {
      if (c.refusal == 503) this.counters.connectionsRefused++;
      else this.counters.sourcesRefused++;
      patience_ns = REFUSAL_NS;
      this.refusing++;
    }
    this.patience(c, patience_ns);
    return c;
  }

  /** The server of a connection. */
  static of(c: HttpConnection): ContentServer {
    return unchecked(servers[c.server]);
  }

  /** Tells what happened to a connection's stream: bits of WireEvent. */
  event(c: HttpConnection, events: u32): void {
    if (c.handle == 0) return;
    if (events & WireEvent.GONE) return this.end(c);
    if (events & WireEvent.PEER_CLOSED) c.peerClosed = true;
    this.advance(c);
  }

  /** Another server has taken its place: its connections end with the response to their next request. */
  retire(): void {
    this.draining = true;
  }

  /** Closes what is idle now and the rest after the response that is under way. */
  drain(): void {
    this.draining = true;
    for (let piece = this.pieces; piece != 0; piece = load<usize>(piece)) {
      let at = piece + PIECE_HEAD_BYTES;
      for (let n = load<u32>(piece, sizeof<usize>()); n > 0; n--, at += HTTP_CONNECTION_BYTES) {
        const c = changetype<HttpConnection>(at);
        if (c.handle == 0 || c.state != HttpState.HEAD || c.headStarted) continue;
        this.wire.finish(c.handle);
        this.end(c);
      }
    }
  }

  // ---- pool and time

  private take(): HttpConnection | null {
    if (this.free == null) {
      const n = min(POOL_STEP, this.options.connections + REFUSALS - this.pooled);
      if (n == 0) return null;
      const bytes = HTTP_CONNECTION_BYTES;
      let at = heap.alloc(PIECE_HEAD_BYTES + n * bytes);
      store<usize>(at, this.pieces);
      store<u32>(at, n, sizeof<usize>());
      this.pieces = at;
      at += PIECE_HEAD_BYTES;
      for (let i: u32 = 0; i < n; i++, at += bytes) {
        const c = changetype<HttpConnection>(at);
        c.handle = 0;
        c.next = this.free;
        this.free = c;
      }
      this.pooled += n;
    }
    const c = this.free!;
    this.free = c.next;
    return c;
  }

  /** Gives the stream up and the connection back. */
  private end(c: HttpConnection): void {
    if (c.state == HttpState.HELD) this.unhold(c);
    if (c.source != 0) this.sources!.leave(c.source);
    if (c.line != 0) heap.free(c.line);
    if (c.refusal != 0) this.refusing--;
    this.wheel.cancel(c.timer);
    this.wire.release(c.handle);
    c.handle = 0;
    c.next = this.free;
    this.free = c;
    this.open--;
  }

  /** Sets how long the connection may stay as it is. */
  private patience(c: HttpConnection, duration_ns: i64): void {
    const deadline = this.wire.now() + duration_ns;
    c.deadline_ns = deadline;
    const timer = c.timer;
    if (!timer.isSet || timer.deadline_ns > deadline) this.wheel.set(timer, deadline);
  }

  /** A connection's timer ran. */
  timeOut(c: HttpConnection): void {
    if (this.wire.now() < c.deadline_ns) return this.wheel.set(c.timer, c.deadline_ns);
    if (c.state == HttpState.HEAD && !c.headStarted) {
      this.counters.idleTimeouts++;
      this.wire.finish(c.handle);
      return this.end(c);
    }
    if (c.state == HttpState.HEAD || c.state == HttpState.BODY) {
      if (c.state == HttpState.HEAD) this.counters.headTimeouts++;
      else this.counters.bodyTimeouts++;
      if (this.wire.room(c.handle, this.responseBytes) < this.responseBytes) return this.end(c);
      this.refuse(c, 408);
      return this.advance(c);
    }
    if (c.state == HttpState.SENDING) this.counters.sendTimeouts++;
    this.end(c);
  }

  // ---- requests

  /** Does what can be done now. */
  private advance(c: HttpConnection): void {
    while (c.handle != 0) {
      if (c.state == HttpState.SENDING) {
        if (!this.send(c)) return;
      } else if (c.state == HttpState.HEAD) {
        if (!this.readHead(c)) return;
      } else if (c.state == HttpState.BODY) {
        if (!this.readBody(c)) return;
      } else if (c.state == HttpState.HELD) {
        return;
      } else {
        this.wire.consume(c.handle, this.wire.available(c.handle));
        if (c.peerClosed) this.end(c);
        return;
      }
    }
  }

  /** Reads a head and decides; false when nothing more can be done now. */
  private readHead(c: HttpConnection): bool {
    const wire = this.wire;
    const handle = c.handle;
    const available = wire.available(handle);
    if (available == 0) {
      if (c.peerClosed) {
        wire.finish(handle);
        this.end(c);
      }
      return false;
    }
    if (wire.room(handle, this.responseBytes) < this.responseBytes) {
      if (c.deadline_ns - wire.now() > SEND_TIMEOUT_NS) this.patience(c, SEND_TIMEOUT_NS);
      return false;
    }
    const limits = this.options.head;
    const wanted = min(available, limits.bytes);
    let at = wire.peek(handle);
    if (wire.contiguous(handle) < wanted) {
      at = this.scratch;
      wire.copy(handle, at, wanted);
    }
    let used = INCOMPLETE;
    if (c.seen == 0 || wanted == limits.bytes || hasLineFeed(at + c.seen, wanted - c.seen))
      used = parseHead(at, wanted, limits, this.head);
    if (used == INCOMPLETE) {
      c.seen = wanted;
      if (c.peerClosed) {
        this.end(c);
      } else if (!c.headStarted) {
        c.headStarted = true;
        this.patience(c, this.options.headerTimeout_ns);
      }
      return false;
    }
    c.seen = 0;
    c.headStarted = false;
    if (used > 0 && !this.request(c, this.head)) {
      this.hold(c);
      return false;
    }
    this.counters.requests++;
    if (used < 0) {
      const access = this.access;
      if (access != null) access.begin(null, wire.sourceHi(handle), wire.sourceLo(handle));
      this.refuse(c, -used);
      return true;
    }
    // Only now: the head's fields point into these bytes.
    if (c.handle != 0) wire.consume(handle, used);
    return true;
  }

  /** Answers a request, or remembers the answer until its body has been read; false when it must be held. */
  private request(c: HttpConnection, head: RequestHead): bool {
    const wire = this.wire;
    const judge = this.judge;
    let hi: u64 = 0;
    let lo: u64 = 0;
    const access = this.access;
    if (access != null || this.options.knowsSource) {
      hi = wire.sourceHi(c.handle);
      lo = wire.sourceLo(c.handle);
    }
    let status: i32 = c.refusal;
    let resource: Resource | null = null;
    if (status == 0) {
      status = judge.judge(head, hi, lo, wire.now(), wire.secure);
      if (status == HOLD) return false;
      resource = judge.resource;
    }
    c.headOnly = head.method == Method.HEAD;
    c.http10 = head.has(HeadFlag.HTTP10);
    c.close = this.draining || head.has(HeadFlag.CLOSE);
    c.site = judge.site;
    c.origin = judge.origin;
    if (access != null) access.begin(head, hi, lo);
    if (c.refusal != 0) {
      this.refuse(c, status);
      return true;
    }

    const hasBody = head.has(HeadFlag.CHUNKED) || head.contentLength > 0;
    if (!hasBody) {
      this.respond(c, status, resource, head);
      return true;
    }
    if (head.contentLength > this.options.bodyBytes) {
      this.counters.bodiesTooLarge++;
      this.refuse(c, 413);
      return true;
    }
    if (head.has(HeadFlag.EXPECT_CONTINUE) || judge.made.length > 0) {
      // The final answer instead of 100: whether the body still comes is the client's choice, so the connection ends. What a
      // policy made for this request is not kept while a body comes either.
      c.close = true;
      this.respond(c, status, resource, head);
      return true;
    }
    c.state = HttpState.BODY;
    c.status = status;
    c.resource = changetype<usize>(resource);
    if (access != null) c.line = access.save();
    c.chunked = head.has(HeadFlag.CHUNKED);
    c.bodyLeft = head.contentLength;
    c.chunks.init();
    this.patience(c, this.options.bodyTimeout_ns);
    return true;
  }

  // ---- requests whose credentials are being verified: their head stays in the stream and is read again

  private hold(c: HttpConnection): void {
    c.state = HttpState.HELD;
    c.next = this.held;
    this.held = c;
  }

  private unhold(c: HttpConnection): void {
    let before = this.held;
    if (before == c) {
      this.held = c.next;
      return;
    }
    while (before != null && before.next != c) before = before.next;
    if (before != null) before.next = c.next;
  }

  /** A verdict is there: each held request is judged again; those without one are held again. */
  judged(): void {
    let c = this.held;
    this.held = null;
    while (c != null) {
      const next: HttpConnection | null = c.next;
      c.state = HttpState.HEAD;
      this.advance(c);
      c = next;
    }
  }

  /** Passes over a request's body; false when more of it must come. */
  private readBody(c: HttpConnection): bool {
    const wire = this.wire;
    const handle = c.handle;
    let progress = false;
    while (c.chunked ? !c.chunks.done : c.bodyLeft > 0) {
      const length = wire.contiguous(handle);
      if (length == 0) {
        if (c.peerClosed) this.end(c);
        else if (progress) this.patience(c, this.options.bodyTimeout_ns);
        return false;
      }
      progress = true;
      let used = length;
      if (c.chunked) {
        const read = c.chunks.read(wire.peek(handle), length);
        if (read < 0 || c.chunks.total > this.options.bodyBytes) {
          this.refuse(c, read < 0 ? 400 : 413);
          return true;
        }
        used = read;
      } else {
        used = <u32>min<u64>(length, c.bodyLeft);
        c.bodyLeft -= used;
      }
      wire.consume(handle, used);
    }
    // The response needs the room that was there when the head was read: nothing was written since.
    this.respond(c, c.status, changetype<Resource | null>(c.resource), null);
    return true;
  }

  // ---- responses

  /** Ends the connection with an error: what follows on it cannot be told to be a request. */
  private refuse(c: HttpConnection, status: i32): void {
    const counters = this.counters;
    if (status == 431) counters.headsTooLarge++;
    else if (status == 414) counters.targetsTooLong++;
    this.judge.made.open(this.judge.made.start);
    c.close = true;
    c.headOnly = false;
    c.http10 = false;
    this.respond(c, status, null, null);
  }

  /**
   * Queues a response's head and as much of its content as fits.
   * @param head the request whose conditions and range count, or null
   */
  private respond(c: HttpConnection, status: i32, resource: Resource | null, head: RequestHead | null): void {
    const w = this.writer;
    w.open(this.out);
    let body: usize = 0;
    let length: u32 = 0;
    const site = c.site != 0 ? this.sites.at(c.site) : null;
    const policy = site != null ? site.policy : null;
    let plain = false;
    if (resource == null && policy != null) {
      resource = policy.page(status);
      head = null;
    }
    if (resource == null) {
      plain = status != 204;
      w.ascii(statusLine(status));
      if (plain) {
        length = statusPhrase(status).length + 5;
        w.ascii("Content-Type: text/plain; charset=utf-8\r\nContent-Length: ");
        w.decimal(length);
        w.ascii("\r\n");
      }
    } else {
      body = resource.body;
      length = resource.bodyLength;
      if (resource.status == 200 && head != null) status = condition(head, resource);
      if (status == 206) {
        w.ascii(statusLine(206));
        w.bytes(resource.fields, resource.fieldsLength);
        w.ascii("Content-Range: bytes ");
        w.decimal(rangeFirst);
        w.ascii("-");
        w.decimal(rangeLast);
        w.ascii("/");
        w.decimal(length);
        body += rangeFirst;
        length = rangeLast - rangeFirst + 1;
        w.ascii("\r\nContent-Length: ");
        w.decimal(length);
        w.ascii("\r\n");
      } else if (status == 304) {
        w.bytes(resource.notModified, resource.notModifiedLength);
        length = 0;
      } else if (status == 416 || status == 412) {
        w.ascii(statusLine(status));
        if (status == 416) {
          w.ascii("Content-Range: bytes */");
          w.decimal(length);
          w.ascii("\r\n");
        }
        w.ascii("Content-Length: 0\r\n");
        length = 0;
      } else {
        w.bytes(resource.head, resource.headLength);
      }
      c.copied = resource.copied;
    }
    if (status == 405 || status == 204) w.ascii("Allow: GET, HEAD, OPTIONS\r\n");
    const made = this.judge.made;
    if (made.length > 0) {
      w.bytes(made.start, made.length);
      made.open(made.start);
    }
    if (policy != null) policy.writeFields(w, c.origin);
    this.refreshDate();
    w.bytes(this.date.at, this.date.length);
    w.ascii(this.options.fields);
    if (c.close) w.ascii("Connection: close\r\n");
    else if (c.http10) w.ascii("Connection: keep-alive\r\n");
    w.ascii("\r\n");
    if (plain && !c.headOnly) {
      w.decimal(status);
      w.ascii(" ");
      w.ascii(statusPhrase(status));
      w.ascii("\n");
    }
    this.counters.response(status);
    const sent = c.headOnly ? 0 : length;
    const access = this.access;
    if (access != null) {
      if (c.line != 0) {
        access.restore(c.line);
        c.line = 0;
      }
      access.end(status, sent);
    }
    c.state = HttpState.SENDING;
    c.sendAt = body;
    c.sendLeft = plain ? 0 : sent;
    // The pool of packet buffers is empty: half a head cannot be continued.
    if (this.wire.write(c.handle, w.start, w.length) != w.length) this.end(c);
  }

  /** Queues what is left of a response; false when the stream takes no more now. */
  private send(c: HttpConnection): bool {
    if (c.sendLeft > 0) {
      const taken = c.copied
        ? this.wire.write(c.handle, c.sendAt, min(c.sendLeft, this.wire.room(c.handle, min(c.sendLeft, COPY_BYTES))))
        : this.wire.writeStatic(c.handle, c.sendAt, c.sendLeft);
      c.sendAt += taken;
      c.sendLeft -= taken;
      if (c.sendLeft > 0) {
        this.patience(c, SEND_TIMEOUT_NS);
        return false;
      }
    }
    if (c.close) {
      c.state = HttpState.LINGERING;
      this.wire.finish(c.handle);
      this.patience(c, LINGER_NS);
    } else {
      c.state = HttpState.HEAD;
      c.site = 0;
      this.patience(c, this.options.idleTimeout_ns);
    }
    return true;
  }

  private refreshDate(): void {
    const now = this.wire.now();
    if (now < this.dateDue_ns) return;
    const wall = wallTime();
    this.date.refresh(wall);
    this.dateDue_ns = now + NS_PER_S - (wall % NS_PER_S);
  }
}

function onTimer(timer: Timer): void {
  const c = changetype<HttpConnection>(timer.context);
  ContentServer.of(c).timeOut(c);
}

function hasLineFeed(at: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) if (load<u8>(at + i) == 0x0a) return true;
  return false;
}

/** The status that a request's conditions give a file, in the order of RFC 9110, 13.2.2; 206 with `rangeFirst`, `rangeLast`. */
function condition(head: RequestHead, file: Resource): i32 {
  const tag = file.tag;
  const tagLength = file.tagLength;
  if (head.ifMatch != 0 && !listHasTag(head.ifMatch, head.ifMatchLength, tag, tagLength, false)) return 412;
  if (head.ifNoneMatch != 0 && listHasTag(head.ifNoneMatch, head.ifNoneMatchLength, tag, tagLength, true)) return 304;
  if (head.range == 0 || head.method != Method.GET) return 200;
  if (head.ifRange != 0 && !listHasTag(head.ifRange, head.ifRangeLength, tag, tagLength, false)) return 200;
  const kind = parseRange(head.range, head.rangeLength, file.bodyLength);
  return kind == RangeKind.PART ? 206 : kind == RangeKind.UNSATISFIABLE ? 416 : 200;
}
