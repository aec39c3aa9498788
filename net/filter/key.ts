// What the filter knows of a packet: its flow's ends, and the fields that rules look at. Read once from the headers.
//
// Everything is hostile. `readKey` checks each length before it reads and leaves all that it has looked at in the linear part.
//
// Ports of what has none: an ICMP query has its identifier as source port and its type as destination port, its answer the
// other way round; so the answer's key is the query's, turned, and two hosts that ping each other with one identifier have
// two flows (`tag` tells query from answer). Other protocols have 0.

import { Packet, PacketFlag } from "../../runtime";
import { skipHeaders, walkType } from "../ip/ipv6-headers";
import { v4 } from "../ip/address";
import { fold, sumPacket, sumPseudo } from "../wire/checksum";
import { ICMP_BYTES, icmpCode, icmpRest, icmpType, IcmpType } from "../wire/icmp";
import { Icmp6Type } from "../wire/icmpv6";
import { ipv4Dst, ipv4HeaderBytes, ipv4Protocol, ipv4Src, Protocol } from "../wire/ipv4";
import { IPV6_BYTES, IPV6_DST, IPV6_SRC, ipv6Next, loadHi, loadLo, zoned } from "../wire/ipv6";
import { TCP_BYTES, TcpFlag, tcpDst, tcpFlags, tcpHeaderBytes, tcpSrc } from "../wire/tcp";
import { UDP_BYTES, udpChecksum, udpDst, udpLength, udpSrc } from "../wire/udp";
import { Reason } from "./reason";

/** Added to the protocol in `Key.tag` for an answer to an ICMP query. */
export const TAG_ANSWER: u32 = 0x8000;

/** What a packet is to the connection table. */
export const enum KeyKind {
  /** Belongs to a flow, or begins one. */
  FLOW = 0,
  /** An ICMP error: belongs to the flow of the packet that it quotes. */
  ERROR = 1,
  /** Neighbour and group business of a link: judged by the protocols themselves (RFC 4890, 4.4). */
  LINK = 2,
  /** An ICMP message that is neither: only rules can let it through, and nothing is remembered. */
  STATELESS = 3,
}


@unmanaged
export class Key {
  // The four axes of the policy, each a pair: source, destination, source port, selector (see policy.ts).
  srcHi: u64;
  srcLo: u64;
  dstHi: u64;
  dstLo: u64;
  portHi: u64;
  srcPort: u64;
  selectorHi: u64;
  /** Destination port; of ICMP type << 8 | code; of other protocols their number. */
  selector: u64;
  /** Destination port of the flow's key. */
  dstPort: u32;
  tag: u32;
  protocol: u32;
  kind: u32;
  /** TCP flags. */
  flags: u32;
  /** Offset of the transport header. */
  l4: u32;
  /** Bytes from the transport header on. */
  bytes: u32;
  v6: bool;

  /** Whether the packet can begin a flow by itself. */
  @inline get begins(): bool {
    return this.protocol != Protocol.TCP || (this.flags & (TcpFlag.SYN | TcpFlag.ACK | TcpFlag.RST)) == TcpFlag.SYN;
  }
}

export function newKey(): Key {
  const at = heap.alloc(offsetof<Key>());
  memory.fill(at, 0, offsetof<Key>());
  return changetype<Key>(at);
}

/**
 * Reads the key of a packet: `data` at its checked IP header, whole.
 * @param iface index of the interface that its link addresses belong to
 * @param verify whether the transport's checksum is to be checked
 * @returns Reason.NONE, or why it is to be dropped
 */
export function readKey(key: Key, p: Packet, iface: u32, verify: bool): Reason {
  const h = p.data;
  const v6 = load<u8>(h) >> 4 == 6;
  let l4: u32 = IPV6_BYTES;
  let protocol: u32 = 0;
  key.v6 = v6;
  if (!v6) {
    l4 = ipv4HeaderBytes(h);
    protocol = ipv4Protocol(h);
    key.srcHi = 0;
    key.srcLo = v4(ipv4Src(h));
    key.dstHi = 0;
    key.dstLo = v4(ipv4Dst(h));
  } else {
    key.srcHi = zoned(loadHi(h + IPV6_SRC), iface);
    key.srcLo = loadLo(h + IPV6_SRC);
    key.dstHi = zoned(loadHi(h + IPV6_DST), iface);
    key.dstLo = loadLo(h + IPV6_DST);
    protocol = ipv6Next(h);
    if (protocol != Protocol.TCP && protocol != Protocol.UDP && protocol != Protocol.ICMPV6) {
      l4 = skipHeaders(p);
      if (l4 == 0) return Reason.MALFORMED;
      protocol = walkType;
    }
  }
  key.l4 = l4;
  key.protocol = protocol;
  key.tag = protocol;
  key.kind = KeyKind.FLOW;
  key.flags = 0;
  key.portHi = 0;
  key.selectorHi = 0;
  if (p.totalLen < l4) return Reason.MALFORMED;
  const bytes = p.totalLen - l4;
  key.bytes = bytes;
  switch (protocol) {
    case Protocol.TCP:
      return readTcp(key, p, l4, bytes, verify);
    case Protocol.UDP: {
      if (bytes < UDP_BYTES || !p.pull(l4 + UDP_BYTES)) return Reason.MALFORMED;
      const at = p.data + l4;
      const length = udpLength(at);
      if (length < UDP_BYTES || length > bytes) return Reason.MALFORMED;
      key.srcPort = udpSrc(at);
      key.dstPort = udpDst(at);
      key.selector = key.dstPort;
      if (verify && (v6 || udpChecksum(at) != 0) && !sums(key, p, length)) return Reason.CHECKSUM;
      return Reason.NONE;
    }
    case Protocol.ICMP:
    case Protocol.ICMPV6:
      return readIcmp(key, p, l4, bytes, verify);
    default:
      key.srcPort = 0;
      key.dstPort = 0;
      key.selector = protocol;
      return Reason.NONE;
  }
}

