// UDP (RFC 768; RFC 1122, 4.1): sockets, demultiplexing, checksums, ICMP errors.
//
// Invariants
// 1. The number of sockets is fixed (`Limits.udpSockets`); what they hold unread is limited for each and for all.
// 2. A bound socket is in exactly one chain: `bound` by local port, or `connected` by both ports and the remote
//    address. A packet goes to the connected
//    socket that fits, else to the one bound to its destination address, else to the one bound to any.
// 3. Ports are drawn at random (RFC 6056, algorithm 1).

import {
  allocPacket,
  BUFFER_BYTES,
  BUFFER_DATA_BYTES,
  Errno,
  HEADROOM_BYTES,
  Packet,
  PacketFlag,
  packetsTotal,
} from "../../runtime";
import { isMulticast, isUnspecified, isV4 } from "../ip/address";
import { sendIcmpError } from "../ip/icmp";
import { sendIcmp6Error } from "../ip/icmpv6";
import { IcmpError, Transport } from "../ip/transport";
import { Route } from "../ip/route";
import { Stack } from "../stack";
import { sumPacket, sumPseudo } from "../wire/checksum";
import { IcmpType, IcmpUnreachable } from "../wire/icmp";
import { Icmp6Type, Icmp6Unreachable } from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import { emitUdp, UDP_BYTES, UDP_CHECKSUM, udpChecksum, udpDst, udpLength, udpSrc } from "../wire/udp";
import { costOf, DEFAULT_RECEIVE_BYTES, SOCKET_BYTES, UdpEvent, UdpFlag, UdpEndpoint } from "./endpoint";

const FIRST_EPHEMERAL: u32 = 32768;
const EPHEMERAL_PORTS: u32 = 65536 - FIRST_EPHEMERAL;
/** Payload that fits the length field with an IPv4 header. */
const MAX_PAYLOAD: u32 = 65535 - 20 - UDP_BYTES;

export class Udp extends Transport {
  private readonly buckets: usize;
  private readonly mask: u32;
  private freeList: UdpEndpoint | null = null;
  private connected: u32 = 0;
  private readonly totalLimit: u32;
  /** Open sockets; bytes of buffers that they hold unread. */
  count: u32 = 0;
  queued: u32 = 0;

  /** Registers itself with the stack. */
  constructor(private readonly stack: Stack) {
    super();
    const n = max<u32>(stack.limits.udpSockets, 4);
    const at = heap.alloc(<usize>n * SOCKET_BYTES);
    memory.fill(at, 0, <usize>n * SOCKET_BYTES);
    for (let i: u32 = n; i > 0; i--) {
      const s = changetype<UdpEndpoint>(at + <usize>(i - 1) * SOCKET_BYTES);
      s.chain = this.freeList;
      this.freeList = s;
    }
    const buckets = (<u32>1) << (32 - clz<u32>(n - 1));
    this.mask = buckets - 1;
    // Two tables in one piece: bound sockets, then connected ones.
    this.buckets = heap.alloc(<usize>buckets * 2 * sizeof<usize>());
    memory.fill(this.buckets, 0, <usize>buckets * 2 * sizeof<usize>());
    this.totalLimit = max<u32>(packetsTotal / 4, 16) * <u32>BUFFER_BYTES;
    stack.ip.register(Protocol.UDP, this);
  }

  // ---- sockets

  /** A socket, not bound yet; null when there are no more. */
  open(): UdpEndpoint | null {
    const s = this.freeList;
    if (s == null) return null;
    this.freeList = s.chain;
    memory.fill(changetype<usize>(s), 0, SOCKET_BYTES);
    s.stack = this.stack.id;
    s.flags = UdpFlag.OPEN;
    s.receiveLimit = DEFAULT_RECEIVE_BYTES;
    this.count++;
    return s;
  }

