// Segment arrives (RFC 9293, 3.10.7), with RFC 5961's checks against blind attacks and RFC 7323's against old duplicates.
//
// Order for a synchronised connection (3.10.7.4): PAWS, sequence number, RST, SYN, ACK, data, FIN. A segment is acceptable when
//   (1) SEG.SEQ + SEG.LEN >= RCV.NXT   and   SEG.SEQ <= RCV.NXT + RCV.WND
// which is wider than the four cases of 3.10.7.4: a full duplicate that ends at RCV.NXT and a probe of a closed window still carry a valid ACK;
// their data is dropped later. Urgent data is ordinary data (RFC 6093, 5).

import { Errno, Packet } from "../../runtime";
import { NeighbourState } from "../link/neighbour";
import { TcpFlag } from "../wire/tcp";
import { ackCumulative, ackDuplicate, ackSelective, AckResult } from "./ack";
import { initialWindow } from "./congestion";
import { Connection, Event, Flag, isSynchronised, Recovery, RtxMode, State } from "./connection";
import { listenerReady, negotiate } from "./listener";
import { Has, Options } from "./options";
import { resetSegment } from "./bare";
import { sendAck, sendReset, sendSyn } from "./output";
import { probeAcked, refreshMss } from "./pathmtu";
import { noteDuplicate, receiveSegment } from "./receive";
import { congestionMarked, recoveryAck } from "./recovery";
import { RTO_INITIAL_US, rttMinimum, rttSample, tsNow } from "./rtt";
import { sendQueueAck, sendRoom } from "./sendqueue";
import { seqGe, seqGt, seqLe, seqLt } from "./seq";
import { TcpCore } from "./core";
import { armHandshake, armKeepAlive, armRetransmit } from "./timers";
import { receiveWindow } from "./window";

/** RFC 7323, 5.5: after 24 days without segments the stored timestamp means nothing. */
const PAWS_IDLE_NS: i64 = 24 * 86400 * 1_000_000_000;
/** Answers to empty segments that are not acceptable: Linux, tcp_invalid_ratelimit. Two ends that disagree must not answer each other for ever. */
const INVALID_NS: i64 = 500_000_000;
/** Segments acknowledged one by one at the start (the peer's slow start counts ACKs). Linux: up to 16. */
export const QUICK_ACKS: u32 = 8;
/** A neighbour is confirmed no more often. */
const CONFIRM_NS: i64 = 1_000_000_000;
/** RFC 3168, 5: congestion experienced. */
const ECN_CE: u32 = 3;

