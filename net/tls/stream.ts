// TLS for fibers: streams with the calls of TcpStream, a listener that gives them, connections to servers.
//
// Invariants
// 1. A TlsStream owns its session until `close` or `abort`; afterwards every call gives ENOTCONN.
// 2. When the connection has gone, what was received before can still be read.

import { WaitQueue } from "../../fibers";
import { Errno } from "../../runtime";
import { parseAddress } from "../ip/address";
import { coreTcp, setSocketError } from "../socket/core";
import { NO_DEADLINE, Stream } from "../socket/stream";
import { TcpStream } from "../socket/tcp-stream";
import { Connection, Listener, TcpModule } from "../tcp/index";
import { TlsContext } from "./context";
import { TlsEvent, TlsLayer, tlsLayer, TlsUser } from "./layer";
import { TlsFlag, TlsSession } from "./session";

/** Who waits for a session; found by its `owner`. */
@unmanaged
class Waiting {
  readers: WaitQueue;
  writers: WaitQueue;
  /** One-shot handler of `onReadable` (0: none), and its argument. */
  handler: u32;
  arg: usize;
  /** The connection has gone. */
  gone: bool;
  /** A session that nobody has accepted yet: the next one. */
  session: TlsSession;
  next: Waiting | null;
}

function newWaiting(s: TlsSession): Waiting {
  const w = changetype<Waiting>(heap.alloc(offsetof<Waiting>()));
  memory.fill(changetype<usize>(w), 0, offsetof<Waiting>());
  w.readers = WaitQueue.create();
  w.writers = WaitQueue.create();
  w.readers.init();
  w.writers.init();
  w.session = s;
  return w;
}

function freeWaiting(w: Waiting): void {
  w.readers.wakeAll(Errno.ENOTCONN);
  w.writers.wakeAll(Errno.ENOTCONN);
  heap.free(changetype<usize>(w.readers));
  heap.free(changetype<usize>(w.writers));
  heap.free(changetype<usize>(w));
}

/** Wakes whom events concern. */
function tell(w: Waiting, events: u32): void {
  if (events & TlsEvent.GONE) w.gone = true;
  if (events & (TlsEvent.WRITABLE | TlsEvent.GONE)) w.writers.wakeAll();
  if (events & (TlsEvent.READABLE | TlsEvent.PEER_CLOSED | TlsEvent.GONE)) {
    w.readers.wakeAll();
    const handler = w.handler;
    if (handler == 0) return;
    w.handler = 0;
    call_indirect<void>(handler, w.arg);
  }
}

export class TlsStream extends Stream {
  private session: TlsSession | null;
  private finished: bool = false;

  /** Takes a session over: see `connect` and `TlsListener.accept`. */
  constructor(
    private readonly layer: TlsLayer,
    private readonly waiting: Waiting,
  ) {
    super();
    this.session = waiting.session;
  }

  /**
   * Connects to a server and waits for the handshake.
   * @param address "192.0.2.1" or "2001:db8::1"
   * @param name what the server's certificate must name, and what it is asked for (SNI)
   * @param context a client's, with those whom it trusts
   * @returns the stream, or null with `socketError()`: as TcpStream.connect; EPROTO: the handshake failed (TLS, certificate)
   */
  static connect(
    address: string,
    port: u32,
    name: string,
    context: TlsContext,
    deadline_ns: i64 = NO_DEADLINE,
  ): TlsStream | null {
    const plain = TcpStream.connect(address, port, deadline_ns);
    if (plain == null) return null;
    return TlsStream.over(plain, name, context, deadline_ns);
  }

  /** The same on a TCP connection that stands, which is this stream's from here. */
  static over(plain: TcpStream, name: string, context: TlsContext, deadline_ns: i64 = NO_DEADLINE): TlsStream | null {
    const tcp = coreTcp()!;
    const c = plain.detach();
    if (c == null) {
      setSocketError(Errno.ENOTCONN);
      return null;
    }
    const layer = tlsLayer(tcp);
    const user = clientUser(layer);
    const s = layer.start(c, context, user.number, 0, name);
    if (s == null) {
      tcp.abort(c);
      setSocketError(Errno.ENOBUFS);
      return null;
    }
    const waiting = newWaiting(s);
    s.owner = changetype<usize>(waiting);
    const stream = new TlsStream(layer, waiting);
    while (!s.has(TlsFlag.OPEN)) {
      const result = waiting.gone ? Errno.EPROTO : waiting.writers.wait(deadline_ns);
      if (result == 0) continue;
      setSocketError(result);
      stream.abort();
      return null;
    }
    return stream;
  }

