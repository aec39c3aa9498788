// A connection: the transmission control block (RFC 9293, 3.3.1) and what congestion control, loss recovery and the application add to it.
//
//   Connection fields | Timer: retransmit | Timer: delayed ACK | Timer: keep-alive | Route        in all at most 1 KiB
//
//        1         2          3          4                     1          2          3
//   ----------|----------|----------|----------         ----------|----------|----------
//          snd_una    snd_nxt   snd_una + snd_wnd              rcv_nxt  rcv_nxt + window
//
// Invariants
// 1. snd_una <= snd_nxt <= snd_end + 1 (the FIN); bytes snd_head .. snd_end lie in the send queue, and snd_head <= snd_una.
// 2. Each sequence number in snd_una .. snd_nxt belongs to exactly one Segment record once the connection is synchronised.
// 3. sacked_bytes, lost_bytes and retrans_bytes are the sums over the records that bear these marks.
// 4. A connection is in the flow table from its creation until `state` is CLOSED; it returns to the pool when it is CLOSED and nobody owns it.
// 5. The right edge of the window offered to the peer never moves left (RFC 9293, SHLD-14).

import { Packet, Timer } from "../../runtime";
import { Route, ROUTE_BYTES } from "../ip/route";
import { Flow } from "./flow";
import { Listener } from "./listener";
import { Segment } from "./segment";

export const enum State {
  CLOSED = 0,
  SYN_SENT = 1,
  SYN_RCVD = 2,
  ESTABLISHED = 3,
  FIN_WAIT_1 = 4,
  FIN_WAIT_2 = 5,
  CLOSE_WAIT = 6,
  CLOSING = 7,
  LAST_ACK = 8,
}

/** Bits of `Connection.flags`. */
export const enum Flag {
  /** The application holds a reference: the object outlives the protocol. */
  OWNED = 1 << 0,
  /** Stands on the list of connections with something to send. */
  QUEUED = 1 << 1,
  /** An ACK is due at the end of the turn. */
  ACK_NOW = 1 << 2,
  /** At least one segment waits for a delayed ACK. */
  ACK_DELAYED = 1 << 3,
  TIMESTAMPS = 1 << 4,
  SACK = 1 << 5,
  WINDOW_SCALE = 1 << 6,
  ECN = 1 << 7,
  /** The application will send no more: a FIN follows the last byte. */
  FIN_QUEUED = 1 << 8,
  /** The FIN has been sent at least once. */
  FIN_SENT = 1 << 9,
  /** The peer's FIN has been received in order. */
  FIN_RECEIVED = 1 << 10,
  NODELAY = 1 << 11,
  KEEPALIVE = 1 << 12,
  /** The application waits for room in the send queue. */
  WANT_WRITE = 1 << 13,
  /** Opened by a listener, not yet accepted. */
  PASSIVE = 1 << 14,
  /** ECN (RFC 3168): congestion seen, to be echoed until CWR; our reduction to be told by CWR. */
  ECE_ECHO = 1 << 15,
  CWR_DUE = 1 << 16,
  /** The last use of the window was limited by cwnd (RFC 7661's reason: do not grow an unused window). */
  CWND_LIMITED = 1 << 17,
  /** A tail loss probe is in flight; it carried no new data. */
  TLP_RETRANS = 1 << 18,
  TLP_OUT = 1 << 19,
  /** Reordering has been seen on the path (RFC 8985, 6.2). */
  REORDERING = 1 << 20,
  /** The D-SACK range is valid and goes out with the next ACK. */
  DSACK = 1 << 21,
  /** In the accept queue of its listener. */
  ACCEPT_QUEUED = 1 << 22,
  /** In slow start after HyStart++ saw delay grow (RFC 9406). */
  CSS = 1 << 23,
  /** Reading has been shut down by the application: data that still comes is answered by RST. */
  READ_SHUT = 1 << 24,
  /** A window update is to be considered at the end of the turn. */
  WINDOW_UPDATE = 1 << 25,
  /** First data has been sent (idle restart has a reference). */
  HAS_SENT = 1 << 26,
  /** Use NewReno instead of CUBIC. */
  NEWRENO = 1 << 27,
  /** Stands on the list of those that wait for memory. */
  STARVED = 1 << 28,
  /** A timeout whose cause is being found out (RFC 5682). */
  FRTO = 1 << 29,
  /** `linger_ms` says how long a closed connection may take to send what is queued. */
  LINGER = 1 << 30,
}

