// Mode `proxy`: TCP ended on both sides. What one side has received is queued on the other as it is, in its packets.
//
//   accepted --chosen--> CONNECTING --established--> OPEN --both have finished--> closed on both sides, in order
//      |  \--all full--> QUEUED --room--^    |failed: another backend, CONNECT_TRIES in all
//      `-- nobody: reset                     `--reset, or idle for too long: reset on both sides
//
// Flow control is TCP's: what the other side does not take stays in the receive queue, and its window shrinks. A FIN is passed on behind the
// last byte, so a half-closed connection works.
//
// Invariants
// 1. A session in use owns its client's connection, and from CONNECTING on its backend's; both go with it.
// 2. `Backend.active` is the length of that backend's list of sessions.
// 3. While nobody can be chosen, listeners answer with RST.

import { log, LogLevel, Timer } from "../../runtime";
import { formatHost } from "../ip/address";
import { Connection, Event, Flag, Listener, TcpModule } from "../tcp/index";
import { Drainer } from "../drain";
import { Admin, ADMIN_NAMES, Backend, Operational, OPERATIONAL_NAMES } from "./backend";
import { Choice } from "./choice";
import { NOBODY } from "./maglev";

const BACKLOG: u32 = 4096;
const CONNECT_TRIES: u32 = 3;
/** Sessions by which the pool grows. */
const POOL_STEP: u32 = 64;

export class ProxyOptions {
  connections: u32 = 100000;
  queue: u32 = 0;
  queueTimeout_ns: i64 = 5_000_000_000;
  connectTimeout_ns: i64 = 5_000_000_000;
  idleTimeout_ns: i64 = 300_000_000_000;
  /** A backend that is found down takes its connections with it. */
  resetOnDown: bool = true;
}

const enum SessionState {
  QUEUED = 0,
  CONNECTING = 1,
  OPEN = 2,
}


@unmanaged
class Session {
  /** Links of its backend's list or the queue; `next` of the free list. */
  next: Session | null;
  prev: Session | null;
  proxy: u32;
  state: u32;
  backend: u32;
  tries: u32;
  client: Connection | null;
  server: Connection | null;
  began_ns: i64;
  active_ns: i64;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + FIELDS);
  }
}

const FIELDS: usize = (offsetof<Session>() + 7) & ~7;
const SESSION_BYTES: usize = FIELDS + ((offsetof<Timer>() + 7) & ~7);

const proxies: Array<Proxy> = [];


@unmanaged
class SessionList {
  head: Session | null;
  tail: Session | null;

  push(s: Session): void {
    const tail = this.tail;
    s.next = null;
    s.prev = tail;
    if (tail != null) tail.next = s;
    else this.head = s;
    this.tail = s;
  }

  remove(s: Session): void {
    const next = s.next;
    const prev = s.prev;
    if (prev != null) prev.next = next;
    else this.head = next;
    if (next != null) next.prev = prev;
    else this.tail = prev;
  }
}

export class Proxy {
  open: u32 = 0;
  queued: u32 = 0;
  connections: u64 = 0;
  /** Ended without a byte from a backend: too many, nobody to serve them, waited too long. */
  refused: u64 = 0;
  private readonly id: u32 = proxies.length;
  private readonly listeners: Array<Listener> = [];
  /** A list for each backend, and behind them the queue. */
  private readonly lists: usize;
  private free: Session | null = null;
  private draining: bool = false;
  private serving: bool = false;

  constructor(
    readonly name: string,
    readonly tcp: TcpModule,
    readonly choice: Choice,
    readonly options: ProxyOptions,
  ) {
    const bytes = <usize>(choice.backends.length + 1) * offsetof<SessionList>();
    this.lists = heap.alloc(bytes);
    memory.fill(this.lists, 0, bytes);
    proxies.push(this);
  }


  @inline private listOf(backend: u32): SessionList {
    return changetype<SessionList>(this.lists + <usize>backend * offsetof<SessionList>());
  }

  private get queue(): SessionList {
    return this.listOf(this.choice.backends.length);
  }

  /** Listens on an address (0, 0: all) and port. @returns 0, or why not: EADDRINUSE, ENOBUFS */
  listen(hi: u64, lo: u64, port: u32): i32 {
    const l = this.tcp.listen(port, hi, lo, BACKLOG, onAccept, this.id);
    if (l == null) return this.tcp.lastError;
    this.listeners.push(l);
    this.gate();
    return 0;
  }

  /** A backend's operational state is another now. */
  setOperational(index: u32, state: Operational): void {
    const backend = this.choice.backends[index];
    const before = backend.operational;
    if (state == before) return;
    backend.operational = state;
    const now = this.tcp.stack.now_ns;
    if (state == Operational.UP && before != Operational.CHECKING) backend.up_ns = now;
    const level = state == Operational.UP ? LogLevel.INFO : LogLevel.WARN;
    log(level, "balancer: " + this.describe(backend) + " is " + OPERATIONAL_NAMES[state]);
    this.changed();
    if (state == Operational.DOWN && this.options.resetOnDown) this.resetBackend(index);
    this.serveQueue();
  }

