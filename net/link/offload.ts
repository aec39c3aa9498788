// What a device does not do itself, done just before it: completing a transport checksum, and cutting a large TCP
// segment into segments of
// `gsoSize` (generic segmentation offload). The payload is not copied: each segment is a header of its own with slices
// of the original.

import { allocPacket, Packet, PacketFlag } from "../../runtime";
import { v4 } from "../ip/address";
import { addRange } from "../range";
import { Stack } from "../stack";
import { finish, sumPacket, sumPseudo } from "../wire/checksum";
import { ETHERNET_BYTES, VLAN_TAG_BYTES } from "../wire/ethernet";
import { ipv4Dst, ipv4Fragment, ipv4Id, ipv4Src, Protocol, rewriteIpv4 } from "../wire/ipv4";
import { IPV6_BYTES, IPV6_DST, IPV6_SRC, loadHi, loadLo, setIpv6Payload } from "../wire/ipv6";
import { Interface } from "./interface";

const TCP_BYTES: u32 = 20;
const TCP_SEQ: usize = 4;
const TCP_OFFSET: usize = 12;
const TCP_FLAGS: usize = 13;
const TCP_CHECKSUM: usize = 16;
const TCP_FIN_PSH: u8 = 0x09;
const TCP_CWR: u8 = 0x80;

/** Sends a frame (`data` at the Ethernet header) whose flags ask for more than the device does. Owns the packet. */
export function softwareOffload(stack: Stack, iface: Interface, p: Packet): void {
  if ((p.flags & (PacketFlag.GSO_TCP4 | PacketFlag.GSO_TCP6) & ~iface.deviceFlags) != 0) {
    cutTcp(stack, iface, p);
    return;
  }
  completeChecksum(p);
  iface.device.transmit(p);
}

/** Replaces the pseudo-header sum in the checksum field by the checksum (`csumStart`, `csumOffset` set). */
export function completeChecksum(p: Packet): void {
  const start: u32 = p.csumStart;
  const field = p.data + start + p.csumOffset;
  let sum = finish(sumPacket(p, start, p.totalLen - start));
  // UDP: a computed 0 is sent as all ones, as 0 means "none" (RFC 768). For TCP both are the same number.
  if (sum == 0) sum = 0xffff;
  store<u16>(field, sum);
  p.flags &= ~PacketFlag.CHECKSUM_PARTIAL;
}

function cutTcp(stack: Stack, iface: Interface, p: Packet): void {
  const l4: u32 = p.csumStart;
  const size: u32 = p.gsoSize;
  const header = l4 + tcpHeaderBytes(p, l4);
  if (size == 0 || header > p.len) {
    stack.counters.ifOutDiscards++;
    p.free();
    return;
  }
  const l3 = iface.vlan == 0 ? ETHERNET_BYTES : ETHERNET_BYTES + VLAN_TAG_BYTES;
  const ip = p.data + l3;
  const v6 = (p.flags & PacketFlag.GSO_TCP6) != 0;
  const srcHi = v6 ? loadHi(ip + IPV6_SRC) : 0;
  const srcLo = v6 ? loadLo(ip + IPV6_SRC) : v4(ipv4Src(ip));
  const dstHi = v6 ? loadHi(ip + IPV6_DST) : 0;
  const dstLo = v6 ? loadLo(ip + IPV6_DST) : v4(ipv4Dst(ip));
  const id = ipv4Id(ip);
  const fragment = ipv4Fragment(ip);
  const payload = p.totalLen - header;
  const seq = bswap<u32>(load<u32>(p.data + l4, TCP_SEQ));
  const flags = load<u8>(p.data + l4, TCP_FLAGS);
  const inDevice = (iface.deviceFlags & PacketFlag.CHECKSUM_PARTIAL) != 0;
  for (let done: u32 = 0, n: u32 = 0; done < payload; n++) {
    const bytes = min(size, payload - done);
    const s = allocPacket();
    if (s == null) {
      // As if the rest had been lost on the way: TCP repairs it.
      stack.counters.noBuffers++;
      break;
    }
    memory.copy(s.append(header), p.data, header);
    if (!addRange(s, p, header + done, bytes)) {
      stack.counters.ifOutDiscards++;
      s.free();
      break;
    }
    if (v6) setIpv6Payload(s.data + l3, header - l3 - IPV6_BYTES + bytes);
    else rewriteIpv4(s.data + l3, header - l3 + bytes, (id + n) & 0xffff, fragment);
    const tcp = s.data + l4;
    store<u32>(tcp, bswap<u32>(seq + done), TCP_SEQ);
    let f = flags;
    if (done + bytes < payload) f &= ~TCP_FIN_PSH;
    if (n > 0) f &= ~TCP_CWR;
    store<u8>(tcp, f, TCP_FLAGS);
    const segment = header - l4 + bytes;
    store<u16>(tcp, <u16>sumPseudo(srcHi, srcLo, dstHi, dstLo, Protocol.TCP, segment), TCP_CHECKSUM);
    s.csumStart = <u16>l4;
    s.csumOffset = <u16>TCP_CHECKSUM;
    if (inDevice) s.flags = PacketFlag.CHECKSUM_PARTIAL;
    else completeChecksum(s);
    iface.device.transmit(s);
    done += bytes;
  }
  p.free();
}


@inline
function tcpHeaderBytes(p: Packet, l4: u32): u32 {
  return l4 + TCP_BYTES > p.len ? u32.MAX_VALUE - l4 : (<u32>(load<u8>(p.data + l4, TCP_OFFSET) >> 4)) << 2;
}
