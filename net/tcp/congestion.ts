// Congestion control: slow start with HyStart++ (RFC 5681, RFC 9406), the choice of the algorithm above it, and windows at start and after
// idling (RFC 6928, RFC 5681 4.1). Windows are bytes.
//
// Invariants
// 1. The window grows only while it is what limits sending (CWND_LIMITED): an application that sends little gathers no licence to burst.
// 2. cwnd >= MSS always; ssthresh >= 2 MSS.

import { Connection, Flag } from "./connection";
import { cubicAcked, cubicThreshold } from "./cubic";
import { newRenoAcked, newRenoThreshold } from "./newreno";
import { seqGe } from "./seq";

/** RFC 6928: min(10 MSS, max(2 MSS, 14600)). */
export function initialWindow(mss: u32): u32 {
  return min<u32>(10 * mss, max<u32>(2 * mss, 14600));
}

/** Far above any window, below 2^31. */
export const INFINITE_THRESHOLD: u32 = 0x7fffffff;
/** Above it the window does not grow: twice the largest window that a peer can offer (RFC 7323: 2^30). */
const MAX_CWND: u32 = 1 << 30;

// RFC 9406, 4.3.
const HS_MIN_THRESHOLD_US: u32 = 4000;
const HS_MAX_THRESHOLD_US: u32 = 16000;
const HS_SAMPLES: u32 = 8;
const HS_CSS_DIVISOR: u32 = 4;
const HS_CSS_ROUNDS: u32 = 5;

/** `acked` new bytes are acknowledged outside fast recovery. */
export function congestionAcked(c: Connection, acked: u32, now_ns: i64): void {
  if (!c.has(Flag.CWND_LIMITED) || c.cwnd >= MAX_CWND) return;
  if (c.cwnd < c.ssthresh) {
    const grow = c.has(Flag.CSS) ? acked / HS_CSS_DIVISOR : acked;
    const room = c.ssthresh - c.cwnd;
    if (grow <= room) {
      c.cwnd += grow;
      return;
    }
    c.cwnd += room;
    acked -= room;
  }
  if (c.has(Flag.NEWRENO)) newRenoAcked(c, acked);
  else cubicAcked(c, acked, now_ns);
}

/** Slow start watches the delay: called for each ACK with an RTT sample (0: none) before the window grows. */
export function hystartSample(c: Connection, rtt_us: u32): void {
  if (c.cwnd >= c.ssthresh) return;
  if (seqGe(c.snd_una, c.hs_round_end)) {
    c.hs_round_end = c.snd_nxt;
    c.hs_last_rtt_us = c.hs_rtt_us;
    c.hs_rtt_us = u32.MAX_VALUE;
    c.hs_samples = 0;
    if (c.has(Flag.CSS) && ++c.hs_css_rounds >= HS_CSS_ROUNDS) {
      c.ssthresh = c.cwnd;
      c.clear(Flag.CSS);
      return;
    }
  }
  if (rtt_us == 0) return;
  c.hs_rtt_us = min(c.hs_rtt_us, rtt_us);
  if (++c.hs_samples < HS_SAMPLES) return;
  if (c.has(Flag.CSS)) {
    // The delay fell again: the rise was none of ours.
    if (c.hs_rtt_us < c.hs_css_base_us) c.clear(Flag.CSS);
  } else if (c.hs_last_rtt_us != u32.MAX_VALUE && c.hs_last_rtt_us != 0) {
    const threshold = max(HS_MIN_THRESHOLD_US, min(c.hs_last_rtt_us / 8, HS_MAX_THRESHOLD_US));
    if (c.hs_rtt_us >= c.hs_last_rtt_us + threshold) {
      c.hs_css_base_us = c.hs_rtt_us;
      c.hs_css_rounds = 0;
      c.set(Flag.CSS);
    }
  }
}

/** The threshold after congestion; the algorithm notes what it needs. */
export function congestionThreshold(c: Connection): u32 {
  c.clear(Flag.CSS);
  return c.has(Flag.NEWRENO) ? newRenoThreshold(c) : cubicThreshold(c);
}

/** Before the first data after a pause: an unused window says nothing of the path any more (RFC 5681, 4.1). */
export function idleRestart(c: Connection, now_ns: i64): void {
  const idle_ns = now_ns - c.last_send_ns;
  if (idle_ns <= <i64>c.rto_us * 1000) return;
  const restart = initialWindow(c.mss);
  if (c.cwnd > restart) {
    c.ssthresh = max<u32>(c.ssthresh, c.cwnd - c.cwnd / 4);
    c.cwnd = restart;
  }
  // RFC 9438, 5.8: time without sending is no time of the epoch.
  if (c.cubic_epoch_ns != 0) c.cubic_epoch_ns += idle_ns;
}
