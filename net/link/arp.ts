// ARP (RFC 826) with address conflict detection (RFC 5227). The cache itself is the neighbour table's.
//
// What a hostile station can do is held small:
// 1. An entry is made only by a request for one of our addresses (then we are about to talk to its sender anyway) or
//    by our own question;
//    announcements and replies nobody asked for make none.
// 2. A claim for one of our own addresses changes nothing in the cache; it is defended.
// 3. Senders outside the interface's prefixes, group or zero hardware addresses, and our own are ignored, counted.
// 4. An entry that was confirmed less than a second ago is not overwritten, so that two stations that fight for an
//    address do not make it flap
//    with each packet.

import { allocPacket, Packet } from "../../runtime";
import { v4, v4Mask } from "../ip/address";
import { NoticeKind } from "../notice";
import { Stack } from "../stack";
import { ARP_BYTES, ArpOp, arpOp, arpSenderIp, arpSenderMac, arpTargetIp, emitArp, isArp } from "../wire/arp";
import { EtherType, isGroupMac } from "../wire/ethernet";
import { linkOutput } from "./ethernet";
import { Interface } from "./interface";

/** Takes an ARP packet: `data` behind the Ethernet header. Owns it. */
export function arpInput(stack: Stack, iface: Interface, p: Packet): void {
  const counters = stack.counters;
  const readable = p.pull(ARP_BYTES);
  const at = p.data;
  if (!readable || !isArp(at, p.len)) {
    counters.arpInErrors++;
    p.free();
    return;
  }
  const op = arpOp(at);
  const senderMac = arpSenderMac(at);
  const sender = arpSenderIp(at);
  const target = arpTargetIp(at);
  p.free();

  if (op == ArpOp.REQUEST) counters.arpInRequests++;
  else if (op == ArpOp.REPLY) counters.arpInReplies++;
  if ((op != ArpOp.REQUEST && op != ArpOp.REPLY) || senderMac == 0 || isGroupMac(senderMac)) {
    counters.arpInErrors++;
    return;
  }
  if (senderMac == iface.mac) {
    // Our own frame, come back over a loop.
    counters.arpInIgnored++;
    return;
  }
  const dhcp = iface.dhcp;
  if (dhcp != null) dhcp.arpSeen(op, senderMac, sender, target);

  if (sender != 0) {
    const own = iface.find(0, v4(sender));
    if (own != null) {
      if (stack.follower) return;
      conflict(stack, iface, sender, senderMac);
      return;
    }
    if (!iface.onLink(sender)) {
      counters.arpInIgnored++;
      return;
    }
  }
  const forUs = iface.find(0, v4(target)) != null;
  // A probe (RFC 5227, 1.1: sender 0) is answered, but says nothing about its sender.
  if (sender != 0)
    stack.neighbours.heard(iface, 0, v4(sender), senderMac, op == ArpOp.REPLY, forUs && op == ArpOp.REQUEST);
  if (forUs && op == ArpOp.REQUEST && !stack.follower) {
    counters.arpOutReplies++;
    sendArp(stack, iface, ArpOp.REPLY, senderMac, iface.mac, target, senderMac, sender);
  }
}

function conflict(stack: Stack, iface: Interface, address: u32, mac: u64): void {
  stack.counters.arpConflicts++;
  const own = iface.find(0, v4(address))!;
  if (own.announcer!.defend()) {
    const notice = stack.notices.add(NoticeKind.ADDRESS_CONFLICT, iface.index);
    if (notice != null) {
      notice.lo = own.lo;
      notice.mac = mac;
    } else {
      stack.counters.noticesLost++;
    }
  } else if (own.leased && iface.dhcp != null) {
    // A second claim soon after the first: a leased address is given back (RFC 5227, 2.4 (b)).
    iface.dhcp!.conflict(address, mac);
  }
}

/** Sends an ARP packet to the hardware address `dst`. Nothing is sent, and counted, when there is no buffer. */
export function sendArp(
  stack: Stack,
  iface: Interface,
  op: u32,
  dst: u64,
  senderMac: u64,
  senderIp: u32,
  targetMac: u64,
  targetIp: u32,
): void {
  const p = allocPacket();
  if (p == null) {
    stack.counters.noBuffers++;
    return;
  }
  emitArp(p.append(ARP_BYTES), op, senderMac, senderIp, targetMac, targetIp);
  linkOutput(stack, iface, p, dst, EtherType.ARP);
}

/** Asks who has `target`: all of the link, or (unicast) only the station that had it. */
export function askArp(stack: Stack, iface: Interface, target: u32, mac: u64): void {
  // The source must be an address in the target's prefix where there is one: others would not answer (RFC 5227, 2.6).
  let source: u32 = <u32>iface.firstV4;
  const addresses = iface.addresses;
  for (let i = 0, n = addresses.length; i < n; i++) {
    const a = unchecked(addresses[i]);
    if (a.hi == 0 && (((<u32>a.lo) ^ target) & v4Mask(a.bits - 96)) == 0) {
      source = <u32>a.lo;
      break;
    }
  }
  stack.counters.arpOutRequests++;
  sendArp(stack, iface, ArpOp.REQUEST, mac, iface.mac, source, 0, target);
}
