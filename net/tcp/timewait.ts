// TIME-WAIT (RFC 9293, 3.6.1): what remains of a connection whose end we have begun, so that old segments cannot harm a new one and a lost last
// ACK is repeated. One small object instead of a connection; in one queue, because all wait equally long.
//
// Reuse (RFC 6191; RFC 1122, 4.2.2.13): a SYN whose timestamp or sequence number is above the old connection's begins a new one; nothing of the
// old can then be accepted. RST is ignored (RFC 1337).

import { Timer } from "../../runtime";
import { TcpFlag } from "../wire/tcp";
import { sendTimeWaitAck } from "./bare";
import { Connection, Flag } from "./connection";
import { Flow, FlowKind } from "./flow";
import { Has, Options } from "./options";
import { seqGt, seqLt } from "./seq";
import { coreAt, TcpCore } from "./core";

/** 2 MSL. RFC 9293 has MSL 2 minutes; Linux, which has 60 s for both, has shown for decades that it does. */
export const TIME_WAIT_NS: i64 = 60_000_000_000;
/** Answers to segments that are out of place (Linux: tcp_invalid_ratelimit). */
const ANSWER_NS: i64 = 500_000_000;


@unmanaged
export class TimeWait extends Flow {
  next: TimeWait | null;
  prev: TimeWait | null;
  rcv_nxt: u32;
  snd_nxt: u32;
  rcv_wnd: u32;
  /** The peer's last timestamp, valid with `timestamps`. */
  ts_recent: u32;
  ts_offset: u32;
  timestamps: bool;
  expires_ns: i64;
  entered_ns: i64;
  answered_ns: i64;
}

export class TimeWaits {
  private readonly memory: usize;
  private untouched: u32 = 0;
  private freeList: TimeWait | null = null;
  head: TimeWait | null = null;
  private tail: TimeWait | null = null;
  private readonly timer: Timer;
  count: u32 = 0;

  constructor(
    private readonly stackId: u32,
    private readonly capacity: u32,
  ) {
    this.memory = heap.alloc(<usize>capacity * offsetof<TimeWait>());
    this.timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));
    this.timer.init(onTimeWait, stackId);
  }

  /** Puts a connection's remains in, in place of the oldest ones when there is no room. The connection is no longer in the table. */
  add(tcp: TcpCore, c: Connection): void {
    const w = this.alloc(tcp);
    if (w == null) return;
    const now = tcp.stack.now_ns;
    w.localHi = c.localHi;
    w.localLo = c.localLo;
    w.remoteHi = c.remoteHi;
    w.remoteLo = c.remoteLo;
    w.localPort = c.localPort;
    w.remotePort = c.remotePort;
    w.hash = c.hash;
    w.kind = FlowKind.TIME_WAIT;
    w.stackId = c.stackId;
    w.rcv_nxt = c.rcv_nxt;
    w.snd_nxt = c.snd_nxt;
    w.rcv_wnd = c.rcv_wnd >> c.rcv_wscale;
    w.ts_recent = c.ts_recent;
    w.ts_offset = c.ts_offset;
    w.timestamps = c.has(Flag.TIMESTAMPS);
    w.entered_ns = now;
    w.answered_ns = 0;
    tcp.table.insert(w);
    this.append(tcp, w);
    if (!this.timer.isSet) tcp.stack.wheel.set(this.timer, w.expires_ns);
  }

  private alloc(tcp: TcpCore): TimeWait | null {
    let w: TimeWait | null = this.freeList;
    if (w == null && this.untouched < this.capacity) {
      const index = <usize>this.untouched;
      this.untouched++;
      w = changetype<TimeWait>(this.memory + index * offsetof<TimeWait>());
      this.count++;
      return w;
    }
    if (w == null) {
      w = this.head;
      if (w == null) return null;
      tcp.stack.counters.tcpTimeWaitOverflows++;
      this.remove(tcp, w);
    }
    this.freeList = w.next;
    this.count++;
    return w;
  }

  private append(tcp: TcpCore, w: TimeWait): void {
    w.expires_ns = tcp.stack.now_ns + TIME_WAIT_NS;
    w.next = null;
    w.prev = this.tail;
    if (this.tail != null) this.tail!.next = w;
    else this.head = w;
    this.tail = w;
  }

  private unlink(w: TimeWait): void {
    const next = w.next;
    const prev = w.prev;
    if (prev != null) prev.next = next;
    else this.head = next;
    if (next != null) next.prev = prev;
    else this.tail = prev;
  }

  remove(tcp: TcpCore, w: TimeWait): void {
    tcp.table.remove(w);
    this.unlink(w);
    w.kind = 0;
    w.next = this.freeList;
    this.freeList = w;
    this.count--;
  }

  /** The wait begins anew (RFC 9293, 3.10.7.4: the peer repeats its FIN). */
  restart(tcp: TcpCore, w: TimeWait): void {
    this.unlink(w);
    this.append(tcp, w);
  }

  /** Removes what has waited long enough, a batch at a time. */
  expire(tcp: TcpCore): void {
    const now = tcp.stack.now_ns;
    for (let n = 0; n < 256; n++) {
      const w = this.head;
      if (w == null) return;
      if (w.expires_ns > now) break;
      this.remove(tcp, w);
    }
    if (this.head != null) tcp.stack.wheel.set(this.timer, this.head!.expires_ns);
  }
}

function onTimeWait(timer: Timer): void {
  const tcp = coreAt(<u32>timer.context);
  tcp.timeWaits.expire(tcp);
}

/**
 * A segment for an old connection.
 * @returns true when it is a SYN that may begin a new one: the entry is gone, its snd_nxt is the new ISN's floor
 */
export function timeWaitInput(tcp: TcpCore, w: TimeWait, o: Options): bool {
  const now = tcp.stack.now_ns;
  if (o.flags & TcpFlag.RST) return false;
  const hasTs = w.timestamps && o.has(Has.TIMESTAMPS);
  const old = hasTs && seqLt(o.tsVal, w.ts_recent);
  if ((o.flags & (TcpFlag.SYN | TcpFlag.ACK)) == TcpFlag.SYN && !old) {
    if (seqGt(o.seq, w.rcv_nxt) || (hasTs && seqGt(o.tsVal, w.ts_recent))) return true;
  }
  if ((o.flags & TcpFlag.FIN) != 0 && !old && o.seq + o.bytes + 1 == w.rcv_nxt) {
    tcp.timeWaits.restart(tcp, w);
  } else if (now - w.answered_ns < ANSWER_NS) {
    return false;
  }
  // Nothing to answer to: an ACK of exactly what has been.
  if (o.bytes == 0 && (o.flags & (TcpFlag.FIN | TcpFlag.SYN)) == 0 && o.seq == w.rcv_nxt) return false;
  w.answered_ns = now;
  sendTimeWaitAck(tcp, w);
  return false;
}
