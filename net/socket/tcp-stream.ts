// TCP connections for fibers.
//
// Invariants
// 1. A TcpStream owns its connection until `close` or `abort`; afterwards every call gives ENOTCONN. Forgetting to close one leaks the connection.
// 2. A fiber that waits is in one of the connection's two queues; closing wakes it first.

import { Errno } from "../../runtime";
import { parseAddress } from "../ip/address";
import { Connection, receiveQueuePeek, receiveQueuePeekBytes, State, tcpAt, TcpModule } from "../tcp/index";
import { coreTcp, setSocketError } from "./core";
import { NO_DEADLINE, Stream } from "./stream";
import { freeWaiters, newWaiters, onConnectionEvents, Waiters } from "./waiters";

export class TcpStream extends Stream {
  private connection: Connection | null;
  private readonly waiters: Waiters;
  private readonly tcp: TcpModule;

  /** Takes a connection over: see `connect` and `TcpListener.accept`. */
  constructor(c: Connection) {
    super();
    const tcp = tcpAt(c.stackId);
    const waiters = newWaiters();
    this.connection = c;
    this.waiters = waiters;
    this.tcp = tcp;
    tcp.setHandler(c, onConnectionEvents, changetype<usize>(waiters));
  }

  /**
   * Connects to an address and port.
   * @param address "192.0.2.1" or "2001:db8::1"
   * @returns the stream, or null with `socketError()`: EINVAL for text that is no address, ETIMEDOUT, ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, ...
   */
  static connect(address: string, port: u32, deadline_ns: i64 = NO_DEADLINE): TcpStream | null {
    const parsed = parseAddress(address);
    if (!parsed.ok || parsed.prefix >= 0) {
      setSocketError(Errno.EINVAL);
      return null;
    }
    return TcpStream.connectTo(parsed.hi, parsed.lo, port, deadline_ns);
  }

  /** The same for an address as a pair. */
  static connectTo(hi: u64, lo: u64, port: u32, deadline_ns: i64 = NO_DEADLINE): TcpStream | null {
    const tcp = coreTcp();
    if (tcp == null) {
      setSocketError(Errno.ENETDOWN);
      return null;
    }
    const c = tcp.connect(hi, lo, port);
    if (c == null) {
      setSocketError(tcp.lastError);
      return null;
    }
    const stream = new TcpStream(c);
    while (c.state == State.SYN_SENT || c.state == State.SYN_RCVD) {
      const result = stream.waiters.writers.wait(deadline_ns);
      if (result < 0) {
        setSocketError(result);
        stream.abort();
        return null;
      }
    }
    if (c.state == State.CLOSED) {
      setSocketError(c.error);
      stream.abort();
      return null;
    }
    return stream;
  }

  read(to: usize, bytes: u32, deadline_ns: i64 = NO_DEADLINE): i32 {
    let result: i32 = 0;
    while (result >= 0) {
      const c = this.connection;
      if (c == null) return Errno.ENOTCONN;
      const got = this.tcp.read(c, to, bytes);
      if (got != Errno.EAGAIN) return got;
      result = this.waiters.readers.wait(deadline_ns);
    }
    return result;
  }

  fill(deadline_ns: i64 = NO_DEADLINE): i32 {
    let result: i32 = 0;
    while (result >= 0) {
      const c = this.connection;
      if (c == null) return Errno.ENOTCONN;
      const state = this.tcp.mayRead(c);
      if (state > 0) return <i32>receiveQueuePeekBytes(c);
      if (state != Errno.EAGAIN) return state;
      result = this.waiters.readers.wait(deadline_ns);
    }
    return result;
  }

  peek(): usize {
    const c = this.connection;
    return c != null ? receiveQueuePeek(c) : 0;
  }

  consume(bytes: u32): void {
    const c = this.connection;
    if (c != null) this.tcp.consume(c, bytes);
  }

  write(from: usize, bytes: u32, deadline_ns: i64 = NO_DEADLINE): i32 {
    return this.send(from, bytes, deadline_ns, false);
  }

  writeStatic(from: usize, bytes: u32, deadline_ns: i64 = NO_DEADLINE): i32 {
    return this.send(from, bytes, deadline_ns, true);
  }

  private send(from: usize, bytes: u32, deadline_ns: i64, content: bool): i32 {
    let done: u32 = 0;
    while (done < bytes) {
      const c = this.connection;
      if (c == null) return Errno.ENOTCONN;
      const taken = content
        ? this.tcp.writeStatic(c, from + done, bytes - done)
        : this.tcp.write(c, from + done, bytes - done);
      if (taken > 0) {
        done += taken;
        continue;
      }
      if (taken != Errno.EAGAIN) return taken;
      const result = this.waiters.writers.wait(deadline_ns);
      if (result < 0) return done > 0 && result == Errno.ETIMEDOUT ? <i32>done : result;
    }
    return <i32>done;
  }

  shutdown(): i32 {
    const c = this.connection;
    return c != null ? this.tcp.shutdown(c) : Errno.ENOTCONN;
  }

  close(): void {
    const c = this.connection;
    if (c == null) return;
    this.connection = null;
    this.tcp.close(c);
    freeWaiters(this.waiters, Errno.ENOTCONN);
  }

  abort(): void {
    const c = this.connection;
    if (c == null) return;
    this.connection = null;
    this.tcp.abort(c);
    freeWaiters(this.waiters, Errno.ENOTCONN);
  }

  /** Gives the connection to another owner (TLS), who sets its handler; null when it was given up. */
  detach(): Connection | null {
    const c = this.connection;
    if (c == null) return null;
    this.connection = null;
    freeWaiters(this.waiters, Errno.ENOTCONN);
    return c;
  }

  onReadable(handler: (arg: usize) => void, arg: usize): void {
    const c = this.connection;
    if (c == null || this.tcp.mayRead(c) != Errno.EAGAIN) {
      handler(arg);
      return;
    }
    this.waiters.handler = handler.index;
    this.waiters.arg = arg;
  }

  /** Nagle's algorithm off or on; it is on at first. */
  setNoDelay(on: bool): void {
    const c = this.connection;
    if (c != null) this.tcp.setNoDelay(c, on);
  }

  /** Keep-alive probes on or off; times in ms. */
  setKeepAlive(on: bool, idle_ms: u32 = 7_200_000, interval_ms: u32 = 75_000): void {
    const c = this.connection;
    if (c != null) this.tcp.setKeepAlive(c, on, idle_ms, interval_ms);
  }

  /** How long what is queued may take after `close` before the connection is reset, ms; 0: `close` resets at once. */
  setLinger(linger_ms: u32): void {
    const c = this.connection;
    if (c != null) this.tcp.setLinger(c, linger_ms);
  }

  /** How long data may stay unacknowledged before the connection is given up (RFC 5482), ms. */
  setUserTimeout(timeout_ms: u32): void {
    const c = this.connection;
    if (c != null) c.user_timeout_ms = timeout_ms;
  }

  get remoteHi(): u64 {
    const c = this.connection;
    return c != null ? c.remoteHi : 0;
  }
  get remoteLo(): u64 {
    const c = this.connection;
    return c != null ? c.remoteLo : 0;
  }
  get remotePort(): u32 {
    const c = this.connection;
    return c != null ? c.remotePort : 0;
  }
  get localHi(): u64 {
    const c = this.connection;
    return c != null ? c.localHi : 0;
  }
  get localLo(): u64 {
    const c = this.connection;
    return c != null ? c.localLo : 0;
  }
  get localPort(): u32 {
    const c = this.connection;
    return c != null ? c.localPort : 0;
  }
}
