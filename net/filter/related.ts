// ICMP errors of known flows (RFC 5508, 4; RFC 5927): found by the packet that they quote, and translated inside and outside.
//
//   error, direction d:   IP  src -> dst | ICMP | quoted packet, direction 1 - d: IP  src -> dst | transport ...
//
// A packet of direction 1 - d looks, where this error goes, as half 1 - d of the flow says. So the quoted packet becomes that
// half, the error's destination its source, and the error's own source, where that direction is translated, its destination.

import { Packet, PacketFlag } from "../../runtime";
import { findTransport, walkType } from "../ip/ipv6-headers";
import { v4 } from "../ip/address";
import { ICMP_BYTES, icmpRest, icmpType, IcmpType } from "../wire/icmp";
import { Icmp6Type } from "../wire/icmpv6";
import { IPV4_BYTES, ipv4Dst, ipv4Fragment, ipv4HeaderBytes, ipv4Protocol, ipv4Src, Protocol } from "../wire/ipv4";
import { IPV6_BYTES, IPV6_DST, IPV6_SRC, ipv6Next, loadHi, loadLo, zoned } from "../wire/ipv6";
import { tcpSeq } from "../wire/tcp";
import { Flow, Half, Status, turnTag } from "./flow";
import { Key, newKey, TAG_ANSWER } from "./key";
import { End, KEEP, sealIcmp, setAddress, setEnd } from "./rewrite";
import { FlowTable } from "./table";

/** Bytes of a quoted packet that are looked at. */
const QUOTED_BYTES: u32 = 256;
/** How far behind the newest data an error may refer to, besides the window. */
const LATE_BYTES: u32 = 66000;

const CHECKSUMS: u32 = PacketFlag.CHECKSUM_PENDING | PacketFlag.CHECKSUM_PARTIAL;

const quotedKey: Key = newKey();
/** Where the quoted packet and its transport header begin, from the error's IP header. */
let quotedAt: u32 = 0;
let quotedL4: u32 = 0;

/** Reads the ends of the packet that an error (key.l4 its ICMP header) quotes. Null: there is no such thing in it. */
function readQuoted(p: Packet, key: Key, iface: u32): Key | null {
  const inner = key.l4 + ICMP_BYTES;
  p.pull(min<u32>(p.totalLen, inner + QUOTED_BYTES));
  if (p.len < inner + IPV4_BYTES + 8) return null;
  const at = p.data + inner;
  const readable = p.len - inner;
  const q = quotedKey;
  let l4: u32 = 0;
  if (!key.v6) {
    if (load<u8>(at) >> 4 != 4 || (ipv4Fragment(at) & 0x1fff) != 0) return null;
    l4 = ipv4HeaderBytes(at);
    if (l4 < IPV4_BYTES || l4 + 8 > readable) return null;
    q.srcHi = 0;
    q.srcLo = v4(ipv4Src(at));
    q.dstHi = 0;
    q.dstLo = v4(ipv4Dst(at));
    q.protocol = ipv4Protocol(at);
  } else {
    if (readable < IPV6_BYTES + 8 || load<u8>(at) >> 4 != 6) return null;
    q.srcHi = zoned(loadHi(at + IPV6_SRC), iface);
    q.srcLo = loadLo(at + IPV6_SRC);
    q.dstHi = zoned(loadHi(at + IPV6_DST), iface);
    q.dstLo = loadLo(at + IPV6_DST);
    q.protocol = ipv6Next(at);
    l4 = IPV6_BYTES;
    if (q.protocol != Protocol.TCP && q.protocol != Protocol.UDP && q.protocol != Protocol.ICMPV6) {
      l4 = findTransport(at, readable, IPV6_BYTES, q.protocol);
      if (l4 == 0 || l4 + 8 > readable) return null;
      q.protocol = walkType;
    }
  }
  quotedAt = inner;
  quotedL4 = l4;
  q.tag = q.protocol;
  q.srcPort = 0;
  q.dstPort = 0;
  const header = at + l4;
  if (q.protocol == Protocol.TCP || q.protocol == Protocol.UDP) {
    q.srcPort = bswap<u16>(load<u16>(header));
    q.dstPort = bswap<u16>(load<u16>(header, 2));
  } else if (q.protocol == Protocol.ICMP || q.protocol == Protocol.ICMPV6) {
    // Of ICMP only queries and their answers can have caused an error.
    const type = icmpType(header);
    const id = icmpRest(header) >> 16;
    const request: u32 = key.v6 ? Icmp6Type.ECHO_REQUEST : IcmpType.ECHO_REQUEST;
    const reply: u32 = key.v6 ? Icmp6Type.ECHO_REPLY : IcmpType.ECHO_REPLY;
    if (type == request) {
      q.srcPort = id;
      q.dstPort = request;
    } else if (type == reply) {
      q.srcPort = request;
      q.dstPort = id;
      q.tag |= TAG_ANSWER;
    } else {
      return null;
    }
  }
  return q;
}

