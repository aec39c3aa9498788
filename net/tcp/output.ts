// What leaves: segments cut from the send queue, retransmissions, ACKs, probes (RFC 9293, 3.8; RFC 1122, 4.2.3.4; RFC 6937; RFC 3168).
//
//   flush, once a turn:  lost segments first -> new data -> an ACK if none of these carried it
//
// A segment leaves as one packet of up to 64 KiB with slices of the send queue; the device, or the link layer for it, cuts it at `gsoSize`.
//
// (1) room = cwnd - pipe             congestion
// (2) usable = snd_una + snd_wnd - snd_nxt     the peer's window
// (3) a segment shorter than the MSS leaves only if it ends the queue and no other short one is in flight (Nagle as Minshall has it), or with it
//     half of the largest window seen would be used (RFC 9293, 3.8.6.2.1); the persist timer overrides.

import { allocPacket, Packet, PacketFlag } from "../../runtime";
import { isV4 } from "../ip/address";
import { sumPseudo } from "../wire/checksum";
import { emitTcp, setTcpChecksum, TCP_BYTES, TCP_CHECKSUM, TcpFlag } from "../wire/tcp";
import { Protocol } from "../wire/ipv4";
import { idleRestart } from "./congestion";
import { Connection, Flag, isSynchronised, Recovery, RtxMode, State } from "./connection";
import { localMss } from "./bare";
import { emitOptions, emitSynOptions, Has, optionBytes, synOptionBytes } from "./options";
import { probeDue, probeSent, refreshMss } from "./pathmtu";
import { tsNow } from "./rtt";
import { Mark, packetAt, Segment, segmentAppend, segmentSplit, sentAppend } from "./segment";
import { addQueueSlices } from "./sendqueue";
import { seqGt } from "./seq";
import { TcpCore } from "./core";
import { armDelayedAck, armRetransmit } from "./timers";
import { selectWindow, windowUpdateDue } from "./window";

/** Largest payload of one packet: an IP packet has at most 65,535 bytes, headers of both at most 120. */
const MAX_SEGMENT_BYTES: u32 = 65535 - 120;
/** ECN-capable transport (RFC 3168, 5). */
const ECT0: u32 = 2;

/** Sends what the connection has to send and may. */
export function output(tcp: TcpCore, c: Connection): void {
  if (!isSynchronised(c.state)) {
    c.clear(Flag.ACK_NOW | Flag.ACK_DELAYED | Flag.WINDOW_UPDATE);
    return;
  }
  refreshMss(tcp, c);
  let sent = false;
  if (c.rtx_hint != null) sent = retransmitLost(tcp, c);
  if (sendNew(tcp, c)) sent = true;
  if (c.has(Flag.ACK_NOW) || (c.has(Flag.WINDOW_UPDATE) && windowUpdateDue(tcp, c))) sendAck(tcp, c);
  else if (c.has(Flag.ACK_DELAYED)) armDelayedAck(tcp, c);
  c.clear(Flag.WINDOW_UPDATE);
  if (sent || c.rtx_mode == RtxMode.NONE) armRetransmit(tcp, c, false);
}

/** Payload bytes of a full segment with the options of this moment. */
@inline
function currentMss(c: Connection): u32 {
  return c.mss + (c.has(Flag.TIMESTAMPS) ? 12 : 0) - optionBytes(c);
}

// Retransmits what is marked lost, lowest first, as (1) allows; true when something left.
function retransmitLost(tcp: TcpCore, c: Connection): bool {
  let sent = false;
  for (let s: Segment | null = c.rtx_hint; s != null;) {
    if ((s.flags & (Mark.LOST | Mark.RETRANS)) != Mark.LOST) {
      s = s.next;
      c.rtx_hint = s;
      continue;
    }
    const mss = currentMss(c);
    const pipe = c.pipe;
    const room = c.cwnd > pipe ? c.cwnd - pipe : 0;
    if (room < min(s.bytes, mss) && pipe > 0) return sent;
    let bytes = min(s.bytes, MAX_SEGMENT_BYTES);
    if (bytes > mss) {
      bytes = min(bytes, max(room, mss));
      if (bytes < s.bytes) bytes -= bytes % mss;
    }
    if (!retransmit(tcp, c, s, bytes)) return sent;
    sent = true;
    const next = s.next;
    c.rtx_hint = next;
    s = next;
  }
  return sent;
}

