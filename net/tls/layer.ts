// TLS over a core's TCP, driven by TCP's events: received records to plaintext, plaintext to records. No fiber; the two users
// are the HTTP server (net/http/tls.ts) and streams for fibers (stream.ts).
//
//   TCP receive queue --tlsStep(READ)--> session's buffer --> user
//   user's bytes --tlsStep(WRITE)--> one record's room --> TCP send queue
//
// Invariants
// 1. Handshakes go through a queue of which a turn takes a few: connections that are established are served first, whatever
//    comes in besides. Their number and duration are bounded.
// 2. What was encrypted reaches TCP in order and whole: where TCP took less, the rest is `unsent` and nothing is encrypted
//    before it has gone.
// 3. A session has a buffer only while it holds plaintext that was not read.

import {
  addSource,
  Errno,
  log,
  logs,
  LogLevel,
  Source,
  Timer,
  TlsFact,
  tlsFact,
  tlsFree,
  tlsOpen,
  TlsStatus,
  TlsStep,
  tlsStep,
  wallTime,
} from "../../runtime";
import { Connection, Event, Flag, receiveQueuePeek, receiveQueuePeekBytes, sendRoom, TcpModule } from "../tcp/index";
import { TlsContext } from "./context";
import { TlsFlag, TlsSession, TLS_SESSION_BYTES } from "./session";

/** What a session's user is told; bits. */
export const enum TlsEvent {
  READABLE = 1,
  WRITABLE = 2,
  /** The peer sends nothing more; what was received can still be read. */
  PEER_CLOSED = 4,
  GONE = 8,
}

export abstract class TlsUser {
  /** The handshake is done. */
  abstract established(s: TlsSession): void;
  abstract event(s: TlsSession, events: u32): void;
}

export class TlsCounters {
  handshakes: u64 = 0;
  resumed: u64 = 0;
  failed: u64 = 0;
  timeouts: u64 = 0;
  refused: u64 = 0;

  toString(): string {
    return (
      "handshakes " +
      this.handshakes.toString() +
      ", resumed " +
      this.resumed.toString() +
      ", failed " +
      this.failed.toString() +
      ", timed out " +
      this.timeouts.toString() +
      ", refused " +
      this.refused.toString()
    );
  }
}

/** RFC 8446, 5.1 and 5.2: plaintext of a record, and what is around it at most (TLS 1.2's nonce included). */
const RECORD_BYTES: u32 = 16384;
const RECORD_OVERHEAD: u32 = 64;
/** Room for what a step produces: a record, or a flight of a handshake with a chain of certificates. */
const OUT_BYTES: u32 = RECORD_BYTES + 4096;
/** Smaller records than this are not begun while more is to be sent. */
const RECORD_LEAST_BYTES: u32 = 4096;
/** Plaintext that a session holds at most: the largest head that an HTTP server takes. */
const PLAIN_MAX: u32 = 65536;
const BUFFER_BYTES: u32 = 2048;
/** Handshakes that are moved on in a turn. A full one takes up to 0.5 ms with RSA. */
const HANDSHAKES_PER_TURN: i32 = 2;
const HANDSHAKE_TIMEOUT_NS: i64 = 10_000_000_000;
const HANDSHAKES_MAX: u32 = 4096;
const POOL_STEP: u32 = 64;
const NS_PER_S: i64 = 1_000_000_000;

const IO_BYTES: usize = 24;
const IO_IN: usize = 0;
const IO_IN_BYTES: usize = 4;
const IO_OUT: usize = 8;
const IO_OUT_BYTES: usize = 12;
const IO_PLAIN: usize = 16;
const IO_PLAIN_BYTES: usize = 20;

/**
 * The last layer made, by address: the loop holds layers for ever. A typed variable here would compile the layer, and link the
 * library, into every image that imports this file.
 */
let newest: usize = 0;

/** The core's TLS over a TCP; made at the first call. */
export function tlsLayer(tcp: TcpModule): TlsLayer {
  for (let at = newest; at != 0; at = changetype<TlsLayer>(at).older)
    if (changetype<TlsLayer>(at).tcp == tcp) return changetype<TlsLayer>(at);
  const layer = new TlsLayer(tcp, newest);
  newest = changetype<usize>(layer);
  addSource(layer);
  return layer;
}

