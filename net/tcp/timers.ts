// The timers of a connection: retransmission (RFC 6298) shared with the tail loss probe and the reordering timer (RFC 8985) and the zero-window probe
// (RFC 9293, 3.8.6.1); delayed ACK (RFC 1122, 4.2.3.2); keep-alive (4.2.3.6), which also ends orphans in FIN-WAIT-2.
//
// Invariants
// 1. While something is in flight, or waits for a closed window, the retransmission timer is set: no stall is silent.
// 2. Callbacks end with `settle`: the connection may be gone afterwards.

import { Errno, Timer } from "../../runtime";
import { Connection, Flag, isSynchronised, Recovery, RtxMode, State } from "./connection";
import { output, sendProbe, sendReset, sendSyn, sendTailProbe, sendWindowProbe } from "./output";
import { pathSuspect } from "./pathmtu";
import { rackDetect } from "./rack";
import { enterLoss, lossFound } from "./recovery";
import { rtoNs, RTO_MAX_US } from "./rtt";
import { coreAt, TcpCore } from "./core";

/** RFC 9293, MUST-23: R2 of a SYN is at least 3 minutes; 7 retries take 247 s. Nobody has to wait so long: `connect` has a deadline. */
const SYN_RETRIES: u32 = 7;
/** Linux: tcp_synack_retries, 63 s. */
const SYN_ACK_RETRIES: u32 = 5;
/** Timeouts, also unanswered window probes, that nobody's connection survives. Linux: tcp_orphan_retries 8. */
const ORPHAN_RETRIES: u32 = 8;
/** RFC 1122, 4.2.3.2 allows 500 ms; Linux's minimum. */
const DELAYED_ACK_NS: i64 = 40_000_000;
/** How long a peer may delay its ACK of a single segment (RFC 8985, 7.2: WCDelAckT). */
const PEER_DELAYED_ACK_US: u32 = 200_000;
/** FIN-WAIT-2 without an owner: Linux, tcp_fin_timeout. */
const FIN_WAIT_2_NS: i64 = 60_000_000_000;
const KEEP_PROBES: u32 = 9;
/** RFC 9293, 3.8.3: R2 of data at least 100 s; Linux's 15 retries take about 15 minutes. */
export const USER_TIMEOUT_MS: u32 = 924_600;
/** RFC 1122, 4.2.3.6: no less than two hours by default; Linux: 75 s between probes. */
export const KEEP_IDLE_MS: u32 = 7_200_000;
export const KEEP_INTERVAL_MS: u32 = 75_000;

export function initTimers(c: Connection): void {
  const context = changetype<usize>(c);
  c.rtxTimer.init(onRetransmit, context);
  c.ackTimer.init(onDelayedAck, context);
  c.keepTimer.init(onKeepAlive, context);
}

export function cancelTimers(tcp: TcpCore, c: Connection): void {
  const wheel = tcp.stack.wheel;
  wheel.cancel(c.rtxTimer);
  wheel.cancel(c.ackTimer);
  wheel.cancel(c.keepTimer);
  c.rtx_mode = RtxMode.NONE;
}


@inline
function setRtx(tcp: TcpCore, c: Connection, mode: RtxMode, deadline_ns: i64): void {
  c.rtx_mode = mode;
  tcp.stack.wheel.set(c.rtxTimer, deadline_ns);
}

/** For a SYN or SYN-ACK just sent. */
export function armHandshake(tcp: TcpCore, c: Connection): void {
  setRtx(tcp, c, RtxMode.RTO, tcp.stack.now_ns + rtoNs(c));
}

/**
 * Brings the retransmission timer in line with what is in flight.
 * @param restart new data was acknowledged, or the timer has just run (RFC 6298, 5.3): count anew
 */
export function armRetransmit(tcp: TcpCore, c: Connection, restart: bool): void {
  const wheel = tcp.stack.wheel;
  const now = tcp.stack.now_ns;
  const timer = c.rtxTimer;
  if (!isSynchronised(c.state)) return;
  if (c.flight == 0) {
    const waiting = c.snd_end != c.snd_nxt && !c.has(Flag.FIN_SENT);
    if (!waiting) {
      wheel.cancel(timer);
      c.rtx_mode = RtxMode.NONE;
    } else if (c.rtx_mode != RtxMode.PERSIST) {
      c.backoff = 0;
      c.keep_probes = 0;
      setRtx(tcp, c, RtxMode.PERSIST, now + rtoNs(c));
    }
    return;
  }
  if (c.rtx_mode == RtxMode.REORDER && timer.isSet) return;
  const rto = rtoNs(c);
  if (mayProbe(c)) {
    const deadline = min(now + tailTimeoutNs(c), restart || c.rtx_mode != RtxMode.RTO ? now + rto : timer.deadline_ns);
    setRtx(tcp, c, RtxMode.TLP, deadline);
    return;
  }
  if (c.rtx_mode == RtxMode.RTO && timer.isSet && !restart) return;
  setRtx(tcp, c, RtxMode.RTO, now + rto);
}

