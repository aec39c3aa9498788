// TCP of one stack (RFC 9293): the module that IP calls, and what applications call (net/socket makes it look blocking).
//
//   ip -> input -> flow table -> connection | TIME-WAIT | listener | RST          events -> handlers
//   applications -> write / read / close -> list of connections with something to send -> turn -> ip.output
//
// Invariants
// 1. No managed allocation after construction; connections, records and entries come from pools of fixed size.
// 2. Handlers run only in `settle`, the last step of an entrance: whatever they call, nothing below them continues with a connection that is gone.
// 3. `buffers` counts the pool buffers in all queues and stays below `limits.packets`.

import { allocPacket, Errno, Packet, PacketFlag, packetsFree, packetsTotal } from "../../runtime";
import { isMulticast, isUnspecified, isV4 } from "../ip/address";
import { newRoute, Route, RouteOption, ROUTE_BYTES } from "../ip/route";
import { IcmpError, Transport } from "../ip/transport";
import { Stack, stackAt } from "../stack";
import { fold, sumPacket, sumPseudo } from "../wire/checksum";
import { Protocol } from "../wire/ipv4";
import {
  emitTcp,
  setTcpChecksum,
  TCP_BYTES,
  TCP_CHECKSUM,
  tcpAck,
  tcpDst,
  TcpFlag,
  tcpFlags,
  tcpHeaderBytes,
  tcpSeq,
  tcpSrc,
  tcpWindow,
} from "../wire/tcp";
import { AckResult, newAckResult } from "./ack";
import { INFINITE_THRESHOLD } from "./congestion";
import {
  canSendState,
  Connection,
  CONNECTION_BYTES,
  Event,
  Flag,
  isSynchronised,
  State,
  TcpHandler,
} from "./connection";
import { Flow, FlowKind } from "./flow";
import { segmentArrives } from "./input";
import { initialSequence, portOffset, PORT_MIN, PORT_RANGE, sequenceHash, timestampOffset } from "./isn";
import { TcpLimits } from "./limits";
import {
  AcceptHandler,
  DEFAULT_MSS,
  listenInput,
  Listener,
  listenerAccept,
  listenerClose,
  listenerForget,
} from "./listener";
import { emitSynOptions, Has, newOptions, Options, parseOptions, synOptionBytes } from "./options";
import { output, refreshMss, sendAck, sendReset, sendSyn } from "./output";
import { dropOutOfOrder, dropReceived, receiveQueueConsume, receiveQueueRead } from "./receive";
import { RTO_INITIAL_US } from "./rtt";
import { Segment, segmentMarkLost, SegmentPool, segmentRemove } from "./segment";
import { sendQueueClear, sendQueueStatic, sendQueueWrite } from "./sendqueue";
import { seqGe, seqGt, seqLt } from "./seq";
import { FlowTable, flowHash } from "./table";
import { armHandshake, armKeepAlive, armRetransmit, cancelTimers, initTimers } from "./timers";
import { TimeWait, timeWaitInput, TimeWaits } from "./timewait";
import { tuneReceiveBuffer } from "./window";

/** RFC 9293, 3.8.3: R2 of data at least 100 s; Linux's 15 retries take about 15 minutes. */
const USER_TIMEOUT_MS: u32 = 924_600;
/** RFC 1122, 4.2.3.6: no less than two hours by default; Linux: 75 s between probes. */
const KEEP_IDLE_MS: u32 = 7_200_000;
const KEEP_INTERVAL_MS: u32 = 75_000;
/** A challenge ACK of one connection, at most (Linux: tcp_invalid_ratelimit). */
const CHALLENGE_NS: i64 = 500_000_000;
const SECOND_NS: i64 = 1_000_000_000;
/** Timeouts in a row after which a path that swallows large packets is suspected (RFC 8899, 4.3: black hole). */
const BLACK_HOLE_TIMEOUTS: u32 = 3;
/** RFC 8899, 5.1.2: BASE_PLPMTU for IPv4 and IPv6. */
const BASE_MTU: u32 = 1200;
const LISTENER_BUCKETS: u32 = 256;