// Sends `bytes` bytes of a record again; what is left of it becomes a record of its own.
function retransmit(tcp: TcpCore, c: Connection, s: Segment, bytes: u32): bool {
  if (bytes < s.bytes && !segmentSplit(c, tcp.segments, s, bytes)) return false;
  const fin = s.is(Mark.FIN);
  const data = s.bytes - (fin ? 1 : 0);
  const sent = sendRange(tcp, c, s.packet, s.start, data, fin, 0);
  if (sent < 0) return false;
  if (<u32>sent < data && !segmentSplit(c, tcp.segments, s, sent)) {
    // No record for the rest: it stays marked as it is and RACK or the timer send it again.
    tcp.stack.counters.tcpNoRecords++;
  }
  const now = tcp.stack.now_ns;
  if (!s.is(Mark.RETRANS)) {
    s.flags |= Mark.RETRANS;
    c.retrans_bytes += s.bytes;
  }
  s.flags |= Mark.EVER_RETRANS;
  s.mss = currentMss(c);
  s.sent_ns = now;
  sentAppend(c, s);
  c.last_send_ns = now;
  c.prr_out += s.bytes;
  tcp.stack.counters.tcpRetransSegs++;
  return true;
}

// Sends new data as (1), (2) and (3) allow; true when something left.
function sendNew(tcp: TcpCore, c: Connection): bool {
  let sent = false;
  if (c.has(Flag.FIN_SENT)) return false;
  if (c.flight == 0 && c.snd_end != c.snd_nxt && c.has(Flag.HAS_SENT)) idleRestart(c, tcp.stack.now_ns);
  for (;;) {
    const unsent = c.snd_end - c.snd_nxt;
    const finDue = c.has(Flag.FIN_QUEUED);
    if (unsent == 0 && !finDue) break;
    const mss = currentMss(c);
    const edge = c.snd_una + c.snd_wnd;
    const usable = seqGt(edge, c.snd_nxt) ? edge - c.snd_nxt : 0;
    const pipe = c.pipe;
    const room = c.cwnd > pipe ? c.cwnd - pipe : 0;
    if (room < min(unsent, mss) && pipe > 0) {
      c.set(Flag.CWND_LIMITED);
      return sent;
    }
    if (c.mss < c.mss_top) {
      const probe = probeDue(tcp, c, unsent, min(room, usable));
      if (probe > 0 && sendPathProbe(tcp, c, probe)) {
        sent = true;
        continue;
      }
    }
    let bytes = min(min(unsent, usable), min(max(room, mss), MAX_SEGMENT_BYTES));
    // CWR stands on one segment only (RFC 3168, 6.1.2), whatever the device makes of a large one.
    if (c.has(Flag.CWR_DUE) && bytes > mss) bytes = mss;
    if (bytes > mss && bytes < unsent) bytes -= bytes % mss;
    if (bytes < unsent) {
      if (bytes == 0) break;
      if (bytes < mss && bytes < c.max_wnd / 2) break;
    } else if (bytes > 0 && !finDue && !c.has(Flag.NODELAY)) {
      const tail = bytes % mss;
      if (tail != 0 && seqGt(c.snd_sml, c.snd_una)) {
        bytes -= tail;
        if (bytes == 0) break;
      }
    }
    if (!sendSegment(tcp, c, bytes, finDue && bytes == unsent)) break;
    sent = true;
    if (c.has(Flag.FIN_SENT)) break;
  }
  // Nothing more to send while the window had room: it is not what limits us (RFC 7661). Slow start may use half of it, as in Linux.
  if (c.snd_end == c.snd_nxt && c.pipe < c.cwnd) {
    if (c.cwnd < c.ssthresh && <u32>2 * c.pipe >= c.cwnd) c.set(Flag.CWND_LIMITED);
    else c.clear(Flag.CWND_LIMITED);
  }
  return sent;
}

