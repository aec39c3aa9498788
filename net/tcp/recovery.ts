// Loss recovery: when the window is reduced, by how much, and when that is taken back.
//
//          lost (RACK, or 3 duplicates without SACK)                 snd_una >= high_seq
//   OPEN ---------------------------------------------> FAST ----------------------------> OPEN
//     |  ECE --> CWR ----- snd_una >= high_seq ----> OPEN
//     +------------------- retransmission timeout ----> LOSS (slow start) ---------------> OPEN
//
// Proportional rate reduction (RFC 6937, 3.1), bytes:
//   (1) pipe > ssthresh:  sndcnt = ceil(prr_delivered * ssthresh / RecoverFS) - prr_out
//   (2) else (PRR-SSRB):  limit = max(prr_delivered - prr_out, delivered) + MSS,  sndcnt = min(ssthresh - pipe, limit)
//       while more is being lost (PRR-CRB):  limit = prr_delivered - prr_out
//   (3) cwnd = pipe + sndcnt

import { AckResult } from "./ack";
import { congestionAcked, congestionThreshold, hystartSample } from "./congestion";
import { Connection, Flag, Recovery } from "./connection";
import { probeLost } from "./pathmtu";
import { rackAdapt, rackDetect, rackRecovered } from "./rack";
import { Mark, Segment, segmentMarkLost, segmentSplit, sentPrepend } from "./segment";
import { seqGe, seqGt, seqLt } from "./seq";
import { TcpCore } from "./core";
import { armReorder } from "./timers";
import { tsNow } from "./rtt";

/** RFC 5681, 3.2. */
const DUP_THRESHOLD: u32 = 3;
/** RFC 8511, 3.1. */
const BETA_ECN_RENO: f64 = 0.8;
const BETA_ECN_CUBIC: f64 = 0.85;

/**
 * After the records of an ACK have been processed.
 * @param duplicate a duplicate ACK in the sense of RFC 5681, 2
 * @param echo the timestamp that the ACK echoes; valid when `hasEcho`
 * @param rtt_us the ACK's RTT sample, or 0
 */
export function recoveryAck(
  tcp: TcpCore,
  c: Connection,
  r: AckResult,
  duplicate: bool,
  hasEcho: bool,
  echo: u32,
  rtt_us: u32,
): void {
  const now = tcp.stack.now_ns;
  if (c.has(Flag.TLP_OUT)) tlpAcked(c, r, duplicate);
  if (c.undo_cwnd != 0 && c.recovery >= Recovery.FAST) {
    if (r.acked > 0 && hasEcho && seqLt(echo, c.undo_ts)) undo(tcp, c);
    else if (c.has(Flag.FRTO) && c.has(Flag.SACK)) timeoutCause(tcp, c, r);
  }
  if (c.recovery != Recovery.OPEN && seqGe(c.snd_una, c.high_seq)) leave(c);

  const lost = c.lost_bytes;
  if (c.has(Flag.SACK)) {
    rackAdapt(c, r.dsack);
    armReorder(tcp, c, rackDetect(c, now));
  } else {
    renoDetect(tcp, c, r.acked);
  }
  const newlyLost = c.lost_bytes > lost;
  lossFound(tcp, c);

  if (c.recovery == Recovery.FAST) {
    reduceRate(c, r.delivered, newlyLost);
  } else if (r.acked > 0 && c.recovery != Recovery.CWR) {
    hystartSample(c, rtt_us);
    congestionAcked(c, r.acked, now);
  }
}

// F-RTO with SACK (RFC 5682, 3.1). The timeout was spurious when something arrives that was sent once, before it; it was not when an ACK tells of
// nothing but what was sent again.
function timeoutCause(tcp: TcpCore, c: Connection, r: AckResult): void {
  if (c.recovery != Recovery.LOSS) return;
  if (r.originalAcked) {
    undo(tcp, c);
  } else if (r.acked == 0 && r.sacked == 0) {
    // A duplicate without news: the hole is real.
    c.clear(Flag.FRTO);
  }
}

