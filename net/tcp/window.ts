// The receive window: what is offered to the peer (RFC 9293, 3.8.6; RFC 7323, 2), and how large the buffer behind it may grow.
//
//   (1) edge = rcv_wup + rcv_wnd                     the right edge told last; it never moves left (SHLD-14)
//   (2) window = edge - rcv_nxt                      what the peer may still send
//   (3) free = rcv_buf - rq_bytes                    what could be offered now; bytes behind gaps lie inside it
//   (4) offer free only if free - window >= min(rcv_buf / 2, MSS)     silly windows: RFC 9293, 3.8.6.2.2
//
// Autotuning (dynamic right-sizing, Fisk and Feng 2001, as in Linux): what the application reads in one round trip is what the path delivers in one;
// the buffer must hold twice that, so that a sender in slow start is never stopped by it.

import { Connection, Flag } from "./connection";
import { seqGt } from "./seq";
import { TcpCore } from "./core";

/** (2) */
@inline
export function receiveWindow(c: Connection): u32 {
  const edge = c.rcv_wup + c.rcv_wnd;
  return seqGt(edge, c.rcv_nxt) ? edge - c.rcv_nxt : 0;
}

// The window to offer now, bytes, before it is rounded to the scale.
function offer(tcp: TcpCore, c: Connection): u32 {
  const window = receiveWindow(c);
  const free = c.rq_bytes < c.rcv_buf ? c.rcv_buf - c.rq_bytes : 0;
  if (free <= window) return window;
  // Under pressure no edge moves for a connection that already holds data; the others keep going.
  if (tcp.pressure && c.rq_bytes > 0) return window;
  if (free - window < min<u32>(c.rcv_buf / 2, c.rcv_mss)) return window;
  return free;
}

/** Chooses the window for a segment that leaves now, and gives the field of its header. */
export function selectWindow(tcp: TcpCore, c: Connection): u32 {
  const shift: u32 = c.rcv_wscale;
  const old = receiveWindow(c);
  const bytes = min<u32>(offer(tcp, c), 65535 << shift);
  // Rounding down may not move the edge left; then it is rounded up, by less than the scale's unit.
  let field = bytes >> shift;
  if (field << shift < old) field = min<u32>((old + (1 << shift) - 1) >> shift, 65535);
  c.rcv_wup = c.rcv_nxt;
  c.rcv_wnd = field << shift;
  return field;
}

/** Is the window so much larger than told that the peer should know (RFC 9293, 3.8.6.2.2)? */
export function windowUpdateDue(tcp: TcpCore, c: Connection): bool {
  const window = receiveWindow(c);
  const next = offer(tcp, c);
  return next >= 2 * window + c.rcv_mss || (window < c.rcv_mss && next > window);
}

/** After the application has read: measures and grows the buffer. */
export function tuneReceiveBuffer(tcp: TcpCore, c: Connection): void {
  const now = tcp.stack.now_ns;
  const read = c.rcv_nxt - c.rq_bytes;
  const rtt_ns = <i64>max<u32>(c.srtt_us, 1000) * 1000;
  if (now - c.tune_time_ns < rtt_ns) return;
  const bytes = read - c.tune_seq;
  const last = c.tune_bytes;
  c.tune_time_ns = now;
  c.tune_seq = read;
  if (bytes <= last) return;
  c.tune_bytes = bytes;
  if (tcp.pressure || !c.has(Flag.WINDOW_SCALE)) return;
  // Twice the last round trip's bytes and, as in Linux, twice the relative growth on top.
  const want = 2 * <u64>bytes + 16 * <u64>c.rcv_mss;
  const grown = last > 0 ? want + (2 * want * <u64>(bytes - last)) / <u64>last : want;
  const limit = <u64>tcp.limits.receiveBytesMax;
  const target = <u32>min<u64>(grown, limit);
  if (target > c.rcv_buf) c.rcv_buf = target;
}
