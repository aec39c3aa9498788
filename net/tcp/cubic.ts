// CUBIC (RFC 9438), windows in bytes, times in seconds as f64 (a handful of operations an ACK; K only once an epoch).
//
//   (1) W_cubic(t) = C (t - K)^3 + W_max             in segments
//   (2) K = cbrt((W_max - cwnd_epoch) / C)
//   (3) target = W_cubic(t + RTT), within [cwnd, 1.5 cwnd];  cwnd += (target - cwnd) / cwnd for each segment acknowledged
//   (4) W_est += alpha * acked / cwnd                 the Reno-friendly region, alpha = 3 (1 - b) / (1 + b), 1 above W_max
//   ssthresh = b cwnd, fast convergence W_max = cwnd (1 + b) / 2      (4.6, 4.7)

import { Connection } from "./connection";

const C: f64 = 0.4;
const BETA: f64 = 0.7;
const ALPHA: f64 = (3.0 * (1.0 - BETA)) / (1.0 + BETA);

/** Grows the window in congestion avoidance by `acked` bytes. */
export function cubicAcked(c: Connection, acked: u32, now_ns: i64): void {
  const mss = <f64>c.mss;
  const cwnd = <f64>c.cwnd;
  if (c.cubic_epoch_ns == 0) {
    c.cubic_epoch_ns = now_ns;
    c.cubic_w_est = c.cwnd;
    c.cwnd_credit = 0;
    if (c.cwnd < c.cubic_w_max) {
      c.cubic_origin = c.cubic_w_max;
      c.cubic_k_ms = <u32>(Math.cbrt((<f64>c.cubic_w_max - cwnd) / mss / C) * 1000.0);
    } else {
      c.cubic_origin = c.cwnd;
      c.cubic_k_ms = 0;
    }
  }
  const t = <f64>(now_ns - c.cubic_epoch_ns) / 1e9 - <f64>c.cubic_k_ms / 1000.0;
  const ahead = t + <f64>c.srtt_us / 1e6;
  const target = min(max(C * ahead * ahead * ahead * mss + <f64>c.cubic_origin, cwnd), cwnd * 1.5);

  // (4)
  const alpha = c.cubic_w_est >= c.cubic_w_max ? 1.0 : ALPHA;
  const estimate = <f64>c.cubic_w_est + (alpha * <f64>acked * mss) / cwnd;
  c.cubic_w_est = <u32>min(estimate, 2147483647.0);

  if (C * t * t * t * mss + <f64>c.cubic_origin < estimate) {
    if (c.cubic_w_est > c.cwnd) c.cwnd = c.cubic_w_est;
    return;
  }
  // (3), in whole bytes; what is left of a byte is kept in 1/256.
  const grow = ((target - cwnd) / cwnd) * <f64>acked * 256.0 + <f64>c.cwnd_credit;
  const units = <u32>min(grow, 1e9);
  c.cwnd += units >> 8;
  c.cwnd_credit = units & 255;
}

/** The threshold after a loss; notes W_max and ends the epoch. */
export function cubicThreshold(c: Connection): u32 {
  const cwnd = <f64>c.cwnd;
  c.cubic_w_max = c.cwnd < c.cubic_w_max ? <u32>((cwnd * (1.0 + BETA)) / 2.0) : c.cwnd;
  c.cubic_epoch_ns = 0;
  return max<u32>(<u32>(cwnd * BETA), 2 * c.mss);
}