  /** Closes a socket and drops what it holds. */
  close(s: UdpEndpoint): void {
    assert((s.flags & UdpFlag.OPEN) != 0);
    if (s.flags & UdpFlag.BOUND) this.unlink(s);
    for (let p = this.receive(s); p != null; p = this.receive(s)) p.free();
    s.flags = 0;
    s.chain = this.freeList;
    this.freeList = s;
    this.count--;
  }

  /** Takes the oldest received packet of a socket, or null. The caller frees it. */
  receive(s: UdpEndpoint): Packet | null {
    const p = s.receive();
    if (p != null) this.queued -= costOf(p);
    return p;
  }

  /**
   * Binds a socket.
   * @param hi, lo an own address, or 0 for any
   * @param port 1 to 65535, or 0 for one drawn at random
   * @returns 0; EINVAL (bound already), EADDRNOTAVAIL, EADDRINUSE
   */
  bind(s: UdpEndpoint, hi: u64, lo: u64, port: u32): i32 {
    if ((s.flags & UdpFlag.BOUND) != 0 || port > 65535) return Errno.EINVAL;
    if (isUnspecified(hi, lo)) {
      hi = 0;
      lo = 0;
    } else if (!this.stack.ip.isLocal(hi, lo)) {
      return Errno.EADDRNOTAVAIL;
    }
    if (port == 0) {
      port = this.drawPort(hi, lo);
      if (port == 0) return Errno.EADDRINUSE;
    } else if (this.inUse(hi, lo, port)) {
      return Errno.EADDRINUSE;
    } else {
      this.stack.listening = true;
    }
    s.localHi = hi;
    s.localLo = lo;
    s.localPort = port;
    this.link(s);
    return 0;
  }

  /**
   * Connects a socket: it receives only from there and learns of ICMP errors. Binds it where it is not.
   * @returns 0; EINVAL, ENETUNREACH, EADDRINUSE
   */
  connect(s: UdpEndpoint, hi: u64, lo: u64, port: u32): i32 {
    if (port == 0 || port > 65535 || isUnspecified(hi, lo) || isMulticast(hi, lo)) return Errno.EINVAL;
    const route = s.route;
    route.generation = 0;
    const error = this.stack.ip.resolve(route, hi, lo);
    if (error < 0) return error;
    if ((s.flags & UdpFlag.BOUND) == 0) {
      const bound = this.bind(s, 0, 0, 0);
      if (bound < 0) return bound;
    }
    this.unlink(s);
    if ((s.localHi | s.localLo) == 0) {
      s.localHi = route.srcHi;
      s.localLo = route.srcLo;
    }
    s.remoteHi = hi;
    s.remoteLo = lo;
    s.remotePort = port;
    s.flags |= UdpFlag.CONNECTED;
    this.link(s);
    return 0;
  }

  // Ports are tried from a random one on, each at most once.
  private drawPort(hi: u64, lo: u64): u32 {
    const first = this.stack.randomBelow(EPHEMERAL_PORTS);
    for (let i: u32 = 0; i < EPHEMERAL_PORTS; i++) {
      const port = this.stack.portOf(FIRST_EPHEMERAL, EPHEMERAL_PORTS, first + i);
      if (!this.inUse(hi, lo, port)) return port;
    }
    return 0;
  }

  // Is a port taken by a socket bound to the same address, or by one of the two to any?
  private inUse(hi: u64, lo: u64, port: u32): bool {
    let s = changetype<UdpEndpoint | null>(load<usize>(this.boundBucket(port)));
    while (s != null) {
      if (
        s.localPort == port &&
        ((s.localHi | s.localLo) == 0 || (hi | lo) == 0 || (s.localLo == lo && s.localHi == hi))
      )
        return true;
      s = s.chain;
    }
    return false;
  }