export class TlsLayer extends Source {
  readonly counters: TlsCounters = new TlsCounters();
  /** Sessions whose handshake is not done. */
  handshaking: u32 = 0;
  /** Sessions. */
  open: u32 = 0;
  private readonly users: Array<TlsUser> = [];
  private free: TlsSession | null = null;
  private first: TlsSession | null = null;
  private last: TlsSession | null = null;
  /** Free buffers of BUFFER_BYTES, linked through their first word. */
  private buffers: usize = 0;
  private readonly io: usize = heap.alloc(IO_BYTES);
  private readonly out: usize = heap.alloc(OUT_BYTES);

  constructor(
    readonly tcp: TcpModule,
    /** The layer made before. */
    readonly older: usize,
  ) {
    super();
  }

  /** Registers a user; its number. */
  addUser(user: TlsUser): u32 {
    return this.users.push(user) - 1;
  }

  /**
   * Takes over an established TCP connection. The user hears of it when the handshake is done.
   * @returns null when there are too many handshakes or no memory: the caller ends the connection
   */
  start(c: Connection, context: TlsContext, user: u32, owner: usize, serverName: string | null): TlsSession | null {
    const s = this.handshaking < HANDSHAKES_MAX ? this.take() : null;
    if (s == null) {
      this.counters.refused++;
      return null;
    }
    memory.fill(changetype<usize>(s), 0, TLS_SESSION_BYTES);
    s.tcp = c;
    s.native = -1;
    s.layer = changetype<usize>(this);
    s.user = user;
    s.context = context.handle;
    s.owner = owner;
    s.timer.init(onTimer, changetype<usize>(s));
    const tcp = this.tcp;
    tcp.stack.wheel.set(s.timer, tcp.stack.now_ns + HANDSHAKE_TIMEOUT_NS);
    // Records are written whole; the last segment must not wait for an acknowledgement.
    tcp.setNoDelay(c, true);
    tcp.setHandler(c, onTcp, changetype<usize>(s));
    this.open++;
    this.handshaking++;
    if (serverName != null) {
      s.flags |= TlsFlag.CLIENT;
      const name = String.UTF8.encode(serverName);
      s.native = tlsOpen(s.context, changetype<usize>(name), name.byteLength, wallTime() / NS_PER_S);
      this.enqueue(s);
    } else if (c.rq_bytes > 0 || c.has(Flag.FIN_RECEIVED)) {
      // The last packet of TCP's handshake may have brought the first of ours.
      this.enqueue(s);
    }
    return s;
  }

  // ---- the loop

  poll(pending: i32, now_ns: i64): bool {
    for (let n = HANDSHAKES_PER_TURN; n > 0; n--) {
      const s = this.first;
      if (s == null) return false;
      this.first = s.next;
      if (this.first == null) this.last = null;
      s.flags &= ~TlsFlag.QUEUED;
      if (s.has(TlsFlag.FREED)) this.giveBack(s);
      else this.handshake(s);
    }
    return this.first != null;
  }

  arm(): bool {
    return this.first != null;
  }

  private enqueue(s: TlsSession): void {
    if (s.has(TlsFlag.QUEUED)) return;
    s.flags |= TlsFlag.QUEUED;
    s.next = null;
    const last = this.last;
    if (last == null) this.first = s;
    else last.next = s;
    this.last = s;
  }

  /** TCP's events. */
  tcpEvent(s: TlsSession, events: u32): void {
    if (events & (Event.CLOSED | Event.ERROR)) {
      if (s.has(TlsFlag.OPEN)) this.users[s.user].event(s, TlsEvent.GONE);
      else this.lose(s);
    } else if (s.has(TlsFlag.OPEN)) {
      this.serve(s, events & Event.WRITABLE ? TlsEvent.WRITABLE : 0);
    } else {
      this.enqueue(s);
    }
  }

  /** The time of a handshake is up. */
  timeOut(s: TlsSession): void {
    this.counters.timeouts++;
    this.lose(s);
  }

