// What applications call: connect, listen, accept, read, write, close and options of a connection (RFC 9293, 3.9.1). Nothing here waits;
// net/socket makes it look so. Ports as RFC 6056, reuse of TIME-WAIT as RFC 6191.

import { Errno } from "../../runtime";
import { isMulticast, isUnspecified } from "../ip/address";
import { Stack } from "../stack";
import { freshRoute } from "./bare";
import { canSendState, Connection, Flag, isSynchronised, setSendStart, State, TcpHandler } from "./connection";
import { TcpCore } from "./core";
import { FlowKind } from "./flow";
import { initialSequence, portOffset, PORT_MIN, PORT_RANGE, sequenceHash, timestampOffset } from "./isn";
import { TcpLimits } from "./limits";
import { AcceptHandler, Listener, listenerAccept, listenerClose } from "./listener";
import { sendReset, sendSyn } from "./output";
import {
  receiveQueueConsume,
  receiveQueuePeek,
  receiveQueuePeekBytes,
  receiveQueueRead,
  receiveQueueTake,
} from "./receive";
import { sendQueueMove, sendQueueStatic, sendQueueWrite, sendRoom } from "./sendqueue";
import { flowHash } from "./table";
import { armHandshake, armKeepAlive, KEEP_IDLE_MS, KEEP_INTERVAL_MS } from "./timers";
import { TimeWait } from "./timewait";
import { tuneReceiveBuffer } from "./window";

const SECOND_NS: i64 = 1_000_000_000;

export abstract class TcpCalls extends TcpCore {
  private nextPort: u32;

  constructor(stack: Stack, limits: TcpLimits) {
    super(stack, limits);
    this.nextPort = stack.random32();
  }

  /**
   * Begins a connection; ESTABLISHED or CLOSED is its first event.
   * @param localHi, localLo the source address, or 0: the route's
   * @param localPort 0: an ephemeral one
   * @returns the connection, owned by the caller, or null with `lastError`: ENETUNREACH, EADDRNOTAVAIL, EADDRINUSE, ENOBUFS, EINVAL
   */
  connect(
    remoteHi: u64,
    remoteLo: u64,
    remotePort: u32,
    localHi: u64 = 0,
    localLo: u64 = 0,
    localPort: u32 = 0,
  ): Connection | null {
    const stack = this.stack;
    this.lastError = Errno.EINVAL;
    if (remotePort == 0 || remotePort > 65535 || localPort > 65535) return null;
    if (isMulticast(remoteHi, remoteLo) || isUnspecified(remoteHi, remoteLo)) return null;
    if ((localHi | localLo) == 0) {
      const route = freshRoute();
      const error = stack.ip.resolve(route, remoteHi, remoteLo);
      if (error < 0) {
        this.lastError = error;
        return null;
      }
      localHi = route.srcHi;
      localLo = route.srcLo;
      if (isUnspecified(localHi, localLo)) {
        this.lastError = Errno.EADDRNOTAVAIL;
        return null;
      }
    }
    let floor: u32 = 0;
    let hasFloor = false;
    let hash: u32 = 0;
    let found = false;
    const base = portOffset(stack, localLo, remoteHi, remoteLo, remotePort);
    // RFC 6056, 3.3.5: random steps; a bounded search, so that a crowded range costs a failure and not the core.
    for (let i = 0; i < 512 && !found; i++) {
      let port = localPort;
      if (port == 0) {
        this.nextPort += 1 + (stack.random32() & 7);
        port = stack.portOf(PORT_MIN, PORT_RANGE, base + this.nextPort);
      }
      hash = flowHash(stack, localHi, localLo, remoteHi, remoteLo, port, remotePort);
      const f = this.table.find(hash, localHi, localLo, remoteHi, remoteLo, port, remotePort);
      if (f == null) {
        found = true;
      } else if (f.kind == FlowKind.TIME_WAIT) {
        // RFC 6191 for the side that opens: a second later each timestamp is above the old ones.
        const w = changetype<TimeWait>(f);
        if (w.timestamps && stack.now_ns - w.entered_ns > SECOND_NS) {
          floor = w.snd_nxt;
          hasFloor = true;
          this.timeWaits.remove(this, w);
          found = true;
        }
      }
      if (localPort != 0 && !found) {
        this.lastError = Errno.EADDRINUSE;
        return null;
      }
      if (found) localPort = port;
    }
    if (!found) {
      this.lastError = Errno.EADDRNOTAVAIL;
      return null;
    }
    const c = this.create(localHi, localLo, remoteHi, remoteLo, localPort, remotePort, hash);
    if (c == null) return null;
    this.lastError = 0;
    c.state = State.SYN_SENT;
    c.set(Flag.OWNED);
    c.ts_offset = timestampOffset(stack, localHi, localLo, remoteHi, remoteLo);
    let iss = initialSequence(stack, sequenceHash(stack, localHi, localLo, remoteHi, remoteLo, localPort, remotePort));
    if (hasFloor && <i32>(iss - floor) <= 0) iss = floor + 65537;
    setSendStart(c, iss);
    stack.counters.tcpActiveOpens++;
    sendSyn(this, c);
    armHandshake(this, c);
    return c;
  }