/** Events given to the handler; bits. */
export const enum Event {
  READABLE = 1,
  WRITABLE = 2,
  ESTABLISHED = 4,
  /** The protocol is done with the connection, orderly or not (`error`). */
  CLOSED = 8,
  ERROR = 16,
  /** The peer has sent FIN: reading gives what is queued, then 0. */
  PEER_CLOSED = 32,
}

/** What the retransmission timer stands for. */
export const enum RtxMode {
  NONE = 0,
  RTO = 1,
  /** Tail loss probe (RFC 8985, 7). */
  TLP = 2,
  /** RACK's reordering timer (RFC 8985, 6.3). */
  REORDER = 3,
  /** Zero-window probe (RFC 9293, 3.8.6.1). */
  PERSIST = 4,
}

/** State of loss recovery. */
export const enum Recovery {
  OPEN = 0,
  /** Window reduced because of ECN, without loss. */
  CWR = 1,
  /** Fast recovery (RFC 6937 decides what leaves). */
  FAST = 2,
  /** After a retransmission timeout. */
  LOSS = 3,
}

/** Events of a connection: the function gets it and bits of `Event`. It may call anything of TcpModule. */
export type TcpHandler = (c: Connection, events: u32) => void;

/** SACK blocks kept for the peer: four are the most that fit an option (RFC 2018, 3). */
export const SACK_BLOCKS: u32 = 4;


@unmanaged
export class Connection extends Flow {
  // ---- life
  state: i32;
  /** A value of `RtxMode`, of `Recovery`. */
  rtx_mode: i32;
  recovery: i32;
  /** Shifts of the window fields; 0 without the option. */
  snd_wscale: u32;
  rcv_wscale: u32;
  /** Doublings of the RTO, unanswered keep-alive probes, zero-window probes. */
  backoff: u32;
  keep_probes: u32;
  dupacks: u32;
  flags: u32;
  /** Why it ended: a negative Errno, or 0. */
  error: i32;
  /** Events not delivered yet. */
  events: u32;
  /** The application's handler: index in the function table (0: none) and what it likes to find. */
  handler: u32;
  context: usize;
  listener: Listener | null;
  /** Links of the listener's half-open list and accept queue, or of the free list. */
  next: Connection | null;
  prev: Connection | null;
  /** Links of the list of connections with something to send. */
  sendNext: Connection | null;
  sendPrev: Connection | null;
  /** Links of the list of those that wait for memory. */
  starvedNext: Connection | null;
  starvedPrev: Connection | null;

  // ---- send sequence
  iss: u32;
  snd_una: u32;
  snd_nxt: u32;
  /** The peer's window, bytes, and the segment that gave it (RFC 9293, 3.10.7.4). */
  snd_wnd: u32;
  snd_wl1: u32;
  snd_wl2: u32;
  /** Largest window the peer has offered (RFC 9293, 3.8.6.2.1). */
  max_wnd: u32;
  /** End of the last segment sent that was shorter than the MSS (Minshall's Nagle). */
  snd_sml: u32;
  /** Largest segment without options that the peer takes; payload bytes of a segment without SACK blocks on the path as it is known. */
  peer_mss: u32;
  mss: u32;
  /** Generation of the route for which `mss` was computed. */
  mss_generation: u32;
  /** `mss` if the path took what the interface takes; see pathmtu.ts: the least payload known not to arrive, the probe in flight. */
  mss_top: u32;
  probe_high: u32;
  probe_start: u32;
  probe_end: u32;