/** Processes a segment of a connection; `p` has its payload behind `p.l4` bytes. Owns `p`. Ends with events in `c.events`, not delivered. */
export function segmentArrives(tcp: TcpCore, c: Connection, p: Packet, o: Options): void {
  if (c.state == State.SYN_SENT) {
    synSent(tcp, c, o);
    p.free();
    return;
  }
  const counters = tcp.stack.counters;
  const now = tcp.stack.now_ns;
  if (c.state == State.SYN_RCVD && (o.flags & TcpFlag.SYN) != 0 && o.seq == c.irs) {
    // The other half of a simultaneous open is a SYN-ACK with the sequence number that we know (3.5, figure 8): its ACK is what counts.
    if ((o.flags & TcpFlag.ACK) != 0 && !c.has(Flag.PASSIVE) && o.ack == c.snd_nxt) {
      o.flags &= ~TcpFlag.SYN;
      o.seq++;
    } else {
      // The SYN again: our answer was lost.
      if ((o.flags & (TcpFlag.ACK | TcpFlag.RST)) == 0) sendSyn(tcp, c);
      p.free();
      return;
    }
  }

  const bytes = o.bytes;
  const fin = (o.flags & TcpFlag.FIN) != 0;
  const rst = (o.flags & TcpFlag.RST) != 0;
  const end = o.seq + bytes + (fin ? 1 : 0);

  // PAWS (RFC 7323, 5.3 R1 to R3).
  if (c.has(Flag.TIMESTAMPS) && !rst) {
    if (!o.has(Has.TIMESTAMPS)) {
      // RFC 7323, 3.2: silently dropped.
      counters.tcpNoTimestamp++;
      p.free();
      return;
    }
    if (seqLt(o.tsVal, c.ts_recent) && now - c.ts_recent_ns < PAWS_IDLE_NS) {
      counters.tcpPawsRejected++;
      refuse(tcp, c, o, end);
      p.free();
      return;
    }
  }

  const window = receiveWindow(c);
  // (1)
  if (seqLt(end, c.rcv_nxt) || seqGt(o.seq, c.rcv_nxt + window)) {
    counters.tcpInUnacceptable++;
    if (!rst) refuse(tcp, c, o, end);
    p.free();
    return;
  }
  if (rst) {
    // RFC 5961, 3.2: only the exact number resets; another one in the window asks.
    if (o.seq == c.rcv_nxt) reset(tcp, c);
    else challenge(tcp, c);
    p.free();
    return;
  }
  if (o.flags & TcpFlag.SYN) {
    // RFC 5961, 4.2.
    challenge(tcp, c);
    p.free();
    return;
  }
  if ((o.flags & TcpFlag.ACK) == 0) {
    p.free();
    return;
  }

  if (c.state == State.SYN_RCVD) {
    if (seqLe(o.ack, c.snd_una) || seqGt(o.ack, c.snd_nxt)) {
      resetSegment(tcp, o);
      p.free();
      return;
    }
    if (!becomeEstablished(tcp, c, o)) {
      p.free();
      return;
    }
  } else if (!processAck(tcp, c, o, fin)) {
    p.free();
    return;
  }

  c.last_recv_ns = now;
  c.keep_probes = 0;
  // RFC 7323, 4.3 (2).
  if (c.has(Flag.TIMESTAMPS) && seqLe(o.seq, c.last_ack_sent) && seqGe(o.tsVal, c.ts_recent)) {
    c.ts_recent = o.tsVal;
    c.ts_recent_ns = now;
  }
  if (c.has(Flag.ECN)) {
    if (o.flags & TcpFlag.CWR) c.clear(Flag.ECE_ECHO);
    if (o.ecn == ECN_CE && bytes > 0) {
      c.set(Flag.ECE_ECHO | Flag.ACK_NOW);
    }
  }
  if (c.state == State.CLOSED) {
    p.free();
    return;
  }
  if (bytes > 0 || fin) arriveData(tcp, c, p, o, fin);
  else p.free();
  if (c.state != State.CLOSED) tcp.queue(c);
}

// A segment that is not acceptable: an ACK tells the peer where we are; one for empty segments twice a second.
function refuse(tcp: TcpCore, c: Connection, o: Options, end: u32): void {
  const now = tcp.stack.now_ns;
  if (o.bytes == 0 && (o.flags & (TcpFlag.SYN | TcpFlag.FIN)) == 0) {
    // A probe (one below what we expect) is answered always: it is how the peer finds out that we live.
    if (o.seq != c.rcv_nxt - 1 && now - c.last_oow_ns < INVALID_NS) return;
    c.last_oow_ns = now;
  } else if (o.bytes > 0 && seqLe(end, c.rcv_nxt)) {
    noteDuplicate(c, o.seq, end);
  }
  if (o.seq == c.rcv_nxt - 1 && o.bytes == 0) {
    // It also tells that the peer lives, and may open its window.
    c.last_recv_ns = now;
    c.keep_probes = 0;
    if ((o.flags & TcpFlag.ACK) != 0 && o.ack == c.snd_una && isSynchronised(c.state)) updateWindow(c, o);
  }
  c.set(Flag.ACK_NOW);
  tcp.queue(c);
}

