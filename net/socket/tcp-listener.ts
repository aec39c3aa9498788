// Listening sockets for fibers.

import { Errno } from "../../runtime";
import { WaitQueue } from "../../fibers";
import { parseAddress } from "../ip/address";
import { Listener, TcpModule } from "../tcp/index";
import { coreTcp, setSocketError } from "./core";
import { NO_DEADLINE } from "./stream";
import { TcpStream } from "./tcp-stream";

function onAcceptable(l: Listener): void {
  const waiting = changetype<WaitQueue>(l.context);
  if (isDrained(l)) waiting.wakeAll();
  else waiting.wakeOne();
}

// Nothing is left to accept, and nothing will come.
function isDrained(l: Listener): bool {
  return l.draining && l.halfOpen + l.accepting == 0;
}

export class TcpListener {
  private listener: Listener | null;
  private readonly waiting: WaitQueue;
  private readonly tcp: TcpModule;
  /** Why the last `accept` gave null. */
  error: i32 = 0;

  private constructor(tcp: TcpModule, listener: Listener, waiting: WaitQueue) {
    this.tcp = tcp;
    this.listener = listener;
    this.waiting = waiting;
  }

  /**
   * Listens on a port.
   * @param address an own address as text; "" for all
   * @param backlog connections that may wait for `accept`
   * @returns the listener, or null with `socketError()`: EADDRINUSE, EINVAL, ENOBUFS, ENETDOWN without a network
   */
  static listen(port: u32, address: string = "", backlog: u32 = 128): TcpListener | null {
    const tcp = coreTcp();
    if (tcp == null) {
      setSocketError(Errno.ENETDOWN);
      return null;
    }
    let hi: u64 = 0;
    let lo: u64 = 0;
    if (address.length > 0) {
      const parsed = parseAddress(address);
      if (!parsed.ok || parsed.prefix >= 0) {
        setSocketError(Errno.EINVAL);
        return null;
      }
      hi = parsed.hi;
      lo = parsed.lo;
    }
    const waiting = WaitQueue.create();
    waiting.init();
    const listener = tcp.listen(port, hi, lo, backlog, onAcceptable, changetype<usize>(waiting));
    if (listener == null) {
      heap.free(changetype<usize>(waiting));
      setSocketError(tcp.lastError);
      return null;
    }
    return new TcpListener(tcp, listener, waiting);
  }

  /** Waits for a connection; null with `error`: ETIMEDOUT, or ENOTCONN after `close`, or after `drain` when none is left. */
  accept(deadline_ns: i64 = NO_DEADLINE): TcpStream | null {
    let result: i32 = 0;
    while (result >= 0) {
      const listener = this.listener;
      if (listener == null) {
        this.error = Errno.ENOTCONN;
        return null;
      }
      const c = this.tcp.accept(listener);
      if (c != null) {
        if (isDrained(listener)) this.waiting.wakeAll();
        return new TcpStream(c);
      }
      if (isDrained(listener)) {
        this.error = Errno.ENOTCONN;
        return null;
      }
      result = this.waiting.wait(deadline_ns);
    }
    this.error = result;
    return null;
  }

  get port(): u32 {
    const listener = this.listener;
    return listener != null ? listener.port : 0;
  }

  /** New connections are refused from now on; `accept` still gives those that have begun. `close` follows, when none is left. */
  drain(): void {
    const listener = this.listener;
    if (listener == null) return;
    this.tcp.drainListener(listener);
    if (isDrained(listener)) this.waiting.wakeAll();
  }

  /** Stops listening: waiting fibers get ENOTCONN, connections that nobody accepted are reset. */
  close(): void {
    const listener = this.listener;
    if (listener == null) return;
    this.listener = null;
    this.tcp.closeListener(listener);
    this.waiting.wakeAll(Errno.ENOTCONN);
    heap.free(changetype<usize>(this.waiting));
  }
}