function readTcp(key: Key, p: Packet, l4: u32, bytes: u32, verify: bool): Reason {
  if (bytes < TCP_BYTES || !p.pull(l4 + TCP_BYTES)) return Reason.MALFORMED;
  const header = tcpHeaderBytes(p.data + l4);
  if (header < TCP_BYTES || header > bytes || !p.pull(l4 + header)) return Reason.MALFORMED;
  const at = p.data + l4;
  const flags = tcpFlags(at);
  key.srcPort = tcpSrc(at);
  key.dstPort = tcpDst(at);
  key.selector = key.dstPort;
  key.flags = flags;
  // No segment has no flag at all, or begins and ends at once: scans and confused stacks (RFC 9293, 3.5).
  const life = flags & (TcpFlag.SYN | TcpFlag.FIN | TcpFlag.RST | TcpFlag.ACK);
  if (life == 0 || (flags & TcpFlag.SYN && flags & (TcpFlag.FIN | TcpFlag.RST))) return Reason.TCP_FLAGS;
  if ((flags & (TcpFlag.FIN | TcpFlag.RST)) == (TcpFlag.FIN | TcpFlag.RST) || life == TcpFlag.FIN)
    return Reason.TCP_FLAGS;
  // Nobody listens on port 0, nobody calls from there (RFC 6335, 6).
  if (key.srcPort == 0 || key.dstPort == 0) return Reason.MALFORMED;
  if (verify && !sums(key, p, bytes)) return Reason.CHECKSUM;
  return Reason.NONE;
}

function readIcmp(key: Key, p: Packet, l4: u32, bytes: u32, verify: bool): Reason {
  const v6 = key.v6;
  // ICMP of the other version is nobody's.
  if ((key.protocol == Protocol.ICMPV6) != v6) return Reason.MALFORMED;
  if (bytes < ICMP_BYTES || !p.pull(l4 + ICMP_BYTES)) return Reason.MALFORMED;
  const at = p.data + l4;
  const type = icmpType(at);
  key.selector = ((<u64>type) << 8) | icmpCode(at);
  const id = icmpRest(at) >> 16;
  const query = v6 ? icmp6Query(type) : icmpQuery(type);
  if (query == 0) {
    key.srcPort = 0;
    key.dstPort = 0;
    key.kind = v6 ? kind6(type) : kind4(type);
  } else if (query == type) {
    key.srcPort = id;
    key.dstPort = query;
  } else {
    key.srcPort = query;
    key.dstPort = id;
    key.tag = key.protocol | TAG_ANSWER;
  }
  if (verify && !sums(key, p, bytes)) return Reason.CHECKSUM;
  return Reason.NONE;
}

// The type of the query that a query or an answer belongs to; 0 for other messages.
function icmpQuery(type: u32): u32 {
  switch (type) {
    case IcmpType.ECHO_REQUEST:
    case IcmpType.ECHO_REPLY:
      return IcmpType.ECHO_REQUEST;
    case 13: // timestamp
    case 14:
      return 13;
    default:
      return 0;
  }
}

function icmp6Query(type: u32): u32 {
  return type == Icmp6Type.ECHO_REQUEST || type == Icmp6Type.ECHO_REPLY ? Icmp6Type.ECHO_REQUEST : 0;
}

function kind4(type: u32): KeyKind {
  return type == IcmpType.UNREACHABLE || type == IcmpType.TIME_EXCEEDED || type == IcmpType.PARAMETER_PROBLEM
    ? KeyKind.ERROR
    : KeyKind.STATELESS;
}

function kind6(type: i32): KeyKind {
  if (type >= Icmp6Type.UNREACHABLE && type <= Icmp6Type.PARAMETER_PROBLEM) return KeyKind.ERROR;
  if (type >= Icmp6Type.MLD_QUERY && type <= Icmp6Type.REDIRECT) return KeyKind.LINK;
  return type == Icmp6Type.MLD2_REPORT ? KeyKind.LINK : KeyKind.STATELESS;
}

// Is the transport's checksum right? `bytes` are those that it covers.
function sums(key: Key, p: Packet, bytes: u32): bool {
  if (p.flags & (PacketFlag.CHECKSUM_OK | PacketFlag.CHECKSUM_PENDING)) return true;
  let sum: u64 = sumPacket(p, key.l4, bytes);
  if (key.protocol != Protocol.ICMP) sum += sumPseudo(key.srcHi, key.srcLo, key.dstHi, key.dstLo, key.protocol, bytes);
  return fold(sum) == 0xffff;
}
