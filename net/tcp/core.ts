// The core of TCP: pools and budgets, the life of a connection, and the list of those that have something to send. The application's calls
// (calls.ts) and the entrance from IP (tcp.ts) stand on it.
//
//   create -> ... -> finish (out of the table, nothing more is sent) -> settle (events delivered; freed when nobody's)
//
// Invariants
// 1. No managed allocation after construction; connections, records and entries come from pools of fixed size.
// 2. Handlers run only in `settle`, the last step of an entrance: whatever they call, nothing below them continues with a connection that is gone.
// 3. `buffers` counts the pool buffers in all queues and stays below `limits.packets`.
// 4. Who was refused memory stands on the list of those that starve until there is some: no writer waits for an acknowledgement that nobody owes.

import { Errno, packetsFree, packetsTotal, Timer } from "../../runtime";
import { RouteOption } from "../ip/route";
import { Transport } from "../ip/transport";
import { Stack } from "../stack";
import { AckResult, newAckResult } from "./ack";
import { INFINITE_THRESHOLD } from "./congestion";
import { Connection, CONNECTION_BYTES, Event, Flag, State } from "./connection";
import { FlowKind } from "./flow";
import { TcpLimits } from "./limits";
import { DEFAULT_MSS, Listener, listenerForget, ListenerTable } from "./listener";
import { output } from "./output";
import { RateLimits } from "./ratelimits";
import { dropOutOfOrder, dropReceived } from "./receive";
import { RTO_INITIAL_US } from "./rtt";
import { Segment, SegmentPool, segmentRemove } from "./segment";
import { sendQueueClear } from "./sendqueue";
import { FlowTable } from "./table";
import { cancelTimers, initTimers, KEEP_IDLE_MS, KEEP_INTERVAL_MS, USER_TIMEOUT_MS } from "./timers";
import { TimeWaits } from "./timewait";

/** How often memory is looked for when no turn comes by itself. */
const STARVED_NS: i64 = 10_000_000;

const cores: Array<TcpCore | null> = [];

/** The TCP of the stack with an id. */
@inline
export function coreAt(stackId: u32): TcpCore {
  return unchecked(cores[stackId])!;
}

/** Fault and state for people: "ESTABLISHED". */
export function stateName(state: i32): string {
  switch (state) {
    case State.SYN_SENT:
      return "SYN-SENT";
    case State.SYN_RCVD:
      return "SYN-RECEIVED";
    case State.ESTABLISHED:
      return "ESTABLISHED";
    case State.FIN_WAIT_1:
      return "FIN-WAIT-1";
    case State.FIN_WAIT_2:
      return "FIN-WAIT-2";
    case State.CLOSE_WAIT:
      return "CLOSE-WAIT";
    case State.CLOSING:
      return "CLOSING";
    case State.LAST_ACK:
      return "LAST-ACK";
    default:
      return "CLOSED";
  }
}

export abstract class TcpCore extends Transport {
  readonly table: FlowTable;
  readonly segments: SegmentPool;
  readonly timeWaits: TimeWaits;
  readonly listeners: ListenerTable;
  readonly rates: RateLimits;
  readonly ackResult: AckResult = newAckResult();
  /** Connections in use, and pool buffers in their queues. */
  connections: u32 = 0;
  buffers: u32 = 0;
  /** Our window shift (RFC 7323, 2.3): the least that can express the largest buffer. */
  readonly windowShift: u32;
  /** ECN: answered by default, asked for not (Linux: tcp_ecn 2). */
  acceptEcn: bool = true;
  requestEcn: bool = false;
  /** Why `connect` or `listen` gave null. */
  lastError: i32 = 0;
  /** A connection made from a cookie, for which the segment counts once more; a connection has entered an accept queue. */
  replay: Connection | null = null;
  accepted: bool = false;
  /** A listener that accepts nothing new has handed over its last connection. */
  private drained: Listener | null = null;