  // ---- send queue: packets linked by `next`, `cookie` the sequence number of their first byte
  sq_head: Packet | null;
  sq_tail: Packet | null;
  /** Packet at or before snd_nxt, where sending goes on. */
  sq_cursor: Packet | null;
  snd_head: u32;
  snd_end: u32;
  /** Bytes that the queue may hold. */
  snd_buf: u32;

  // ---- receive sequence
  irs: u32;
  rcv_nxt: u32;
  /** rcv_nxt when the window was last told, and the window told then. */
  rcv_wup: u32;
  rcv_wnd: u32;
  /** Bytes that the queues may hold. */
  rcv_buf: u32;
  last_ack_sent: u32;

  // ---- receive queue: see receive.ts
  rq_head: Packet | null;
  rq_tail: Packet | null;
  rq_bytes: u32;
  ooo_head: Packet | null;
  ooo_tail: Packet | null;
  ooo_bytes: u32;
  ooo_count: u32;
  /** Pool buffers held by both queues and the send queue. */
  buffers: u32;
  /** Payload bytes of the peer's segments, estimated (RFC 1122, 4.2.3.2: ACK every second full one). */
  rcv_mss: u32;
  /** Unacknowledged bytes received. */
  rcv_unacked: u32;
  /** Segments to acknowledge at once after start or loss, so that the peer's window opens quickly. */
  quick_acks: u32;

  // ---- SACK blocks for the peer: pairs, the most recent first
  sack_count: u32;
  sack0s: u32;
  sack0e: u32;
  sack1s: u32;
  sack1e: u32;
  sack2s: u32;
  sack2e: u32;
  sack3s: u32;
  sack3e: u32;
  dsack_start: u32;
  dsack_end: u32;

  // ---- autotuning of the receive window
  tune_time_ns: i64;
  tune_seq: u32;
  tune_bytes: u32;

  // ---- timestamps (RFC 7323)
  ts_offset: u32;
  ts_recent: u32;
  ts_recent_ns: i64;

  // ---- round-trip time (RFC 6298)
  srtt_us: u32;
  rttvar_us: u32;
  rto_us: u32;
  min_rtt_us: u32;
  min_rtt_ns: i64;

  // ---- segments in flight
  seg_head: Segment | null;
  seg_tail: Segment | null;
  /** The same in the order of their last transmission, without those sacked or marked lost. */
  sent_head: Segment | null;
  sent_tail: Segment | null;
  sack_hint: Segment | null;
  /** No segment before it waits for retransmission; null: none does. */
  rtx_hint: Segment | null;
  sacked_bytes: u32;
  lost_bytes: u32;
  retrans_bytes: u32;
  /** Without SACK: bytes that duplicate ACKs say have left the network (RFC 5681). */
  reno_bytes: u32;
  /** Highest sequence number selectively acknowledged. */
  fack: u32;

  // ---- RACK-TLP (RFC 8985)
  rack_ns: i64;
  rack_end: u32;
  rack_rtt_us: u32;
  rack_steps: u32;
  rack_persist: u32;
  rack_dsack_round: u32;
  tlp_end: u32;

  // ---- congestion control
  cwnd: u32;
  ssthresh: u32;
  /** Recovery ends when snd_una reaches it. */
  high_seq: u32;
  prr_delivered: u32;
  prr_out: u32;
  prr_flight: u32;
  /** To undo a reduction that proves spurious (RFC 4015): the window before, and when the first retransmission left. */
  undo_cwnd: u32;
  undo_ssthresh: u32;
  undo_ts: u32;
  /** Bytes acknowledged that have not yet grown the window. */
  cwnd_credit: u32;
  // CUBIC (RFC 9438), windows in bytes.
  cubic_w_max: u32;
  cubic_origin: u32;
  cubic_w_est: u32;
  cubic_k_ms: u32;
  cubic_epoch_ns: i64;
  // HyStart++ (RFC 9406).
  hs_round_end: u32;
  hs_last_rtt_us: u32;
  hs_rtt_us: u32;
  hs_samples: u32;
  hs_css_rounds: u32;
  hs_css_base_us: u32;