  read(to: usize, bytes: u32, deadline_ns: i64 = NO_DEADLINE): i32 {
    const got = this.fill(deadline_ns);
    if (got <= 0) return got;
    const s = this.session!;
    const taken = min(bytes, s.available);
    memory.copy(to, s.buffer + s.start, taken);
    this.layer.consume(s, taken);
    return <i32>taken;
  }

  fill(deadline_ns: i64 = NO_DEADLINE): i32 {
    let result: i32 = 0;
    while (result >= 0) {
      const s = this.session;
      if (s == null) return Errno.ENOTCONN;
      if (s.available == 0 && !this.waiting.gone) this.layer.pull(s);
      if (s.available > 0) return <i32>s.available;
      if (s.has(TlsFlag.CLOSED | TlsFlag.TOLD_CLOSED)) return 0;
      if (this.waiting.gone || s.has(TlsFlag.FAILED)) return Errno.ECONNRESET;
      result = this.waiting.readers.wait(deadline_ns);
    }
    return result;
  }

  peek(): usize {
    const s = this.session;
    return s != null ? s.buffer + s.start : 0;
  }

  consume(bytes: u32): void {
    const s = this.session;
    if (s != null) this.layer.consume(s, bytes);
  }

  write(from: usize, bytes: u32, deadline_ns: i64 = NO_DEADLINE): i32 {
    let done: u32 = 0;
    while (done < bytes) {
      const s = this.session;
      if (s == null) return Errno.ENOTCONN;
      if (this.finished) return Errno.EPIPE;
      if (this.waiting.gone || s.has(TlsFlag.FAILED)) return Errno.ECONNRESET;
      const taken = this.layer.write(s, from + done, bytes - done);
      done += taken;
      if (taken > 0) continue;
      const result = this.waiting.writers.wait(deadline_ns);
      if (result < 0) return done > 0 && result == Errno.ETIMEDOUT ? <i32>done : result;
    }
    return <i32>done;
  }

  writeStatic(from: usize, bytes: u32, deadline_ns: i64 = NO_DEADLINE): i32 {
    return this.write(from, bytes, deadline_ns);
  }

  shutdown(): i32 {
    const s = this.session;
    if (s == null || this.waiting.gone) return Errno.ENOTCONN;
    if (!this.finished) this.layer.finish(s);
    this.finished = true;
    return 0;
  }

  close(): void {
    this.shutdown();
    this.abort();
  }

  /** Gives the stream up: with a reset unless it was shut down. */
  abort(): void {
    const s = this.session;
    if (s == null) return;
    this.session = null;
    this.layer.release(s);
    freeWaiting(this.waiting);
  }

  onReadable(handler: (arg: usize) => void, arg: usize): void {
    const s = this.session;
    if (s == null || this.waiting.gone || s.available > 0 || s.has(TlsFlag.CLOSED | TlsFlag.TOLD_CLOSED)) {
      handler(arg);
      return;
    }
    this.waiting.handler = handler.index;
    this.waiting.arg = arg;
  }
}

/** Sessions that fibers began. */
class ClientUser extends TlsUser {
  number: u32 = 0;

  established(s: TlsSession): void {
    changetype<Waiting>(s.owner).writers.wakeAll();
  }
  event(s: TlsSession, events: u32): void {
    tell(changetype<Waiting>(s.owner), events);
  }
}

/** By address, as in layer.ts: the layer holds it for ever. */
let client: usize = 0;

function clientUser(layer: TlsLayer): ClientUser {
  if (client == 0) {
    const user = new ClientUser();
    user.number = layer.addUser(user);
    client = changetype<usize>(user);
  }
  return changetype<ClientUser>(client);
}