  private readonly memory: usize;
  private untouched: u32 = 0;
  private freeList: Connection | null = null;
  private sendHead: Connection | null = null;
  private sendTail: Connection | null = null;
  private starvedHead: Connection | null = null;
  private starvedTail: Connection | null = null;
  private readonly starvedTimer: Timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));

  constructor(
    readonly stack: Stack,
    readonly limits: TcpLimits,
  ) {
    super();
    this.table = new FlowTable(limits.connections + limits.timeWaits);
    this.segments = new SegmentPool(limits.segments);
    this.timeWaits = new TimeWaits(stack.id, limits.timeWaits);
    this.listeners = new ListenerTable(limits);
    this.rates = new RateLimits(stack, limits);
    this.memory = heap.alloc(<usize>limits.connections * CONNECTION_BYTES);
    this.starvedTimer.init(onStarved, stack.id);
    let shift: u32 = 0;
    while (shift < 14 && (<u32>65535) << shift < limits.receiveBytesMax) shift++;
    this.windowShift = shift;
    while (<u32>cores.length <= stack.id) cores.push(null);
    cores[stack.id] = this;
  }

  /** Puts a connection on the list for `turn`. */
  queue(c: Connection): void {
    if (c.has(Flag.QUEUED)) return;
    c.set(Flag.QUEUED);
    c.sendNext = null;
    c.sendPrev = this.sendTail;
    if (this.sendTail != null) this.sendTail!.sendNext = c;
    else this.sendHead = c;
    this.sendTail = c;
  }

  protected unqueue(c: Connection): void {
    if (!c.has(Flag.QUEUED)) return;
    c.clear(Flag.QUEUED);
    const next = c.sendNext;
    const prev = c.sendPrev;
    if (prev != null) prev.sendNext = next;
    else this.sendHead = next;
    if (next != null) next.sendPrev = prev;
    else this.sendTail = prev;
  }

  /** Sends what connections have to send: once a turn, after packets, timers and fibers. */
  turn(): void {
    for (let c: Connection | null = this.sendHead; c != null; c = this.sendHead) {
      this.unqueue(c);
      output(this, c);
    }
    if (this.starvedHead != null) this.feed();
  }

  /** Above three quarters of the share no window and no send buffer grows. */
  @inline get pressure(): bool {
    return this.buffers > this.limits.packets - this.limits.packets / 4;
  }
  // Buffers that queues may still take.
  private get spare(): u32 {
    const reserve = packetsTotal / 16;
    if (this.buffers >= this.limits.packets || packetsFree <= reserve) return 0;
    return min(this.limits.packets - this.buffers, packetsFree - reserve);
  }
  /** May a connection hold one more buffer for sending? */
  mayHold(c: Connection): bool {
    if (this.spare > 0) return true;
    // One buffer is everybody's: a connection without any can still make progress.
    return c.sq_head == null && packetsFree > packetsTotal / 32;
  }
  /** May a connection keep a received packet of `count` buffers? In-order data always finds room for a first one. */
  mayReceive(c: Connection, count: u32): bool {
    if (this.buffers + count <= this.limits.packets && packetsFree > packetsTotal / 16) return true;
    if (c.ooo_head != null) dropOutOfOrder(this, c);
    return c.rq_head == null && packetsFree > packetsTotal / 64;
  }


  @inline hold(c: Connection, count: u32): void {
    c.buffers += count;
    this.buffers += count;
  }


  @inline unhold(c: Connection, count: u32): void {
    c.buffers -= count;
    this.buffers -= count;
  }

  // ---- waiting for memory

  /** A writer was refused memory: it is told when there is some. */
  starve(c: Connection): void {
    if (c.has(Flag.STARVED)) return;
    c.set(Flag.STARVED);
    c.starvedNext = null;
    c.starvedPrev = this.starvedTail;
    if (this.starvedTail != null) this.starvedTail!.starvedNext = c;
    else this.starvedHead = c;
    this.starvedTail = c;
    // Buffers that a device gives back make no turn.
    if (!this.starvedTimer.isSet) this.stack.wheel.set(this.starvedTimer, this.stack.now_ns + STARVED_NS);
  }

  private unstarve(c: Connection): void {
    if (!c.has(Flag.STARVED)) return;
    c.clear(Flag.STARVED);
    const next = c.starvedNext;
    const prev = c.starvedPrev;
    if (prev != null) prev.starvedNext = next;
    else this.starvedHead = next;
    if (next != null) next.starvedPrev = prev;
    else this.starvedTail = prev;
  }

  /** Tells those that wait for memory, in the order in which they came, as far as there is some for each. */
  feed(): void {
    let spare = this.spare;
    for (let c: Connection | null = this.starvedHead; c != null; c = this.starvedHead) {
      if (spare == 0 && !this.mayHold(c)) break;
      if (spare > 0) spare--;
      this.unstarve(c);
      c.clear(Flag.WANT_WRITE);
      c.events |= Event.WRITABLE;
      this.settle(c);
    }
    if (this.starvedHead != null && !this.starvedTimer.isSet)
      this.stack.wheel.set(this.starvedTimer, this.stack.now_ns + STARVED_NS);
  }

  // ---- life of a connection

  /** A connection in the table, CLOSED, with a route; null without memory or route (`lastError`). */
  create(
    localHi: u64,
    localLo: u64,
    remoteHi: u64,
    remoteLo: u64,
    localPort: u32,
    remotePort: u32,
    hash: u32,
  ): Connection | null {
    let c: Connection | null = this.freeList;
    if (c != null) {
      this.freeList = c.next;
    } else {
      if (this.untouched == this.limits.connections) {
        this.lastError = Errno.ENOBUFS;
        this.stack.counters.tcpNoConnections++;
        return null;
      }
      const index = <usize>this.untouched;
      this.untouched++;
      c = changetype<Connection>(this.memory + index * CONNECTION_BYTES);
    }
    memory.fill(changetype<usize>(c), 0, CONNECTION_BYTES);
    c.localHi = localHi;
    c.localLo = localLo;
    c.remoteHi = remoteHi;
    c.remoteLo = remoteLo;
    c.localPort = <u16>localPort;
    c.remotePort = <u16>remotePort;
    c.hash = hash;
    c.kind = FlowKind.CONNECTION;
    c.stackId = this.stack.id;
    c.route.options = <u8>RouteOption.DONT_FRAGMENT;
    const error = this.stack.ip.resolve(c.route, remoteHi, remoteLo);
    if (error < 0) {
      c.kind = 0;
      c.next = this.freeList;
      this.freeList = c;
      this.lastError = error;
      return null;
    }
    this.connections++;
    initTimers(c);
    c.rto_us = RTO_INITIAL_US;
    c.ssthresh = INFINITE_THRESHOLD;
    c.rcv_buf = min(this.limits.receiveBytes, this.limits.receiveBytesMax);
    c.snd_buf = min(this.limits.sendBytes, this.limits.sendBytesMax);
    c.peer_mss = DEFAULT_MSS;
    c.mss = DEFAULT_MSS;
    c.rcv_mss = DEFAULT_MSS;
    c.rack_steps = 1;
    c.user_timeout_ms = USER_TIMEOUT_MS;
    c.keep_idle_ms = KEEP_IDLE_MS;
    c.keep_interval_ms = KEEP_INTERVAL_MS;
    this.table.insert(c);
    return c;
  }

  /** Ends the protocol of a connection: out of the table, nothing more is sent or kept. `settle` follows. */
  finish(c: Connection, error: i32): void {
    if (c.state == State.CLOSED) return;
    c.state = State.CLOSED;
    if (c.error == 0) c.error = error;
    this.table.remove(c);
    cancelTimers(this, c);
    this.unqueue(c);
    this.unstarve(c);
    const l = c.listener;
    listenerForget(c);
    if (l != null && l.draining && l.halfOpen + l.accepting == 0) this.drained = l;
    for (let s: Segment | null = c.seg_head; s != null; s = c.seg_head) {
      segmentRemove(c, s);
      this.segments.free(s);
    }
    sendQueueClear(this, c);
    dropOutOfOrder(this, c);
    // What has arrived in order may still be read, unless a reset says that the peer is gone (RFC 9293, 3.10.7.4: flush the queues).
    if (error != 0 || !c.has(Flag.OWNED)) dropReceived(this, c);
    c.events |= Event.CLOSED | (error != 0 ? Event.ERROR : 0);
  }

  /** Leaves only a TIME-WAIT entry behind. */
  enterTimeWait(c: Connection): void {
    this.finish(c, 0);
    this.timeWaits.add(this, c);
  }

  /** Delivers events, and frees a connection that is closed and nobody's. The last thing that an entrance does with it. */
  settle(c: Connection): void {
    const events = c.events;
    if (events != 0) {
      c.events = 0;
      if (c.handler != 0) call_indirect<void>(c.handler, c, events);
    }
    if (c.kind == FlowKind.CONNECTION && c.state == State.CLOSED && !c.has(Flag.OWNED)) this.free(c);
    const l = this.drained;
    if (l != null) {
      this.drained = null;
      if (l.handler != 0) call_indirect<void>(l.handler, l);
    }
  }

  private free(c: Connection): void {
    dropReceived(this, c);
    c.kind = 0;
    c.handler = 0;
    c.next = this.freeList;
    this.freeList = c;
    this.connections--;
  }
}

function onStarved(timer: Timer): void {
  coreAt(<u32>timer.context).feed();
}
