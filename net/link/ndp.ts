// Neighbour discovery for IPv6 (RFC 4861, 7; duplicate addresses: RFC 4862, 5.4, optimistic as in RFC 4429). The cache is the
// neighbour table's.
//
// What a hostile station can do is held small (RFC 6583):
// 1. A message counts only with hop limit 255, code 0 and well-formed options (checked by who calls, and here).
// 2. An entry is made only by a solicitation for one of our addresses, or by our own question; advertisements make none.
// 3. A claim for one of our own addresses changes nothing in the cache.
//
// clang: -Oz

import { allocPacket, Packet } from "../../runtime";
import { checksumIcmp6 } from "../ip/icmpv6";
import { Ipv6Interface } from "../ip/ipv6-interface";
import { Stack } from "../stack";
import { EtherType, isGroupMac, MAC_BROADCAST } from "../wire/ethernet";
import { icmp6Rest, Icmp6Type, icmp6Type } from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import { emitIpv6, IPV6_BYTES, loadHi, loadLo, zoned } from "../wire/ipv6";
import { checkNdOptions, emitNd, ND_BYTES, ND_TARGET, NdFlag, ndMac, NdOption } from "../wire/ndp";
import { isRouterMessage, RS_BYTES } from "../wire/ra";
import { linkOutput } from "./ethernet";
import { Interface } from "./interface";

const ALL_NODES_HI: u64 = 0xff02000000000000;
/** ff02::1:ff00:0/104, filled up with an address's last 24 bits (RFC 4291, 2.7.1). */
export const SOLICITED_NODE_LO: u64 = 0x1ff000000;

/** Takes a message: `data` at the IPv6 header, `l4` at the message, checksum and hop limit checked. Owns it. */
export function ndpInput(
  stack: Stack,
  iface: Interface,
  p: Packet,
  srcHi: u64,
  srcLo: u64,
  dstHi: u64,
  dstLo: u64,
): void {
  const counters = stack.counters;
  const v6 = iface.v6;
  const l4: u32 = p.l4;
  if (v6 == null || !p.pull(p.totalLen)) {
    counters.ndInErrors++;
    p.free();
    return;
  }
  const at = p.data + l4;
  const type = icmp6Type(at);
  if (type != Icmp6Type.NEIGHBOUR_SOLICITATION && type != Icmp6Type.NEIGHBOUR_ADVERTISEMENT) {
    fromRouter(stack, v6, p, type, srcHi, srcLo);
    return;
  }
  if (p.totalLen < l4 + ND_BYTES) {
    counters.ndInErrors++;
    p.free();
    return;
  }
  const solicitation = type == Icmp6Type.NEIGHBOUR_SOLICITATION;
  const options = at + ND_BYTES;
  const bytes = p.len - l4 - ND_BYTES;
  const hi = zoned(loadHi(at + ND_TARGET), iface.index);
  const lo = loadLo(at + ND_TARGET);
  const flags = icmp6Rest(at);
  const group = dstHi >> 56 == 0xff;
  const valid = checkNdOptions(options, bytes) && hi >> 56 != 0xff && (hi | lo) != 0;
  const mac = valid ? ndMac(options, bytes, solicitation ? NdOption.SOURCE_MAC : NdOption.TARGET_MAC) : 0;
  p.free();
  if (!valid || isGroupMac(mac) || mac == iface.mac) {
    counters.ndInErrors++;
    return;
  }
  const own = v6.find(hi, lo);
  // Questions, and claims for our own addresses, are core 0's.
  if (stack.follower && (solicitation || own != null)) return;
  if (!solicitation) {
    counters.icmp6InNeighborAdvertisements++;
    // An answer to a group answers nobody's question (RFC 4861, 7.1.2).
    if (group && (flags & (<u32>NdFlag.SOLICITED)) != 0) counters.ndInErrors++;
    else if (own != null) v6.claimed(own, mac);
    else {
      const solicited = (flags & (<u32>NdFlag.SOLICITED)) != 0;
      stack.neighbours.advertised(iface, hi, lo, mac, solicited, (flags & (<u32>NdFlag.OVERRIDE)) != 0, false);
    }
    return;
  }
  counters.icmp6InNeighborSolicits++;
  if (own == null) return;
  if ((srcHi | srcLo) == 0) {
    // Somebody wants the address too: all are told that it is taken, unless we have only begun to use it ourselves.
    if (mac != 0 || dstLo >> 24 != SOLICITED_NODE_LO >> 24) counters.ndInErrors++;
    else if (own.tentative) v6.claimed(own, 0);
    else advertise(stack, iface, hi, lo, ALL_NODES_HI, 1, 0x333300000001, NdFlag.OVERRIDE);
    return;
  }
  if (mac != 0) stack.neighbours.advertised(iface, srcHi, srcLo, mac, false, true, true);
  const known = mac != 0 ? mac : stack.neighbours.macOf(iface.index, srcHi, srcLo);
  // Without its hardware address anywhere the question is answered when it comes again, to all.
  if (known == 0) return;
  // An address that may still turn out to be taken overrides nobody's entry (RFC 4429, 3.3).
  const answer = (<u32>NdFlag.SOLICITED) | (own.tentative ? 0 : <u32>NdFlag.OVERRIDE);
  advertise(stack, iface, hi, lo, srcHi, srcLo, known, answer);
}

