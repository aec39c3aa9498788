// The receive queue, reassembly, SACK blocks for the peer, and when to acknowledge (RFC 9293, 3.10.7.4; RFC 2018; RFC 2883; RFC 5681, 4.2).
//
//   rq_head -> in-order packets -> rq_tail | gap | ooo_head -> packets behind gaps -> ooo_tail
//
// In both queues a packet's payload is what follows its first `l4` bytes, `cookie` is the sequence number of the first of it; out of order `cookie2`
// is the previous packet, and `l3` is 1 when a FIN follows the payload.
//
// Invariants
// 1. The out-of-order queue is sorted, without overlaps, all of it above rcv_nxt and inside the window; bytes received first win.
// 2. rq_bytes and ooo_bytes are the sums of payloads. A small segment is copied into its predecessor's free room, so that buffers held are
//    proportional to bytes received.
// 3. A search takes at most OOO_STEPS steps; a segment that would need more is dropped (CVE-2018-5390, "SegmentSmack").

import { Packet } from "../../runtime";
import { Connection, Event, Flag, SACK_BLOCKS } from "./connection";
import { sendAck } from "./output";
import { seqGe, seqGt, seqLe, seqLt, seqMax, seqMin } from "./seq";
import { TcpCore } from "./core";
import { receiveWindow } from "./window";

const OOO_STEPS: u32 = 1024;


@inline
function payload(p: Packet): u32 {
  return p.totalLen - p.l4;
}


@inline
function endOf(p: Packet): u32 {
  return p.cookie + p.totalLen - p.l4;
}


@inline
function skip(p: Packet, bytes: u32): void {
  p.l4 += <u16>bytes;
  p.cookie += bytes;
}

/**
 * Takes a segment whose payload begins at `p.l4`; its sequence number is `seq`, a FIN follows it when `fin`.
 * @returns true when the peer's FIN has now been received in order
 */
export function receiveSegment(tcp: TcpCore, c: Connection, p: Packet, seq: u32, fin: bool): bool {
  const bytes = payload(p);
  p.cookie = seq;
  p.l3 = fin ? 1 : 0;
  let end = seq + bytes;

  // What is already there (3.10.7.4: trim to the window).
  if (seqLt(seq, c.rcv_nxt)) {
    dsack(c, seq, seqMin(end, c.rcv_nxt));
    c.set(Flag.ACK_NOW);
    const old = c.rcv_nxt - seq;
    if (old > bytes || (old == bytes && !fin)) {
      p.free();
      return false;
    }
    skip(p, old);
    seq += old;
  }
  const edge = c.rcv_nxt + receiveWindow(c);
  if (seqGt(end, edge)) {
    if (seqGe(seq, edge)) {
      // Nothing of it fits; a probe of a closed window wants an answer.
      c.set(Flag.ACK_NOW);
      tcp.stack.counters.tcpInWindowDrops++;
      p.free();
      return false;
    }
    p.trim(end - edge);
    end = edge;
    p.l3 = 0;
  }
  if (bytes > 0 && !tcp.mayReceive(c, 1 + p.sliceCount)) {
    c.set(Flag.ACK_NOW);
    tcp.stack.counters.tcpRcvPruned++;
    p.free();
    return false;
  }
  if (p.gsoSize != 0) c.rcv_mss = max<u32>(c.rcv_mss, p.gsoSize);
  else if (payload(p) > c.rcv_mss) c.rcv_mss = payload(p);

  if (seq != c.rcv_nxt) {
    insertOutOfOrder(tcp, c, p);
    return false;
  }
  const gap = c.ooo_head != null;
  let finished = p.l3 == 1;
  c.rcv_unacked += payload(p);
  append(tcp, c, p);
  if (gap && !finished) finished = takeOutOfOrder(tcp, c);
  if (finished) {
    c.rcv_nxt++;
    dropOutOfOrder(tcp, c);
    c.set(Flag.ACK_NOW);
  } else if (gap || c.quick_acks > 0 || c.rcv_unacked >= 2 * c.rcv_mss) {
    // RFC 5681, 4.2: at once for every second full segment and while there is or was a gap.
    if (c.quick_acks > 0) c.quick_acks--;
    c.set(Flag.ACK_NOW);
  } else {
    c.set(Flag.ACK_DELAYED);
  }
  c.events |= Event.READABLE;
  return finished;
}

// Appends an in-order packet to the receive queue and moves rcv_nxt.
function append(tcp: TcpCore, c: Connection, p: Packet): void {
  const bytes = payload(p);
  c.rcv_nxt += bytes;
  if (bytes == 0) {
    p.free();
    return;
  }
  c.rq_bytes += bytes;
  const tail = c.rq_tail;
  if (tail != null && mergeInto(tail, p, bytes)) return;
  p.next = null;
  if (tail != null) tail.next = p;
  else c.rq_head = p;
  c.rq_tail = p;
  tcp.hold(c, 1 + p.sliceCount);
}