const modules: Array<TcpModule | null> = [];

/** The TCP of the stack with an id. */
@inline
export function tcpAt(stackId: u32): TcpModule {
  return unchecked(modules[stackId])!;
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

export class TcpModule extends Transport {
  readonly table: FlowTable;
  readonly segments: SegmentPool;
  readonly timeWaits: TimeWaits;
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

  // Scratch of the segment being processed.
  private readonly segment: Options = newOptions();
  private readonly scratchRoute: Route = newRoute();
  /** A connection made from a cookie, for which the segment counts once more; a connection has entered an accept queue. */
  replay: Connection | null = null;
  accepted: bool = false;

  private readonly memory: usize;
  private untouched: u32 = 0;
  private freeList: Connection | null = null;
  private readonly listenerBuckets: usize;
  private readonly listenerMemory: usize;
  private listenerFree: Listener | null = null;
  private sendHead: Connection | null = null;
  private sendTail: Connection | null = null;
  private limit_ns: i64 = 0;
  private challenges: u32 = 0;
  private resets: u32 = 0;
  private nextPort: u32;

  constructor(
    readonly stack: Stack,
    readonly limits: TcpLimits,
  ) {
    super();
    this.table = new FlowTable(limits.connections + limits.timeWaits);
    this.segments = new SegmentPool(limits.segments);
    this.timeWaits = new TimeWaits(stack.id, limits.timeWaits);
    this.memory = heap.alloc(<usize>limits.connections * CONNECTION_BYTES);
    this.listenerBuckets = heap.alloc(LISTENER_BUCKETS * sizeof<usize>());
    memory.fill(this.listenerBuckets, 0, LISTENER_BUCKETS * sizeof<usize>());
    this.listenerMemory = heap.alloc(<usize>limits.listeners * offsetof<Listener>());
    for (let i: u32 = 0; i < limits.listeners; i++) {
      const l = changetype<Listener>(this.listenerMemory + <usize>i * offsetof<Listener>());
      l.next = this.listenerFree;
      this.listenerFree = l;
    }
    let shift: u32 = 0;
    while (shift < 14 && (<u32>65535) << shift < limits.receiveBytesMax) shift++;
    this.windowShift = shift;
    this.nextPort = stack.random32();
    while (<u32>modules.length <= stack.id) modules.push(null);
    modules[stack.id] = this;
    stack.ip.register(Protocol.TCP, this);
  }

  // ---- from IP

  input(p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, tos: u32): void {
    const counters = this.stack.counters;
    counters.tcpInSegs++;
    const l4: u32 = p.l4;
    if (!p.pull(l4 + TCP_BYTES)) {
      counters.tcpInErrs++;
      p.free();
      return;
    }
    const at = p.data + l4;
    const header = tcpHeaderBytes(at);
    if (header < TCP_BYTES || !p.pull(l4 + header)) {
      counters.tcpInErrs++;
      p.free();
      return;
    }
    const length = p.totalLen - l4;
    if ((p.flags & PacketFlag.CHECKSUM_OK) == 0) {
      const sum = <u64>sumPacket(p, l4, length) + <u64>sumPseudo(srcHi, srcLo, dstHi, dstLo, Protocol.TCP, length);
      if (fold(sum) != 0xffff) {
        counters.tcpInCsumErrors++;
        counters.tcpInErrs++;
        p.free();
        return;
      }
    }
    // RFC 1122, 4.2.3.10: no connection with a group.
    if (
      (p.flags & (PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST)) != 0 ||
      isMulticast(dstHi, dstLo) ||
      isUnspecified(srcHi, srcLo)
    ) {
      counters.tcpInErrs++;
      p.free();
      return;
    }
    const o = this.segment;
    o.seq = tcpSeq(at);
    o.ack = tcpAck(at);
    o.flags = tcpFlags(at);
    o.window = tcpWindow(at);
    o.bytes = length - header;
    o.ecn = tos & 3;
    o.localHi = dstHi;
    o.localLo = dstLo;
    o.remoteHi = srcHi;
    o.remoteLo = srcLo;
    o.localPort = tcpDst(at);
    o.remotePort = tcpSrc(at);
    parseOptions(at, header, o);
    p.l4 = <u16>(l4 + header);
    const hash = flowHash(this.stack, dstHi, dstLo, srcHi, srcLo, o.localPort, o.remotePort);
    o.hash = hash;

    let floor: u32 = 0;
    let hasFloor = false;
    const f = this.table.find(hash, dstHi, dstLo, srcHi, srcLo, o.localPort, o.remotePort);
    if (f != null) {
      if (f.kind == FlowKind.CONNECTION) {
        this.arrives(changetype<Connection>(f), p, o);
        return;
      }
      const w = changetype<TimeWait>(f);
      if (!timeWaitInput(this, w, o) || this.findListener(o.localPort, dstHi, dstLo) == null) {
        p.free();
        return;
      }
      floor = w.snd_nxt;
      hasFloor = true;
      this.timeWaits.remove(this, w);
    }
    const l = this.findListener(o.localPort, dstHi, dstLo);
    if (l == null) {
      if ((o.flags & TcpFlag.RST) == 0) this.resetSegment(o);
      p.free();
      return;
    }
    this.replay = null;
    listenInput(this, l, o, floor, hasFloor);
    const c = this.replay;
    this.replay = null;
    if (c != null) this.arrives(c, p, o);
    else p.free();
  }

  private arrives(c: Connection, p: Packet, o: Options): void {
    this.accepted = false;
    const l = c.listener;
    segmentArrives(this, c, p, o);
    if (this.accepted && l != null) {
      this.accepted = false;
      if (l.handler != 0) call_indirect<void>(l.handler, l);
    }
    this.settle(c);
  }

  icmpError(
    error: IcmpError,
    mtu: u32,
    srcHi: u64,
    srcLo: u64,
    dstHi: u64,
    dstLo: u64,
    header: usize,
    header_bytes: u32,
  ): void {
    if (header_bytes < 8) return;
    const localPort = tcpSrc(header);
    const remotePort = tcpDst(header);
    const hash = flowHash(this.stack, srcHi, srcLo, dstHi, dstLo, localPort, remotePort);
    const f = this.table.find(hash, srcHi, srcLo, dstHi, dstLo, localPort, remotePort);
    if (f == null || f.kind != FlowKind.CONNECTION) return;
    const c = changetype<Connection>(f);
    const seq = tcpSeq(header);
    // RFC 5927, 4.1: only about what is in flight.
    if (seqLt(seq, c.snd_una) || (seqGe(seq, c.snd_nxt) && seq != c.snd_una)) {
      this.stack.counters.tcpOutOfWindowIcmps++;
      return;
    }
    if (error == IcmpError.TOO_BIG) {
      if (mtu != 0 && isSynchronised(c.state) && this.stack.ip.learnMtu(dstHi, dstLo, mtu)) this.pathSmaller(c);
      return;
    }
    const errno =
      error == IcmpError.PORT_UNREACHABLE || error == IcmpError.PROTOCOL_UNREACHABLE
        ? Errno.ECONNREFUSED
        : error == IcmpError.NET_UNREACHABLE
          ? Errno.ENETUNREACH
          : Errno.EHOSTUNREACH;
    // RFC 1122, 4.2.3.9 and RFC 5461: a connection that exists survives every error; an attempt ends with any that is no fault of the path's length.
    if (c.state == State.SYN_SENT && error != IcmpError.TIME_EXCEEDED && error != IcmpError.PARAMETER_PROBLEM) {
      this.finish(c, errno);
      this.settle(c);
    } else {
      c.soft_error = errno;
    }
  }

  // The path takes less than was thought: what was sent larger goes out again at once, without the window being reduced (RFC 1191, 6.4).
  private pathSmaller(c: Connection): void {
    refreshMss(this, c);
    let sNext: Segment | null = null;
    for (let s: Segment | null = c.seg_head; s != null; s = sNext) {
      sNext = s.next;
      if (s.mss > c.mss && s.bytes > c.mss) segmentMarkLost(c, s);
    }
    this.queue(c);
  }

  /** Timeouts in a row with full segments: perhaps the path swallows large packets and its ICMP errors too (RFC 8899, 4.3). */
  pathSuspect(c: Connection): void {
    const head = c.seg_head;
    if (c.backoff != BLACK_HOLE_TIMEOUTS || head == null || head.bytes <= BASE_MTU || c.mss <= BASE_MTU) return;
    if (this.stack.ip.learnMtu(c.remoteHi, c.remoteLo, BASE_MTU)) this.stack.counters.tcpMtuBlackHoles++;
  }

  // ---- the end of a turn

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

  private unqueue(c: Connection): void {
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
  }

  // ---- memory

  /** Above three quarters of the share no window and no send buffer grows. */
  @inline get pressure(): bool {
    return this.buffers > this.limits.packets - this.limits.packets / 4;
  }
  /** May a connection hold one more buffer for sending? */
  mayHold(c: Connection): bool {
    if (this.buffers < this.limits.packets && packetsFree > packetsTotal / 16) return true;
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

  /** Sets the send sequence to begin with a SYN of number `iss`, taken as sent. */
  setSendStart(c: Connection, iss: u32): void {
    c.iss = iss;
    c.snd_una = iss;
    c.snd_nxt = iss + 1;
    c.snd_head = iss + 1;
    c.snd_end = iss + 1;
    c.snd_sml = iss;
    c.fack = iss;
    c.high_seq = iss;
    c.snd_wl2 = iss;
  }

  /** Ends the protocol of a connection: out of the table, nothing more is sent or kept. `settle` follows. */
  finish(c: Connection, error: i32): void {
    if (c.state == State.CLOSED) return;
    c.state = State.CLOSED;
    if (c.error == 0) c.error = error;
    this.table.remove(c);
    cancelTimers(this, c);
    this.unqueue(c);
    listenerForget(c);
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
  }

  private free(c: Connection): void {
    dropReceived(this, c);
    c.kind = 0;
    c.handler = 0;
    c.next = this.freeList;
    this.freeList = c;
    this.connections--;
  }

  // ---- what applications call

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
      const route = this.freshRoute();
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
        port = PORT_MIN + ((base + this.nextPort) % PORT_RANGE);
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
    this.setSendStart(c, iss);
    stack.counters.tcpActiveOpens++;
    this.sendSyn(c);
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
    let lNext: Listener | null = null;
    for (let l: Listener | null = load<Listener | null>(this.bucket(port)); l != null; l = lNext) {
      lNext = l.next;
      if (l.port == port && l.hi == hi && l.lo == lo) {
        this.lastError = Errno.EADDRINUSE;
        return null;
      }
    }
    const l = this.listenerFree;
    if (l == null) {
      this.lastError = Errno.ENOBUFS;
      return null;
    }
    this.listenerFree = l.next;
    memory.fill(changetype<usize>(l), 0, offsetof<Listener>());
    l.port = <u16>port;
    l.hi = hi;
    l.lo = lo;
    l.stackId = this.stack.id;
    l.open = true;
    l.backlog = min(backlog, max<u32>(this.limits.connections / 2, 1));
    l.halfOpenMax = min(max<u32>(backlog, 64), max<u32>(this.limits.connections / 4, 1));
    l.cookies = true;
    l.handler = handler != null ? handler.index : 0;
    l.context = context;
    l.next = load<Listener | null>(this.bucket(port));
    store<Listener>(this.bucket(port), l);
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
    let before: Listener | null = null;
    let mNext: Listener | null = null;
    for (let m: Listener | null = load<Listener | null>(this.bucket(l.port)); m != null; m = mNext) {
      mNext = m.next;
      if (m == l) {
        if (before == null) store<Listener | null>(this.bucket(l.port), l.next);
        else before.next = l.next;
        break;
      }
      before = m;
    }
    listenerClose(this, l);
    l.next = this.listenerFree;
    this.listenerFree = l;
  }


  @inline private bucket(port: u32): usize {
    return this.listenerBuckets + (port & (LISTENER_BUCKETS - 1)) * sizeof<usize>();
  }

  /** The listener of an address and port; one for this address goes before one for all. */
  findListener(port: u32, hi: u64, lo: u64): Listener | null {
    let any: Listener | null = null;
    let lNext: Listener | null = null;
    for (let l: Listener | null = load<Listener | null>(this.bucket(port)); l != null; l = lNext) {
      lNext = l.next;
      if (l.port != port) continue;
      if (l.lo == lo && l.hi == hi) return l;
      if ((l.lo | l.hi) == 0) any = l;
    }
    return any;
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

  private mayWrite(c: Connection): i32 {
    if (c.state == State.CLOSED) return c.error != 0 ? c.error : Errno.EPIPE;
    if (c.has(Flag.FIN_QUEUED)) return Errno.EPIPE;
    return canSendState(c.state) ? 0 : Errno.ENOTCONN;
  }

  private queued(c: Connection, taken: u32, wanted: u32): i32 {
    if (taken > 0) this.queue(c);
    if (taken < wanted) {
      c.set(Flag.WANT_WRITE);
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
    if (unread || c.state == State.SYN_SENT || c.state == State.SYN_RCVD) {
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

  // ---- segments without a synchronised connection, and those that are limited

  sendAck(c: Connection): void {
    sendAck(this, c);
  }
  sendReset(c: Connection): void {
    sendReset(this, c);
  }
  sendSyn(c: Connection): void {
    c.last_send_ns = this.stack.now_ns;
    sendSyn(this, c);
  }

  /** A challenge ACK (RFC 5961, 3.2, 4.2, 5.2 and 7). */
  challenge(c: Connection): void {
    const now = this.stack.now_ns;
    if (now - c.last_oow_ns < CHALLENGE_NS && c.last_oow_ns != 0) return;
    this.refill();
    if (this.challenges == 0) {
      this.stack.counters.tcpChallengeAcksLimited++;
      return;
    }
    this.challenges--;
    c.last_oow_ns = now;
    this.stack.counters.tcpChallengeAcks++;
    c.set(Flag.ACK_NOW);
    this.queue(c);
  }

  // Limits for a second, half to one and a half times the configured: a counter that outsiders can read tells them of others' connections
  // (CVE-2016-5696).
  private refill(): void {
    const now = this.stack.now_ns;
    if (now < this.limit_ns) return;
    this.limit_ns = now + SECOND_NS;
    this.challenges = this.randomAround(this.limits.challengeAcksPerSecond);
    this.resets = this.randomAround(this.limits.resetsPerSecond);
  }
  private randomAround(n: u32): u32 {
    return n / 2 + this.stack.randomBelow(n + 1);
  }

  private freshRoute(): Route {
    const route = this.scratchRoute;
    memory.fill(changetype<usize>(route), 0, ROUTE_BYTES);
    route.options = <u8>RouteOption.DONT_FRAGMENT;
    return route;
  }

  /** The answer to a segment that belongs to nothing (RFC 9293, 3.10.7.1). */
  resetSegment(o: Options): void {
    this.refill();
    if (this.resets == 0) {
      this.stack.counters.tcpOutRstsLimited++;
      return;
    }
    this.resets--;
    this.stack.counters.tcpOutRsts++;
    if (o.flags & TcpFlag.ACK) {
      this.sendBare(o, o.ack, 0, TcpFlag.RST, 0, 0, 0, 0);
    } else {
      const length = o.bytes + (o.flags & TcpFlag.SYN ? 1 : 0) + (o.flags & TcpFlag.FIN ? 1 : 0);
      this.sendBare(o, 0, o.seq + length, TcpFlag.RST | TcpFlag.ACK, 0, 0, 0, 0);
    }
  }

  /** A SYN-ACK for which nothing is kept. */
  sendCookieSynAck(o: Options, isn: u32, present: u32, ts: u32, ecn: bool): void {
    const window = min<u32>(min(this.limits.receiveBytes, this.limits.receiveBytesMax), 65535);
    this.sendBare(o, isn, o.seq + 1, TcpFlag.SYN | TcpFlag.ACK | (ecn ? TcpFlag.ECE : 0), window, present, ts, o.tsVal);
  }

  // A segment to where `o` came from.
  private sendBare(o: Options, seq: u32, ack: u32, bits: u32, window: u32, present: u32, ts: u32, echo: u32): void {
    const p = allocPacket();
    if (p == null) {
      this.stack.counters.noBuffers++;
      return;
    }
    const route = this.freshRoute();
    const options = present != 0 ? synOptionBytes(present) : 0;
    const at = p.append(TCP_BYTES + options);
    emitTcp(at, o.localPort, o.remotePort, seq, ack, TCP_BYTES + options, bits, window);
    if (present != 0)
      emitSynOptions(at + TCP_BYTES, present, this.localMss(route, o.remoteHi, o.remoteLo), this.windowShift, ts, echo);
    this.sendFrom(p, at, route, o.localHi, o.localLo, o.remoteHi, o.remoteLo);
  }

  /** The ACK of a connection in TIME-WAIT. */
  sendTimeWaitAck(w: TimeWait): void {
    const p = allocPacket();
    if (p == null) {
      this.stack.counters.noBuffers++;
      return;
    }
    const options: u32 = w.timestamps ? 12 : 0;
    const at = p.append(TCP_BYTES + options);
    emitTcp(at, w.localPort, w.remotePort, w.snd_nxt, w.rcv_nxt, TCP_BYTES + options, TcpFlag.ACK, w.rcv_wnd);
    if (w.timestamps) {
      store<u32>(at, 0x0a080101, TCP_BYTES);
      store<u32>(at, bswap<u32>(<u32>(this.stack.now_ns / 1_000_000) + w.ts_offset), TCP_BYTES + 4);
      store<u32>(at, bswap<u32>(w.ts_recent), TCP_BYTES + 8);
    }
    this.sendFrom(p, at, this.freshRoute(), w.localHi, w.localLo, w.remoteHi, w.remoteLo);
  }

  private sendFrom(p: Packet, at: usize, route: Route, localHi: u64, localLo: u64, remoteHi: u64, remoteLo: u64): void {
    p.csumStart = 0;
    p.csumOffset = <u16>TCP_CHECKSUM;
    p.flags |= PacketFlag.CHECKSUM_PARTIAL;
    setTcpChecksum(at, <u16>sumPseudo(localHi, localLo, remoteHi, remoteLo, Protocol.TCP, p.totalLen));
    this.stack.counters.tcpOutSegs++;
    this.stack.ip.output(p, route, localHi, localLo, remoteHi, remoteLo, Protocol.TCP, 0);
  }

  /** The MSS to announce: what the interface takes, whatever the path's MTU (RFC 6691, RFC 1191 3.1). */
  localMss(route: Route, hi: u64, lo: u64): u32 {
    if (this.stack.ip.resolve(route, hi, lo) < 0) return DEFAULT_MSS;
    const mtu = unchecked(this.stack.interfaces[route.iface]).mtu;
    const large = route.mtu > <u16>mtu ? <u32>route.mtu : mtu;
    return large - (isV4(hi, lo) ? 40 : 60);
  }
}
