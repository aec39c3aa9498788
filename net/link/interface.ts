// An interface: a card, or a VLAN on a card (802.1Q), with its addresses. Adding an address installs its routes and
// announces it
// (RFC 5227, 2.3), removing it takes both back.

import { Errno, Packet, PacketFlag } from "../../runtime";
import { NetDevice, Offload } from "../device";
import { formatAddress, isLinkLocal, isV4, samePrefix, v4, v4Mask } from "../ip/address";
import { Ipv6Interface } from "../ip/ipv6-interface";
import { RouteKind } from "../ip/route";
import { NoticeKind } from "../notice";
import { Stack, stackAt } from "../stack";
import { zoned } from "../wire/ipv6";
import { Announcer } from "./announce";

/** Takes UDP packets to port 68 of an interface whose address is still being looked for: the DHCP client. */
export abstract class DhcpPort {
  /** `data` at the IP header, `l4` the offset of the UDP header, nothing of it checked. Owns the packet. */
  abstract input(p: Packet): void;
  /**
   * Each ARP packet of another station, before anything else is done with it: what probing waits for (RFC 5227, 2.1.1).
   */
  abstract arpSeen(op: u32, senderMac: u64, sender: u32, target: u32): void;
  /** The leased address `address` (host order) is claimed by another station again and again. */
  abstract conflict(address: u32, mac: u64): void;
}

/** An address of an interface. */
export class InterfaceAddress {
  constructor(
    readonly hi: u64,
    readonly lo: u64,
    /** Prefix length as pair bits: an IPv4 /24 is 120. */
    readonly bits: u32,
    /** Given by DHCP: given up at a second conflict, where a static one is defended for ever (RFC 5227, 2.4). */
    readonly leased: bool,
  ) {}
  announcer: Announcer | null = null;
}

/** Addresses that an interface can have. */
const MAX_ADDRESSES: i32 = 64;

export class Interface {
  readonly stackId: u32;
  readonly mac: u64;
  /** Largest IP packet, bytes. */
  mtu: u32;
  /** Transmit flags of a packet (PacketFlag) that the device handles itself. */
  readonly deviceFlags: u32;
  readonly addresses: Array<InterfaceAddress> = [];
  /** VLANs on this card. */
  readonly vlans: Array<Interface> = [];
  /** Accept frames to any hardware address (bridges). */
  promiscuous: bool = false;
  /** What is asked of the sources of packets that come in: a value of `ReversePath`. */
  reversePath: u32 = 0;
  /** Tell hosts on the link of a shorter way than through us (RFC 1812, 5.2.7.2). */
  redirects: bool = false;
  dhcp: DhcpPort | null = null;
  /** Name servers that DHCP told of, and router advertisements: high and low half of their addresses by turns. */
  nameServers: Array<u64> = [];
  nameServers6: Array<u64> = [];
  /** Time servers that DHCP told of, likewise. */
  timeServers: Array<u64> = [];
  /** IPv6 of the interface, from its first address on; null: it takes no IPv6 packet. */
  v6: Ipv6Interface | null = null;
  /** `lo` of the first IPv4 address, 0 without one: what most packets are addressed to. */
  firstV4: u64 = 0;

  constructor(
    stack: Stack,
    readonly index: u32,
    readonly name: string,
    readonly device: NetDevice,
    /** The card's interface when this is a VLAN, with its id; else null and 0. */
    readonly parent: Interface | null,
    readonly vlan: u32,
  ) {
    this.stackId = stack.id;
    this.mac = device.mac;
    this.mtu = min<u32>(max<u32>(device.mtu, 576), 65535);
    let flags: u32 = 0;
    if (device.offloads & Offload.CSUM_TX) {
      flags |= PacketFlag.CHECKSUM_PARTIAL;
      if (device.offloads & Offload.TSO4) flags |= PacketFlag.GSO_TCP4;
      if (device.offloads & Offload.TSO6) flags |= PacketFlag.GSO_TCP6;
    }
    this.deviceFlags = flags;
  }