  /** People want another state of a backend. With maintenance its connections end. */
  setAdmin(index: u32, state: Admin): void {
    const backend = this.choice.backends[index];
    if (state == backend.admin) return;
    backend.admin = state;
    log(LogLevel.INFO, "balancer: " + this.describe(backend) + " is set to " + ADMIN_NAMES[state]);
    this.changed();
    if (state == Admin.MAINTENANCE) this.resetBackend(index);
    this.serveQueue();
  }

  private describe(backend: Backend): string {
    const place = formatHost(backend.hi, backend.lo) + ":" + backend.port.toString();
    return "service " + this.name + ", backend " + backend.name + " (" + place + ")";
  }

  private changed(): void {
    const before = this.choice.available;
    this.choice.refresh(this.tcp.stack.now_ns);
    if (before && !this.choice.available)
      log(LogLevel.ERROR, "balancer: service " + this.name + " has no backend left");
    this.gate();
  }

  // Nobody to serve: RST at once, before a connection is begun.
  private gate(): void {
    for (let i = 0; i < this.listeners.length; i++)
      this.listeners[i].draining = this.draining || !this.choice.available;
  }

  private resetBackend(index: u32): void {
    const list = this.listOf(index);
    this.serving = true;
    for (let s: Session | null = list.head; s != null; s = list.head) this.end(s, true);
    this.serving = false;
  }

  /** Takes nothing new. */
  drain(): void {
    this.draining = true;
    this.gate();
  }

  // ---- sessions

  take(client: Connection): void {
    const tcp = this.tcp;
    if (this.open >= this.options.connections) {
      this.refused++;
      tcp.abort(client);
      return;
    }
    const s = this.newSession();
    this.open++;
    this.connections++;
    s.client = client;
    s.active_ns = tcp.stack.now_ns;
    // What leaves here was written by the other end as it wanted it: it must not wait for an acknowledgement.
    tcp.setNoDelay(client, true);
    tcp.setHandler(client, onClient, changetype<usize>(s));
    this.place(s, NOBODY);
  }

  private newSession(): Session {
    if (this.free == null) {
      let at = heap.alloc(<usize>POOL_STEP * SESSION_BYTES);
      for (let i: u32 = 0; i < POOL_STEP; i++, at += SESSION_BYTES) {
        const made = changetype<Session>(at);
        made.next = this.free;
        this.free = made;
      }
    }
    const s = this.free!;
    this.free = s.next;
    memory.fill(changetype<usize>(s), 0, SESSION_BYTES);
    s.proxy = this.id;
    s.backend = NOBODY;
    s.timer.init(onTimer, changetype<usize>(s));
    return s;
  }

  // Gives a session a backend other than `failed`, or lets it wait, or ends it.
  private place(s: Session, failed: u32): void {
    const client = s.client!;
    const now = this.tcp.stack.now_ns;
    const chosen = this.choice.choose(client.remoteHi, client.remoteLo, client.remotePort, now, failed);
    if (chosen != NOBODY) {
      this.connect(s, chosen);
    } else if (failed == NOBODY && this.choice.available && this.queued < this.options.queue) {
      s.state = SessionState.QUEUED;
      this.queue.push(s);
      this.queued++;
      this.tcp.stack.wheel.set(s.timer, now + this.options.queueTimeout_ns);
    } else {
      this.refused++;
      this.end(s, true);
    }
  }

  private connect(s: Session, index: u32): void {
    const tcp = this.tcp;
    const backend = this.choice.backends[index];
    s.state = SessionState.CONNECTING;
    s.backend = index;
    s.began_ns = tcp.stack.now_ns;
    this.listOf(index).push(s);
    backend.active++;
    const server = tcp.connect(backend.hi, backend.lo, backend.port);
    if (server == null) return this.connectFailed(s);
    s.server = server;
    tcp.setNoDelay(server, true);
    tcp.setHandler(server, onServer, changetype<usize>(s));
    tcp.stack.wheel.set(s.timer, s.began_ns + this.options.connectTimeout_ns);
  }

  private connectFailed(s: Session): void {
    const index = s.backend;
    this.choice.backends[index].failures++;
    this.leave(s);
    s.tries++;
    if (s.tries < CONNECT_TRIES) return this.place(s, index);
    this.refused++;
    this.end(s, true);
  }

