// What one ACK says of the flight: records acknowledged or selectively acknowledged, samples of time, duplicates (RFC 2018, 2883, 8985 6.2).

import { Connection, Flag, Recovery } from "./connection";
import { Options } from "./options";
import { rackSeen } from "./rack";
import { Mark, packetAt, Segment, SegmentPool, segmentRemove, segmentSplit, sentRemove } from "./segment";
import { seqGe, seqGt, seqLe, seqLt, seqMax } from "./seq";

/** The result for the ACK being processed; one for each stack. */
@unmanaged
export class AckResult {
  /** Bytes that this ACK tells to have arrived, cumulatively or selectively, for the first time. */
  delivered: u32;
  /** How far snd_una moves. */
  acked: u32;
  /** Bytes newly marked by SACK. */
  sacked: u32;
  /** A D-SACK tells of a segment received twice. */
  dsack: bool;
  /** The D-SACK covers the tail loss probe. */
  dsackTlp: bool;
  /** Something sent only once, before the recovery that goes on, has arrived. */
  originalAcked: bool;
  /** Something retransmitted was acknowledged. */
  retransAcked: bool;
  /** Transmission times of the oldest and the latest record newly acknowledged that was sent once; 0: none. */
  oldest_ns: i64;
  latest_ns: i64;
}

export function newAckResult(): AckResult {
  const at = heap.alloc(offsetof<AckResult>());
  memory.fill(at, 0, offsetof<AckResult>());
  return changetype<AckResult>(at);
}


@inline
function sample(c: Connection, s: Segment, r: AckResult, now_ns: i64, echo_us: i64): void {
  if (s.is(Mark.EVER_RETRANS)) {
    r.retransAcked = true;
  } else {
    if (seqLe(s.end, c.high_seq)) r.originalAcked = true;
    if (r.oldest_ns == 0 || s.sent_ns < r.oldest_ns) r.oldest_ns = s.sent_ns;
    if (s.sent_ns > r.latest_ns) r.latest_ns = s.sent_ns;
  }
  rackSeen(c, s, now_ns, echo_us);
}

/**
 * Takes the records below `ack` out of the flight. snd_una is still the old one.
 * @param echo_us age of the timestamp that the ACK echoes, or -1
 */
export function ackCumulative(
  c: Connection,
  pool: SegmentPool,
  ack: u32,
  r: AckResult,
  now_ns: i64,
  echo_us: i64,
): void {
  for (let s: Segment | null = c.seg_head; s != null && seqLt(s.start, ack); s = c.seg_head) {
    const whole = seqLe(s.end, ack);
    const bytes = whole ? s.bytes : ack - s.start;
    if (!s.is(Mark.SACKED)) {
      r.delivered += bytes;
      sample(c, s, r, now_ns, echo_us);
    }
    if (whole) {
      segmentRemove(c, s);
      pool.free(s);
      continue;
    }
    if (s.is(Mark.SACKED)) c.sacked_bytes -= bytes;
    if (s.is(Mark.LOST)) c.lost_bytes -= bytes;
    if (s.is(Mark.RETRANS)) c.retrans_bytes -= bytes;
    s.start = ack;
    s.packet = packetAt(s.packet, ack);
    break;
  }
}

/** Takes the SACK option of an ACK. snd_una is already the new one. */
export function ackSelective(
  c: Connection,
  pool: SegmentPool,
  o: Options,
  r: AckResult,
  now_ns: i64,
  echo_us: i64,
): void {
  const count = o.sackCount;
  let first: u32 = 0;
  const start0 = o.sackStart(0);
  const end0 = o.sackEnd(0);
  // RFC 2883, 4.1: the first block repeats what is acknowledged, or lies inside the second block.
  if (
    seqLt(start0, end0) &&
    (seqLe(end0, o.ack) || (count > 1 && seqGe(start0, o.sackStart(1)) && seqLe(end0, o.sackEnd(1))))
  ) {
    first = 1;
    // Believed only for what can have been in flight lately.
    if (seqGt(end0, c.snd_una - c.max_wnd - 65536) && seqLe(end0, c.snd_nxt)) {
      r.dsack = true;
      if (c.has(Flag.TLP_OUT) && c.has(Flag.TLP_RETRANS) && end0 == c.tlp_end) r.dsackTlp = true;
    }
  }
  for (let i = first; i < count; i++) {
    const start = o.sackStart(i);
    const end = o.sackEnd(i);
    if (seqGe(start, end) || seqGt(end, c.snd_nxt) || seqLe(end, c.snd_una) || seqGe(start, c.snd_nxt)) continue;
    markBlock(c, pool, seqMax(start, c.snd_una), end, r, now_ns, echo_us);
  }
}

function markBlock(
  c: Connection,
  pool: SegmentPool,
  start: u32,
  end: u32,
  r: AckResult,
  now_ns: i64,
  echo_us: i64,
): void {
  // Blocks come near the last ones: begin there.
  let s: Segment | null = c.sack_hint != null ? c.sack_hint : c.seg_head;
  while (s != null && s.prev != null && seqGt(s.start, start)) s = s.prev;
  while (s != null && seqLe(s.end, start)) s = s.next;
  while (s != null && seqLt(s.start, end)) {
    c.sack_hint = s;
    if (s.is(Mark.SACKED)) {
      s = s.next;
      continue;
    }
    const mss = max<u32>(s.mss, 1);
    if (seqLt(s.start, start)) {
      const cut = ((start - s.start + mss - 1) / mss) * mss;
      if (cut < s.bytes && !segmentSplit(c, pool, s, cut)) return;
      s = s.next;
      continue;
    }
    if (seqGt(s.end, end)) {
      const keep = ((end - s.start) / mss) * mss;
      if (keep == 0 || !segmentSplit(c, pool, s, keep)) return;
    }
    const bytes = s.bytes;
    sample(c, s, r, now_ns, echo_us);
    if (s.is(Mark.LOST)) c.lost_bytes -= bytes;
    if (s.is(Mark.RETRANS)) c.retrans_bytes -= bytes;
    sentRemove(c, s);
    s.flags = (s.flags & ~(Mark.LOST | Mark.RETRANS)) | Mark.SACKED;
    c.sacked_bytes += bytes;
    r.sacked += bytes;
    r.delivered += bytes;
    s = s.next;
  }
}

/** Without SACK: duplicate ACKs stand for segments that have left the network (RFC 6582; RFC 5681, 3.2). */
export function ackDuplicate(c: Connection, r: AckResult): void {
  if (c.dupacks < 255) c.dupacks++;
  // At least one segment is missing: the one that the duplicates ask for.
  const missing = c.lost_bytes + c.mss;
  const most = c.flight > missing ? c.flight - missing : 0;
  const before = c.reno_bytes;
  c.reno_bytes = min<u32>(before + c.mss, most);
  r.delivered += c.recovery == Recovery.FAST ? c.mss : c.reno_bytes - before;
}