// A challenge ACK (RFC 5961, 3.2, 4.2, 5.2 and 7).
function challenge(tcp: TcpCore, c: Connection): void {
  const now = tcp.stack.now_ns;
  if (now - c.last_oow_ns < INVALID_NS && c.last_oow_ns != 0) return;
  if (!tcp.rates.challenge()) {
    tcp.stack.counters.tcpChallengeAcksLimited++;
    return;
  }
  c.last_oow_ns = now;
  tcp.stack.counters.tcpChallengeAcks++;
  c.set(Flag.ACK_NOW);
  tcp.queue(c);
}

function reset(tcp: TcpCore, c: Connection): void {
  tcp.stack.counters.tcpInRsts++;
  switch (c.state) {
    case State.SYN_RCVD:
      // A passive one goes back to its listener, which has forgotten nothing but this.
      tcp.finish(c, Errno.ECONNREFUSED);
      return;
    case State.CLOSING:
    case State.LAST_ACK:
      tcp.finish(c, 0);
      return;
    default:
      tcp.finish(c, Errno.ECONNRESET);
  }
}

// SYN-SENT (3.10.7.3).
function synSent(tcp: TcpCore, c: Connection, o: Options): void {
  const ack = (o.flags & TcpFlag.ACK) != 0;
  if (ack && o.ack != c.snd_nxt) {
    if ((o.flags & TcpFlag.RST) == 0) resetSegment(tcp, o);
    return;
  }
  if (o.flags & TcpFlag.RST) {
    if (ack) {
      tcp.stack.counters.tcpInRsts++;
      tcp.finish(c, Errno.ECONNREFUSED);
    }
    return;
  }
  if ((o.flags & TcpFlag.SYN) == 0) return;
  c.irs = o.seq;
  c.rcv_nxt = o.seq + 1;
  c.rcv_wup = c.rcv_nxt;
  c.rcv_wnd = min<u32>(c.rcv_buf, 65535);
  c.tune_seq = c.rcv_nxt;
  negotiate(tcp, c, o);
  c.last_recv_ns = tcp.stack.now_ns;
  if (!ack) {
    // Simultaneous open: both SYNs are on their way.
    c.state = State.SYN_RCVD;
    sendSyn(tcp, c);
    armHandshake(tcp, c);
    return;
  }
  if (tcp.requestEcn && (o.flags & (TcpFlag.ECE | TcpFlag.CWR)) == TcpFlag.ECE) c.set(Flag.ECN);
  establish(tcp, c, o);
  c.set(Flag.ACK_NOW);
  tcp.queue(c);
}

// The ACK of our SYN-ACK; false when there is no room in the accept queue: it counts as lost.
function becomeEstablished(tcp: TcpCore, c: Connection, o: Options): bool {
  const l = c.listener;
  if (l != null && l.accepting >= l.backlog) {
    tcp.stack.counters.tcpListenOverflows++;
    return false;
  }
  c.snd_wnd = o.window << c.snd_wscale;
  establish(tcp, c, o);
  if (l != null) {
    listenerReady(l, c);
    tcp.accepted = true;
  }
  return true;
}

