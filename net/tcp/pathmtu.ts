// The path's MTU as TCP finds it out: told by ICMP (RFC 1191, RFC 8201), or by what arrives (RFC 4821, RFC 8899), as many paths swallow large
// packets and the errors about them too.
//
//   full segments time out three times --> black hole: BASE_MTU, search at once
//   search:  mss .. probe_high, by halves; one probe of new data at a time, alone in its packet
//     acknowledged --> mss = probe        lost, nothing else --> probe_high = probe; no congestion: the window stays
//   found, or told by ICMP --> PROBE_AGAIN_NS later the largest size is tried again: the path may have become wider
//
// Invariants
// 1. probe_start == probe_end: no probe is in flight. Otherwise one record covers exactly that range.
// 2. Sizes are payload bytes with the options of `mss`.

import { isV4 } from "../ip/address";
import { Connection, Flag, Recovery } from "./connection";
import { TcpCore } from "./core";
import { optionBytes } from "./options";
import { Mark, Segment, segmentMarkLost } from "./segment";
import { seqGe } from "./seq";

/** Timeouts in a row after which a path that swallows large packets is suspected (RFC 8899, 4.3). */
const BLACK_HOLE_TIMEOUTS: u32 = 3;
/** RFC 8899, 5.1.2: BASE_PLPMTU for IPv4 and IPv6. */
const BASE_MTU: u32 = 1200;
/** A search that would gain less is over (RFC 4821, 7.3; Linux: tcp_probe_threshold 8). */
const PROBE_STEP: u32 = 16;
/** Below the life of what IP remembers (600 s), so that a black hole is not walked into again. RFC 8899, 5.1.1: PMTU_RAISE_TIMER 600 s. */
const PROBE_AGAIN_NS: i64 = 300_000_000_000;

/** Takes the path's MTU as it is now into the MSS (RFC 1191, 6.4; RFC 6691: options count). */
export function refreshMss(tcp: TcpCore, c: Connection): void {
  const ip = tcp.stack.ip;
  if (c.mss_generation == ip.generation) return;
  const route = c.route;
  if (ip.resolve(route, c.remoteHi, c.remoteLo) < 0) return;
  c.mss_generation = ip.generation;
  const path = ip.mss(route, c.remoteHi, c.remoteLo);
  const options: u32 = c.has(Flag.TIMESTAMPS) ? 12 : 0;
  c.mss = min<u32>(path, c.peer_mss) - options;
  const link = unchecked(tcp.stack.interfaces[route.iface]).mtu;
  c.mss_top = min<u32>(path + (link > route.mtu ? link - route.mtu : 0), c.peer_mss) - options;
  if (c.mss < c.mss_top && c.probe_next_ns == 0) c.probe_next_ns = tcp.stack.now_ns + PROBE_AGAIN_NS;
}

/** The path takes less than was thought: what was sent larger goes out again, without the window being reduced (RFC 1191, 6.4). */
export function pathSmaller(tcp: TcpCore, c: Connection): void {
  refreshMss(tcp, c);
  c.probe_start = c.probe_end;
  c.probe_high = c.mss;
  c.probe_next_ns = tcp.stack.now_ns + PROBE_AGAIN_NS;
  let sNext: Segment | null = null;
  for (let s: Segment | null = c.seg_head; s != null; s = sNext) {
    sNext = s.next;
    if (s.mss > c.mss && s.bytes > c.mss) segmentMarkLost(c, s);
  }
  if (c.lost_bytes > 0 && c.recovery < Recovery.FAST) repairOnly(c);
  tcp.queue(c);
}

// Repairs like after a timeout, with the window as it is: nothing says that the path is congested.
function repairOnly(c: Connection): void {
  c.recovery = Recovery.LOSS;
  c.high_seq = c.snd_nxt;
  c.undo_cwnd = 0;
  c.clear(Flag.FRTO);
}

