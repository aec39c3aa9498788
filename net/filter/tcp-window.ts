// TCP as a firewall sees it: the state of a connection between two others, and which segments can be part of it
// (G. van Rooij, "Real Stateful TCP Packet Filtering in IP Filter", 2001; Linux's conntrack follows it too).
//
// For a segment from end S to end R, with `seq`, `last` = seq + length (SYN and FIN count one each) and `ack`:
//
//   I.    seq   <=  S.maxEnd                       no data beyond what R has allowed
//   II.   last  >=  S.end - R.maxWindow            nothing older than R's largest window before the newest
//   III.  ack   <=  R.end                          no acknowledgement of what was never sent
//   IV.   ack   >=  R.end - max(S.maxWindow, 66000)  none that is older than anything in flight
//
// and after a segment that passed:
//
//   S.end       = max(S.end, last)
//   S.maxWindow = max(S.maxWindow, window << S.scale)
//   R.maxEnd    = max(R.maxEnd, ack + max(window << S.scale, 1))
//
// Invariants
// 1. The first SYN and SYN-ACK set both ends up; only there windows are not scaled (RFC 7323, 2.2).
// 2. A RST ends the flow only when its number is one that R accepts at once (RFC 5961, 3.2): that acknowledged last, or that
//    after the last sent. Others inside the window are passed on, R answers them with a challenge, and the flow stays.
// 3. What a peer says is believed only as far as I to IV hold; `state` never goes back except by a new SYN after the end.

import { Packet } from "../../runtime";
import { tcpAck, TCP_BYTES, TcpFlag, tcpHeaderBytes, tcpSeq, tcpWindow } from "../wire/tcp";
import { Flow, ORIGINAL, REPLY, TcpEnd, TcpState } from "./flow";
import { Reason } from "./reason";

/** Windows smaller than it are taken for this in IV (Linux's MAXACKWINDOW: 65,535 and a segment's header). */
const LEAST_ACK_WINDOW: u32 = 66000;
const MAX_SCALE: u8 = 14;

/** Bits of `TcpEnd.seen`. */
const enum Seen {
  /** Its window scale is in effect: both SYNs had the option. */
  SCALE = 1,
  FIN = 2,
  /** Its first segment was seen. */
  FIRST = 4,
}


@inline
function before(a: u32, b: u32): bool {
  return <i32>(a - b) < 0;
}


@inline
function largest(a: u32, b: u32): u32 {
  return before(a, b) ? b : a;
}

/** What `trackTcp` found, when it is no reason to drop: the flow is over and the segment begins a new one. */
export const TCP_REOPENED: i32 = -1;

/** Sets up a flow of a SYN, or (midstream) of any segment: `p` with its TCP header at `l4`, `bytes` from there on. */
export function beginTcp(flow: Flow, p: Packet, l4: u32, bytes: u32, flags: u32): void {
  const at = p.data + l4;
  const sender = flow.end(ORIGINAL);
  const receiver = flow.end(REPLY);
  const header = tcpHeaderBytes(at);
  const last = tcpSeq(at) + (bytes - header) + lengthOf(flags);
  sender.end = last;
  sender.maxWindow = max<u32>(tcpWindow(at), 1);
  sender.seen = Seen.FIRST;
  if (flags & TcpFlag.SYN) {
    flow.state = TcpState.SYN_SENT;
    sender.maxEnd = last;
    sender.scale = windowScale(at, header, sender);
    return;
  }
  // Taken up in the middle: nothing is known of the other side but what it acknowledges.
  flow.state = TcpState.ESTABLISHED;
  sender.maxEnd = last + 65535;
  sender.scale = MAX_SCALE;
  sender.maxWindow <<= MAX_SCALE;
  receiver.end = tcpAck(at);
  receiver.maxEnd = receiver.end + sender.maxWindow;
  receiver.maxWindow = (<u32>65535) << MAX_SCALE;
  receiver.scale = MAX_SCALE;
  receiver.seen = Seen.FIRST;
}


@inline
function lengthOf(flags: u32): u32 {
  return (flags & TcpFlag.SYN ? 1 : 0) + (flags & TcpFlag.FIN ? 1 : 0);
}

// The window scale option of a SYN, whose header lies in the linear part. Marks the end as having one.
function windowScale(at: usize, header: u32, end: TcpEnd): u8 {
  for (let i = TCP_BYTES; i < header;) {
    const kind = load<u8>(at + i);
    if (kind == 0) break;
    if (kind == 1) {
      i++;
      continue;
    }
    if (i + 1 >= header) break;
    const length = <u32>load<u8>(at + i, 1);
    if (length < 2 || i + length > header) break;
    if (kind == 3 && length == 3) {
      end.seen |= Seen.SCALE;
      return min<u8>(load<u8>(at + i, 2), MAX_SCALE);
    }
    i += length;
  }
  return 0;
}

/**
 * Judges a segment of a known flow and brings the flow up to date.
 * @param loose passes what is outside the window (asymmetric routes)
 * @returns 0 (passed), a Reason to drop, or TCP_REOPENED
 */