  @inline private boundBucket(port: u32): usize {
    return this.buckets + <usize>(port & this.mask) * sizeof<usize>();
  }
  private connectedBucket(localPort: u32, remoteHi: u64, remoteLo: u64, remotePort: u32): usize {
    const hash = this.stack.hash(remoteHi, remoteLo, ((<u64>localPort) << 16) | (<u64>remotePort));
    return this.buckets + <usize>((hash & this.mask) + this.mask + 1) * sizeof<usize>();
  }
  private bucketOf(s: UdpEndpoint): usize {
    return s.flags & UdpFlag.CONNECTED
      ? this.connectedBucket(s.localPort, s.remoteHi, s.remoteLo, s.remotePort)
      : this.boundBucket(s.localPort);
  }
  private link(s: UdpEndpoint): void {
    const at = this.bucketOf(s);
    s.chain = changetype<UdpEndpoint | null>(load<usize>(at));
    store<usize>(at, changetype<usize>(s));
    s.flags |= UdpFlag.BOUND;
    if (s.flags & UdpFlag.CONNECTED) this.connected++;
  }
  private unlink(s: UdpEndpoint): void {
    let at = this.bucketOf(s);
    for (
      let other = changetype<UdpEndpoint>(load<usize>(at));
      other != s;
      other = changetype<UdpEndpoint>(load<usize>(at))
    ) {
      at = changetype<usize>(other) + offsetof<UdpEndpoint>("chain");
    }
    store<usize>(at, changetype<usize>(s.chain));
    if (s.flags & UdpFlag.CONNECTED) this.connected--;
    s.flags &= ~(UdpFlag.BOUND | UdpFlag.CONNECTED);
  }

  private find(
    localHi: u64,
    localLo: u64,
    localPort: u32,
    remoteHi: u64,
    remoteLo: u64,
    remotePort: u32,
  ): UdpEndpoint | null {
    if (this.connected > 0) {
      let c = changetype<UdpEndpoint | null>(
        load<usize>(this.connectedBucket(localPort, remoteHi, remoteLo, remotePort)),
      );
      while (c != null) {
        if (
          c.localPort == localPort &&
          c.remotePort == remotePort &&
          c.remoteLo == remoteLo &&
          c.remoteHi == remoteHi &&
          c.localLo == localLo &&
          c.localHi == localHi
        ) {
          return c;
        }
        c = c.chain;
      }
    }
    let any: UdpEndpoint | null = null;
    let s = changetype<UdpEndpoint | null>(load<usize>(this.boundBucket(localPort)));
    while (s != null) {
      if (s.localPort == localPort) {
        if (s.localLo == localLo && s.localHi == localHi) return s;
        if ((s.localHi | s.localLo) == 0) any = s;
      }
      s = s.chain;
    }
    return any;
  }

  // ---- out

  /**
   * Sends a packet: `data` at the payload, with room for headers before it. Owns the packet, whatever comes of it.
   * @param hi, lo, port the destination; of a connected socket 0, 0, 0 stand for its peer
   * @returns 0; EINVAL, EMSGSIZE, ENETUNREACH, EADDRINUSE, ENOBUFS, or the pending error of a connected socket
   */
  send(s: UdpEndpoint, p: Packet, hi: u64, lo: u64, port: u32): i32 {
    if (s.error != 0) {
      p.free();
      return s.takeError();
    }
    if (port == 0 && (hi | lo) == 0 && (s.flags & UdpFlag.CONNECTED) != 0) {
      hi = s.remoteHi;
      lo = s.remoteLo;
      port = s.remotePort;
    }
    let error = 0;
    if (port == 0 || port > 65535 || isUnspecified(hi, lo)) error = Errno.EINVAL;
    else if (p.totalLen > MAX_PAYLOAD) error = Errno.EMSGSIZE;
    else if ((s.flags & UdpFlag.BOUND) == 0) error = this.bind(s, 0, 0, 0);
    const route = s.route;
    if (error == 0) {
      // The Route is of the last destination: `hop` tells for destinations on the link, so it is only trusted for the
      // connected peer.
      if ((s.flags & UdpFlag.CONNECTED) == 0 || lo != s.remoteLo || hi != s.remoteHi || port != s.remotePort)
        route.generation = 0;
      error = this.stack.ip.resolve(route, hi, lo);
    }
    if (error < 0) {
      this.stack.counters.udpOutErrors++;
      p.free();
      return error;
    }
    const bound = (s.localHi | s.localLo) != 0;
    return this.sendFrom(
      p,
      route,
      bound ? s.localHi : route.srcHi,
      bound ? s.localLo : route.srcLo,
      s.localPort,
      hi,
      lo,
      port,
      s.tos,
    );
  }