// Sends the next `bytes` bytes in one packet that is larger than the path's MTU is thought to be (pathmtu.ts).
function sendPathProbe(tcp: TcpCore, c: Connection, bytes: u32): bool {
  const route = c.route;
  const mtu = route.mtu;
  route.mtu = unchecked(tcp.stack.interfaces[route.iface]).mtu;
  const sent = sendSegment(tcp, c, bytes, false, PROBE);
  route.mtu = mtu;
  if (sent) probeSent(tcp, c, bytes);
  return sent;
}

// Sends the next `bytes` bytes of the queue and the FIN, and records them.
function sendSegment(tcp: TcpCore, c: Connection, bytes: u32, fin: bool, kind: u32 = 0): bool {
  const s = tcp.segments.alloc();
  if (s == null) {
    tcp.stack.counters.tcpNoRecords++;
    return false;
  }
  const seq = c.snd_nxt;
  const mss = currentMss(c);
  const cursor = packetAt(c.sq_cursor != null ? c.sq_cursor : c.sq_head, seq);
  c.sq_cursor = cursor;
  const now = tcp.stack.now_ns;
  const flags: u32 = c.has(Flag.CWR_DUE) && bytes > 0 ? TcpFlag.CWR : 0;
  const taken = sendRange(tcp, c, cursor, seq, bytes, fin, flags | kind | FRESH);
  if (taken < 0) {
    tcp.segments.free(s);
    return false;
  }
  if (flags != 0) c.clear(Flag.CWR_DUE);
  const whole = <u32>taken == bytes;
  s.start = seq;
  s.end = seq + taken + (fin && whole ? 1 : 0);
  s.flags = fin && whole ? Mark.FIN : 0;
  s.packet = cursor;
  s.sent_ns = now;
  s.mss = kind == PROBE ? bytes : mss;
  segmentAppend(c, s);
  if (c.flight == 0) c.stall_ns = now;
  c.snd_nxt = s.end;
  if (fin && whole) c.set(Flag.FIN_SENT);
  if (<u32>taken % mss != 0) c.snd_sml = s.end;
  c.set(Flag.HAS_SENT);
  c.last_send_ns = now;
  if (c.recovery == Recovery.FAST) c.prr_out += taken;
  return true;
}

// Of `sendRange`: the data is sent for the first time, so it may carry ECT (RFC 3168, 6.1.5).
const FRESH: u32 = 0x100;
// It is one packet, whatever the MSS.
const PROBE: u32 = 0x200;

// Builds and sends one packet with the queue's bytes from `seq`. Returns how many it took, or -1 without memory.
function sendRange(tcp: TcpCore, c: Connection, q: Packet | null, seq: u32, bytes: u32, fin: bool, flags: u32): i32 {
  const p = allocPacket();
  if (p == null) {
    tcp.stack.counters.noBuffers++;
    return -1;
  }
  const options = optionBytes(c);
  const mss = (flags & PROBE) != 0 ? bytes : currentMss(c);
  const at = p.append(TCP_BYTES + options);
  let taken = bytes > 0 ? addQueueSlices(p, q, seq, bytes) : 0;
  if (taken < bytes) {
    // Out of slices: whole segments only.
    fin = false;
    const over = taken > mss ? taken % mss : 0;
    p.trim(over);
    taken -= over;
    if (taken == 0) {
      p.free();
      return -1;
    }
  }
  let bits: u32 = TcpFlag.ACK | (flags & 0xff);
  if (fin) bits |= TcpFlag.FIN;
  if (taken > 0 && seq + taken == c.snd_end) bits |= TcpFlag.PSH;
  const ect = (flags & FRESH) != 0 && c.has(Flag.ECN) && taken > 0 ? ECT0 : 0;
  if (taken > mss) {
    p.gsoSize = <u16>mss;
    p.flags |= isV4(c.remoteHi, c.remoteLo) ? PacketFlag.GSO_TCP4 : PacketFlag.GSO_TCP6;
  }
  finishSegment(tcp, c, p, at, seq, options, bits, ect);
  return taken;
}

