// A UDP endpoint, what a socket stands on: what it is bound and connected to, and a bounded queue of received packets. No allocation, no fibers:
// events go to a handler.

import { BUFFER_BYTES, Packet } from "../../runtime";
import { ROUTE_BYTES, Route } from "../ip/route";
import { v4 } from "../ip/address";
import { ipv4Dst, ipv4Src } from "../wire/ipv4";
import { IPV6_DST, IPV6_SRC, loadHi, loadLo, zoned } from "../wire/ipv6";
import { UDP_BYTES, udpDst, udpSrc } from "../wire/udp";

/** Bits of the events; the same as TCP's where both have them. */
export const enum UdpEvent {
  READABLE = 1,
  /** An error is to be taken by `takeError`. */
  ERROR = 16,
}

/** Called with the socket and bits of `UdpEvent`. It may call anything of Udp, also close the socket. */
export type UdpHandler = (socket: UdpEndpoint, events: u32) => void;

/** Bytes of packet buffers that a socket may hold unread, unless set otherwise. */
export const DEFAULT_RECEIVE_BYTES: u32 = 128 * 1024;

/** Bits of `UdpEndpoint.flags`. */
export const enum UdpFlag {
  OPEN = 1,
  BOUND = 2,
  CONNECTED = 4,
}


@unmanaged
export class UdpEndpoint {
  /** Next in the hash chain or the free list. */
  chain: UdpEndpoint | null;
  stack: u32;
  flags: u32;
  /** 0 for any address. */
  localHi: u64;
  localLo: u64;
  remoteHi: u64;
  remoteLo: u64;
  localPort: u32;
  remotePort: u32;
  queueHead: Packet | null;
  queueTail: Packet | null;
  /** Bytes of buffers in the queue, and how many there may be. */
  queueBytes: u32;
  receiveLimit: u32;
  /** Index of the handler in the function table, 0 for none; and for whoever owns the socket. */
  handler: u32;
  context: usize;
  /** The error that an ICMP message or a send left; negative. */
  error: i32;
  /** TOS byte of what is sent. */
  tos: u32;

  /** The Route of the last destination. */
  @inline get route(): Route {
    return changetype<Route>(changetype<usize>(this) + offsetof<UdpEndpoint>());
  }


  @inline setHandler(handler: UdpHandler, context: usize): void {
    this.handler = handler.index;
    this.context = context;
  }

  /** The pending error, which is forgotten; 0 when there is none. */
  takeError(): i32 {
    const error = this.error;
    this.error = 0;
    return error;
  }

  /** Takes the oldest received packet, or null. The caller frees it; what it says is in `Datagram`'s functions. */
  receive(): Packet | null {
    const p = this.queueHead;
    if (p == null) return null;
    this.queueHead = p.next;
    if (p.next == null) this.queueTail = null;
    p.next = null;
    this.queueBytes -= costOf(p);
    return p;
  }
}

export const SOCKET_BYTES: usize = (offsetof<UdpEndpoint>() + ROUTE_BYTES + 7) & ~7;

/** Bytes of buffers that a packet holds: what limits are counted in, as a peer chooses how little a packet carries. */
@inline
export function costOf(p: Packet): u32 {
  return (1 + p.sliceCount) * <u32>BUFFER_BYTES;
}

// ---- a received datagram: `data` at the IP header, `l4` the offset of the UDP header (as `Transport.input` had it)

@inline
function isSix(p: Packet): bool {
  return load<u8>(p.data) >> 4 == 6;
}

/** The sender's address; an address of the link with the number of the interface it came in on (wire/ipv6.ts). */
export function datagramSrcHi(p: Packet): u64 {
  return isSix(p) ? zoned(loadHi(p.data + IPV6_SRC), p.iface) : 0;
}

export function datagramSrcLo(p: Packet): u64 {
  return isSix(p) ? loadLo(p.data + IPV6_SRC) : v4(ipv4Src(p.data));
}

export function datagramDstHi(p: Packet): u64 {
  return isSix(p) ? zoned(loadHi(p.data + IPV6_DST), p.iface) : 0;
}

export function datagramDstLo(p: Packet): u64 {
  return isSix(p) ? loadLo(p.data + IPV6_DST) : v4(ipv4Dst(p.data));
}


@inline
export function datagramSrcPort(p: Packet): u32 {
  return udpSrc(p.data + p.l4);
}


@inline
export function datagramDstPort(p: Packet): u32 {
  return udpDst(p.data + p.l4);
}


@inline
export function datagramBytes(p: Packet): u32 {
  return p.totalLen - p.l4 - UDP_BYTES;
}
/** Copies payload from `offset` to `target`, at most `bytes`; gives how many. */
export function datagramCopy(p: Packet, target: usize, offset: u32, bytes: u32): u32 {
  const all = datagramBytes(p);
  if (offset >= all) return 0;
  const take = min(bytes, all - offset);
  p.copyTo(target, p.l4 + UDP_BYTES + offset, take);
  return take;
}