/** Sessions that a listener takes. */
class ServerUser extends TlsUser {
  number: u32 = 0;
  readonly acceptors: WaitQueue = WaitQueue.create();
  first: Waiting | null = null;
  private last: Waiting | null = null;
  ready: u32 = 0;

  constructor(
    readonly tcp: TcpModule,
    readonly layer: TlsLayer,
    readonly context: TlsContext,
    /** Connections that may wait to be accepted; 0 once the listener is closed. */
    public backlog: u32,
  ) {
    super();
    this.acceptors.init();
  }

  established(s: TlsSession): void {
    if (this.ready >= this.backlog) return this.layer.release(s);
    const waiting = newWaiting(s);
    s.owner = changetype<usize>(waiting);
    const last = this.last;
    if (last == null) this.first = waiting;
    else last.next = waiting;
    this.last = waiting;
    this.ready++;
    this.acceptors.wakeOne();
  }
  event(s: TlsSession, events: u32): void {
    tell(changetype<Waiting>(s.owner), events);
  }

  take(): Waiting | null {
    const waiting = this.first;
    if (waiting == null) return null;
    this.first = waiting.next;
    if (this.first == null) this.last = null;
    this.ready--;
    return waiting;
  }
}

export class TlsListener {
  /** Why the last `accept` gave null. */
  error: i32 = 0;

  private constructor(
    private readonly user: ServerUser,
    private listener: Listener | null,
  ) {}

  /**
   * Listens on a port.
   * @param context a server's, with at least one certificate
   * @param address an own address as text; "" for all
   * @param backlog connections that may wait for `accept`
   * @returns the listener, or null with `socketError()`: EADDRINUSE, EINVAL, ENOBUFS, ENETDOWN without a network
   */
  static listen(port: u32, context: TlsContext, address: string = "", backlog: u32 = 128): TlsListener | null {
    const tcp = coreTcp();
    let hi: u64 = 0;
    let lo: u64 = 0;
    let error: i32 = tcp == null ? Errno.ENETDOWN : context.certificates == 0 ? Errno.EINVAL : 0;
    if (address.length > 0) {
      const parsed = parseAddress(address);
      if (!parsed.ok || parsed.prefix >= 0) error = Errno.EINVAL;
      hi = parsed.hi;
      lo = parsed.lo;
    }
    if (tcp == null || error < 0) {
      setSocketError(error);
      return null;
    }
    const layer = tlsLayer(tcp);
    const user = new ServerUser(tcp, layer, context, backlog);
    user.number = layer.addUser(user); // which holds it for ever
    const listener = tcp.listen(port, hi, lo, backlog, onConnection, changetype<usize>(user));
    if (listener == null) {
      setSocketError(tcp.lastError);
      return null;
    }
    return new TlsListener(user, listener);
  }

  /** Waits for a connection whose handshake is done; null with `error`: ETIMEDOUT, or ENOTCONN after `close`. */
  accept(deadline_ns: i64 = NO_DEADLINE): TlsStream | null {
    let result: i32 = 0;
    while (result >= 0) {
      if (this.listener == null) {
        this.error = Errno.ENOTCONN;
        return null;
      }
      const waiting = this.user.take();
      if (waiting != null) return new TlsStream(this.user.layer, waiting);
      result = this.user.acceptors.wait(deadline_ns);
    }
    this.error = result;
    return null;
  }

  /** Stops listening; connections that nobody accepted are reset. */
  close(): void {
    const listener = this.listener;
    if (listener == null) return;
    this.listener = null;
    this.user.tcp.closeListener(listener);
    this.user.backlog = 0;
    for (let w = this.user.take(); w != null; w = this.user.take()) {
      this.user.layer.release(w.session);
      freeWaiting(w);
    }
    this.user.acceptors.wakeAll(Errno.ENOTCONN);
  }
}

function onConnection(l: Listener): void {
  const user = changetype<ServerUser>(l.context);
  for (let c: Connection | null = user.tcp.accept(l); c != null; c = user.tcp.accept(l))
    if (user.layer.start(c, user.context, user.number, 0, null) == null) user.tcp.abort(c);
}