// Both sequence numbers are known.
function establish(tcp: TcpCore, c: Connection, o: Options): void {
  const now = tcp.stack.now_ns;
  c.state = State.ESTABLISHED;
  c.snd_una = o.ack;
  c.snd_wl1 = o.seq;
  c.snd_wl2 = o.ack;
  c.max_wnd = max(c.max_wnd, c.snd_wnd);
  c.fack = o.ack;
  c.tune_seq = c.rcv_nxt;
  c.tune_time_ns = now;
  c.quick_acks = QUICK_ACKS;
  c.mss_generation = 0;
  refreshMss(tcp, c);
  // RFC 6298, 5.7 and RFC 5681, 3.1: a handshake that needed repeats makes us careful.
  const repeats = c.backoff;
  if (c.has(Flag.TIMESTAMPS) && o.tsEcr != 0 && repeats > 0) {
    const age = tsNow(c, now) - o.tsEcr;
    if (age < 600_000) handshakeSample(c, age * 1000, now);
  } else if (repeats == 0 && c.last_send_ns != 0) {
    handshakeSample(c, <u32>min<i64>((now - c.last_send_ns) / 1000, 0x7fffffff), now);
  }
  if (c.srtt_us == 0 && repeats > 0) c.rto_us = 3 * RTO_INITIAL_US;
  c.cwnd = repeats > 1 ? c.mss : initialWindow(c.mss);
  c.backoff = 0;
  c.rtx_mode = RtxMode.NONE;
  tcp.stack.wheel.cancel(c.rtxTimer);
  c.hs_round_end = c.snd_nxt;
  c.hs_rtt_us = u32.MAX_VALUE;
  c.hs_last_rtt_us = u32.MAX_VALUE;
  tcp.stack.counters.tcpEstablished++;
  armKeepAlive(tcp, c);
  c.events |= Event.ESTABLISHED | Event.WRITABLE;
}

function handshakeSample(c: Connection, rtt_us: u32, now_ns: i64): void {
  rttSample(c, rtt_us, now_ns);
  rttMinimum(c, rtt_us, now_ns);
}

// 3.10.7.4, fifth: true when the segment's data is to be looked at.
function processAck(tcp: TcpCore, c: Connection, o: Options, fin: bool): bool {
  const ack = o.ack;
  const una = c.snd_una;
  // RFC 5961, 5.2: (2) SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT
  if (seqGt(ack, c.snd_nxt) || seqLt(ack, una - max<u32>(c.max_wnd, 1))) {
    challenge(tcp, c);
    return false;
  }
  if (seqLt(ack, una)) return true;

  const now = tcp.stack.now_ns;
  const window = c.snd_wnd;
  updateWindow(c, o);
  if (c.rtx_mode == RtxMode.PERSIST && c.snd_wnd > window) c.backoff = 0;
  if (c.flight == 0) return true;

  const r = tcp.ackResult;
  memory.fill(changetype<usize>(r), 0, offsetof<AckResult>());
  const hasEcho = c.has(Flag.TIMESTAMPS) && o.tsEcr != 0;
  const echo_us: i64 = hasEcho ? <i64>(tsNow(c, now) - o.tsEcr) * 1000 : -1;
  const acked = ack - una;
  r.acked = acked;
  if (acked > 0) {
    ackCumulative(c, tcp.segments, ack, r, now, echo_us);
    c.snd_una = ack;
    sendQueueAck(tcp, c);
    confirmNeighbour(tcp, c, now);
    if (c.probe_start != c.probe_end) probeAcked(tcp, c);
  }
  if (o.sackCount > 0 && c.has(Flag.SACK)) ackSelective(c, tcp.segments, o, r, now, echo_us);

  // RTT (RFC 6298; Karn's rule by taking only what was sent once, else by the echo, which is of the transmission that arrived).
  let rtt_us: u32 = 0;
  if (r.latest_ns != 0) {
    rttSample(c, <u32>min<i64>((now - r.oldest_ns) / 1000, 0x7fffffff), now);
    rtt_us = <u32>min<i64>((now - r.latest_ns) / 1000, 0x7fffffff);
    rttMinimum(c, rtt_us, now);
  } else if (acked > 0 && hasEcho && r.retransAcked && echo_us < 600_000_000) {
    rttSample(c, <u32>echo_us, now);
  }

  const duplicate = acked == 0 && o.bytes == 0 && !fin && c.snd_wnd == window;
  if (duplicate && !c.has(Flag.SACK)) ackDuplicate(c, r);
  if (acked > 0) {
    c.backoff = 0;
    c.stall_ns = now;
    c.soft_error = 0;
  }
  if ((o.flags & TcpFlag.ECE) != 0 && c.has(Flag.ECN) && acked > 0) congestionMarked(tcp, c);
  recoveryAck(tcp, c, r, duplicate, hasEcho, o.tsEcr, rtt_us);

  if (acked > 0) {
    const buffer = min<u32>(max<u32>(c.snd_buf, 2 * c.cwnd), tcp.limits.sendBytesMax);
    if (!tcp.pressure && c.recovery == Recovery.OPEN) c.snd_buf = buffer;
    if (c.has(Flag.WANT_WRITE) && sendRoom(c) >= c.snd_buf / 4) {
      c.clear(Flag.WANT_WRITE);
      c.events |= Event.WRITABLE;
    }
    if (c.has(Flag.FIN_SENT) && ack == c.snd_nxt) finAcked(tcp, c);
    if (c.state == State.CLOSED) return true;
  }
  armRetransmit(tcp, c, acked > 0);
  return true;
}

