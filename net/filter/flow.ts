// A flow that the filter knows: both directions' keys, how long it stays, its translation, TCP's window.
//
//   Flow:  [ Half: key of packets in the original direction | Half: key of the replies ]  state, times, TCP ...
//
// Without translation the second half is the first one turned. With it, it is what replies look like before they are
// translated back: their destination is the external address and port (source NAT), their source the real server
// (destination NAT).

import { Key, TAG_ANSWER } from "./key";
import { Protocol } from "../wire/ipv4";

/** Directions. */
export const ORIGINAL: u32 = 0;
export const REPLY: u32 = 1;


@unmanaged
export class Half {
  /** Next in the bucket. */
  next: Half | null;
  hash: u32;
  srcHi: u64;
  srcLo: u64;
  dstHi: u64;
  dstLo: u64;
  srcPort: u16;
  dstPort: u16;
  tag: u16;
  /** ORIGINAL or REPLY: tells where the flow begins. */
  direction: u16;


  @inline get flow(): Flow {
    return changetype<Flow>(changetype<usize>(this) - <usize>this.direction * offsetof<Half>());
  }
}

/** What a TCP end has sent and may send (tcp-window.ts). */
@unmanaged
export class TcpEnd {
  /** Highest sequence number sent, plus one. */
  end: u32;
  /** Highest that the peer has allowed. */
  maxEnd: u32;
  /** Largest window that it has offered, bytes. */
  maxWindow: u32;
  /** Highest acknowledgement that it has sent. */
  maxAck: u32;
  scale: u8;
  reserved: u8;
  reserved2: u16;
  /** Bits of Seen. */
  seen: u32;
}

export const enum TcpState {
  SYN_SENT = 0,
  SYN_RECEIVED = 1,
  ESTABLISHED = 2,
  /** One side has ended. */
  CLOSING = 3,
  TIME_WAIT = 4,
  /** Reset. */
  CLOSED = 5,
}

/** Bits of `Flow.status`. */
export const enum Status {
  /** A reply was seen. */
  REPLIED = 1,
  /** The source is translated; the destination is. */
  SOURCE_NAT = 2,
  DESTINATION_NAT = 4,
  /** Taken up in the middle, or without window checks. */
  LOOSE = 8,
  /** To or from the machine itself. */
  LOCAL = 16,
  /** Let through by a port forward, not by a rule. */
  FORWARDED_PORT = 32,
  /** Its external address is one that an interface has for now. */
  MASQUERADED = 64,
}


@unmanaged
export class Flow {
  // Two halves come first: see `half`.
  h0: u64;
  h1: u64;
  h2: u64;
  h3: u64;
  h4: u64;
  h5: u64;
  h6: u64;
  h7: u64;
  h8: u64;
  h9: u64;
  h10: u64;
  h11: u64;
  expires_ns: i64;
  /** Ring of the wheel's slot. */
  wheelNext: Flow | null;
  wheelPrev: Flow | null;
  /** Queue of flows without a reply, oldest first. */
  youngNext: Flow | null;
  youngPrev: Flow | null;
  source: usize;
  /** The mapping of its source address, or 0 (nat.ts). */
  mapping: usize;
  /** Number of the rule that let it in, or NO_RULE, and the policy's generation. */
  rule: u32;
  policy: u32;
  /** Interfaces of the original direction. */
  from: u16;
  to: u16;
  /** A TcpState. */
  state: i32;
  status: u32;
  /** Whether it stands in the queue of those without a reply. */
  young: bool;
  live: bool;
  /** Slot of the wheel. */
  wheelSlot: u16;
  packets0: u32;
  packets1: u32;
  bytes0: u64;
  bytes1: u64;


  @inline half(direction: u32): Half {
    return changetype<Half>(changetype<usize>(this) + <usize>direction * offsetof<Half>());
  }


  @inline end(direction: u32): TcpEnd {
    return changetype<TcpEnd>(changetype<usize>(this) + TCP_AT + <usize>direction * offsetof<TcpEnd>());
  }


  @inline has(status: Status): bool {
    return (this.status & (<u8>status)) != 0;
  }
}

const TCP_AT: usize = (offsetof<Flow>() + 7) & ~7;
export const FLOW_BYTES: usize = (TCP_AT + 2 * offsetof<TcpEnd>() + 7) & ~7;

/** Writes a packet's key into a half. */
export function setHalf(half: Half, key: Key): void {
  half.srcHi = key.srcHi;
  half.srcLo = key.srcLo;
  half.dstHi = key.dstHi;
  half.dstLo = key.dstLo;
  half.srcPort = <u16>key.srcPort;
  half.dstPort = <u16>key.dstPort;
  half.tag = <u16>key.tag;
}

/** Makes `half` what answers to `other` look like. */
export function turnHalf(half: Half, other: Half): void {
  half.srcHi = other.dstHi;
  half.srcLo = other.dstLo;
  half.dstHi = other.srcHi;
  half.dstLo = other.srcLo;
  half.srcPort = other.dstPort;
  half.dstPort = other.srcPort;
  half.tag = turnTag(other.tag);
}


@inline
export function turnTag(tag: u32): u16 {
  const protocol = tag & 0xff;
  return <u16>(protocol == Protocol.ICMP || protocol == Protocol.ICMPV6 ? tag ^ TAG_ANSWER : tag);
}