  /** The address equal to (hi, lo), or null. */
  find(hi: u64, lo: u64): InterfaceAddress | null {
    const addresses = this.addresses;
    for (let i = 0, n = addresses.length; i < n; i++) {
      const a = unchecked(addresses[i]);
      if (a.lo == lo && a.hi == hi) return a;
    }
    return null;
  }

  /** Is an IPv4 address in the prefix of one of ours? */
  onLink(address: u32): bool {
    const addresses = this.addresses;
    for (let i = 0, n = addresses.length; i < n; i++) {
      const a = unchecked(addresses[i]);
      if (isV4(a.hi, a.lo) && (((<u32>a.lo) ^ address) & v4Mask(a.bits - 96)) == 0) return true;
    }
    return false;
  }

  /**
   * Adds an address, its routes, and announces it at once.
   * @param bits prefix length as pair bits (IPv4: 96 more than in CIDR)
   * @returns 0; EINVAL for an address no host can have or a prefix length out of range, EEXIST, ENOSPC
   */
  addAddress(hi: u64, lo: u64, bits: u32, leased: bool = false): i32 {
    if (!isV4(hi, lo)) {
      if (this.addresses.length >= MAX_ADDRESSES) return Errno.ENOSPC;
      const status = this.enable6().addGlobal(hi, lo, bits);
      if (status == 0) this.notice(NoticeKind.ADDRESS_ADDED, hi, lo, bits);
      return status;
    }
    if (bits < 97 || bits > 128) return Errno.EINVAL;
    const address = <u32>lo;
    const mask = v4Mask(bits - 96);
    const network = address & mask;
    const broadcast = network | ~mask;
    const top = address >> 24;
    if (top == 0 || top == 127 || top >= 224) return Errno.EINVAL;
    if (bits < 127 && (address == network || address == broadcast)) return Errno.EINVAL;
    if (this.find(hi, lo) != null) return Errno.EEXIST;
    if (this.addresses.length >= MAX_ADDRESSES) return Errno.ENOSPC;

    const stack = stackAt(this.stackId);
    const entry = new InterfaceAddress(hi, lo, bits, leased);
    this.addresses.push(entry);
    if (this.firstV4 == 0) this.firstV4 = lo;
    const ip = stack.ip;
    ip.addRoute(hi, lo, 128, RouteKind.LOCAL, this.index, 0, 0, hi, lo, 0);
    ip.addRoute(0, v4(network), bits, RouteKind.UNICAST, this.index, 0, 0, hi, lo, 0);
    // A /31 and a /32 have no broadcast address (RFC 3021); the all-zeros form is obsolete, but still not a host's.
    if (bits < 127) {
      ip.addRoute(0, v4(broadcast), 128, RouteKind.BROADCAST, this.index, 0, 0, hi, lo, 0);
      ip.addRoute(0, v4(network), 128, RouteKind.BROADCAST, this.index, 0, 0, hi, lo, 0);
    }
    const notice = stack.notices.add(NoticeKind.ADDRESS_ADDED, this.index);
    if (notice != null) {
      notice.hi = hi;
      notice.lo = lo;
      notice.bits = bits;
    }
    entry.announcer = new Announcer(this, address);
    return 0;
  }

  /** IPv6 of the interface, begun where it was not. */
  enable6(): Ipv6Interface {
    let v6 = this.v6;
    if (v6 == null) {
      v6 = new Ipv6Interface(this);
      this.v6 = v6;
      v6.start();
    }
    return v6;
  }

  private notice(kind: NoticeKind, hi: u64, lo: u64, bits: u32): void {
    const notice = stackAt(this.stackId).notices.add(kind, this.index);
    if (notice == null) return;
    notice.hi = hi;
    notice.lo = lo;
    notice.bits = bits;
  }