// Writes header and options of a segment of a synchronised connection and sends it. It carries the ACK.
function finishSegment(
  tcp: TcpCore,
  c: Connection,
  p: Packet,
  at: usize,
  seq: u32,
  options: u32,
  bits: u32,
  ect: u32,
): void {
  if (c.has(Flag.ECE_ECHO)) bits |= TcpFlag.ECE;
  const window = selectWindow(tcp, c);
  emitTcp(at, c.localPort, c.remotePort, seq, c.rcv_nxt, TCP_BYTES + options, bits, window);
  if (options > 0) emitOptions(c, at + TCP_BYTES, tsNow(c, tcp.stack.now_ns));
  c.last_ack_sent = c.rcv_nxt;
  c.rcv_unacked = 0;
  if ((c.flags & (Flag.ACK_NOW | Flag.ACK_DELAYED)) != 0) {
    c.clear(Flag.ACK_NOW | Flag.ACK_DELAYED);
    tcp.stack.wheel.cancel(c.ackTimer);
  }
  send(tcp, c, p, at, ect);
}

function send(tcp: TcpCore, c: Connection, p: Packet, at: usize, ect: u32): void {
  p.csumStart = 0;
  p.csumOffset = <u16>TCP_CHECKSUM;
  p.flags |= PacketFlag.CHECKSUM_PARTIAL;
  setTcpChecksum(at, <u16>sumPseudo(c.localHi, c.localLo, c.remoteHi, c.remoteLo, Protocol.TCP, p.totalLen));
  tcp.stack.counters.tcpOutSegs++;
  tcp.stack.ip.output(p, c.route, c.localHi, c.localLo, c.remoteHi, c.remoteLo, Protocol.TCP, ect);
}

/** Sends an ACK without data. Without memory it is tried again after the delay of a delayed ACK. */
export function sendAck(tcp: TcpCore, c: Connection): void {
  sendEmpty(tcp, c, c.snd_nxt, TcpFlag.ACK);
}

function sendEmpty(tcp: TcpCore, c: Connection, seq: u32, bits: u32): void {
  const p = allocPacket();
  if (p == null) {
    tcp.stack.counters.noBuffers++;
    c.clear(Flag.ACK_NOW);
    c.set(Flag.ACK_DELAYED);
    armDelayedAck(tcp, c);
    return;
  }
  const options = optionBytes(c);
  const at = p.append(TCP_BYTES + options);
  finishSegment(tcp, c, p, at, seq, options, bits, 0);
}

/** Keep-alive and zero-window probe: an old sequence number, which the peer must answer with an ACK (RFC 1122, 4.2.3.6). */
export function sendProbe(tcp: TcpCore, c: Connection): void {
  sendEmpty(tcp, c, c.snd_una - 1, TcpFlag.ACK);
}

/** The persist timer has run: what fits the window leaves even if it is little (RFC 9293, 3.8.6.2.1 (4)); else a probe. */
export function sendWindowProbe(tcp: TcpCore, c: Connection): void {
  refreshMss(tcp, c);
  const unsent = c.snd_end - c.snd_nxt;
  const bytes = min(min(unsent, c.snd_wnd), currentMss(c));
  if (bytes > 0) {
    sendSegment(tcp, c, bytes, c.has(Flag.FIN_QUEUED) && bytes == unsent);
    return;
  }
  tcp.stack.counters.tcpWindowProbes++;
  sendProbe(tcp, c);
}

