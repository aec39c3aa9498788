// HTTP over TLS: listeners that feed an ContentServer, and the Wire of a TLS session. A response's head and the first bytes of
// its content leave in one record; content is encrypted where it lies.

import { log, LogLevel } from "../../runtime";
import { Listener, TcpModule } from "../tcp/index";
import { TlsContext, TlsEvent, TlsLayer, tlsLayer, TlsSession, TlsUser } from "../tls/index";
import { HttpConnection } from "./connection";
import { ContentServer } from "./server";
import { Wire, WireEvent } from "./wire";

/** Connections that may wait between TCP's handshake and the end of the turn. */
const BACKLOG: u32 = 4096;
const RECORD_BYTES: u32 = 16384;

export class TlsWire extends Wire {
  readonly layer: TlsLayer;
  /** Bytes of a session that were written and not yet encrypted: what follows may join them. */
  private readonly pending: usize = heap.alloc(RECORD_BYTES);
  private pendingBytes: u32 = 0;
  private pendingOf: usize = 0;
  /** A session's event is being handled: `flush` follows. */
  private inEvent: bool = false;

  constructor(private readonly tcp: TcpModule) {
    super();
    this.layer = tlsLayer(tcp);
    this.secure = true;
  }

  begin(): void {
    this.inEvent = true;
  }
  /** Encrypts what waits for more. */
  flush(): void {
    this.inEvent = false;
    const bytes = this.pendingBytes;
    if (bytes == 0) return;
    this.pendingBytes = 0;
    // `room` and `write` have seen to it that all of it is taken.
    this.layer.write(changetype<TlsSession>(this.pendingOf), this.pending, bytes);
  }
  private join(handle: usize, from: usize, length: u32): void {
    memory.copy(this.pending + this.pendingBytes, from, length);
    this.pendingBytes += length;
    this.pendingOf = handle;
  }

  now(): i64 {
    return this.tcp.stack.now_ns;
  }
  available(handle: usize): u32 {
    return changetype<TlsSession>(handle).available;
  }
  peek(handle: usize): usize {
    const s = changetype<TlsSession>(handle);
    return s.buffer + s.start;
  }
  contiguous(handle: usize): u32 {
    return changetype<TlsSession>(handle).available;
  }
  copy(handle: usize, to: usize, length: u32): void {
    memory.copy(to, this.peek(handle), length);
  }
  consume(handle: usize, length: u32): void {
    if (length > 0) this.layer.consume(changetype<TlsSession>(handle), length);
  }
  room(handle: usize, wanted: u32): u32 {
    const s = changetype<TlsSession>(handle);
    const room = this.layer.roomOf(s);
    const left = room > this.pendingBytes ? room - this.pendingBytes : 0;
    if (left < wanted) this.layer.wantRoom(s);
    return left;
  }
  write(handle: usize, from: usize, length: u32): u32 {
    if (this.pendingBytes + length > RECORD_BYTES) {
      const waiting = this.inEvent;
      this.flush();
      this.inEvent = waiting;
    }
    if (this.room(handle, length) < length) return 0;
    if (length > RECORD_BYTES) return this.layer.write(changetype<TlsSession>(handle), from, length);
    this.join(handle, from, length);
    if (!this.inEvent) this.flush();
    return length;
  }
  writeStatic(handle: usize, from: usize, length: u32): u32 {
    let joined: u32 = 0;
    if (this.pendingBytes > 0) {
      joined = min(min(length, RECORD_BYTES - this.pendingBytes), this.room(handle, length));
      this.join(handle, from, joined);
      if (joined == length && this.inEvent) return joined;
      const waiting = this.inEvent;
      this.flush();
      this.inEvent = waiting;
    }
    if (joined == length) return joined;
    return joined + this.layer.write(changetype<TlsSession>(handle), from + joined, length - joined);
  }
  finish(handle: usize): void {
    const waiting = this.inEvent;
    this.flush();
    this.inEvent = waiting;
    this.layer.finish(changetype<TlsSession>(handle));
  }
  release(handle: usize): void {
    if (this.pendingOf == handle) this.pendingBytes = 0;
    this.layer.release(changetype<TlsSession>(handle));
  }
  sourceHi(handle: usize): u64 {
    const c = changetype<TlsSession>(handle).tcp;
    return c != null ? c.remoteHi : 0;
  }
  sourceLo(handle: usize): u64 {
    const c = changetype<TlsSession>(handle).tcp;
    return c != null ? c.remoteLo : 0;
  }
}

/** The sessions of a server. */
class HttpsUser extends TlsUser {
  number: u32 = 0;

  constructor(
    readonly tcp: TcpModule,
    readonly wire: TlsWire,
    private readonly server: ContentServer,
    readonly context: TlsContext,
  ) {
    super();
  }

  established(s: TlsSession): void {
    const connection = this.server.accept(changetype<usize>(s));
    if (connection != null) {
      s.owner = changetype<usize>(connection);
      return;
    }
    if (this.server.counters.connectionsRefused == 1)
      log(LogLevel.WARN, "https: too many connections, refusing further ones");
    this.wire.layer.release(s);
  }

  event(s: TlsSession, events: u32): void {
    const connection = changetype<HttpConnection>(s.owner);
    let bits: u32 = 0;
    if (events & TlsEvent.READABLE) bits |= WireEvent.READABLE;
    if (events & TlsEvent.WRITABLE) bits |= WireEvent.WRITABLE;
    if (events & TlsEvent.PEER_CLOSED) bits |= WireEvent.PEER_CLOSED;
    if (events & TlsEvent.GONE) bits |= WireEvent.GONE;
    this.wire.begin();
    this.server.event(connection, bits);
    this.wire.flush();
  }
}

/**
 * Listens for a server, whose wire is `wire`, on an address (0, 0: all) and port.
 * @returns 0, or EADDRINUSE, ENOBUFS
 */
export function listenTls(
  tcp: TcpModule,
  wire: TlsWire,
  server: ContentServer,
  context: TlsContext,
  hi: u64,
  lo: u64,
  port: u32,
): i32 {
  const user = new HttpsUser(tcp, wire, server, context);
  user.number = wire.layer.addUser(user); // which holds it for ever
  return tcp.listen(port, hi, lo, BACKLOG, onAccept, changetype<usize>(user)) == null ? tcp.lastError : 0;
}

function onAccept(l: Listener): void {
  const user = changetype<HttpsUser>(l.context);
  const tcp = user.tcp;
  const layer = user.wire.layer;
  for (let c = tcp.accept(l); c != null; c = tcp.accept(l)) {
    if (layer.start(c, user.context, user.number, 0, null) != null) continue;
    if (layer.counters.refused == 1) log(LogLevel.WARN, "tls: too many handshakes, refusing further ones");
    tcp.abort(c);
  }
}