// Copies a payload that fits into the room behind another one; frees `p` then.
function mergeInto(target: Packet, p: Packet, bytes: u32): bool {
  if (target.sliceCount > 0 || target.refs > 1 || target.tailroom < <usize>bytes) return false;
  p.copyTo(target.append(bytes), p.l4, bytes);
  p.free();
  return true;
}

// Moves what follows rcv_nxt without a gap to the receive queue; true when a FIN followed.
function takeOutOfOrder(tcp: TcpCore, c: Connection): bool {
  let finished = false;
  for (let p: Packet | null = c.ooo_head; p != null && seqLe(p.cookie, c.rcv_nxt); p = c.ooo_head) {
    const bytes = payload(p);
    unlink(c, p);
    tcp.unhold(c, 1 + p.sliceCount);
    const old = c.rcv_nxt - p.cookie;
    if (old > 0) dsack(c, p.cookie, seqMin(endOf(p), c.rcv_nxt));
    if (old >= bytes) {
      if (p.l3 == 1 && old == bytes) finished = true;
      p.free();
    } else {
      skip(p, old);
      if (p.l3 == 1) finished = true;
      append(tcp, c, p);
    }
    if (finished) break;
  }
  // Blocks that rcv_nxt has reached.
  let n: u32 = 0;
  for (let i: u32 = 0; i < c.sack_count; i++) {
    if (seqGt(c.sackStart(i), c.rcv_nxt)) {
      c.setSack(n, c.sackStart(i), c.sackEnd(i));
      n++;
    }
  }
  c.sack_count = n;
  return finished;
}

function insertOutOfOrder(tcp: TcpCore, c: Connection, p: Packet): void {
  tcp.stack.counters.tcpInOutOfOrder++;
  let end = endOf(p);
  const newBlock = !extendsBlock(c, p.cookie, end);
  // Without SACK each duplicate ACK counts (RFC 5681, 3.2); with it, blocks must not be pushed out of the option before they are told.
  if (c.has(Flag.ACK_NOW) && (!c.has(Flag.SACK) || newBlock)) sendAck(tcp, c);
  c.set(Flag.ACK_NOW);

  let before: Packet | null = c.ooo_tail;
  for (let steps: u32 = 0; before != null && seqGt(before.cookie, p.cookie); steps++) {
    if (steps == OOO_STEPS) {
      tcp.stack.counters.tcpRcvPruned++;
      p.free();
      return;
    }
    before = changetype<Packet | null>(<usize>before.cookie2);
  }
  if (before != null && seqGt(endOf(before), p.cookie)) {
    const covered = endOf(before);
    dsack(c, p.cookie, seqMin(covered, end));
    if (seqGe(covered, end)) {
      if (c.has(Flag.SACK)) sackUpdate(c, before.cookie, covered);
      p.free();
      return;
    }
    skip(p, covered - p.cookie);
  }
  for (
    let after: Packet | null = before != null ? before.next : c.ooo_head;
    after != null && seqGt(end, after.cookie);
  ) {
    const next = after.next;
    if (seqLt(end, endOf(after))) {
      dsack(c, after.cookie, end);
      p.trim(end - after.cookie);
      p.l3 = 0;
      end = after.cookie;
      break;
    }
    dsack(c, after.cookie, endOf(after));
    if (after.l3 == 1) p.l3 = 1;
    unlink(c, after);
    tcp.unhold(c, 1 + after.sliceCount);
    after.free();
    after = next;
  }
  const bytes = payload(p);
  const start = p.cookie;
  if (c.has(Flag.SACK) && bytes > 0) sackUpdate(c, start, end);
  if (before != null && p.l3 == 0 && before.l3 == 0 && endOf(before) == start && mergeInto(before, p, bytes)) {
    c.ooo_bytes += bytes;
    return;
  }
  if (bytes == 0 && p.l3 == 0) {
    p.free();
    return;
  }
  const after = before != null ? before.next : c.ooo_head;
  p.next = after;
  p.cookie2 = <u32>changetype<usize>(before);
  if (before != null) before.next = p;
  else c.ooo_head = p;
  if (after != null) after.cookie2 = <u32>changetype<usize>(p);
  else c.ooo_tail = p;
  c.ooo_bytes += bytes;
  c.ooo_count++;
  tcp.hold(c, 1 + p.sliceCount);
}

function unlink(c: Connection, p: Packet): void {
  const before = changetype<Packet | null>(<usize>p.cookie2);
  const after = p.next;
  if (before != null) before.next = after;
  else c.ooo_head = after;
  if (after != null) after.cookie2 = p.cookie2;
  else c.ooo_tail = before;
  c.ooo_bytes -= payload(p);
  c.ooo_count--;
}

/** Drops what waits behind gaps: under memory pressure (the peer must not rely on SACK: RFC 2018, 8), or at the end. */
export function dropOutOfOrder(tcp: TcpCore, c: Connection): void {
  for (let p: Packet | null = c.ooo_head; p != null; p = c.ooo_head) {
    unlink(c, p);
    tcp.unhold(c, 1 + p.sliceCount);
    p.free();
  }
  c.sack_count = 0;
}