  /**
   * Listens on a port.
   * @param hi, lo an own address, or 0 for all
   * @param backlog connections that may wait to be accepted, and as many again half-open (at least 64) before cookies are sent
   * @returns the listener, or null with `lastError`: EADDRINUSE, ENOBUFS, EINVAL
   */
  listen(port: u32, hi: u64, lo: u64, backlog: u32, handler: AcceptHandler | null, context: usize): Listener | null {
    this.lastError = Errno.EINVAL;
    if (port == 0 || port > 65535 || backlog == 0) return null;
    if (this.listeners.find(port, hi, lo) != null) {
      this.lastError = Errno.EADDRINUSE;
      return null;
    }
    const l = this.listeners.add(port, hi, lo, this.stack.id, backlog);
    if (l == null) {
      this.lastError = Errno.ENOBUFS;
      return null;
    }
    this.stack.listening = true;
    l.handler = handler != null ? handler.index : 0;
    l.context = context;
    this.lastError = 0;
    return l;
  }

  /** A connection of the accept queue, owned by the caller from here; null when there is none. */
  accept(l: Listener): Connection | null {
    return listenerAccept(l);
  }

  /** Stops listening. Connections that were not accepted are reset. */
  closeListener(l: Listener): void {
    if (!l.open) return;
    l.open = false;
    listenerClose(this, l);
    this.listeners.remove(l);
  }

  /**
   * Stops taking new connections, which are refused from now on; those that have begun can still be accepted. The handler is called when the last
   * is gone: then `closeListener` ends it.
   */
  drainListener(l: Listener): void {
    l.draining = true;
  }

  /** Sets who is told of events: READABLE, WRITABLE (after a `write` that took less than all), ESTABLISHED, PEER_CLOSED, CLOSED. */
  setHandler(c: Connection, handler: TcpHandler | null, context: usize): void {
    c.handler = handler != null ? handler.index : 0;
    c.context = context;
  }

  /**
   * Queues bytes by copy.
   * @returns how many were taken (WRITABLE follows when less than all), EAGAIN for none, EPIPE after `shutdown`, ENOTCONN, or why it ended
   */
  write(c: Connection, from: usize, bytes: u32): i32 {
    const error = this.mayWrite(c);
    if (error < 0) return error;
    return this.queued(c, sendQueueWrite(this, c, from, bytes), bytes);
  }

  /** Queues a reference to bytes that never change nor go away (the content region); the same results as `write`. */
  writeStatic(c: Connection, from: usize, bytes: u32): i32 {
    const error = this.mayWrite(c);
    if (error < 0) return error;
    return this.queued(c, sendQueueStatic(this, c, from, bytes), bytes);
  }

  /**
   * Moves what `from` has received to what `to` sends, packet by packet, without copying, as far as `to` has room (and at most a packet
   * further). When bytes are left behind, WRITABLE of `to` follows.
   * @returns how many, or why `to` takes none: EPIPE, ENOTCONN, or why it ended
   */
  splice(from: Connection, to: Connection): i32 {
    const error = this.mayWrite(to);
    if (error < 0) return error;
    let moved: u32 = 0;
    while (from.rq_bytes > 0 && sendRoom(to) > 0) {
      const p = receiveQueueTake(this, from);
      if (p != null) {
        moved += p.totalLen;
        sendQueueMove(this, to, p);
        continue;
      }
      const taken = sendQueueWrite(this, to, receiveQueuePeek(from), receiveQueuePeekBytes(from));
      if (taken == 0) {
        this.starve(to);
        break;
      }
      receiveQueueConsume(this, from, taken);
      moved += taken;
    }
    if (moved > 0) {
      this.queue(to);
      this.afterRead(from);
    }
    if (from.rq_bytes > 0) to.set(Flag.WANT_WRITE);
    return moved;
  }

  private mayWrite(c: Connection): i32 {
    if (c.state == State.CLOSED) return c.error != 0 ? c.error : Errno.EPIPE;
    if (c.has(Flag.FIN_QUEUED)) return Errno.EPIPE;
    return canSendState(c.state) ? 0 : Errno.ENOTCONN;
  }

