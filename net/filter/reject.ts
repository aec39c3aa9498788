// Refusing a packet so that its sender knows: a RST for TCP (RFC 9293, 3.10.7.1), port unreachable for others.
// clang: -Oz

import { allocPacket, Packet } from "../../runtime";
import { sendIcmpError } from "../ip/icmp";
import { sendIcmp6Error } from "../ip/icmpv6";
import { newRoute, Route } from "../ip/route";
import { Stack } from "../stack";
import { finish, sumBytes, sumPseudo } from "../wire/checksum";
import { IcmpType, IcmpUnreachable } from "../wire/icmp";
import { Icmp6Type, Icmp6Unreachable } from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import { emitTcp, setTcpChecksum, tcpAck, TCP_BYTES, TcpFlag, tcpHeaderBytes, tcpSeq } from "../wire/tcp";
import { Key } from "./key";

const route: Route = newRoute();

/**
 * Answers a packet (`data` at its IP header, with its own addresses, key read from it). It stays the caller's. What is sent
 * is limited in rate like all errors.
 */
export function reject(stack: Stack, p: Packet, key: Key): void {
  if (key.protocol != Protocol.TCP) {
    if (key.v6) sendIcmp6Error(stack, p, Icmp6Type.UNREACHABLE, Icmp6Unreachable.PORT, 0);
    else sendIcmpError(stack, p, IcmpType.UNREACHABLE, IcmpUnreachable.PORT, 0);
    return;
  }
  // Never a RST for a RST.
  if (key.flags & TcpFlag.RST) return;
  if (!stack.ip.icmpLimiter.allow(stack)) {
    stack.counters.icmpOutRateLimited++;
    return;
  }
  const at = p.data + key.l4;
  let seq: u32 = 0;
  let ack: u32 = 0;
  let flags: u32 = TcpFlag.RST;
  if (key.flags & TcpFlag.ACK) {
    seq = tcpAck(at);
  } else {
    const payload = key.bytes - tcpHeaderBytes(at);
    ack = tcpSeq(at) + payload + (key.flags & TcpFlag.SYN ? 1 : 0) + (key.flags & TcpFlag.FIN ? 1 : 0);
    flags |= TcpFlag.ACK;
  }
  const answer = allocPacket();
  if (answer == null) {
    stack.counters.noBuffers++;
    return;
  }
  const to = answer.append(TCP_BYTES);
  emitTcp(to, key.dstPort, <u32>key.srcPort, seq, ack, TCP_BYTES, flags, 0);
  const sum = sumPseudo(key.dstHi, key.dstLo, key.srcHi, key.srcLo, Protocol.TCP, TCP_BYTES);
  setTcpChecksum(to, finish(sumBytes(to, TCP_BYTES) + sum));
  answer.csumStart = 0;
  route.generation = 0;
  if (stack.ip.resolve(route, key.srcHi, key.srcLo) < 0) {
    answer.free();
    return;
  }
  stack.counters.tcpOutRsts++;
  stack.ip.output(answer, route, key.dstHi, key.dstLo, key.srcHi, key.srcLo, Protocol.TCP, 0);
}