  // ---- time
  /** Last data sent, last segment received, when the oldest unacknowledged data was first sent (0: none). */
  last_send_ns: i64;
  last_recv_ns: i64;
  stall_ns: i64;
  /** When the search for a larger MTU begins anew. */
  probe_next_ns: i64;
  /** Last out-of-window segment answered. */
  last_oow_ns: i64;
  /** Errors ICMP told, to be given when the connection times out. */
  soft_error: i32;
  user_timeout_ms: u32;
  keep_idle_ms: u32;
  keep_interval_ms: u32;
  linger_ms: u32;

  /** Retransmission, delayed ACK, keep-alive (also: FIN-WAIT-2, orphans). */
  @inline get rtxTimer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + CONNECTION_FIELDS);
  }


  @inline get ackTimer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + CONNECTION_FIELDS + TIMER_BYTES);
  }


  @inline get keepTimer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + CONNECTION_FIELDS + 2 * TIMER_BYTES);
  }


  @inline get route(): Route {
    return changetype<Route>(changetype<usize>(this) + CONNECTION_FIELDS + 3 * TIMER_BYTES);
  }


  @inline has(flag: u32): bool {
    return (this.flags & flag) != 0;
  }


  @inline set(flag: u32): void {
    this.flags |= flag;
  }


  @inline clear(flag: u32): void {
    this.flags &= ~flag;
  }

  /** Sequence numbers in flight. */
  @inline get flight(): u32 {
    return this.snd_nxt - this.snd_una;
  }

  /** Bytes thought to be in the network (RFC 6675, `pipe`): (1) flight - sacked - lost + retransmitted. */
  @inline get pipe(): u32 {
    const left = this.sacked_bytes + this.lost_bytes + this.reno_bytes;
    const flight = this.flight + this.retrans_bytes;
    return flight > left ? flight - left : 0;
  }


  @inline sackStart(i: u32): u32 {
    return load<u32>(changetype<usize>(this) + i * 8, offsetof<Connection>("sack0s"));
  }


  @inline sackEnd(i: u32): u32 {
    return load<u32>(changetype<usize>(this) + i * 8, offsetof<Connection>("sack0e"));
  }


  @inline setSack(i: u32, start: u32, end: u32): void {
    store<u32>(changetype<usize>(this) + i * 8, start, offsetof<Connection>("sack0s"));
    store<u32>(changetype<usize>(this) + i * 8, end, offsetof<Connection>("sack0e"));
  }
}

const TIMER_BYTES: usize = (offsetof<Timer>() + 7) & ~7;
const CONNECTION_FIELDS: usize = (offsetof<Connection>() + 7) & ~7;
/** Bytes of a connection with what is embedded behind its fields. */
export const CONNECTION_BYTES: usize = CONNECTION_FIELDS + 3 * TIMER_BYTES + ROUTE_BYTES;

/** May the application's bytes be sent? */
@inline
export function canSendState(state: i32): bool {
  return state == State.ESTABLISHED || state == State.CLOSE_WAIT;
}
/** Are both sequence numbers known (RFC 9293: a synchronised state)? */
@inline
export function isSynchronised(state: i32): bool {
  return state >= State.ESTABLISHED;
}

/** Sets the send sequence to begin with a SYN of number `iss`, taken as sent. */
export function setSendStart(c: Connection, iss: u32): void {
  c.iss = iss;
  c.snd_una = iss;
  c.snd_nxt = iss + 1;
  c.snd_head = iss + 1;
  c.snd_end = iss + 1;
  c.snd_sml = iss;
  c.fack = iss;
  c.high_seq = iss;
  c.snd_wl2 = iss;
}
