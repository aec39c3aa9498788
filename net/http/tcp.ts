// HTTP over TCP: listeners that feed an ContentServer, and the Wire of a TCP connection.

import { log, LogLevel } from "../../runtime";
import {
  Connection,
  Event,
  Flag,
  Listener,
  receiveQueueCopy,
  receiveQueuePeek,
  receiveQueuePeekBytes,
  sendRoom,
  TcpModule,
} from "../tcp/index";
import { Drainer } from "../drain";
import { HttpConnection } from "./connection";
import { ContentServer } from "./server";
import { Wire, WireEvent } from "./wire";

/** Connections that may wait between their handshake and the end of the turn. */
const BACKLOG: u32 = 4096;

export class TcpWire extends Wire {
  constructor(private readonly tcp: TcpModule) {
    super();
  }

  now(): i64 {
    return this.tcp.stack.now_ns;
  }
  available(handle: usize): u32 {
    return changetype<Connection>(handle).rq_bytes;
  }
  peek(handle: usize): usize {
    return receiveQueuePeek(changetype<Connection>(handle));
  }
  contiguous(handle: usize): u32 {
    return receiveQueuePeekBytes(changetype<Connection>(handle));
  }
  copy(handle: usize, to: usize, length: u32): void {
    receiveQueueCopy(changetype<Connection>(handle), to, length);
  }
  consume(handle: usize, length: u32): void {
    if (length > 0) this.tcp.consume(changetype<Connection>(handle), length);
  }
  room(handle: usize, wanted: u32): u32 {
    const c = changetype<Connection>(handle);
    const room = sendRoom(c);
    if (room < wanted) c.set(Flag.WANT_WRITE);
    return room;
  }
  write(handle: usize, from: usize, length: u32): u32 {
    return <u32>max(this.tcp.write(changetype<Connection>(handle), from, length), 0);
  }
  writeStatic(handle: usize, from: usize, length: u32): u32 {
    return <u32>max(this.tcp.writeStatic(changetype<Connection>(handle), from, length), 0);
  }
  finish(handle: usize): void {
    this.tcp.shutdown(changetype<Connection>(handle));
  }
  release(handle: usize): void {
    const c = changetype<Connection>(handle);
    if (c.has(Flag.FIN_QUEUED)) this.tcp.close(c);
    else this.tcp.abort(c);
  }
  sourceHi(handle: usize): u64 {
    return changetype<Connection>(handle).remoteHi;
  }
  sourceLo(handle: usize): u64 {
    return changetype<Connection>(handle).remoteLo;
  }
}

/** Finishes what the servers of a TCP, over TLS or not, have begun. */
export class HttpDrainer extends Drainer {
  constructor(
    private readonly tcp: TcpModule,
    private readonly servers: Array<ContentServer>,
  ) {
    super();
  }

  begin(): void {
    this.tcp.listeners.drain();
    for (let i = 0; i < this.servers.length; i++) this.servers[i].drain();
  }
  left(): u32 {
    return this.tcp.table.unfinished();
  }
}

/** Where a server listens. */
class Place {
  constructor(
    readonly listener: Listener,
    readonly hi: u64,
    readonly lo: u64,
  ) {}
}

/** A server on TCP: what its listeners' handlers find by number, as @unmanaged memory holds no managed reference. */
class Binding {
  constructor(
    readonly tcp: TcpModule,
    public server: ContentServer,
  ) {}
  readonly places: Array<Place> = [];
}
const bindings: Array<Binding> = [];

/**
 * Listens for a server on an address (0, 0: all) and port.
 * @returns 0, or EADDRINUSE, ENOBUFS
 */
export function listenTcp(tcp: TcpModule, server: ContentServer, hi: u64, lo: u64, port: u32): i32 {
  let number = bindingOf(tcp, server);
  if (number < 0) number = bindings.push(new Binding(tcp, server)) - 1;
  const listener = tcp.listen(port, hi, lo, BACKLOG, onAccept, number);
  if (listener == null) return tcp.lastError;
  bindings[number].places.push(new Place(listener, hi, lo));
  return 0;
}

function bindingOf(tcp: TcpModule, server: ContentServer): i32 {
  for (let i = 0; i < bindings.length; i++) if (bindings[i].server == server && bindings[i].tcp == tcp) return i;
  return -1;
}

/** Gives the listeners of a server to another one, which takes the connections to come. */
export function replaceServer(tcp: TcpModule, before: ContentServer, after: ContentServer): void {
  const number = bindingOf(tcp, before);
  if (number >= 0) bindings[number].server = after;
}

/** Whether a server listens on an address and port. */
export function listensTcp(tcp: TcpModule, server: ContentServer, hi: u64, lo: u64, port: u32): bool {
  return placeOf(tcp, server, hi, lo, port) >= 0;
}

/** Stops listening there; connections stay. */
export function unlistenTcp(tcp: TcpModule, server: ContentServer, hi: u64, lo: u64, port: u32): void {
  const at = placeOf(tcp, server, hi, lo, port);
  if (at >= 0) tcp.closeListener(bindings[bindingOf(tcp, server)].places.splice(at, 1)[0].listener);
}

function placeOf(tcp: TcpModule, server: ContentServer, hi: u64, lo: u64, port: u32): i32 {
  const number = bindingOf(tcp, server);
  if (number < 0) return -1;
  const places = bindings[number].places;
  for (let i = 0; i < places.length; i++) {
    const place = places[i];
    if (place.hi == hi && place.lo == lo && place.listener.port == port) return i;
  }
  return -1;
}

function onAccept(l: Listener): void {
  const binding = unchecked(bindings[l.context]);
  const tcp = binding.tcp;
  for (let c = tcp.accept(l); c != null; c = tcp.accept(l)) {
    const connection = binding.server.accept(changetype<usize>(c));
    if (connection == null) {
      if (binding.server.counters.connectionsRefused == 1)
        log(LogLevel.WARN, "http: too many connections, refusing further ones");
      tcp.abort(c);
      continue;
    }
    // A response is written whole, its last segment must not wait for an acknowledgement (RFC 9293, 3.7.4).
    tcp.setNoDelay(c, true);
    tcp.setHandler(c, onEvent, changetype<usize>(connection));
    // The handshake's ACK may have brought the request along.
    if (c.rq_bytes > 0 || c.has(Flag.FIN_RECEIVED)) {
      binding.server.event(connection, WireEvent.READABLE | (c.has(Flag.FIN_RECEIVED) ? WireEvent.PEER_CLOSED : 0));
    }
  }
}

function onEvent(c: Connection, events: u32): void {
  const connection = changetype<HttpConnection>(c.context);
  let bits: u32 = 0;
  if (events & Event.READABLE) bits |= WireEvent.READABLE;
  if (events & Event.WRITABLE) bits |= WireEvent.WRITABLE;
  if (events & Event.PEER_CLOSED) bits |= WireEvent.PEER_CLOSED;
  if (events & (Event.CLOSED | Event.ERROR)) bits |= WireEvent.GONE;
  ContentServer.of(connection).event(connection, bits);
}