  /** Sends a copy of `bytes` bytes at `data`; as `send`. */
  sendBytes(s: UdpEndpoint, data: usize, bytes: u32, hi: u64, lo: u64, port: u32): i32 {
    if (bytes > MAX_PAYLOAD) return Errno.EMSGSIZE;
    const p = packetWith(data, bytes);
    if (p == null) {
      this.stack.counters.noBuffers++;
      return Errno.ENOBUFS;
    }
    return this.send(s, p, hi, lo, port);
  }

  private sendFrom(
    p: Packet,
    route: Route,
    srcHi: u64,
    srcLo: u64,
    srcPort: u32,
    dstHi: u64,
    dstLo: u64,
    dstPort: u32,
    tos: u32,
  ): i32 {
    emitDatagram(p, srcHi, srcLo, srcPort, dstHi, dstLo, dstPort);
    this.stack.counters.udpOutDatagrams++;
    return this.stack.ip.output(p, route, srcHi, srcLo, dstHi, dstLo, Protocol.UDP, tos);
  }

  // ---- in

  input(p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, tos: u32): void {
    const counters = this.stack.counters;
    const check = checkDatagram(p, srcHi, srcLo, dstHi, dstLo);
    if (check != UdpCheck.OK) {
      if (check == UdpCheck.CHECKSUM) counters.udpInCsumErrors++;
      counters.udpInErrors++;
      p.free();
      return;
    }
    const header = p.data + p.l4;
    const s = this.find(dstHi, dstLo, udpDst(header), srcHi, srcLo, udpSrc(header));
    if (s == null) {
      counters.udpNoPorts++;
      if (isV4(dstHi, dstLo)) sendIcmpError(this.stack, p, IcmpType.UNREACHABLE, IcmpUnreachable.PORT, 0);
      else sendIcmp6Error(this.stack, p, Icmp6Type.UNREACHABLE, Icmp6Unreachable.PORT, 0);
      p.free();
      return;
    }
    const cost = costOf(p);
    if (s.queueBytes + cost > s.receiveLimit || this.queued + cost > this.totalLimit) {
      counters.udpRcvbufErrors++;
      p.free();
      return;
    }
    counters.udpInDatagrams++;
    p.next = null;
    const tail = s.queueTail;
    if (tail != null) tail.next = p;
    else s.queueHead = p;
    s.queueTail = p;
    s.queueBytes += cost;
    this.queued += cost;
    if (s.handler != 0) call_indirect<void>(s.handler, s, <u32>UdpEvent.READABLE);
  }