// Without SACK (RFC 5681, 3.2; RFC 6582): three duplicates say that the first segment is lost; in recovery each partial ACK says it of the next.
function renoDetect(tcp: TcpCore, c: Connection, acked: u32): void {
  if (acked > 0) {
    // The retransmitted segment and those that had sent duplicates.
    const others = acked > c.mss ? acked - c.mss : 0;
    c.reno_bytes = c.reno_bytes > others ? c.reno_bytes - others : 0;
    c.dupacks = 0;
    if (c.recovery == Recovery.FAST) markHead(tcp, c);
  } else if (c.recovery < Recovery.FAST && c.dupacks >= DUP_THRESHOLD && seqGe(c.snd_una, c.high_seq)) {
    // RFC 6582, 3.2 step 2: not for what an earlier recovery has sent.
    markHead(tcp, c);
  }
}

function markHead(tcp: TcpCore, c: Connection): void {
  const s = c.seg_head;
  if (s == null || (s.flags & (Mark.LOST | Mark.SACKED | Mark.RETRANS)) != 0) return;
  if (s.mss > 0 && s.bytes > s.mss && !segmentSplit(c, tcp.segments, s, s.mss)) return;
  segmentMarkLost(c, s);
}

/** Begins fast recovery when something counts as lost, unless it is only a probe of the path's MTU. True when it begins. */
export function lossFound(tcp: TcpCore, c: Connection): bool {
  if (c.lost_bytes == 0 || c.recovery >= Recovery.FAST) return false;
  if (c.probe_start != c.probe_end && probeLost(tcp, c)) return false;
  enterFast(tcp, c);
  return true;
}

function enterFast(tcp: TcpCore, c: Connection): void {
  reduce(tcp, c);
  c.recovery = Recovery.FAST;
  c.prr_delivered = 0;
  c.prr_out = 0;
  c.prr_flight = max<u32>(c.flight, 1);
  tcp.stack.counters.tcpFastRecoveries++;
}

// Notes what `undo` needs, lowers the threshold.
function reduce(tcp: TcpCore, c: Connection): void {
  // In CWR the window has been reduced for this round trip already.
  if (c.recovery != Recovery.CWR) {
    c.undo_cwnd = c.cwnd;
    c.undo_ssthresh = c.ssthresh;
    c.ssthresh = congestionThreshold(c);
  }
  c.undo_ts = tsNow(c, tcp.stack.now_ns);
  c.high_seq = c.snd_nxt;
  if (c.has(Flag.ECN)) c.set(Flag.CWR_DUE);
}

/** The network has marked instead of dropped (RFC 3168, 6.1.2): as a loss, but nothing to repair; once a round trip. */
export function congestionMarked(tcp: TcpCore, c: Connection): void {
  if (c.recovery != Recovery.OPEN) return;
  const before = c.cwnd;
  reduce(tcp, c);
  // A mark comes from a shallower queue than a loss: less is taken back (RFC 8511, 2 and 3.1).
  c.ssthresh = max(c.ssthresh, <u32>(<f64>before * (c.has(Flag.NEWRENO) ? BETA_ECN_RENO : BETA_ECN_CUBIC)));
  c.undo_cwnd = 0;
  c.recovery = Recovery.CWR;
  c.cwnd = max<u32>(c.ssthresh, c.mss);
}

/** A retransmission timeout (RFC 6298, 5.4 to 5.6; RFC 8985, 6.3): everything not selectively acknowledged counts as lost. */
export function enterLoss(tcp: TcpCore, c: Connection): void {
  if (c.recovery != Recovery.LOSS) {
    // A second timeout for the same data reduces the threshold no further (RFC 5681, 3.1).
    if (c.recovery == Recovery.FAST) {
      c.undo_cwnd = 0;
      c.high_seq = c.snd_nxt;
    } else {
      reduce(tcp, c);
    }
    c.recovery = Recovery.LOSS;
    c.set(Flag.FRTO);
  }
  // The receiver has dropped what it had selectively acknowledged (RFC 2018, 8): its marks mean nothing.
  const head = c.seg_head;
  const reneged = head != null && head.is(Mark.SACKED);
  if (reneged) tcp.stack.counters.tcpSackReneges++;
  let sNext: Segment | null = null;
  for (let s: Segment | null = c.seg_head; s != null; s = sNext) {
    sNext = s.next;
    if (reneged && s.is(Mark.SACKED)) {
      s.flags &= ~Mark.SACKED;
      c.sacked_bytes -= s.bytes;
    }
    segmentMarkLost(c, s);
  }
  c.reno_bytes = 0;
  c.dupacks = 0;
  c.cwnd = c.mss;
  c.cwnd_credit = 0;
  c.high_seq = c.snd_nxt;
  c.clear(Flag.TLP_OUT | Flag.TLP_RETRANS);
  if (reneged) c.clear(Flag.FRTO);
}

