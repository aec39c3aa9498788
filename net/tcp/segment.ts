// Records of segments in flight: what was sent, when, and what is known of it. RACK needs the time of each transmission (RFC 8985, 5.2),
// SACK a mark for each range (RFC 2018); the bytes themselves stay in the send queue.
//
//   seg_head -> [una, a) -> [a, b) -> ... -> [.., nxt)        in sequence order, without gaps
//   sent_head -> ...                                          in order of the last transmission: neither sacked nor lost
//
// A record covers what was sent at once (up to 64 KiB); it is split where a SACK block or a retransmission ends in it, only at multiples of the
// MSS, so that a peer cannot shatter it (the SACK attacks of CVE-2019-11477 and its kind).

import { Packet } from "../../runtime";
import { Connection } from "./connection";
import { seqLe } from "./seq";

/** Bits of `Segment.flags`. */
export const enum Mark {
  SACKED = 1,
  LOST = 2,
  /** A retransmission of it is in flight. */
  RETRANS = 4,
  /** It was retransmitted at least once: no RTT sample from it (Karn). */
  EVER_RETRANS = 8,
  /** Its last sequence number is the FIN. */
  FIN = 16,
  /** It is in the list by transmission time. */
  LISTED = 32,
}


@unmanaged
export class Segment {
  next: Segment | null;
  prev: Segment | null;
  sentNext: Segment | null;
  sentPrev: Segment | null;
  start: u32;
  end: u32;
  flags: u32;
  /** Packet of the send queue in which `start` lies; null for a FIN alone. */
  packet: Packet | null;
  /** Time of the last transmission. */
  sent_ns: i64;
  /** Payload bytes of the packets that it was sent in: where it may be split. */
  mss: u32;
  reserved: u32;


  @inline get bytes(): u32 {
    return this.end - this.start;
  }


  @inline is(mark: u32): bool {
    return (this.flags & mark) != 0;
  }
}

/** The pool of records: fixed, shared by the connections of a stack. */
export class SegmentPool {
  private freeList: Segment | null = null;
  private untouched: usize;
  private readonly end: usize;
  available: u32;

  constructor(capacity: u32) {
    this.untouched = heap.alloc(<usize>capacity * offsetof<Segment>());
    this.end = this.untouched + <usize>capacity * offsetof<Segment>();
    this.available = capacity;
  }

  alloc(): Segment | null {
    let s: Segment | null = this.freeList;
    if (s != null) {
      this.freeList = s.next;
    } else {
      if (this.untouched == this.end) return null;
      s = changetype<Segment>(this.untouched);
      this.untouched += offsetof<Segment>();
    }
    this.available--;
    return s;
  }

  free(s: Segment): void {
    s.next = this.freeList;
    this.freeList = s;
    this.available++;
  }
}

/** Appends a record to the flight, as just sent. */
export function segmentAppend(c: Connection, s: Segment): void {
  s.next = null;
  s.prev = c.seg_tail;
  if (c.seg_tail != null) c.seg_tail!.next = s;
  else c.seg_head = s;
  c.seg_tail = s;
  sentAppend(c, s);
}

/** Takes a record out of the flight, with what the sums say about it. The caller frees it. */
export function segmentRemove(c: Connection, s: Segment): void {
  const bytes = s.bytes;
  const flags = s.flags;
  if (flags & Mark.SACKED) c.sacked_bytes -= bytes;
  if (flags & Mark.LOST) c.lost_bytes -= bytes;
  if (flags & Mark.RETRANS) c.retrans_bytes -= bytes;
  sentRemove(c, s);
  const next = s.next;
  const prev = s.prev;
  if (prev != null) prev.next = next;
  else c.seg_head = next;
  if (next != null) next.prev = prev;
  else c.seg_tail = prev;
  if (c.sack_hint == s) c.sack_hint = next;
  if (c.rtx_hint == s) c.rtx_hint = next;
}

/** Puts a record at the end of the list by transmission time. */
export function sentAppend(c: Connection, s: Segment): void {
  sentRemove(c, s);
  s.sentNext = null;
  s.sentPrev = c.sent_tail;
  if (c.sent_tail != null) c.sent_tail!.sentNext = s;
  else c.sent_head = s;
  c.sent_tail = s;
  s.flags |= Mark.LISTED;
}

/** Puts a record at the front of that list: one that is in flight after all. */
export function sentPrepend(c: Connection, s: Segment): void {
  sentRemove(c, s);
  s.sentPrev = null;
  s.sentNext = c.sent_head;
  if (c.sent_head != null) c.sent_head!.sentPrev = s;
  else c.sent_tail = s;
  c.sent_head = s;
  s.flags |= Mark.LISTED;
}

export function sentRemove(c: Connection, s: Segment): void {
  if ((s.flags & Mark.LISTED) == 0) return;
  s.flags &= ~Mark.LISTED;
  const next = s.sentNext;
  const prev = s.sentPrev;
  if (prev != null) prev.sentNext = next;
  else c.sent_head = next;
  if (next != null) next.sentPrev = prev;
  else c.sent_tail = prev;
}

/**
 * Cuts `bytes` (above 0, below its length) off the front of a record: `s` keeps them, a new record behind it gets the rest with the same marks.
 * @returns false when there is no record left
 */
export function segmentSplit(c: Connection, pool: SegmentPool, s: Segment, bytes: u32): bool {
  const rest = pool.alloc();
  if (rest == null) return false;
  const at = s.start + bytes;
  rest.start = at;
  rest.end = s.end;
  rest.flags = s.flags & ~Mark.LISTED;
  rest.sent_ns = s.sent_ns;
  rest.mss = s.mss;
  rest.packet = packetAt(s.packet, at);
  s.end = at;
  s.flags &= ~Mark.FIN;
  rest.prev = s;
  rest.next = s.next;
  if (s.next != null) s.next!.prev = rest;
  else c.seg_tail = rest;
  s.next = rest;
  if (s.is(Mark.LISTED)) {
    rest.flags |= Mark.LISTED;
    rest.sentPrev = s;
    rest.sentNext = s.sentNext;
    if (s.sentNext != null) s.sentNext!.sentPrev = rest;
    else c.sent_tail = rest;
    s.sentNext = rest;
  }
  return true;
}

/** The packet of the send queue, from `p` on, that holds sequence number `seq`; null when that lies behind the last. */
export function packetAt(p: Packet | null, seq: u32): Packet | null {
  while (p != null && seqLe(p.cookie + p.totalLen, seq)) p = p.next;
  return p;
}

/** Marks a record lost, unless it is already, or sacked. A retransmission of it in flight counts as lost too. */
export function segmentMarkLost(c: Connection, s: Segment): void {
  if (s.is(Mark.SACKED)) return;
  if (s.is(Mark.RETRANS)) {
    s.flags &= ~Mark.RETRANS;
    c.retrans_bytes -= s.bytes;
  }
  if (!s.is(Mark.LOST)) {
    s.flags |= Mark.LOST;
    c.lost_bytes += s.bytes;
  }
  sentRemove(c, s);
  const hint = c.rtx_hint;
  if (hint == null || <i32>(s.start - hint.start) < 0) c.rtx_hint = s;
}