/** RACK has segments that count as lost `timeout_ns` from now (0: none). */
export function armReorder(tcp: TcpCore, c: Connection, timeout_ns: i64): void {
  if (timeout_ns > 0) setRtx(tcp, c, RtxMode.REORDER, tcp.stack.now_ns + timeout_ns);
  else if (c.rtx_mode == RtxMode.REORDER) c.rtx_mode = RtxMode.NONE;
}

// RFC 8985, 7.2: a probe needs SACK, an RTT, and no recovery going on.
function mayProbe(c: Connection): bool {
  return (
    c.has(Flag.SACK) &&
    c.recovery == Recovery.OPEN &&
    c.sacked_bytes == 0 &&
    c.srtt_us != 0 &&
    c.backoff == 0 &&
    !c.has(Flag.TLP_OUT)
  );
}

// RFC 8985, 7.2: PTO = 2 SRTT, plus the peer's delayed ACK when it has only one segment to acknowledge.
function tailTimeoutNs(c: Connection): i64 {
  let us: u64 = 2 * <u64>c.srtt_us;
  if (c.flight <= c.mss) us += PEER_DELAYED_ACK_US;
  return <i64>max<u64>(us, 2000) * 1000;
}

function onRetransmit(timer: Timer): void {
  const c = changetype<Connection>(timer.context);
  const tcp = coreAt(c.stackId);
  const mode = c.rtx_mode;
  c.rtx_mode = RtxMode.NONE;
  if (!isSynchronised(c.state)) handshakeTimeout(tcp, c);
  else if (mode == RtxMode.TLP) tailTimeout(tcp, c);
  else if (mode == RtxMode.REORDER) reorderTimeout(tcp, c);
  else if (mode == RtxMode.PERSIST) persistTimeout(tcp, c);
  else retransmitTimeout(tcp, c);
  tcp.settle(c);
}

function handshakeTimeout(tcp: TcpCore, c: Connection): void {
  const limit = c.state == State.SYN_SENT ? SYN_RETRIES : SYN_ACK_RETRIES;
  if (c.backoff >= limit) {
    tcp.stack.counters.tcpTimeouts++;
    tcp.finish(c, c.soft_error != 0 ? c.soft_error : Errno.ETIMEDOUT);
    return;
  }
  c.backoff++;
  tcp.stack.counters.tcpRetransSegs++;
  sendSyn(tcp, c);
  armHandshake(tcp, c);
}

function tailTimeout(tcp: TcpCore, c: Connection): void {
  sendTailProbe(tcp, c);
  // The next is an RTO, whatever becomes of the probe.
  c.set(Flag.TLP_OUT);
  armRetransmit(tcp, c, true);
}

function reorderTimeout(tcp: TcpCore, c: Connection): void {
  const left = rackDetect(c, tcp.stack.now_ns);
  if (lossFound(tcp, c)) c.cwnd = c.pipe + c.mss;
  output(tcp, c);
  if (c.state == State.CLOSED) return;
  if (left > 0) armReorder(tcp, c, left);
  else armRetransmit(tcp, c, true);
}

// Nobody reads any more, or the peer is silent for too long (RFC 9293, 3.8.3: R2; RFC 5482).
function givesUp(tcp: TcpCore, c: Connection): bool {
  const silent_ms = (tcp.stack.now_ns - c.stall_ns) / 1_000_000;
  if (silent_ms > <i64>c.user_timeout_ms || (!c.has(Flag.OWNED) && c.backoff >= ORPHAN_RETRIES)) {
    tcp.stack.counters.tcpTimeouts++;
    tcp.finish(c, c.soft_error != 0 ? c.soft_error : Errno.ETIMEDOUT);
    return true;
  }
  return false;
}

