// Carrying what a card said about a received packet over to what one is asked to do when the packet is sent on.
//
// Invariant: everything a card says is hostile, as it may come from a guest on the same host. What goes out with CHECKSUM_PARTIAL
// has its checksum field in the linear part; what goes out with GSO is a TCP packet of that version with whole headers there.

import { Packet, PacketFlag } from "../../runtime";
import { sumPseudo } from "../wire/checksum";
import { ipv4Dst, ipv4Src, Protocol } from "../wire/ipv4";
import { IPV6_DST, IPV6_SRC, loadHi, loadLo } from "../wire/ipv6";
import { TCP_BYTES, TCP_CHECKSUM, tcpHeaderBytes } from "../wire/tcp";
import { v4 } from "./address";

export const GSO: u32 = PacketFlag.GSO_TCP4 | PacketFlag.GSO_TCP6;

/**
 * Bytes of a packet as it will be on the link: of a merged TCP packet those of its longest segment.
 * @param l4 offset of the transport header
 * @param total bytes of the packet with its IP header
 */
@inline
export function segmentBytes(p: Packet, l4: u32, total: u32): u32 {
  if ((p.flags & GSO) == 0 || p.len < l4 + TCP_BYTES) return total;
  return min(total, l4 + tcpHeaderBytes(p.data + l4) + p.gsoSize);
}

/**
 * Turns the flags of a received packet (`data` at the IP header) into those of one to be sent: a checksum that was left
 * out is completed on the way out, a merged TCP packet is cut again.
 * @param l4 offset of the transport header
 * @returns false when the card's words do not fit the packet
 */
export function carryOffload(p: Packet, l4: u32, protocol: u32): bool {
  const flags = p.flags;
  const gso = flags & GSO;
  p.flags = 0;
  if ((flags & (PacketFlag.CHECKSUM_PENDING | GSO)) == 0) {
    p.csumStart = 0;
    return true;
  }
  const pending = (flags & PacketFlag.CHECKSUM_PENDING) != 0;
  if (pending) {
    // Not always the outer transport's: a tunnel's inner checksum can be the one left out.
    const end = <u32>p.csumStart + p.csumOffset + 2;
    if (p.csumStart < l4 || !p.pull(end)) return false;
  }
  p.flags = PacketFlag.CHECKSUM_PARTIAL | gso;
  if (gso == 0) return true;

  const v6 = load<u8>(p.data) >> 4 == 6;
  if (gso != <u32>(v6 ? PacketFlag.GSO_TCP6 : PacketFlag.GSO_TCP4)) return false;
  if (protocol != Protocol.TCP || p.gsoSize == 0 || !p.pull(l4 + TCP_BYTES)) return false;
  const tcp = tcpHeaderBytes(p.data + l4);
  if (tcp < TCP_BYTES || !p.pull(l4 + tcp)) return false;
  if (pending) return p.csumStart == l4 && p.csumOffset == TCP_CHECKSUM;
  // Merged after its checksums were verified: each segment gets a new one.
  const h = p.data;
  const bytes = p.totalLen - l4;
  const sum = v6
    ? sumPseudo(
        loadHi(h + IPV6_SRC),
        loadLo(h + IPV6_SRC),
        loadHi(h + IPV6_DST),
        loadLo(h + IPV6_DST),
        Protocol.TCP,
        bytes,
      )
    : sumPseudo(0, v4(ipv4Src(h)), 0, v4(ipv4Dst(h)), Protocol.TCP, bytes);
  store<u16>(h + l4, <u16>sum, TCP_CHECKSUM);
  p.csumStart = <u16>l4;
  p.csumOffset = <u16>TCP_CHECKSUM;
  return true;
}