  /** Ends a session whose user does not know of it, or, as a client, waits for it. */
  private lose(s: TlsSession): void {
    if (s.has(TlsFlag.CLIENT)) this.users[s.user].event(s, TlsEvent.GONE);
    else this.release(s);
  }

  private handshake(s: TlsSession): void {
    if (s.native < 0) {
      s.native = tlsOpen(s.context, 0, 0, wallTime() / NS_PER_S);
      if (s.native < 0) return this.lose(s);
    }
    this.move(s);
    if (!s.has(TlsFlag.READY) && (s.has(TlsFlag.FAILED) || s.tcp!.has(Flag.FIN_RECEIVED))) {
      this.counters.failed++;
      if (logs(LogLevel.DEBUG))
        log(LogLevel.DEBUG, "tls: handshake failed, reason " + tlsFact(s.native, TlsFact.ERROR).toString());
      this.tcp.shutdown(s.tcp!);
      return this.lose(s);
    }
    if (!s.has(TlsFlag.READY)) return;
    this.tcp.stack.wheel.cancel(s.timer);
    s.flags |= TlsFlag.OPEN;
    this.handshaking--;
    this.counters.handshakes++;
    if (tlsFact(s.native, TlsFact.RESUMED) == 1) this.counters.resumed++;
    this.users[s.user].established(s);
    // What came with the end of the handshake was read with it.
    if (s.tcp != null) this.serve(s, s.available > 0 ? TlsEvent.READABLE : 0);
  }

  /** Tells the user what there is, as long as there is more. */
  private serve(s: TlsSession, events: u32): void {
    const user = this.users[s.user];
    for (;;) {
      const before = s.end - s.start;
      this.move(s);
      if (s.available > before) events |= TlsEvent.READABLE;
      const ended = s.has(TlsFlag.CLOSED) || (s.tcp!.has(Flag.FIN_RECEIVED) && s.tcp!.rq_bytes == 0);
      if (s.has(TlsFlag.FAILED)) {
        this.tcp.shutdown(s.tcp!); // behind the alert
        events |= TlsEvent.GONE;
      } else if (ended && !s.has(TlsFlag.TOLD_CLOSED)) {
        s.flags |= TlsFlag.TOLD_CLOSED;
        events |= TlsEvent.PEER_CLOSED;
      }
      if (events == 0) return;
      user.event(s, events);
      if (s.tcp == null || !(events & TlsEvent.READABLE)) return;
      events = 0;
    }
  }

  // ---- records

  /** Moves what was received through the library, as far as there is room for plaintext. */
  private move(s: TlsSession): void {
    const c = s.tcp!;
    const io = this.io;
    if (s.unsent != 0 && !this.sendUnsent(s)) return;
    while (!s.has(TlsFlag.FAILED | TlsFlag.CLOSED) && s.available < PLAIN_MAX) {
      const received = receiveQueuePeekBytes(c);
      const idle = received == 0 && !s.has(TlsFlag.MORE | TlsFlag.BLOCKED);
      if (idle && (s.has(TlsFlag.READY) || !s.has(TlsFlag.CLIENT))) break;
      if (!this.makeRoom(s)) break;
      store<u32>(io, <u32>receiveQueuePeek(c), IO_IN);
      store<u32>(io, received, IO_IN_BYTES);
      store<u32>(io, <u32>this.out, IO_OUT);
      store<u32>(io, min(OUT_BYTES, sendRoom(c)), IO_OUT_BYTES);
      store<u32>(io, <u32>s.buffer + s.end, IO_PLAIN);
      store<u32>(io, s.room - s.end, IO_PLAIN_BYTES);
      const status = tlsStep(s.native, TlsStep.READ, io);
      const consumed = load<u32>(io, IO_IN_BYTES);
      const produced = load<u32>(io, IO_OUT_BYTES);
      const plain = status == Errno.EINVAL ? 0 : load<u32>(io, IO_PLAIN_BYTES);
      if (status != Errno.EINVAL) {
        s.end += plain;
        if (consumed > 0) this.tcp.consume(c, consumed);
        if (produced > 0) this.send(s, produced);
      }
      this.note(s, status);
      if (s.has(TlsFlag.BLOCKED) || s.unsent != 0) {
        c.set(Flag.WANT_WRITE);
        break;
      }
      if ((consumed | produced | plain) == 0) break;
      // The user hears of the end of the handshake before more is read.
      if (idle) break;
    }
    if (s.available == 0) this.dropBuffer(s);
  }