// What concerns routers: it goes to who listens, where the configuration wants that. Owns the packet.
function fromRouter(stack: Stack, v6: Ipv6Interface, p: Packet, type: u32, srcHi: u64, srcLo: u64): void {
  const at = p.data + p.l4;
  const bytes = p.len - p.l4;
  if (type == Icmp6Type.ROUTER_SOLICITATION) {
    const advertiser = v6.advertiser;
    const nobody = (srcHi | srcLo) == 0;
    const valid = bytes >= RS_BYTES && checkNdOptions(at + RS_BYTES, bytes - RS_BYTES);
    // Who has no address yet names none of the link either (RFC 4861, 6.1.1).
    if (!valid || (nobody && ndMac(at + RS_BYTES, bytes - RS_BYTES, NdOption.SOURCE_MAC) != 0))
      stack.counters.ndInErrors++;
    else if (advertiser != null) advertiser.solicited();
    else stack.counters.ndInIgnored++;
    p.free();
    return;
  }
  const routers = v6.routers;
  if (routers != null && isRouterMessage(at, bytes, srcHi)) {
    routers.input(p);
    return;
  }
  if (routers != null) stack.counters.ndInErrors++;
  else stack.counters.ndInIgnored++;
  p.free();
}

/** Says that an address is ours. */
export function advertise(
  stack: Stack,
  iface: Interface,
  hi: u64,
  lo: u64,
  dstHi: u64,
  dstLo: u64,
  mac: u64,
  flags: u32,
): void {
  stack.counters.icmp6OutNeighborAdvertisements++;
  const router: u32 = stack.ip.router != null ? <u32>NdFlag.ROUTER : 0;
  const p = allocPacket();
  if (p == null) {
    stack.counters.noBuffers++;
    return;
  }
  const bytes = emitNd(
    p.data,
    Icmp6Type.NEIGHBOUR_ADVERTISEMENT,
    flags | router,
    hi,
    lo,
    NdOption.TARGET_MAC,
    iface.mac,
  );
  p.append(bytes);
  sendIcmp6(stack, iface, p, hi, lo, dstHi, dstLo, mac, 255);
}

/** Announces an address to all of the link. */
export function announce6(stack: Stack, iface: Interface, hi: u64, lo: u64): void {
  advertise(stack, iface, hi, lo, ALL_NODES_HI, 1, 0x333300000001, NdFlag.OVERRIDE);
}

/** Asks for a target from (srcHi, srcLo): the group of its address, or (unicast) only the station that had it. */
export function solicit(stack: Stack, iface: Interface, srcHi: u64, srcLo: u64, hi: u64, lo: u64, mac: u64): void {
  stack.counters.icmp6OutNeighborSolicits++;
  const p = allocPacket();
  if (p == null) {
    stack.counters.noBuffers++;
    return;
  }
  const named = (srcHi | srcLo) != 0 ? iface.mac : 0;
  p.append(emitNd(p.data, Icmp6Type.NEIGHBOUR_SOLICITATION, 0, hi, lo, NdOption.SOURCE_MAC, named));
  if (mac != MAC_BROADCAST) {
    sendIcmp6(stack, iface, p, srcHi, srcLo, hi, lo, mac, 255);
    return;
  }
  const group = SOLICITED_NODE_LO | (lo & 0xffffff);
  sendIcmp6(stack, iface, p, srcHi, srcLo, ALL_NODES_HI, group, 0x333300000000 | (group & 0xffffffff), 255);
}

/** Sends an ICMPv6 message (`data` at it) to a station, past routes and cache. Owns the packet. */
export function sendIcmp6(
  stack: Stack,
  iface: Interface,
  p: Packet,
  srcHi: u64,
  srcLo: u64,
  dstHi: u64,
  dstLo: u64,
  mac: u64,
  hopLimit: u32,
): void {
  checksumIcmp6(p, srcHi, srcLo, dstHi, dstLo);
  const bytes = p.totalLen;
  stack.counters.icmp6OutMsgs++;
  emitIpv6(p.push(IPV6_BYTES), 0, 0, bytes, Protocol.ICMPV6, hopLimit, srcHi, srcLo, dstHi, dstLo);
  linkOutput(stack, iface, p, mac, EtherType.IPV6);
}