/** The tail loss probe (RFC 8985, 7.3): new data if there is some and the window takes it, else the last segment again. */
export function sendTailProbe(tcp: TcpCore, c: Connection): void {
  refreshMss(tcp, c);
  tcp.stack.counters.tcpLossProbes++;
  const mss = currentMss(c);
  const unsent = c.snd_end - c.snd_nxt;
  const edge = c.snd_una + c.snd_wnd;
  const usable = seqGt(edge, c.snd_nxt) ? edge - c.snd_nxt : 0;
  const bytes = min(min(unsent, usable), mss);
  c.clear(Flag.TLP_RETRANS);
  if (bytes > 0 && sendSegment(tcp, c, bytes, c.has(Flag.FIN_QUEUED) && bytes == unsent)) {
    c.tlp_end = c.snd_nxt;
    return;
  }
  let s: Segment | null = c.seg_tail;
  if (s == null || s.is(Mark.SACKED)) {
    c.tlp_end = c.snd_nxt;
    return;
  }
  if (s.bytes > mss) {
    if (!segmentSplit(c, tcp.segments, s, ((s.bytes - 1) / mss) * mss)) return;
    s = s.next!;
  }
  c.tlp_end = c.snd_nxt;
  if (retransmit(tcp, c, s, s.bytes)) c.set(Flag.TLP_RETRANS);
}

/** Sends, or sends again, SYN (SYN-SENT) or SYN-ACK (SYN-RECEIVED). */
export function sendSyn(tcp: TcpCore, c: Connection): void {
  c.last_send_ns = tcp.stack.now_ns;
  const p = allocPacket();
  if (p == null) {
    tcp.stack.counters.noBuffers++;
    return;
  }
  const active = c.state == State.SYN_SENT;
  let present: u32 = Has.MSS;
  if (active || c.has(Flag.TIMESTAMPS)) present |= Has.TIMESTAMPS;
  if (active || c.has(Flag.SACK)) present |= Has.SACK_PERMITTED;
  if (active || c.has(Flag.WINDOW_SCALE)) present |= Has.WINDOW_SCALE;
  let bits: u32 = active ? TcpFlag.SYN : TcpFlag.SYN | TcpFlag.ACK;
  if (active && tcp.requestEcn && c.backoff == 0) bits |= TcpFlag.ECE | TcpFlag.CWR;
  else if (!active && c.has(Flag.ECN)) bits |= TcpFlag.ECE;
  const options = synOptionBytes(present);
  const at = p.append(TCP_BYTES + options);
  const window = min<u32>(c.rcv_buf, 65535);
  c.rcv_wup = c.rcv_nxt;
  c.rcv_wnd = window;
  c.last_ack_sent = c.rcv_nxt;
  emitTcp(at, c.localPort, c.remotePort, c.iss, active ? 0 : c.rcv_nxt, TCP_BYTES + options, bits, window);
  emitSynOptions(
    at + TCP_BYTES,
    present,
    localMss(tcp, c.route, c.remoteHi, c.remoteLo),
    tcp.windowShift,
    tsNow(c, tcp.stack.now_ns),
    c.ts_recent,
  );
  send(tcp, c, p, at, 0);
}

/** Resets a connection: RST at snd_nxt, which the peer accepts (RFC 9293, 3.10.4 to 3.10.5). */
export function sendReset(tcp: TcpCore, c: Connection): void {
  const p = allocPacket();
  if (p == null) {
    tcp.stack.counters.noBuffers++;
    return;
  }
  tcp.stack.counters.tcpOutRsts++;
  const at = p.append(TCP_BYTES);
  emitTcp(at, c.localPort, c.remotePort, c.snd_nxt, c.rcv_nxt, TCP_BYTES, TcpFlag.RST | TcpFlag.ACK, 0);
  send(tcp, c, p, at, 0);
}
