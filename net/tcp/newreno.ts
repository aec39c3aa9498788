// NewReno's window (RFC 5681, 3.1): one segment more for each window acknowledged, half of it after a loss.

import { Connection } from "./connection";

/** Grows the window in congestion avoidance by `acked` bytes (RFC 5681 (3), appropriate byte counting of RFC 3465). */
export function newRenoAcked(c: Connection, acked: u32): void {
  c.cwnd_credit += acked;
  if (c.cwnd_credit >= c.cwnd) {
    c.cwnd_credit -= c.cwnd;
    c.cwnd += c.mss;
  }
}

/** RFC 5681 (4): ssthresh = max(FlightSize / 2, 2 MSS); cwnd for FlightSize, which limited growth keeps equal (see cubic.ts). */
export function newRenoThreshold(c: Connection): u32 {
  return max<u32>(c.cwnd / 2, 2 * c.mss);
}