/** After a timeout, with `backoff` raised: perhaps the path swallows large packets and the errors about them too. */
export function pathSuspect(tcp: TcpCore, c: Connection): void {
  if (c.probe_start != c.probe_end) probeFailed(tcp, c);
  const head = c.seg_head;
  if (c.backoff != BLACK_HOLE_TIMEOUTS || head == null || head.bytes <= BASE_MTU || c.mss <= BASE_MTU) return;
  const old = c.mss;
  if (!tcp.stack.ip.learnMtu(c.remoteHi, c.remoteLo, BASE_MTU)) return;
  tcp.stack.counters.tcpMtuBlackHoles++;
  refreshMss(tcp, c);
  c.probe_high = old;
  c.probe_next_ns = tcp.stack.now_ns + PROBE_AGAIN_NS;
}

/**
 * Bytes of the probe that should leave now; 0: none. The caller has seen that `mss` is below `mss_top`.
 * @param unsent, room what there is to send, and what congestion control and the peer's window allow
 */
export function probeDue(tcp: TcpCore, c: Connection, unsent: u32, room: u32): u32 {
  if (c.probe_start != c.probe_end || c.recovery != Recovery.OPEN || !c.has(Flag.SACK)) return 0;
  if (c.sacked_bytes > 0 || c.backoff > 0 || optionBytes(c) > 12) return 0;
  if (c.probe_high <= c.mss + PROBE_STEP) {
    if (tcp.stack.now_ns < c.probe_next_ns) return 0;
    c.probe_high = c.mss_top + 1;
  }
  const size = c.probe_high > c.mss_top ? c.mss_top : (c.mss + c.probe_high) / 2;
  // What follows the probe tells soon whether it is lost (RFC 4821, 7.4).
  return unsent >= size + 3 * c.mss && room >= size + 3 * c.mss ? size : 0;
}

/** A probe of the next `bytes` bytes has left. */
export function probeSent(tcp: TcpCore, c: Connection, bytes: u32): void {
  c.probe_end = c.snd_nxt;
  c.probe_start = c.snd_nxt - bytes;
  tcp.stack.counters.tcpMtuProbes++;
}

/** New data is acknowledged while a probe is in flight. */
export function probeAcked(tcp: TcpCore, c: Connection): void {
  if (!seqGe(c.snd_una, c.probe_end)) return;
  const size = c.probe_end - c.probe_start;
  c.probe_start = c.probe_end;
  if (size <= c.mss) return;
  tcp.stack.counters.tcpMtuProbesOk++;
  tcp.stack.ip.probedMtu(c.remoteHi, c.remoteLo, mtuOf(c, size));
  refreshMss(tcp, c);
  if (c.probe_high <= c.mss + PROBE_STEP) c.probe_next_ns = tcp.stack.now_ns + PROBE_AGAIN_NS;
}

/**
 * Something counts as lost while a probe is in flight: is it the probe, and nothing else? Then it is repaired and the window stays
 * (RFC 8899, 3: a lost probe is no sign of congestion).
 */
export function probeLost(tcp: TcpCore, c: Connection): bool {
  const s = c.rtx_hint;
  if (s == null || s.start != c.probe_start || !s.is(Mark.LOST)) {
    if (c.lost_bytes > 0) c.probe_start = c.probe_end;
    return false;
  }
  const alone = c.lost_bytes == s.bytes;
  probeFailed(tcp, c);
  if (alone) repairOnly(c);
  return alone;
}

function probeFailed(tcp: TcpCore, c: Connection): void {
  c.probe_high = c.probe_end - c.probe_start;
  c.probe_start = c.probe_end;
  if (c.probe_high > c.mss + PROBE_STEP) return;
  c.probe_next_ns = tcp.stack.now_ns + PROBE_AGAIN_NS;
  // What IP remembers is confirmed once more.
  tcp.stack.ip.probedMtu(c.remoteHi, c.remoteLo, mtuOf(c, c.mss));
}


@inline
function mtuOf(c: Connection, size: u32): u32 {
  return size + (c.has(Flag.TIMESTAMPS) ? 12 : 0) + (isV4(c.remoteHi, c.remoteLo) ? 40 : 60);
}