export function dropReceived(tcp: TcpCore, c: Connection): void {
  for (let p: Packet | null = c.rq_head; p != null;) {
    const next = p.next;
    tcp.unhold(c, 1 + p.sliceCount);
    p.free();
    p = next;
  }
  c.rq_head = null;
  c.rq_tail = null;
  c.rq_bytes = 0;
}

/** Copies up to `bytes` bytes of the receive queue to `to` and removes them; returns how many. */
export function receiveQueueRead(tcp: TcpCore, c: Connection, to: usize, bytes: u32): u32 {
  let left = min(bytes, c.rq_bytes);
  const taken = left;
  while (left > 0) {
    const p = c.rq_head!;
    const take = min(left, payload(p));
    p.copyTo(to, p.l4, take);
    to += take;
    left -= take;
    receiveQueueConsume(tcp, c, take);
  }
  return taken;
}

/** Copies the first `bytes` bytes, at most rq_bytes, to `to` and keeps them. */
export function receiveQueueCopy(c: Connection, to: usize, bytes: u32): void {
  let next = c.rq_head;
  while (bytes > 0) {
    const p = next;
    if (p == null) return;
    const take = min(bytes, payload(p));
    p.copyTo(to, p.l4, take);
    to += take;
    bytes -= take;
    next = p.next;
  }
}

/** Where the first contiguous unread bytes lie; 0 when there are none. Valid until the next read. */
export function receiveQueuePeek(c: Connection): usize {
  const p = c.rq_head;
  if (p == null) return 0;
  let offset: u32 = p.l4;
  if (offset < p.len) return p.data + offset;
  offset -= p.len;
  for (let i: u32 = 0, n = p.sliceCount; i < n; i++) {
    const len = p.sliceLen(i);
    if (offset < len) return p.sliceAddress(i) + offset;
    offset -= len;
  }
  return 0;
}

/** How many contiguous bytes `receiveQueuePeek` shows. */
export function receiveQueuePeekBytes(c: Connection): u32 {
  const p = c.rq_head;
  if (p == null) return 0;
  let offset: u32 = p.l4;
  if (offset < p.len) return p.len - offset;
  offset -= p.len;
  for (let i: u32 = 0, n = p.sliceCount; i < n; i++) {
    const len = p.sliceLen(i);
    if (offset < len) return len - offset;
    offset -= len;
  }
  return 0;
}

/**
 * Takes the first packet of the queue, its bytes the payload alone; null when there is none or when a read has ended in one of its
 * slices: that one can only be read.
 */
export function receiveQueueTake(tcp: TcpCore, c: Connection): Packet | null {
  const p = c.rq_head;
  if (p == null || p.l4 > p.len) return null;
  tcp.unhold(c, 1 + p.sliceCount);
  p.drop(p.l4);
  p.l4 = 0;
  c.rq_bytes -= p.totalLen;
  c.rq_head = p.next;
  if (p.next == null) c.rq_tail = null;
  p.next = null;
  return p;
}

/** Removes `bytes` bytes, at most rq_bytes, from the front. */
export function receiveQueueConsume(tcp: TcpCore, c: Connection, bytes: u32): void {
  c.rq_bytes -= bytes;
  while (bytes > 0) {
    const p = c.rq_head!;
    const here = payload(p);
    if (bytes < here) {
      skip(p, bytes);
      return;
    }
    bytes -= here;
    c.rq_head = p.next;
    if (p.next == null) c.rq_tail = null;
    tcp.unhold(c, 1 + p.sliceCount);
    p.free();
  }
}

// Notes a duplicate for the next ACK (RFC 2883, 4: only the first of several is told).
function dsack(c: Connection, start: u32, end: u32): void {
  if (!c.has(Flag.SACK) || c.has(Flag.DSACK) || seqGe(start, end)) return;
  c.dsack_start = start;
  c.dsack_end = end;
  c.set(Flag.DSACK);
}

/** Notes a duplicate that the acceptance test has refused. */
export function noteDuplicate(c: Connection, start: u32, end: u32): void {
  dsack(c, start, seqMin(end, c.rcv_nxt));
}

function extendsBlock(c: Connection, start: u32, end: u32): bool {
  for (let i: u32 = 0; i < c.sack_count; i++) {
    if (seqLe(c.sackStart(i), end) && seqLe(start, c.sackEnd(i))) return true;
  }
  return false;
}

// Puts the block that now holds start..end in front (RFC 2018, 4), merged with those that it touches.
function sackUpdate(c: Connection, start: u32, end: u32): void {
  let n: u32 = 0;
  for (let i: u32 = 0; i < c.sack_count; i++) {
    const s = c.sackStart(i);
    const e = c.sackEnd(i);
    if (seqLe(s, end) && seqLe(start, e)) {
      start = seqMin(start, s);
      end = seqMax(end, e);
    } else {
      c.setSack(n++, s, e);
    }
  }
  n = min<u32>(n, SACK_BLOCKS - 1);
  for (let i = n; i > 0; i--) c.setSack(i, c.sackStart(i - 1), c.sackEnd(i - 1));
  c.setSack(0, start, end);
  c.sack_count = n + 1;
}