// Forward progress says that the next hop receives (RFC 4861, 7.3.1): nobody has to ask it.
function confirmNeighbour(tcp: TcpCore, c: Connection, now: i64): void {
  const route = c.route;
  const neighbour = route.neighbour;
  if (neighbour == null || neighbour.serial != route.neighbourSerial) return;
  if (neighbour.state < NeighbourState.REACHABLE || now - neighbour.confirmed_ns < CONFIRM_NS) return;
  tcp.stack.neighbours.confirm(neighbour);
}

// 3.10.7.4: SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK).
function updateWindow(c: Connection, o: Options): void {
  if (seqLt(c.snd_wl1, o.seq) || (c.snd_wl1 == o.seq && seqLe(c.snd_wl2, o.ack))) {
    c.snd_wnd = o.window << c.snd_wscale;
    c.snd_wl1 = o.seq;
    c.snd_wl2 = o.ack;
    if (c.snd_wnd > c.max_wnd) c.max_wnd = c.snd_wnd;
  }
}

// Everything that we sent is acknowledged, the FIN included.
function finAcked(tcp: TcpCore, c: Connection): void {
  switch (c.state) {
    case State.FIN_WAIT_1:
      c.state = State.FIN_WAIT_2;
      armKeepAlive(tcp, c);
      break;
    case State.CLOSING:
      tcp.enterTimeWait(c);
      break;
    case State.LAST_ACK:
      tcp.finish(c, 0);
      break;
    default:
      break;
  }
}

// Seventh and eighth: data and FIN.
function arriveData(tcp: TcpCore, c: Connection, p: Packet, o: Options, fin: bool): void {
  if (c.state > State.FIN_WAIT_2) {
    // After the peer's FIN: what comes is old.
    c.set(Flag.ACK_NOW);
    p.free();
    return;
  }
  if (
    o.bytes > 0 &&
    seqGt(o.seq + o.bytes, c.rcv_nxt) &&
    (c.has(Flag.READ_SHUT) || !c.has(Flag.OWNED | Flag.PASSIVE))
  ) {
    // Nobody will read it, and the peer should know (RFC 9293, 3.6.1; RFC 1122, 4.2.2.13).
    p.free();
    tcp.stack.counters.tcpAbortOnData++;
    sendReset(tcp, c);
    tcp.finish(c, Errno.ECONNRESET);
    return;
  }
  if (!receiveSegment(tcp, c, p, o.seq, fin)) return;
  c.set(Flag.FIN_RECEIVED);
  c.events |= Event.READABLE | Event.PEER_CLOSED;
  switch (c.state) {
    case State.ESTABLISHED:
      c.state = State.CLOSE_WAIT;
      break;
    case State.FIN_WAIT_1:
      c.state = State.CLOSING;
      break;
    default:
      // FIN-WAIT-2: its ACK leaves now, as nothing will remain to send it.
      sendAck(tcp, c);
      tcp.enterTimeWait(c);
  }
}
