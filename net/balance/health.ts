// Active checks of a service's backends: a TCP connection, or an HTTP/1.1 request on one with a status that matches.
//
//   each backend: wait (interval, or fastInterval while counts are changing; jittered) -> check, at most `timeout` -> counted
//   `fall` failures one after the other: down;  `rise` passes: up;  the very first check decides alone
//
// What a backend answers is hostile: only the status line is looked at, where it was received.

import { Timer } from "../../runtime";
import { Connection, Event, Flag, receiveQueueCopy, TcpModule } from "../tcp/index";
import { formatHost } from "../ip/address";
import { Operational } from "./backend";
import { Proxy } from "./proxy";

export class HealthOptions {
  http: bool = false;
  path: string = "/";
  /** Statuses that pass: pairs of the first and the last. */
  statuses: Array<u32> = [200, 299];
  interval_ns: i64 = 2_000_000_000;
  fastInterval_ns: i64 = 500_000_000;
  timeout_ns: i64 = 1_000_000_000;
  rise: u32 = 2;
  fall: u32 = 3;
  /** Per cent by which an interval is longer or shorter. */
  jitter: u32 = 10;
}

/** "HTTP/1.1 200" */
const STATUS_BYTES: u32 = 12;

const checks: Array<Check> = [];

/** Begins to check all backends of a service. */
export function startHealth(proxy: Proxy, options: HealthOptions): void {
  for (let i = 0; i < proxy.choice.backends.length; i++) new Check(proxy, options, i).begin();
}

class Check {
  private readonly id: u32 = checks.length;
  private readonly timer: Timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));
  private readonly request: ArrayBuffer;
  private connection: Connection | null = null;
  /** Of the kind that changes the state, one after the other. */
  private count: u32 = 0;

  constructor(
    private readonly proxy: Proxy,
    private readonly options: HealthOptions,
    private readonly index: u32,
  ) {
    const backend = proxy.choice.backends[index];
    const host = formatHost(backend.hi, backend.lo) + ":" + backend.port.toString();
    const text = "GET " + options.path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n";
    this.request = String.UTF8.encode(text);
    this.timer.init(onTimer, this.id);
    checks.push(this);
  }

  begin(): void {
    // All at once at the start, so that the service is there soon.
    this.proxy.tcp.stack.wheel.set(this.timer, this.proxy.tcp.stack.now_ns);
  }

  run(): void {
    if (this.connection != null) return this.done(false);
    const tcp = this.proxy.tcp;
    const backend = this.proxy.choice.backends[this.index];
    const c = tcp.connect(backend.hi, backend.lo, backend.port);
    if (c == null) return this.done(false);
    this.connection = c;
    tcp.setHandler(c, onEvent, this.id);
    tcp.stack.wheel.set(this.timer, tcp.stack.now_ns + this.options.timeout_ns);
  }

  event(c: Connection, events: u32): void {
    if (events & Event.ERROR) return this.done(false);
    if (events & Event.ESTABLISHED) {
      if (!this.options.http) return this.done(true);
      const bytes = this.request.byteLength;
      if (this.proxy.tcp.write(c, changetype<usize>(this.request), bytes) != bytes) return this.done(false);
    }
    if (c.rq_bytes >= STATUS_BYTES) return this.done(this.matches(c));
    if ((events & Event.CLOSED) != 0 || c.has(Flag.FIN_RECEIVED)) this.done(false);
  }

  private matches(c: Connection): bool {
    const line = memory.data(16);
    receiveQueueCopy(c, line, STATUS_BYTES);
    // "HTTP/1." and a space behind the minor version.
    if (load<u32>(line) != 0x50545448 || load<u32>(line, 4) << 8 != 0x2e312f00 || load<u8>(line, 8) != 0x20)
      return false;
    let status: u32 = 0;
    for (let i: usize = 9; i < STATUS_BYTES; i++) {
      const digit = <u32>load<u8>(line + i) - 0x30;
      if (digit > 9) return false;
      status = status * 10 + digit;
    }
    const statuses = this.options.statuses;
    for (let i = 0; i + 1 < statuses.length; i += 2)
      if (status >= statuses[i] && status <= statuses[i + 1]) return true;
    return false;
  }

  private done(passed: bool): void {
    const proxy = this.proxy;
    const stack = proxy.tcp.stack;
    const c = this.connection;
    this.connection = null;
    if (c != null) proxy.tcp.abort(c);
    const state = proxy.choice.backends[this.index].operational;
    if (state == Operational.CHECKING) {
      proxy.setOperational(this.index, passed ? Operational.UP : Operational.DOWN);
    } else if (passed == (state != Operational.DOWN)) {
      this.count = 0;
    } else {
      this.count++;
      if (this.count >= (passed ? this.options.rise : this.options.fall)) {
        this.count = 0;
        proxy.setOperational(this.index, passed ? Operational.UP : Operational.DOWN);
      }
    }
    const interval = this.count > 0 ? this.options.fastInterval_ns : this.options.interval_ns;
    const spread = (interval / 100) * this.options.jitter;
    const jitter = spread > 0 ? <i64>(stack.random64() % <u64>(2 * spread)) - spread : 0;
    stack.wheel.set(this.timer, stack.now_ns + interval + jitter);
  }
}

function onTimer(timer: Timer): void {
  unchecked(checks[timer.context]).run();
}

function onEvent(c: Connection, events: u32): void {
  unchecked(checks[c.context]).event(c, events);
}