  /** Takes a step's status over. */
  private note(s: TlsSession, status: i32): void {
    if (status < 0) {
      s.flags |= TlsFlag.FAILED;
      return;
    }
    let flags = s.flags & ~(TlsFlag.MORE | TlsFlag.BLOCKED);
    if (status & TlsStatus.READY) flags |= TlsFlag.READY;
    if (status & TlsStatus.MORE) flags |= TlsFlag.MORE;
    if (status & TlsStatus.BLOCKED) flags |= TlsFlag.BLOCKED;
    if (status & TlsStatus.CLOSED) flags |= TlsFlag.CLOSED;
    s.flags = flags;
  }

  /** Queues what a step produced. */
  private send(s: TlsSession, bytes: u32): void {
    const taken = <u32>max(this.tcp.write(s.tcp!, this.out, bytes), 0);
    if (taken == bytes) return;
    const left = bytes - taken;
    s.unsent = heap.alloc(left);
    memory.copy(s.unsent, this.out + taken, left);
    s.unsentStart = 0;
    s.unsentEnd = left;
  }

  /** Queues what TCP did not take before; false when something is still left. */
  private sendUnsent(s: TlsSession): bool {
    const left = s.unsentEnd - s.unsentStart;
    const taken = this.tcp.write(s.tcp!, s.unsent + s.unsentStart, left);
    if (taken > 0) s.unsentStart += taken;
    if (s.unsentStart < s.unsentEnd) return false;
    heap.free(s.unsent);
    s.unsent = 0;
    return true;
  }

  /** Bytes of plaintext that `write` takes now. */
  roomOf(s: TlsSession): u32 {
    if (s.unsent != 0 || s.has(TlsFlag.BLOCKED | TlsFlag.FAILED)) return 0;
    const room = sendRoom(s.tcp!);
    const record = RECORD_BYTES + RECORD_OVERHEAD;
    const rest = room % record;
    return (room / record) * RECORD_BYTES + (rest > RECORD_OVERHEAD ? rest - RECORD_OVERHEAD : 0);
  }

  /** Reads on after `consume` made room: what TCP has received beyond what a session holds. */
  pull(s: TlsSession): void {
    this.move(s);
  }

  /** Asks for WRITABLE once there is more room. */
  wantRoom(s: TlsSession): void {
    s.tcp!.set(Flag.WANT_WRITE);
  }

  /** Encrypts and queues bytes; gives how many were taken. When not all, WRITABLE follows. */
  write(s: TlsSession, from: usize, bytes: u32): u32 {
    const c = s.tcp!;
    const io = this.io;
    if (s.unsent != 0 && !this.sendUnsent(s)) return 0;
    let done: u32 = 0;
    while (done < bytes && s.unsent == 0 && !s.has(TlsFlag.BLOCKED | TlsFlag.FAILED)) {
      const part = min(bytes - done, RECORD_BYTES);
      const room = min(OUT_BYTES, sendRoom(c));
      if (room < RECORD_OVERHEAD + min(part, RECORD_LEAST_BYTES)) break;
      store<u32>(io, 0, IO_IN_BYTES);
      store<u32>(io, <u32>this.out, IO_OUT);
      store<u32>(io, room, IO_OUT_BYTES);
      store<u32>(io, <u32>(from + done), IO_PLAIN);
      store<u32>(io, part, IO_PLAIN_BYTES);
      const status = tlsStep(s.native, TlsStep.WRITE, io);
      if (status != Errno.EINVAL) {
        const produced = load<u32>(io, IO_OUT_BYTES);
        if (produced > 0) this.send(s, produced);
        done += load<u32>(io, IO_PLAIN_BYTES);
      }
      const more = s.flags & TlsFlag.MORE;
      this.note(s, status);
      s.flags |= more;
    }
    if (done < bytes) c.set(Flag.WANT_WRITE);
    return done;
  }

