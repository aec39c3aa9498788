// The send queue: the application's bytes from snd_head to snd_end, until the peer has acknowledged them.
//
//   sq_head -> [ linear bytes | slices ] -> [ ... ] -> sq_tail        each packet: cookie = sequence number of its first byte
//
// Copied bytes fill the linear part of pool buffers; references to read-only content (`sendStatic`) are slices of the same packets, so a
// response header and the file behind it are one packet. A packet that another connection has received can be queued as it is (`sendQueueMove`):
// its payload is its linear part and slices of other buffers, which it owns. What leaves are slices of these (reference counted): a retransmission is cut from the
// queue again, whatever the MSS is then.
//
// Invariants
// 1. Bytes once queued never change or move: slices of them may be on their way through a device. Appending writes behind them.
// 2. snd_end - snd_una <= MAX_QUEUED, so that sequence comparisons hold.
// 3. A packet counts as the buffers that it holds: its own, and those of slices that have an owner.

import { allocPacket, MAX_SLICES, Packet } from "../../runtime";
import { Connection } from "./connection";
import { TcpCore } from "./core";
import { seqLe } from "./seq";

/** Far below 2^31, with room for a window of 2^30 (RFC 7323, 2.3). */
const MAX_QUEUED: u32 = 1 << 29;

/** Bytes of the queue that may still be written by copy. */
export function sendRoom(c: Connection): u32 {
  const queued = c.snd_end - c.snd_una;
  return queued < c.snd_buf ? c.snd_buf - queued : 0;
}

/** Copies up to `bytes` bytes into the queue; returns how many fitted. */
export function sendQueueWrite(tcp: TcpCore, c: Connection, from: usize, bytes: u32): u32 {
  let left = min(bytes, sendRoom(c));
  const wanted = left;
  while (left > 0) {
    let p: Packet | null = c.sq_tail;
    if (p == null || p.sliceCount > 0 || p.tailroom == 0) {
      p = queuePacket(tcp, c);
      if (p == null) break;
    }
    const take = min<u32>(left, <u32>p.tailroom);
    memory.copy(p.append(take), from, take);
    c.snd_end += take;
    from += take;
    left -= take;
  }
  return wanted - left;
}

/** Queues a reference to `bytes` bytes that never change and never go away; returns how many were taken. */
export function sendQueueStatic(tcp: TcpCore, c: Connection, from: usize, bytes: u32): u32 {
  const queued = c.snd_end - c.snd_una;
  const take = min(bytes, MAX_QUEUED - min(queued, MAX_QUEUED));
  if (take == 0) return 0;
  let p: Packet | null = c.sq_tail;
  if (p == null || p.sliceCount == MAX_SLICES) {
    p = queuePacket(tcp, c);
    if (p == null) return 0;
  }
  p.addSlice(from, take, null);
  c.snd_end += take;
  return take;
}

/** Buffers of the pool that a packet of the queue holds. */
function buffersOf(p: Packet): u32 {
  let count: u32 = 1;
  for (let i: u32 = 0, n = p.sliceCount; i < n; i++) if (p.sliceOwner(i) != null) count++;
  return count;
}

/** Queues a packet whose bytes, all of them, are payload, at most MAX_QUEUED - snd_buf; the caller has seen that there is room. */
export function sendQueueMove(tcp: TcpCore, c: Connection, p: Packet): void {
  p.next = null;
  p.cookie = c.snd_end;
  const tail = c.sq_tail;
  if (tail != null) tail.next = p;
  else {
    c.sq_head = p;
    c.snd_head = c.snd_end;
  }
  c.sq_tail = p;
  c.snd_end += p.totalLen;
  tcp.hold(c, buffersOf(p));
}

function queuePacket(tcp: TcpCore, c: Connection): Packet | null {
  if (!tcp.mayHold(c)) return null;
  const p = allocPacket();
  if (p == null) return null;
  // No headers go in front: the whole buffer is payload.
  p.data = p.head;
  p.cookie = c.snd_end;
  const tail = c.sq_tail;
  if (tail != null) tail.next = p;
  else {
    c.sq_head = p;
    c.snd_head = c.snd_end;
  }
  c.sq_tail = p;
  tcp.hold(c, 1);
  return p;
}

/** Frees the packets whose bytes are all acknowledged. */
export function sendQueueAck(tcp: TcpCore, c: Connection): void {
  let p: Packet | null = c.sq_head;
  // The last packet stays while it can take more bytes by append, unless nothing of it is left: idle connections hold no buffer.
  while (p != null && seqLe(p.cookie + p.totalLen, c.snd_una)) {
    const next = p.next;
    if (c.sq_cursor == p) c.sq_cursor = next;
    tcp.unhold(c, buffersOf(p));
    p.free();
    p = next;
  }
  c.sq_head = p;
  if (p == null) c.sq_tail = null;
  c.snd_head = p != null ? p.cookie : c.snd_end;
}

export function sendQueueClear(tcp: TcpCore, c: Connection): void {
  for (let p: Packet | null = c.sq_head; p != null;) {
    const next = p.next;
    tcp.unhold(c, buffersOf(p));
    p.free();
    p = next;
  }
  c.sq_head = null;
  c.sq_tail = null;
  c.sq_cursor = null;
  c.snd_head = c.snd_end;
}

/**
 * Adds the queue's bytes from `seq` on to `p` as slices, as far as its slices go.
 * @param q packet of the queue that holds `seq`
 * @returns bytes added, at most `bytes`
 */
export function addQueueSlices(p: Packet, q: Packet | null, seq: u32, bytes: u32): u32 {
  let left = bytes;
  while (left > 0 && q != null) {
    let offset = seq - q.cookie;
    if (offset < q.len) {
      const take = min(left, q.len - offset);
      if (!p.addSlice(q.data + offset, take, q)) return bytes - left;
      left -= take;
      seq += take;
      offset = 0;
    } else {
      offset -= q.len;
    }
    const count = q.sliceCount;
    for (let i: u32 = 0; i < count && left > 0; i++) {
      const len = q.sliceLen(i);
      if (offset >= len) {
        offset -= len;
        continue;
      }
      const take = min(left, len - offset);
      // The content region has no owner.
      if (!p.addSlice(q.sliceAddress(i) + offset, take, q.sliceOwner(i))) return bytes - left;
      left -= take;
      seq += take;
      offset = 0;
    }
    q = q.next;
  }
  return bytes - left;
}