export function trackTcp(flow: Flow, direction: u32, p: Packet, l4: u32, bytes: u32, flags: u32, loose: bool): i32 {
  const at = p.data + l4;
  const sender = flow.end(direction);
  const receiver = flow.end(direction ^ 1);
  const header = tcpHeaderBytes(at);
  const seq = tcpSeq(at);
  const last = seq + (bytes - header) + lengthOf(flags);
  const state = flow.state;

  if (flags & TcpFlag.SYN) {
    if ((flags & TcpFlag.ACK) == 0) {
      if (direction == ORIGINAL && state == TcpState.SYN_SENT) {
        // The same SYN once more, or another attempt with the same ports before anybody has answered.
        if (last != sender.end) beginTcp(flow, p, l4, bytes, flags);
        return 0;
      }
      // RFC 9293, 3.6.1: a connection may begin anew over one that has ended.
      if (state >= TcpState.TIME_WAIT || (state == TcpState.CLOSING && bothEnded(flow))) return TCP_REOPENED;
      // A simultaneous open (RFC 9293, 3.5): each side's SYN is its first segment.
      if (direction == REPLY && state == TcpState.SYN_SENT) {
        first(sender, receiver, at, header, last, 0, false);
        flow.state = TcpState.SYN_RECEIVED;
        return 0;
      }
      // In a live connection: the receiver answers it with a challenge (RFC 5961, 4.2). Nothing is learnt from it.
      return 0;
    }
    if (direction == REPLY && state == TcpState.SYN_SENT) {
      // Acknowledges what was not sent: an old one, which the client resets.
      if (tcpAck(at) != receiver.end) return loose ? 0 : Reason.TCP_WINDOW;
      first(sender, receiver, at, header, last, tcpAck(at), true);
      flow.state = TcpState.SYN_RECEIVED;
      return 0;
    }
  } else if (state == TcpState.SYN_SENT) {
    // Before the SYN-ACK only a RST can come back, and nothing but SYNs goes out.
    if (direction == ORIGINAL) return flags & TcpFlag.RST ? 0 : loose ? 0 : Reason.TCP_STATE;
    if ((flags & TcpFlag.RST) == 0) return loose ? 0 : Reason.TCP_STATE;
    if ((flags & TcpFlag.ACK) == 0 || tcpAck(at) != receiver.end) return Reason.TCP_WINDOW;
    flow.state = TcpState.CLOSED;
    return 0;
  }
  if (state == TcpState.CLOSED && (flags & TcpFlag.RST) == 0) return loose ? 0 : Reason.TCP_STATE;

  if ((sender.seen & Seen.FIRST) == 0) first(sender, receiver, at, header, last, tcpAck(at), false);

  // A RST without ACK says nothing of the other side; nor does an ACK field of 0 in one (some stacks).
  const ack = flags & TcpFlag.ACK && !(flags & TcpFlag.RST && tcpAck(at) == 0) ? tcpAck(at) : receiver.end;
  if (!loose) {
    const ackWindow = max(sender.maxWindow, LEAST_ACK_WINDOW);
    if (before(sender.maxEnd, seq)) return Reason.TCP_WINDOW; // I
    if (before(last, sender.end - receiver.maxWindow)) return Reason.TCP_WINDOW; // II
    if (before(receiver.end, ack)) return Reason.TCP_WINDOW; // III
    if (before(ack, receiver.end - ackWindow)) return Reason.TCP_WINDOW; // IV
  }

  if (flags & TcpFlag.RST) {
    if (seq == receiver.maxAck || seq == sender.end || loose) flow.state = TcpState.CLOSED;
    return 0;
  }

  const window = tcpWindow(at) << (flags & TcpFlag.SYN ? 0 : sender.scale);
  sender.maxWindow = max(sender.maxWindow, window);
  sender.end = largest(sender.end, last);
  if (flags & TcpFlag.ACK) {
    receiver.maxEnd = largest(receiver.maxEnd, ack + max<u32>(window, 1));
    sender.maxAck = largest(sender.maxAck, ack);
    if (flow.state == TcpState.SYN_RECEIVED && direction == ORIGINAL) flow.state = TcpState.ESTABLISHED;
  }
  if (flags & TcpFlag.FIN) {
    sender.seen |= Seen.FIN;
    if (flow.state < TcpState.CLOSING) flow.state = TcpState.CLOSING;
  }
  // Both have ended, and both ends are acknowledged: nothing is left to say.
  if (flow.state == TcpState.CLOSING && bothEnded(flow)) {
    const a = flow.end(ORIGINAL);
    const b = flow.end(REPLY);
    if (a.maxAck == b.end && b.maxAck == a.end) flow.state = TcpState.TIME_WAIT;
  }
  return 0;
}


@inline
function bothEnded(flow: Flow): bool {
  return (flow.end(ORIGINAL).seen & flow.end(REPLY).seen & Seen.FIN) != 0;
}

// The first segment of the replying end.
function first(sender: TcpEnd, receiver: TcpEnd, at: usize, header: u32, last: u32, ack: u32, synAck: bool): void {
  sender.end = last;
  sender.seen |= Seen.FIRST;
  sender.maxWindow = max<u32>(tcpWindow(at), 1);
  sender.maxEnd = last + receiver.maxWindow;
  sender.scale = windowScale(at, header, sender);
  sender.maxAck = ack;
  if ((sender.seen & receiver.seen & Seen.SCALE) == 0) {
    // One side without the option: neither scales.
    sender.scale = 0;
    receiver.scale = 0;
  }
  if (synAck) receiver.maxEnd = largest(receiver.maxEnd, ack + sender.maxWindow);
}