  /** Tells the peer that nothing more follows, and ends our half of the TCP connection. */
  finish(s: TlsSession): void {
    const c = s.tcp!;
    const io = this.io;
    if (s.native >= 0 && s.unsent == 0) {
      store<u32>(io, 0, IO_IN_BYTES);
      store<u32>(io, <u32>this.out, IO_OUT);
      store<u32>(io, min(OUT_BYTES, sendRoom(c)), IO_OUT_BYTES);
      store<u32>(io, 0, IO_PLAIN_BYTES);
      if (tlsStep(s.native, TlsStep.CLOSE, io) != Errno.EINVAL) {
        const produced = load<u32>(io, IO_OUT_BYTES);
        if (produced > 0) this.send(s, produced);
      }
    }
    this.tcp.shutdown(c);
  }

  /** Gives the session up: what is queued is still sent if it was finished, else the peer sees a reset. */
  release(s: TlsSession): void {
    const c = s.tcp!;
    if (!s.has(TlsFlag.OPEN)) this.handshaking--;
    this.tcp.stack.wheel.cancel(s.timer);
    if (c.has(Flag.FIN_QUEUED)) {
      this.tcp.consume(c, c.rq_bytes);
      this.tcp.close(c);
    } else this.tcp.abort(c);
    if (s.native >= 0) tlsFree(s.native);
    this.dropBuffer(s);
    if (s.unsent != 0) heap.free(s.unsent);
    s.unsent = 0;
    s.tcp = null;
    this.open--;
    if (s.has(TlsFlag.QUEUED)) s.flags |= TlsFlag.FREED;
    else this.giveBack(s);
  }

  // ---- plaintext

  /** Gives up the first `bytes` received bytes. */
  consume(s: TlsSession, bytes: u32): void {
    s.start += min(bytes, s.available);
    if (s.start == s.end) this.dropBuffer(s);
  }

  /** Makes room for at least one byte of plaintext. */
  private makeRoom(s: TlsSession): bool {
    if (s.buffer == 0) {
      let at = this.buffers;
      if (at != 0) this.buffers = load<usize>(at);
      else at = heap.alloc(BUFFER_BYTES);
      s.buffer = at;
      s.room = BUFFER_BYTES;
      s.start = s.end = 0;
    }
    if (s.end < s.room) return true;
    const held = s.available;
    if (s.start >= s.room / 2) {
      memory.copy(s.buffer, s.buffer + s.start, held);
    } else {
      if (s.room >= 2 * PLAIN_MAX) return false;
      const larger = heap.alloc(2 * s.room);
      memory.copy(larger, s.buffer + s.start, held);
      const room = 2 * s.room;
      this.dropBuffer(s);
      s.buffer = larger;
      s.room = room;
    }
    s.start = 0;
    s.end = held;
    return true;
  }

  private dropBuffer(s: TlsSession): void {
    const at = s.buffer;
    s.start = s.end = 0;
    if (at == 0) return;
    s.buffer = 0;
    if (s.room == BUFFER_BYTES) {
      store<usize>(at, this.buffers);
      this.buffers = at;
    } else {
      heap.free(at);
    }
  }

  // ---- the pool

  private take(): TlsSession | null {
    if (this.free == null) {
      let at = heap.alloc(POOL_STEP * TLS_SESSION_BYTES);
      for (let i: u32 = 0; i < POOL_STEP; i++, at += TLS_SESSION_BYTES) this.giveBack(changetype<TlsSession>(at));
    }
    const s = this.free!;
    this.free = s.next;
    return s;
  }

  private giveBack(s: TlsSession): void {
    s.tcp = null;
    s.flags = 0;
    s.next = this.free;
    this.free = s;
  }
}

function onTcp(c: Connection, events: u32): void {
  const s = changetype<TlsSession>(c.context);
  changetype<TlsLayer>(s.layer).tcpEvent(s, events);
}

function onTimer(timer: Timer): void {
  const s = changetype<TlsSession>(timer.context);
  changetype<TlsLayer>(s.layer).timeOut(s);
}