  // Takes a session away from its backend, or out of the queue.
  private leave(s: Session): void {
    const tcp = this.tcp;
    tcp.stack.wheel.cancel(s.timer);
    if (s.backend != NOBODY) {
      this.listOf(s.backend).remove(s);
      this.choice.backends[s.backend].active--;
      s.backend = NOBODY;
    } else if (s.state == SessionState.QUEUED && (s.prev != null || this.queue.head == s)) {
      this.queue.remove(s);
      this.queued--;
    }
    const server = s.server;
    s.server = null;
    if (server != null) tcp.abort(server);
  }

  /** Ends a session: with resets, or, when both sides have finished, in order. */
  private end(s: Session, reset: bool): void {
    const tcp = this.tcp;
    const client = s.client;
    s.client = null;
    if (!reset) {
      const server = s.server!;
      s.server = null;
      tcp.close(server);
    }
    this.leave(s);
    if (client != null) {
      if (reset) tcp.abort(client);
      else tcp.close(client);
    }
    s.next = this.free;
    this.free = s;
    this.open--;
    this.serveQueue();
  }

  // Those that have waited longest go first to whoever has room.
  private serveQueue(): void {
    if (this.serving) return;
    this.serving = true;
    for (let s: Session | null = this.queue.head; s != null; s = this.queue.head) {
      const client = s.client!;
      const now = this.tcp.stack.now_ns;
      const chosen = this.choice.choose(client.remoteHi, client.remoteLo, client.remotePort, now);
      if (chosen == NOBODY) break;
      this.queue.remove(s);
      this.queued--;
      this.connect(s, chosen);
    }
    this.serving = false;
  }

  clientEvent(s: Session, events: u32): void {
    if ((events & Event.ERROR) != 0 || (s.state != SessionState.OPEN && (events & Event.CLOSED) != 0))
      return this.end(s, true);
    if (s.state == SessionState.OPEN) this.pump(s);
  }

  serverEvent(s: Session, events: u32): void {
    if (s.state == SessionState.CONNECTING) {
      if (events & (Event.ERROR | Event.CLOSED)) return this.connectFailed(s);
      if ((events & Event.ESTABLISHED) == 0) return;
      const now = this.tcp.stack.now_ns;
      const backend = this.choice.backends[s.backend];
      s.state = SessionState.OPEN;
      backend.connections++;
      backend.connected(now - s.began_ns);
      this.tcp.stack.wheel.set(s.timer, now + this.options.idleTimeout_ns);
    } else if (events & Event.ERROR) {
      this.choice.backends[s.backend].failures++;
      return this.end(s, true);
    }
    this.pump(s);
  }

  // Moves what can be moved, in both directions.
  private pump(s: Session): void {
    const client = s.client!;
    const server = s.server!;
    const backend = unchecked(this.choice.backends[s.backend]);
    s.active_ns = this.tcp.stack.now_ns;
    backend.bytesIn += this.move(client, server);
    backend.bytesOut += this.move(server, client);
    if (client.has(Flag.FIN_QUEUED) && server.has(Flag.FIN_QUEUED)) this.end(s, false);
  }

  private move(from: Connection, to: Connection): u32 {
    const moved = from.rq_bytes > 0 ? max(this.tcp.splice(from, to), 0) : 0;
    if (from.has(Flag.FIN_RECEIVED) && from.rq_bytes == 0 && !to.has(Flag.FIN_QUEUED)) this.tcp.shutdown(to);
    return moved;
  }

  timeOut(s: Session): void {
    const now = this.tcp.stack.now_ns;
    if (s.state == SessionState.CONNECTING) return this.connectFailed(s);
    const until = s.active_ns + this.options.idleTimeout_ns;
    if (s.state == SessionState.OPEN && now < until) return this.tcp.stack.wheel.set(s.timer, until);
    if (s.state == SessionState.QUEUED) this.refused++;
    this.end(s, true);
  }
}

/** Lets the sessions of all proxies come to their end. */
export class ProxyDrainer extends Drainer {
  begin(): void {
    for (let i = 0; i < proxies.length; i++) proxies[i].drain();
  }
  left(): u32 {
    let left: u32 = 0;
    for (let i = 0; i < proxies.length; i++) left += proxies[i].open;
    return left;
  }
}

function onAccept(l: Listener): void {
  const proxy = unchecked(proxies[l.context]);
  for (let c = proxy.tcp.accept(l); c != null; c = proxy.tcp.accept(l)) proxy.take(c);
}

function onClient(c: Connection, events: u32): void {
  const s = changetype<Session>(c.context);
  unchecked(proxies[s.proxy]).clientEvent(s, events);
}

function onServer(c: Connection, events: u32): void {
  const s = changetype<Session>(c.context);
  unchecked(proxies[s.proxy]).serverEvent(s, events);
}

function onTimer(timer: Timer): void {
  const s = changetype<Session>(timer.context);
  unchecked(proxies[s.proxy]).timeOut(s);
}
