// UDP for fibers (RFC 768; RFC 1122, 4.1).
//
// Invariants
// 1. A UdpSocket owns its endpoint until `close`; afterwards every call gives ENOTCONN. Forgetting to close one leaks the endpoint.
// 2. What a datagram says is copied out whole, or its end is cut off and `truncated` says so; the rest is never kept for the
//    next call.

import { Errno } from "../../runtime";
import { WaitQueue } from "../../fibers";
import { parseAddress } from "../ip/address";
import {
  datagramBytes,
  datagramCopy,
  datagramDstHi,
  datagramDstLo,
  datagramSrcHi,
  datagramSrcLo,
  datagramSrcPort,
  Udp,
  UdpEndpoint,
} from "../udp/index";
import { coreUdp, setSocketError } from "./core";
import { NO_DEADLINE } from "./stream";

function onEvents(socket: UdpEndpoint, events: u32): void {
  changetype<WaitQueue>(socket.context).wakeAll();
}

export class UdpSocket {
  private endpoint: UdpEndpoint | null;
  private readonly waiting: WaitQueue = WaitQueue.create();

  /** The sender of the last received datagram, and the address it was sent to. */
  senderHi: u64 = 0;
  senderLo: u64 = 0;
  senderPort: u32 = 0;
  targetHi: u64 = 0;
  targetLo: u64 = 0;
  /** Whether the last received datagram was longer than the room for it. */
  truncated: bool = false;

  private constructor(
    private readonly udp: Udp,
    endpoint: UdpEndpoint,
  ) {
    this.endpoint = endpoint;
    this.waiting.init();
    endpoint.setHandler(onEvents, changetype<usize>(this.waiting));
  }

  private static open(): UdpSocket | null {
    const udp = coreUdp();
    if (udp == null) return null;
    const endpoint = udp.open();
    if (endpoint == null) {
      setSocketError(Errno.ENOBUFS);
      return null;
    }
    return new UdpSocket(udp, endpoint);
  }

  /**
   * A socket that receives what is sent to a port.
   * @param port 0: one that is drawn
   * @param address an own address as text; "" for all
   * @returns the socket, or null with `socketError()`: EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS, ENETDOWN without a network
   */
  static bind(port: u32 = 0, address: string = ""): UdpSocket | null {
    let hi: u64 = 0;
    let lo: u64 = 0;
    if (address.length > 0) {
      const parsed = parseAddress(address);
      if (!parsed.ok || parsed.prefix >= 0) {
        setSocketError(Errno.EINVAL);
        return null;
      }
      hi = parsed.hi;
      lo = parsed.lo;
    }
    const socket = UdpSocket.open();
    if (socket == null) return null;
    return socket.orClosed(socket.udp.bind(socket.endpoint!, hi, lo, port));
  }

  /**
   * A socket with one peer: it receives from nobody else, and learns of ICMP errors about what it sends.
   * @param address "192.0.2.1" or "2001:db8::1"
   * @returns the socket, or null with `socketError()`: EINVAL, ENETUNREACH, EADDRINUSE, ENOBUFS, ENETDOWN
   */
  static connect(address: string, port: u32): UdpSocket | null {
    const parsed = parseAddress(address);
    if (!parsed.ok || parsed.prefix >= 0) {
      setSocketError(Errno.EINVAL);
      return null;
    }
    return UdpSocket.connectTo(parsed.hi, parsed.lo, port);
  }

  /** The same for an address as a pair. */
  static connectTo(hi: u64, lo: u64, port: u32): UdpSocket | null {
    const socket = UdpSocket.open();
    if (socket == null) return null;
    return socket.orClosed(socket.udp.connect(socket.endpoint!, hi, lo, port));
  }

  private orClosed(result: i32): UdpSocket | null {
    if (result >= 0) return this;
    this.close();
    setSocketError(result);
    return null;
  }

  /**
   * Sends a copy of `bytes` bytes to the peer of `connect`.
   * @returns `bytes`; EMSGSIZE, ENOBUFS, ENETUNREACH, ENOTCONN after `close`, or the error that an ICMP message reported
   */
  send(from: usize, bytes: u32): i32 {
    return this.sendTo(from, bytes, 0, 0, 0);
  }

  /** Sends a copy of `bytes` bytes to an address as a pair, and port; as `send`. */
  sendTo(from: usize, bytes: u32, hi: u64, lo: u64, port: u32): i32 {
    const endpoint = this.endpoint;
    if (endpoint == null) return Errno.ENOTCONN;
    const result = this.udp.sendBytes(endpoint, from, bytes, hi, lo, port);
    return result < 0 ? result : <i32>bytes;
  }

  /**
   * Takes the oldest datagram, waiting for one: its payload goes to `to`, where it came from into `sender...`.
   * @param bytes room at `to`
   * @returns bytes of the payload, at most `bytes`; ETIMEDOUT, ENOTCONN after `close`, or the error that an ICMP message reported
   */
  receive(to: usize, bytes: u32, deadline_ns: i64 = NO_DEADLINE): i32 {
    let result: i32 = 0;
    while (result >= 0) {
      const endpoint = this.endpoint;
      if (endpoint == null) return Errno.ENOTCONN;
      const p = this.udp.receive(endpoint);
      if (p != null) {
        const all = datagramBytes(p);
        const copied = datagramCopy(p, to, 0, bytes);
        this.truncated = copied < all;
        this.senderHi = datagramSrcHi(p);
        this.senderLo = datagramSrcLo(p);
        this.senderPort = datagramSrcPort(p);
        this.targetHi = datagramDstHi(p);
        this.targetLo = datagramDstLo(p);
        p.free();
        return <i32>copied;
      }
      const error = endpoint.takeError();
      if (error < 0) return error;
      result = this.waiting.wait(deadline_ns);
    }
    return result;
  }

  /** The own port, 0 after `close`. */
  get port(): u32 {
    const endpoint = this.endpoint;
    return endpoint != null ? endpoint.localPort : 0;
  }

  /** Gives the socket up; a fiber that waits gets ENOTCONN. */
  close(): void {
    const endpoint = this.endpoint;
    if (endpoint == null) return;
    this.endpoint = null;
    this.udp.close(endpoint);
    this.waiting.wakeAll(Errno.ENOTCONN);
    heap.free(changetype<usize>(this.waiting));
  }
}
