// Ethernet in and out (RFC 894, 802.1Q): which frames are ours, which interface (card or VLAN) they belong to, who
// reads them; and the last step
// of every packet on its way out.

import { Packet, PacketFlag } from "../../runtime";
import { Stack } from "../stack";
import {
  emitEthernet,
  emitTaggedEthernet,
  ETHERNET_BYTES,
  EtherType,
  frameDst,
  frameSrc,
  frameTaggedType,
  frameTci,
  frameType,
  isGroupMac,
  MAC_BROADCAST,
  VLAN_TAG_BYTES,
} from "../wire/ethernet";
import { arpInput } from "./arp";
import { Interface } from "./interface";
import { softwareOffload } from "./offload";

const TRANSMIT_WORK: u32 = PacketFlag.CHECKSUM_PARTIAL | PacketFlag.GSO_TCP4 | PacketFlag.GSO_TCP6;

/** Takes a received frame: `data` at the Ethernet header. Owns the packet. */
export function linkInput(stack: Stack, card: Interface, p: Packet): void {
  const counters = stack.counters;
  counters.ifInPackets++;
  counters.ifInOctets += p.totalLen;
  if (!p.pull(ETHERNET_BYTES)) {
    counters.ifInErrors++;
    p.free();
    return;
  }
  const frame = p.data;
  const dst = frameDst(frame);
  // A group address is nobody's source (802.3, 3.2.3).
  if (isGroupMac(frameSrc(frame))) {
    counters.ifInErrors++;
    p.free();
    return;
  }
  if (dst == card.mac) {
    p.flags &= ~(PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST);
  } else if (dst == MAC_BROADCAST) {
    p.flags = (p.flags & ~PacketFlag.LINK_MULTICAST) | PacketFlag.LINK_BROADCAST;
  } else if (isGroupMac(dst)) {
    p.flags = (p.flags & ~PacketFlag.LINK_BROADCAST) | PacketFlag.LINK_MULTICAST;
  } else {
    // A switch floods, a hub repeats: not ours. (A bridge takes its frames before they come here.)
    counters.ifInForeign++;
    p.free();
    return;
  }

  let type = frameType(frame);
  let header = ETHERNET_BYTES;
  let iface = card;
  p.vlanTci = 0;
  if (type == EtherType.VLAN) {
    header += VLAN_TAG_BYTES;
    if (!p.pull(header)) {
      counters.ifInErrors++;
      p.free();
      return;
    }
    const tci = frameTci(p.data);
    p.vlanTci = <u16>tci;
    type = frameTaggedType(p.data);
    // VLAN id 0 is a priority tag only: the card's own frame.
    const vlan = tci & 0xfff;
    if (vlan != 0) {
      const found = vlanOf(card, vlan);
      if (found == null) {
        counters.ifInForeign++;
        p.free();
        return;
      }
      iface = found;
    }
  }
  p.iface = <u16>iface.index;
  p.drop(header);
  // From here on offsets count from the network header.
  if ((p.flags & PacketFlag.CHECKSUM_PENDING) != 0) {
    if (p.csumStart < header) {
      counters.ifInErrors++;
      p.free();
      return;
    }
    p.csumStart -= <u16>header;
  }
  switch (type) {
    case EtherType.IPV4:
      stack.ip.input4(iface, p);
      return;
    case EtherType.IPV6:
      stack.ip.input6(iface, p);
      return;
    case EtherType.ARP:
      arpInput(stack, iface, p);
      return;
    default:
      counters.ifInUnknownProtos++;
      p.free();
  }
}

function vlanOf(card: Interface, vlan: u32): Interface | null {
  const vlans = card.vlans;
  for (let i = 0, n = vlans.length; i < n; i++) {
    const iface = unchecked(vlans[i]);
    if (iface.vlan == vlan) return iface;
  }
  return null;
}

/** Sends a packet: `data` at what the Ethernet frame carries, with headroom for its header. Owns the packet. */
export function linkOutput(stack: Stack, iface: Interface, p: Packet, dst: u64, type: u32): void {
  const vlan = iface.vlan;
  if (vlan == 0) {
    emitEthernet(p.push(ETHERNET_BYTES), dst, iface.mac, type);
    p.csumStart += <u16>ETHERNET_BYTES;
  } else {
    emitTaggedEthernet(p.push(ETHERNET_BYTES + VLAN_TAG_BYTES), dst, iface.mac, vlan, type);
    p.csumStart += <u16>(ETHERNET_BYTES + VLAN_TAG_BYTES);
  }
  const counters = stack.counters;
  counters.ifOutPackets++;
  counters.ifOutOctets += p.totalLen;
  if ((p.flags & TRANSMIT_WORK & ~iface.deviceFlags) != 0) softwareOffload(stack, iface, p);
  else iface.device.transmit(p);
}
