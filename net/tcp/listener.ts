// Listeners: half-open connections, the accept queue, SYN cookies when there are too many (RFC 9293, 3.10.7.2; RFC 4987).
//
//   SYN --> half-open (SYN-RECEIVED), at most `halfOpenMax` --ACK--> accept queue, at most `backlog` --accept--> the application
//     \-- full: SYN-ACK with a cookie, nothing kept --ACK with the cookie--------^
//
// Invariants
// 1. Each connection of a listener is in exactly one of its two lists, doubly linked: it leaves in O(1) however it ends.
// 2. With the accept queue full no new connection is begun or completed: the application is what is slow, and the peer repeats.

import { Errno } from "../../runtime";
import { TcpFlag } from "../wire/tcp";
import { Connection, Flag, setSendStart, State } from "./connection";
import { initialSequence, sequenceHash, timestampOffset } from "./isn";
import { Has, Options } from "./options";
import { cookieCheck, cookieEcn, cookieMake, cookieSack, cookieShift, cookieTimestamp } from "./syncookie";
import { resetSegment, sendCookieSynAck } from "./bare";
import { TcpCore } from "./core";
import { TcpLimits } from "./limits";
import { sendReset, sendSyn } from "./output";
import { armHandshake } from "./timers";

/** A listener has a connection to accept. */
export type AcceptHandler = (l: Listener) => void;


@unmanaged
export class Listener {
  hi: u64;
  lo: u64;
  /** Next of the port's bucket or of the free list. */
  next: Listener | null;
  port: u16;
  stackId: u32;
  open: bool;
  /** Refuses new connections; what has begun is still accepted. */
  draining: bool;
  backlog: u32;
  halfOpenMax: u32;
  accepting: u32;
  halfOpen: u32;
  acceptHead: Connection | null;
  acceptTail: Connection | null;
  halfHead: Connection | null;
  /** Index of the AcceptHandler in the function table, 0: none; and its context. */
  handler: u32;
  context: usize;
  /** Last time a cookie was sent. Only shortly after that ACKs are checked for cookies. */
  cookie_ns: i64;
  cookies: bool;
}

/** Cookies are believed this long after the last was sent: the two periods of 69 s in which they are valid. */
const COOKIE_LIFE_NS: i64 = 2 * (1 << 36);
/** A peer that does not say its MSS takes 536 bytes (RFC 9293, MUST-15). */
export const DEFAULT_MSS: u32 = 536;
/** RFC 9293 has no floor; below it options would not fit, and tiny segments are an attack (CVE-2019-11479; Linux: tcp_min_snd_mss 48). */
const MIN_MSS: u32 = 88;

const LISTENER_BUCKETS: u32 = 256;

/** The listeners of a stack, by port: a fixed number. */
export class ListenerTable {
  private readonly buckets: usize = heap.alloc(LISTENER_BUCKETS * sizeof<usize>());
  private freeList: Listener | null = null;

  constructor(private readonly limits: TcpLimits) {
    memory.fill(this.buckets, 0, LISTENER_BUCKETS * sizeof<usize>());
    const memory_ = heap.alloc(<usize>limits.listeners * offsetof<Listener>());
    for (let i: u32 = 0; i < limits.listeners; i++) {
      const l = changetype<Listener>(memory_ + <usize>i * offsetof<Listener>());
      l.next = this.freeList;
      this.freeList = l;
    }
  }


  @inline private bucket(port: u32): usize {
    return this.buckets + (port & (LISTENER_BUCKETS - 1)) * sizeof<usize>();
  }

  /** All of them take no new connection from now on. */
  drain(): void {
    for (let i: u32 = 0; i < LISTENER_BUCKETS; i++) {
      let next: Listener | null = null;
      const first = changetype<Listener | null>(load<usize>(this.bucket(i)));
      for (let l: Listener | null = first; l != null; l = next) {
        next = l.next;
        l.draining = true;
      }
    }
  }

  /** Puts a listener in; null when there are too many. */
  add(port: u32, hi: u64, lo: u64, stackId: u32, backlog: u32): Listener | null {
    const l = this.freeList;
    if (l == null) return null;
    this.freeList = l.next;
    memory.fill(changetype<usize>(l), 0, offsetof<Listener>());
    l.port = <u16>port;
    l.hi = hi;
    l.lo = lo;
    l.stackId = stackId;
    l.open = true;
    l.backlog = min(backlog, max<u32>(this.limits.connections / 2, 1));
    l.halfOpenMax = min(max<u32>(backlog, 64), max<u32>(this.limits.connections / 4, 1));
    l.cookies = true;
    l.next = load<Listener | null>(this.bucket(port));
    store<Listener>(this.bucket(port), l);
    return l;
  }

  remove(l: Listener): void {
    const next = l.next;
    let before: Listener | null = null;
    for (let m: Listener | null = load<Listener | null>(this.bucket(l.port)); m != null && m != l; m = before!.next)
      before = m;
    if (before == null) store<Listener | null>(this.bucket(l.port), next);
    else before.next = next;
    l.next = this.freeList;
    this.freeList = l;
  }