function leave(c: Connection): void {
  if (c.recovery == Recovery.FAST) c.cwnd = max<u32>(c.ssthresh, c.mss);
  if (c.recovery >= Recovery.FAST) rackRecovered(c);
  c.recovery = Recovery.OPEN;
  c.dupacks = 0;
  c.reno_bytes = 0;
  c.undo_cwnd = 0;
  c.clear(Flag.FRTO);
}

// The original arrived after all: its echo is older than our reaction (Eifel: RFC 3522 detects, RFC 4015 responds).
function undo(tcp: TcpCore, c: Connection): void {
  tcp.stack.counters.tcpSpuriousRecoveries++;
  c.cwnd = max(c.cwnd, c.undo_cwnd);
  c.ssthresh = max(c.ssthresh, c.undo_ssthresh);
  c.undo_cwnd = 0;
  c.recovery = Recovery.OPEN;
  c.reno_bytes = 0;
  c.dupacks = 0;
  c.clear(Flag.FRTO);
  c.set(Flag.REORDERING);
  // What was acknowledged was no retransmission: its time says nothing of what was sent before it.
  c.rack_ns = 0;
  let sNext: Segment | null = null;
  for (let s: Segment | null = c.seg_tail; s != null; s = sNext) {
    sNext = s.prev;
    if (!s.is(Mark.LOST) || s.is(Mark.RETRANS)) continue;
    s.flags &= ~Mark.LOST;
    c.lost_bytes -= s.bytes;
    sentPrepend(c, s);
  }
  c.rtx_hint = null;
}

function reduceRate(c: Connection, delivered: u32, newlyLost: bool): void {
  c.prr_delivered += delivered;
  const pipe = c.pipe;
  let send: i64;
  if (pipe > c.ssthresh) {
    // (1)
    const share = (<u64>c.prr_delivered * <u64>c.ssthresh + <u64>c.prr_flight - 1) / <u64>c.prr_flight;
    send = <i64>share - <i64>c.prr_out;
  } else {
    // (2)
    let limit = <i64>c.prr_delivered - <i64>c.prr_out;
    if (!newlyLost) limit = max<i64>(limit, delivered) + <i64>c.mss;
    send = min<i64>(<i64>(c.ssthresh - pipe), limit);
  }
  // The first retransmission leaves at once (RFC 6937, 3: fast retransmit).
  if (c.prr_out == 0) send = max<i64>(send, c.mss);
  c.cwnd = max<u32>(pipe + <u32>max<i64>(send, 0), c.mss);
}

// RFC 8985, 7.4: did the tail loss probe repair a loss? Then congestion control must hear of it.
function tlpAcked(c: Connection, r: AckResult, duplicate: bool): void {
  if (seqLt(c.snd_una, c.tlp_end)) return;
  if (c.has(Flag.TLP_RETRANS)) {
    if (!r.dsackTlp) {
      if (seqGt(c.snd_una, c.tlp_end)) {
        // Acknowledged beyond the probe without a sign of the original: the original was lost.
        if (c.recovery == Recovery.OPEN) {
          c.ssthresh = congestionThreshold(c);
          c.cwnd = max<u32>(c.ssthresh, c.mss);
        }
      } else if (!(duplicate && r.sacked == 0)) {
        // Not known yet: a later ACK will tell.
        return;
      }
    }
  }
  c.clear(Flag.TLP_OUT | Flag.TLP_RETRANS);
}
