// What may sit in a packet's way through IP: a router, which takes packets to others, and a filter, which judges and
// changes them. A host has neither, and links neither.
//
//                          +--> input ----> transports, sockets ----> output --+
//   link --> preRoute --> route                                                +--> postRoute --> link
//                          +--> forward (router) -----------------------------+

import { Packet } from "../../runtime";
import { Interface } from "../link/interface";
import { Stack } from "../stack";

/** Takes packets that are for others: net/ip/forward.ts. */
export abstract class Router {
  /**
   * Sends a packet on when its way is known from a recent one: the short path of most packets.
   * @param p `data` at its checked IPv4 header
   * @returns whether it took the packet, which it then owns
   */
  abstract quick4(stack: Stack, iface: Interface, p: Packet): bool;
  /** Sends a packet on, or answers or drops it. Owns it. */
  abstract forward4(stack: Stack, iface: Interface, p: Packet): void;
  /** As `quick4`, for IPv6: with the packet's addresses, those of the link with the interface's number (wire/ipv6.ts). */
  abstract quick6(stack: Stack, iface: Interface, p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): bool;
  /** Tells hosts on an interface that we are their router (RFC 4861, 6.2), or does so no longer. */
  abstract advertise(iface: Interface, on: bool): void;
  /** As `forward4`, for IPv6. */
  abstract forward6(stack: Stack, iface: Interface, p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64): void;
}

/**
 * Judges packets and translates addresses: conntrack, NAT and policy of net/filter. Each method gets a packet with
 * `data` at its IP header, whole (fragments were joined before), and gives true to let it go on; with false it has
 * taken the packet: dropped, answered, or kept it. It may change addresses and ports, in the linear part, and keeps the
 * checksums right: with CHECKSUM_PENDING or CHECKSUM_PARTIAL the transport's field holds only the sum of the pseudo
 * header, so that only a change of address touches it; else it is updated for every change (RFC 1624).
 *
 * Both versions of IP come here; the first four bits of the packet tell which. An IPv6 packet's transport header lies behind its
 * extension headers: `skipHeaders` (ipv6-headers.ts) gives where, and of which type. Neighbour discovery and group reports
 * pass `preRoute` and `input` too; what we send of them goes past the filter.
 */
export abstract class PacketFilter {
  /** Whether `preRoute` finds out which core a packet belongs to, and hands it there (net/steering.ts). */
  steers: bool = false;
  /** Everything from the link, before it is known whether it is for us: conntrack, destination NAT. */
  abstract preRoute(stack: Stack, from: Interface, p: Packet): bool;
  /** A packet to ourselves. */
  abstract input(stack: Stack, from: Interface, p: Packet): bool;
  /** A packet from one interface to another, with its TTL not yet lowered. */
  abstract forward(stack: Stack, from: Interface, to: Interface, p: Packet): bool;
  /** A packet of our own, not yet cut into fragments or segments. */
  abstract output(stack: Stack, to: Interface, p: Packet): bool;
  /** Each packet that leaves, forwarded or our own: source NAT. */
  abstract postRoute(stack: Stack, to: Interface, p: Packet): bool;
}

/** How an interface checks that a packet's source is where it came from (RFC 3704); `Interface.reversePath`. */
export const enum ReversePath {
  OFF = 0,
  /** The route back to the source leaves through the same interface (RFC 3704, 2.2). */
  STRICT = 1,
  /** There is some route back to it (RFC 3704, 2.4). */
  LOOSE = 2,
}