function retransmitTimeout(tcp: TcpCore, c: Connection): void {
  if (c.flight == 0) return;
  if (givesUp(tcp, c)) return;
  tcp.stack.counters.tcpRtoTimeouts++;
  if (c.backoff < 255) c.backoff++;
  enterLoss(tcp, c);
  pathSuspect(tcp, c);
  output(tcp, c);
  if (c.state != State.CLOSED) armRetransmit(tcp, c, true);
}

function persistTimeout(tcp: TcpCore, c: Connection): void {
  if (c.keep_probes == 0) c.stall_ns = tcp.stack.now_ns;
  // While the peer answers, it may keep its window closed for ever (RFC 9293, MUST-37): `keep_probes` counts unanswered ones. Without an owner
  // `backoff` ends it, or a peer could hold our memory for nothing.
  if (givesUp(tcp, c)) return;
  if (c.backoff < 255) c.backoff++;
  if (c.keep_probes < 255) c.keep_probes++;
  sendWindowProbe(tcp, c);
  if (c.state == State.CLOSED) return;
  if (c.flight > 0) armRetransmit(tcp, c, true);
  else setRtx(tcp, c, RtxMode.PERSIST, tcp.stack.now_ns + rtoNs(c));
}

/** An ACK is due, not now: with the next data, or when the timer runs. */
export function armDelayedAck(tcp: TcpCore, c: Connection): void {
  if (!c.ackTimer.isSet) tcp.stack.wheel.set(c.ackTimer, tcp.stack.now_ns + DELAYED_ACK_NS);
}

function onDelayedAck(timer: Timer): void {
  const c = changetype<Connection>(timer.context);
  const tcp = coreAt(c.stackId);
  if (c.has(Flag.ACK_DELAYED)) {
    c.set(Flag.ACK_NOW);
    tcp.queue(c);
  }
}

/** Starts keep-alive, or the end of an orphan in FIN-WAIT-2; stops what is no longer wanted. */
export function armKeepAlive(tcp: TcpCore, c: Connection): void {
  const now = tcp.stack.now_ns;
  if (c.state == State.FIN_WAIT_2 && !c.has(Flag.OWNED)) {
    tcp.stack.wheel.set(c.keepTimer, now + FIN_WAIT_2_NS);
  } else if (!c.has(Flag.OWNED | Flag.PASSIVE) && c.has(Flag.LINGER)) {
    tcp.stack.wheel.set(c.keepTimer, now + <i64>c.linger_ms * 1_000_000);
  } else if (c.has(Flag.KEEPALIVE) && isSynchronised(c.state)) {
    tcp.stack.wheel.set(c.keepTimer, now + <i64>c.keep_idle_ms * 1_000_000);
  } else {
    tcp.stack.wheel.cancel(c.keepTimer);
  }
}

function onKeepAlive(timer: Timer): void {
  const c = changetype<Connection>(timer.context);
  const tcp = coreAt(c.stackId);
  const now = tcp.stack.now_ns;
  if (c.state == State.FIN_WAIT_2 && !c.has(Flag.OWNED)) {
    tcp.finish(c, 0);
    tcp.settle(c);
    return;
  }
  if (!c.has(Flag.OWNED | Flag.PASSIVE) && c.has(Flag.LINGER)) {
    sendReset(tcp, c);
    tcp.finish(c, Errno.ETIMEDOUT);
    tcp.settle(c);
    return;
  }
  if (!c.has(Flag.KEEPALIVE) || !isSynchronised(c.state)) return;
  const idle = <i64>c.keep_idle_ms * 1_000_000;
  const quiet = now - c.last_recv_ns;
  let next = now + <i64>c.keep_interval_ms * 1_000_000;
  if (c.flight > 0 || c.rtx_mode == RtxMode.PERSIST) {
    // Retransmission and window probes ask already.
    next = now + idle;
  } else if (quiet < idle) {
    c.keep_probes = 0;
    next = c.last_recv_ns + idle;
  } else if (c.keep_probes >= KEEP_PROBES) {
    tcp.stack.counters.tcpTimeouts++;
    sendReset(tcp, c);
    tcp.finish(c, Errno.ETIMEDOUT);
    tcp.settle(c);
    return;
  } else {
    c.keep_probes++;
    tcp.stack.counters.tcpKeepAlives++;
    sendProbe(tcp, c);
  }
  tcp.stack.wheel.set(c.keepTimer, next);
}