  /** The listener of exactly this address and port, or null. */
  find(port: u32, hi: u64, lo: u64): Listener | null {
    let l: Listener | null = load<Listener | null>(this.bucket(port));
    while (l != null && (l.port != port || l.lo != lo || l.hi != hi)) l = l.next;
    return l;
  }

  /** The listener that takes a segment; one for this address goes before one for all. */
  match(port: u32, hi: u64, lo: u64): Listener | null {
    const exact = this.find(port, hi, lo);
    return exact != null ? exact : this.find(port, 0, 0);
  }
}

/** A segment for a listener's port that belongs to no flow. */
export function listenInput(tcp: TcpCore, l: Listener, o: Options, floor: u32, hasFloor: bool): void {
  const counters = tcp.stack.counters;
  if (o.flags & TcpFlag.RST) return;
  if (o.flags & TcpFlag.ACK) {
    if (!acceptCookie(tcp, l, o)) resetSegment(tcp, o);
    return;
  }
  if ((o.flags & TcpFlag.SYN) == 0 || (o.flags & TcpFlag.FIN) != 0) return;
  if (l.draining) {
    resetSegment(tcp, o);
    return;
  }
  if (l.accepting >= l.backlog) {
    counters.tcpListenOverflows++;
    return;
  }
  let c: Connection | null = null;
  if (l.halfOpen < l.halfOpenMax)
    c = tcp.create(o.localHi, o.localLo, o.remoteHi, o.remoteLo, o.localPort, o.remotePort, o.hash);
  if (c == null) {
    sendCookie(tcp, l, o);
    return;
  }
  const stack = tcp.stack;
  c.state = State.SYN_RCVD;
  c.set(Flag.PASSIVE);
  c.listener = l;
  halfOpenAdd(l, c);
  c.irs = o.seq;
  c.rcv_nxt = o.seq + 1;
  c.ts_offset = timestampOffset(stack, o.localHi, o.localLo, o.remoteHi, o.remoteLo);
  c.iss = initialSequence(
    stack,
    sequenceHash(stack, o.localHi, o.localLo, o.remoteHi, o.remoteLo, o.localPort, o.remotePort),
  );
  // A new incarnation begins above the old one's last sequence number (RFC 9293, 3.4.1; RFC 1122, 4.2.2.13).
  if (hasFloor && <i32>(c.iss - floor) <= 0) c.iss = floor + 65537;
  setSendStart(c, c.iss);
  negotiate(tcp, c, o);
  if ((o.flags & (TcpFlag.ECE | TcpFlag.CWR)) == (TcpFlag.ECE | TcpFlag.CWR) && tcp.acceptEcn) c.set(Flag.ECN);
  c.last_recv_ns = stack.now_ns;
  counters.tcpPassiveOpens++;
  sendSyn(tcp, c);
  armHandshake(tcp, c);
}

/** Takes over what the peer's SYN offers. */
export function negotiate(tcp: TcpCore, c: Connection, o: Options): void {
  if (o.has(Has.TIMESTAMPS)) {
    c.set(Flag.TIMESTAMPS);
    c.ts_recent = o.tsVal;
    c.ts_recent_ns = tcp.stack.now_ns;
  }
  if (o.has(Has.SACK_PERMITTED)) c.set(Flag.SACK);
  if (o.has(Has.WINDOW_SCALE)) {
    c.set(Flag.WINDOW_SCALE);
    c.snd_wscale = o.windowShift;
    c.rcv_wscale = tcp.windowShift;
  } else {
    c.rcv_buf = min<u32>(c.rcv_buf, 65535);
  }
  const mss = o.has(Has.MSS) ? o.mss : DEFAULT_MSS;
  c.peer_mss = max(mss, MIN_MSS);
  // Windows in SYNs are never scaled (RFC 7323, 2.2).
  c.snd_wnd = o.window;
  c.snd_wl1 = o.seq;
  c.max_wnd = o.window;
}

function sendCookie(tcp: TcpCore, l: Listener, o: Options): void {
  const stack = tcp.stack;
  if (!l.cookies) {
    stack.counters.tcpListenDrops++;
    return;
  }
  l.cookie_ns = stack.now_ns;
  stack.counters.tcpSynCookiesSent++;
  const mss = max(o.has(Has.MSS) ? o.mss : DEFAULT_MSS, MIN_MSS);
  const timestamps = o.has(Has.TIMESTAMPS);
  const ecn = tcp.acceptEcn && (o.flags & (TcpFlag.ECE | TcpFlag.CWR)) == (TcpFlag.ECE | TcpFlag.CWR);
  let present: u32 = Has.MSS;
  // Without timestamps there is no place to remember the others.
  if (timestamps) present = (o.present & (Has.MSS | Has.TIMESTAMPS | Has.SACK_PERMITTED | Has.WINDOW_SCALE)) | Has.MSS;
  const now = <u32>(stack.now_ns / 1_000_000) + timestampOffset(stack, o.localHi, o.localLo, o.remoteHi, o.remoteLo);
  const ts = cookieTimestamp(now, o.windowShift, o.has(Has.WINDOW_SCALE), o.has(Has.SACK_PERMITTED), ecn);
  sendCookieSynAck(tcp, o, cookieMake(stack, o, mss), present, ts, timestamps && ecn);
}