  icmpError(
    error: IcmpError,
    mtu: u32,
    srcHi: u64,
    srcLo: u64,
    dstHi: u64,
    dstLo: u64,
    header: usize,
    header_bytes: u32,
  ): void {
    // What it quotes must be a packet of an existing socket: addresses and both ports fit.
    const s = this.find(srcHi, srcLo, udpSrc(header), dstHi, dstLo, udpDst(header));
    if (s == null) return;
    if (error == IcmpError.TOO_BIG) {
      // Later packets are cut to fit. Only a connected socket is believed: another one's port alone is easily guessed.
      if (s.flags & UdpFlag.CONNECTED) this.stack.ip.learnMtu(dstHi, dstLo, mtu);
      return;
    }
    // An unconnected socket would not know to which of its packets an error belongs (RFC 1122, 4.1.3.3 leaves it to
    // the interface).
    if ((s.flags & UdpFlag.CONNECTED) == 0) return;
    switch (error) {
      case IcmpError.PORT_UNREACHABLE:
      case IcmpError.PROTOCOL_UNREACHABLE:
        s.error = Errno.ECONNREFUSED;
        break;
      case IcmpError.NET_UNREACHABLE:
        s.error = Errno.ENETUNREACH;
        break;
      case IcmpError.HOST_UNREACHABLE:
      case IcmpError.PROHIBITED:
        s.error = Errno.EHOSTUNREACH;
        break;
      default:
        return;
    }
    if (s.handler != 0) call_indirect<void>(s.handler, s, <u32>UdpEvent.ERROR);
  }
}

export const enum UdpCheck {
  OK = 0,
  MALFORMED = 1,
  CHECKSUM = 2,
}

/** Checks a received UDP packet (`data` at the IP header, `l4` set) and trims it to its UDP length. */
export function checkDatagram(p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): UdpCheck {
  const l4: u32 = p.l4;
  if (p.totalLen < l4 + UDP_BYTES || !p.pull(l4 + UDP_BYTES)) return UdpCheck.MALFORMED;
  const header = p.data + l4;
  const bytes = udpLength(header);
  const there = p.totalLen - l4;
  if (bytes < UDP_BYTES || bytes > there) return UdpCheck.MALFORMED;
  if (bytes < there) p.trim(there - bytes);
  if (p.flags & PacketFlag.CHECKSUM_OK) return UdpCheck.OK;
  if (udpChecksum(header) == 0) {
    // IPv4: the sender computed none. IPv6 forbids that (RFC 8200, 8.1).
    return isV4(dstHi, dstLo) ? UdpCheck.OK : UdpCheck.CHECKSUM;
  }
  const sum = sumPacket(p, l4, bytes) + sumPseudo(srcHi, srcLo, dstHi, dstLo, Protocol.UDP, bytes);
  return (sum & 0xffff) + (sum >> 16) == 0xffff ? UdpCheck.OK : UdpCheck.CHECKSUM;
}

/** Puts the UDP header before a packet's payload, with the pseudo header's sum for whoever completes the checksum. */
export function emitDatagram(
  p: Packet,
  srcHi: u64,
  srcLo: u64,
  srcPort: u32,
  dstHi: u64,
  dstLo: u64,
  dstPort: u32,
): void {
  const bytes = p.totalLen + UDP_BYTES;
  const header = p.push(UDP_BYTES);
  emitUdp(header, srcPort, dstPort, bytes);
  store<u16>(header, <u16>sumPseudo(srcHi, srcLo, dstHi, dstLo, Protocol.UDP, bytes), UDP_CHECKSUM);
  p.csumStart = 0;
  p.csumOffset = <u16>UDP_CHECKSUM;
  p.flags = PacketFlag.CHECKSUM_PARTIAL;
}

/** A packet with a copy of `bytes` bytes, in as many buffers as they need; null when there are not so many. */
export function packetWith(data: usize, bytes: u32): Packet | null {
  const p = allocPacket();
  if (p == null) return null;
  const room = <u32>(BUFFER_DATA_BYTES - HEADROOM_BYTES);
  let take = min(bytes, room);
  memory.copy(p.append(take), data, take);
  for (let done = take; done < bytes; done += take) {
    const more = allocPacket();
    if (more == null) {
      p.free();
      return null;
    }
    // No headers go before a slice: it uses the whole buffer.
    more.data = more.head;
    take = min(bytes - done, <u32>BUFFER_DATA_BYTES);
    memory.copy(more.append(take), data + done, take);
    const added = p.addSlice(more.data, take, more);
    more.free();
    if (!added) {
      p.free();
      return null;
    }
  }
  return p;
}
