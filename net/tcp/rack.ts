// RACK: loss by time (RFC 8985, 6). A segment is lost when one sent later has arrived and a reordering window has passed.
//
//   (1) sent(s) <= rack.sent  and  sent(s) + rack.rtt + reo_wnd <= now        then s is lost
//
// Only records neither sacked nor lost stand in the list by transmission time, and the walk ends at the first sent after rack.sent: each record is
// looked at once more than it is sent, plus those inside the reordering window.

import { Connection, Flag, Recovery } from "./connection";
import { Mark, Segment, segmentMarkLost } from "./segment";
import { seqGt, seqLt } from "./seq";

/** RFC 5681's threshold, used only until reordering is seen (RFC 8985, 6.2 step 4). */
const DUP_THRESHOLD: u32 = 3;
/** Recoveries for which a reordering window widened by D-SACK stays (6.2 step 4). */
const PERSIST_RECOVERIES: u32 = 16;

/** Steps 1 to 3 for a record newly acknowledged (also selectively). */
export function rackSeen(c: Connection, s: Segment, now_ns: i64, echo_us: i64): void {
  const rtt_us = <u32>min<i64>((now_ns - s.sent_ns) / 1000, 0x7fffffff);
  if (s.is(Mark.EVER_RETRANS)) {
    // Step 2: is it the original that has arrived? Its echo is older than the retransmission, or no path is that fast.
    if (echo_us >= 0 && echo_us > <i64>rtt_us + 1000) return;
    if (rtt_us < c.min_rtt_us) return;
  } else if (seqLt(s.end, c.fack)) {
    // Step 3: a segment sent once, below one that arrived before it.
    c.set(Flag.REORDERING);
  }
  if (seqGt(s.end, c.fack)) c.fack = s.end;
  if (s.sent_ns > c.rack_ns || (s.sent_ns == c.rack_ns && seqGt(s.end, c.rack_end))) {
    c.rack_ns = s.sent_ns;
    c.rack_end = s.end;
    c.rack_rtt_us = max<u32>(rtt_us, 1);
  }
}

/** Step 4, once for each ACK: D-SACKs widen the reordering window, at most once a round trip. */
export function rackAdapt(c: Connection, dsack: bool): void {
  if (c.rack_dsack_round != 0 && seqLt(c.snd_una, c.rack_dsack_round)) return;
  c.rack_dsack_round = 0;
  if (dsack) {
    c.rack_dsack_round = c.snd_nxt | 1;
    c.rack_steps = min<u32>(c.rack_steps + 1, 255);
    c.rack_persist = PERSIST_RECOVERIES;
  }
}

/** A recovery has ended: after 16 without D-SACK the window is narrow again. */
export function rackRecovered(c: Connection): void {
  if (c.rack_persist > 0 && --c.rack_persist == 0) c.rack_steps = 1;
}

function reorderWindow_us(c: Connection): u32 {
  if (!c.has(Flag.REORDERING)) {
    if (c.recovery >= Recovery.FAST || c.sacked_bytes >= DUP_THRESHOLD * c.mss) return 0;
  }
  return <u32>min<u64>((<u64>c.rack_steps * c.min_rtt_us) / 4, c.srtt_us);
}

/**
 * Step 5: marks what is lost.
 * @returns ns after which the next segment will count as lost, 0 when there is none such
 */
export function rackDetect(c: Connection, now_ns: i64): i64 {
  if (c.rack_ns == 0) return 0;
  const wait_ns = (<i64>c.rack_rtt_us + <i64>reorderWindow_us(c)) * 1000;
  let timeout: i64 = 0;
  for (let s: Segment | null = c.sent_head; s != null && s.sent_ns <= c.rack_ns;) {
    const next = s.sentNext;
    // Of those sent at once, the order is that of sequence numbers.
    if (s.sent_ns < c.rack_ns || seqLt(s.end, c.rack_end)) {
      const left = s.sent_ns + wait_ns - now_ns;
      if (left <= 0) segmentMarkLost(c, s);
      else if (left > timeout) timeout = left;
    }
    s = next;
  }
  return timeout;
}