  /** Removes an address and its routes. False when there is none such. */
  removeAddress(hi: u64, lo: u64): bool {
    const entry = this.find(hi, lo);
    if (entry == null) return false;
    const stack = stackAt(this.stackId);
    const ip = stack.ip;
    const bits = entry.bits;
    if (!isV4(hi, lo)) {
      const own = this.v6!.find(hi, lo);
      if (own != null) this.v6!.remove(own);
      this.addresses.splice(this.addresses.indexOf(entry), 1);
      this.notice(NoticeKind.ADDRESS_REMOVED, hi, lo, bits);
      return true;
    }
    const mask = v4Mask(bits - 96);
    const network = (<u32>lo) & mask;
    ip.removeRoute(hi, lo, 128, RouteKind.LOCAL, this.index, hi, lo);
    ip.removeRoute(0, v4(network), bits, RouteKind.UNICAST, this.index, hi, lo);
    if (bits < 127) {
      ip.removeRoute(0, v4(network | ~mask), 128, RouteKind.BROADCAST, this.index, hi, lo);
      ip.removeRoute(0, v4(network), 128, RouteKind.BROADCAST, this.index, hi, lo);
    }
    entry.announcer!.stop();
    this.addresses.splice(this.addresses.indexOf(entry), 1);
    if (this.firstV4 == lo) {
      this.firstV4 = 0;
      for (let i = this.addresses.length - 1; i >= 0; i--) {
        const a = this.addresses[i];
        if (isV4(a.hi, a.lo)) this.firstV4 = a.lo;
      }
    }
    stack.neighbours.flush(this.index);
    const notice = stack.notices.add(NoticeKind.ADDRESS_REMOVED, this.index);
    if (notice != null) {
      notice.hi = hi;
      notice.lo = lo;
      notice.bits = bits;
    }
    return true;
  }

  /** Adds the default route through `gateway`. EINVAL when it lies in none of our prefixes or is our own. */
  addGateway(hi: u64, lo: u64): i32 {
    if (this.find(hi, lo) != null) return Errno.EINVAL;
    if (!isV4(hi, lo)) {
      if (this.v6 == null || !this.reaches6(hi, lo)) return Errno.EINVAL;
      const hop = zoned(hi, this.index);
      return stackAt(this.stackId).ip.addRoute(0, 0, 0, RouteKind.UNICAST, this.index, hop, lo, 0, 0, 0);
    }
    if (!this.onLink(<u32>lo)) return Errno.EINVAL;
    return stackAt(this.stackId).ip.addRoute(0, v4(0), 96, RouteKind.UNICAST, this.index, hi, lo, 0, 0, 0);
  }

  // Is an IPv6 address on this link?
  private reaches6(hi: u64, lo: u64): bool {
    if (isLinkLocal(hi, lo)) return true;
    const addresses = this.v6!.addresses;
    for (let i = 0, n = addresses.length; i < n; i++) {
      if (samePrefix(addresses[i].hi, addresses[i].lo, hi, lo, addresses[i].bits)) return true;
    }
    return false;
  }

  removeGateway(hi: u64, lo: u64): void {
    if (!isV4(hi, lo)) {
      const hop = zoned(hi, this.index);
      stackAt(this.stackId).ip.removeRoute(0, 0, 0, RouteKind.UNICAST, this.index, 0, 0, 0, 0, 0, hop, lo);
      return;
    }
    stackAt(this.stackId).ip.removeRoute(0, v4(0), 96, RouteKind.UNICAST, this.index, 0, 0, 0, 0, 0, hi, lo);
  }

  /** "eth0: 10.0.0.2, 10.0.0.3" for people. */
  describe(): string {
    let text = this.name + ":";
    for (let i = 0; i < this.addresses.length; i++) {
      const a = this.addresses[i];
      text += (i == 0 ? " " : ", ") + formatAddress(a.hi, a.lo);
    }
    return text;
  }
}
