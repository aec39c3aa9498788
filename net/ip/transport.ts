// What IP asks of the protocol above it. A transport registers with `ip.register(protocol, transport)`; an image that
// registers no TCP
// links none.

import { Packet } from "../../runtime";

/** What an ICMP error says, the same for both versions of IP. */
export const enum IcmpError {
  /** Soft: the network or host is not reachable now (RFC 1122, 4.2.3.9: TCP must not abort). */
  NET_UNREACHABLE = 1,
  HOST_UNREACHABLE = 2,
  /** Hard: nobody listens there. */
  PROTOCOL_UNREACHABLE = 3,
  PORT_UNREACHABLE = 4,
  /** The packet was larger than the path's MTU, which is the `mtu` of the error. */
  TOO_BIG = 5,
  /** A filter refuses. */
  PROHIBITED = 6,
  TIME_EXCEEDED = 7,
  PARAMETER_PROBLEM = 8,
}

export abstract class Transport {
  /**
   * Takes a packet to one of our addresses: `data` at the IP header, `l4` the offset of the transport header, trimmed
   * to the IP length;
   * `iface` is where it came in. At least 8 bytes of transport header are in the linear part when the packet is that
   * long; the transport pulls
   * what it needs. The checksum is not verified, unless CHECKSUM_OK. The transport owns the packet.
   * @param tos the IPv4 TOS or IPv6 traffic class byte: ECN in the lower 2 bits
   */
  abstract input(p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, tos: u32): void;

  /**
   * An error about a packet that we sent, or that could not leave. Everything in it may be forged: the transport
   * checks that it fits a
   * connection (RFC 5927) before it acts.
   * @param error what happened
   * @param mtu for TOO_BIG: the next hop's MTU as far as plausible, else 0. The transport calls `ip.learnMtu` once it
   * believes it
   * @param srcHi, srcLo the packet's source: an own address; dstHi, dstLo: its destination
   * @param header first bytes of its transport header, at least 8
   * @param header_bytes how many of them may be read
   */
  abstract icmpError(
    error: IcmpError,
    mtu: u32,
    srcHi: u64,
    srcLo: u64,
    dstHi: u64,
    dstLo: u64,
    header: usize,
    header_bytes: u32,
  ): void;

  /**
   * Called once a turn, after packets and timers and before the devices send: what is worth deciding once for all
   * packets of a turn.
   */
  turn(): void {}
}