/** Makes `to` the key of a packet in the direction of an error (key.ts); false: it quotes nothing of use. */
export function errorKey(to: Key, p: Packet, key: Key, iface: u32): bool {
  const q = readQuoted(p, key, iface);
  if (q == null) return false;
  to.srcHi = q.dstHi;
  to.srcLo = q.dstLo;
  to.srcPort = q.dstPort;
  to.dstHi = q.srcHi;
  to.dstLo = q.srcLo;
  to.dstPort = <u32>q.srcPort;
  to.selector = q.srcPort;
  to.protocol = q.protocol;
  to.tag = turnTag(q.tag);
  to.v6 = key.v6;
  to.portHi = 0;
  to.selectorHi = 0;
  to.flags = 0;
  return true;
}

/** The half of the flow that an error belongs to, in the error's direction; null: of none that is known. */
export function relatedHalf(table: FlowTable, p: Packet, key: Key, iface: u32): Half | null {
  const q = readQuoted(p, key, iface);
  if (q == null) return null;
  const half = table.lookup(q.dstHi, q.dstLo, q.srcHi, q.srcLo, q.dstPort, <u32>q.srcPort, turnTag(q.tag));
  if (half == null) return null;
  if (q.protocol == Protocol.TCP) {
    // Who has not seen the connection can only guess at its numbers (RFC 5927, 4.1).
    const flow = half.flow;
    const direction: u32 = half.direction;
    const sender = flow.end(direction ^ 1);
    const seq = tcpSeq(p.data + quotedAt + quotedL4);
    const behind = sender.end - seq;
    if (<i32>behind < 0 || behind > flow.end(direction).maxWindow + LATE_BYTES) return null;
  }
  return half;
}

/**
 * Whether an error's quoted packet is what the flow in `draft` begins with, as it looks after the translation of its
 * destination.
 */
export function quotesDraft(draft: Flow, p: Packet, key: Key, iface: u32): bool {
  const q = readQuoted(p, key, iface);
  const reply = draft.half(1);
  return (
    q != null &&
    q.srcHi == reply.dstHi &&
    q.srcLo == reply.dstLo &&
    q.dstHi == reply.srcHi &&
    q.dstLo == reply.srcLo &&
    <u32>q.srcPort == <u32>reply.dstPort &&
    q.dstPort == <u32>reply.srcPort
  );
}

/**
 * Translates an error of direction `direction` whose quoted packet was just found.
 * @param ends whether the error's own addresses are translated too: not those of one that we send ourselves
 */
export function translateError(flow: Flow, direction: u32, p: Packet, key: Key, ends: bool): void {
  if ((flow.status & (<u32>(Status.SOURCE_NAT | Status.DESTINATION_NAT))) == 0) return;
  const half = flow.half(direction);
  const other = flow.half(direction ^ 1);
  const q = quotedKey;
  const at = p.data + quotedAt;
  const bytes = p.len - quotedAt - quotedL4;
  // An identifier belongs to the query's source and to the answer's destination.
  const answer = (q.tag & TAG_ANSWER) != 0;
  const icmp = q.protocol == Protocol.ICMP || q.protocol == Protocol.ICMPV6;
  const srcPort: u32 = icmp && answer ? KEEP : other.srcPort;
  const dstPort: u32 = icmp && !answer ? KEEP : other.dstPort;
  const fromEnd = q.dstHi == key.srcHi && q.dstLo == key.srcLo;
  setEnd(at, End.SOURCE, quotedL4, q.protocol, other.srcHi, other.srcLo, srcPort, false, bytes);
  setEnd(at, End.DESTINATION, quotedL4, q.protocol, other.dstHi, other.dstLo, dstPort, false, bytes);
  let srcHi = key.srcHi;
  let srcLo = key.srcLo;
  if (ends) {
    setAddress(p, End.DESTINATION, other.srcHi, other.srcLo);
    // A router on the way inside stays unseen behind a translated address.
    if (fromEnd || half.srcLo != other.dstLo || half.srcHi != other.dstHi) {
      srcHi = other.dstHi;
      srcLo = other.dstLo;
      setAddress(p, End.SOURCE, srcHi, srcLo);
    }
  }
  sealIcmp(p, key.l4, key.protocol, srcHi, srcLo, ends ? other.srcHi : key.dstHi, ends ? other.srcLo : key.dstLo);
  p.flags &= ~CHECKSUMS;
}