  private queued(c: Connection, taken: u32, wanted: u32): i32 {
    if (taken > 0) this.queue(c);
    if (taken < wanted) {
      c.set(Flag.WANT_WRITE);
      // Not its own limit, but everybody's: perhaps nothing of its own is on the way whose acknowledgement would wake it.
      if (sendRoom(c) > 0) this.starve(c);
      if (taken == 0) return Errno.EAGAIN;
    }
    return taken;
  }

  /**
   * Reads received bytes.
   * @returns how many, 0 after the peer's FIN, EAGAIN when there are none yet, or why the connection ended
   */
  read(c: Connection, to: usize, bytes: u32): i32 {
    const state = this.mayRead(c);
    if (state <= 0) return state;
    const taken = receiveQueueRead(this, c, to, bytes);
    this.afterRead(c);
    return taken;
  }

  /** What `read` would find: bytes available, 0 at the end, or an error. */
  mayRead(c: Connection): i32 {
    if (c.rq_bytes > 0) return <i32>c.rq_bytes;
    if (c.error != 0) return c.error;
    if (c.has(Flag.FIN_RECEIVED)) return 0;
    if (c.has(Flag.READ_SHUT)) return 0;
    if (c.state == State.CLOSED) return Errno.ENOTCONN;
    return Errno.EAGAIN;
  }

  /** Removes bytes that were used in place (receiveQueuePeek), at most rq_bytes. */
  consume(c: Connection, bytes: u32): void {
    receiveQueueConsume(this, c, min(bytes, c.rq_bytes));
    this.afterRead(c);
  }

  private afterRead(c: Connection): void {
    tuneReceiveBuffer(this, c);
    if (isSynchronised(c.state) && !c.has(Flag.FIN_RECEIVED)) {
      c.set(Flag.WINDOW_UPDATE);
      this.queue(c);
    }
  }

  /** No more will be written: a FIN follows what is queued. ENOTCONN. */
  shutdown(c: Connection): i32 {
    switch (c.state) {
      case State.ESTABLISHED:
        c.state = State.FIN_WAIT_1;
        break;
      case State.CLOSE_WAIT:
        c.state = State.LAST_ACK;
        break;
      case State.FIN_WAIT_1:
      case State.FIN_WAIT_2:
      case State.CLOSING:
      case State.LAST_ACK:
        return 0;
      default:
        return Errno.ENOTCONN;
    }
    c.set(Flag.FIN_QUEUED);
    this.queue(c);
    return 0;
  }

  /** Gives the connection up: what is queued is still sent, then FIN. With unread data it is reset (RFC 1122, 4.2.2.13). Not to be used after. */
  close(c: Connection): void {
    c.handler = 0;
    const unread = c.rq_bytes > 0;
    c.clear(Flag.OWNED | Flag.PASSIVE);
    if (unread || (c.has(Flag.LINGER) && c.linger_ms == 0) || c.state == State.SYN_SENT || c.state == State.SYN_RCVD) {
      if (isSynchronised(c.state)) sendReset(this, c);
      this.finish(c, Errno.ECONNABORTED);
    } else {
      this.shutdown(c);
      if (c.state != State.CLOSED) armKeepAlive(this, c);
    }
    this.settle(c);
  }

  /** Gives the connection up with a RST; nothing queued is sent. Not to be used after. */
  abort(c: Connection): void {
    c.handler = 0;
    c.clear(Flag.OWNED | Flag.PASSIVE);
    if (isSynchronised(c.state) || c.state == State.SYN_RCVD) sendReset(this, c);
    this.finish(c, Errno.ECONNABORTED);
    this.settle(c);
  }

  /**
   * How long after `close` what is queued may take to be sent and acknowledged: then the connection is reset. 0: `close` resets at once.
   * Without it the peer's silence alone ends a closed connection, after 8 timeouts.
   */
  setLinger(c: Connection, linger_ms: u32): void {
    c.set(Flag.LINGER);
    c.linger_ms = linger_ms;
  }

  /** Turns keep-alive on or off. Times in ms. */
  setKeepAlive(c: Connection, on: bool, idle_ms: u32 = KEEP_IDLE_MS, interval_ms: u32 = KEEP_INTERVAL_MS): void {
    c.keep_idle_ms = max<u32>(idle_ms, 1000);
    c.keep_interval_ms = max<u32>(interval_ms, 1000);
    c.keep_probes = 0;
    if (on) c.set(Flag.KEEPALIVE);
    else c.clear(Flag.KEEPALIVE);
    if (c.last_recv_ns == 0) c.last_recv_ns = this.stack.now_ns;
    armKeepAlive(this, c);
  }

  /** Nagle's algorithm off or on (RFC 9293, MUST-17). */
  setNoDelay(c: Connection, on: bool): void {
    if (on) {
      c.set(Flag.NODELAY);
      if (isSynchronised(c.state)) this.queue(c);
    } else {
      c.clear(Flag.NODELAY);
    }
  }
}