// A connection from an ACK that echoes a cookie; false: it is none, and a RST is due.
function acceptCookie(tcp: TcpCore, l: Listener, o: Options): bool {
  const stack = tcp.stack;
  if (o.flags & TcpFlag.SYN) return false;
  if (l.cookie_ns == 0 || stack.now_ns - l.cookie_ns > COOKIE_LIFE_NS) return false;
  const mss = cookieCheck(stack, o);
  if (mss == 0) {
    stack.counters.tcpSynCookiesFailed++;
    return false;
  }
  stack.counters.tcpSynCookiesRecv++;
  // No room: the peer's data will come again, and with it this ACK.
  if (l.accepting >= l.backlog) {
    stack.counters.tcpListenOverflows++;
    return true;
  }
  const c = tcp.create(o.localHi, o.localLo, o.remoteHi, o.remoteLo, o.localPort, o.remotePort, o.hash);
  if (c == null) return true;
  c.state = State.SYN_RCVD;
  c.set(Flag.PASSIVE);
  c.listener = l;
  halfOpenAdd(l, c);
  c.irs = o.seq - 1;
  c.rcv_nxt = o.seq;
  c.rcv_wup = c.rcv_nxt;
  c.rcv_wnd = min<u32>(c.rcv_buf, 65535);
  c.last_ack_sent = c.rcv_nxt;
  c.ts_offset = timestampOffset(stack, o.localHi, o.localLo, o.remoteHi, o.remoteLo);
  c.iss = o.ack - 1;
  setSendStart(c, c.iss);
  c.peer_mss = mss;
  c.snd_wl1 = o.seq;
  if (o.has(Has.TIMESTAMPS)) {
    const echo = o.tsEcr;
    c.set(Flag.TIMESTAMPS);
    c.ts_recent = o.tsVal;
    c.ts_recent_ns = stack.now_ns;
    if (cookieSack(echo)) c.set(Flag.SACK);
    if (cookieEcn(echo) && tcp.acceptEcn) c.set(Flag.ECN);
    if (cookieShift(echo) < 15) {
      c.set(Flag.WINDOW_SCALE);
      c.snd_wscale = cookieShift(echo);
      c.rcv_wscale = tcp.windowShift;
    }
  }
  if (!c.has(Flag.WINDOW_SCALE)) c.rcv_buf = min<u32>(c.rcv_buf, 65535);
  stack.counters.tcpPassiveOpens++;
  // The ACK itself completes the handshake, and may carry data.
  tcp.replay = c;
  return true;
}

function halfOpenAdd(l: Listener, c: Connection): void {
  c.prev = null;
  c.next = l.halfHead;
  if (l.halfHead != null) l.halfHead!.prev = c;
  l.halfHead = c;
  l.halfOpen++;
}

/** Takes a connection out of its listener's lists. */
export function listenerForget(c: Connection): void {
  const l = c.listener;
  if (l == null) return;
  c.listener = null;
  const next = c.next;
  const prev = c.prev;
  if (c.has(Flag.ACCEPT_QUEUED)) {
    c.clear(Flag.ACCEPT_QUEUED);
    if (prev != null) prev.next = next;
    else l.acceptHead = next;
    if (next != null) next.prev = prev;
    else l.acceptTail = prev;
    l.accepting--;
  } else {
    if (prev != null) prev.next = next;
    else l.halfHead = next;
    if (next != null) next.prev = prev;
    l.halfOpen--;
  }
  c.next = null;
  c.prev = null;
}

/** A half-open connection is complete: it moves to the accept queue. The caller has checked the backlog and tells the application. */
export function listenerReady(l: Listener, c: Connection): void {
  listenerForget(c);
  c.listener = l;
  c.set(Flag.ACCEPT_QUEUED);
  c.next = null;
  c.prev = l.acceptTail;
  if (l.acceptTail != null) l.acceptTail!.next = c;
  else l.acceptHead = c;
  l.acceptTail = c;
  l.accepting++;
}

/** The oldest connection of the accept queue, now the caller's; null when there is none. */
export function listenerAccept(l: Listener): Connection | null {
  const c = l.acceptHead;
  if (c == null) return null;
  listenerForget(c);
  c.set(Flag.OWNED);
  return c;
}

/** Ends a listener: its half-open connections are forgotten, those in the accept queue reset. */
export function listenerClose(tcp: TcpCore, l: Listener): void {
  for (let c: Connection | null = l.halfHead; c != null; c = l.halfHead) {
    tcp.finish(c, Errno.ECONNABORTED);
    tcp.settle(c);
  }
  for (let c: Connection | null = l.acceptHead; c != null; c = l.acceptHead) {
    if (c.state != State.CLOSED) sendReset(tcp, c);
    tcp.finish(c, Errno.ECONNABORTED);
    tcp.settle(c);
  }
}
