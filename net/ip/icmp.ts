// ICMP for IPv4 (RFC 792; RFC 1122, 3.2.2): echo is answered, errors in are handed to the transport whose packet they
// quote, errors out are
// limited in rate and never answer errors, groups or fragments.
// clang: -Oz

import { allocPacket, BUFFER_DATA_BYTES, HEADROOM_BYTES, Packet, PacketFlag } from "../../runtime";
import { Interface } from "../link/interface";
import { Limits, Stack } from "../stack";
import { finish, fold, sumBytes, sumPacket } from "../wire/checksum";
import {
  emitIcmp,
  ICMP_BYTES,
  ICMP_CHECKSUM,
  icmpCode,
  icmpIsError,
  icmpMtu,
  icmpType,
  IcmpType,
  IcmpUnreachable,
} from "../wire/icmp";
import {
  IPV4_BYTES,
  ipv4Dst,
  ipv4Fragment,
  ipv4HeaderBytes,
  ipv4Protocol,
  ipv4Src,
  ipv4Tos,
  ipv4Total,
  Protocol,
} from "../wire/ipv4";
import { v4 } from "./address";
import { IcmpError } from "./transport";
import { newRoute, Route } from "./route";

const SECOND_NS: i64 = 1_000_000_000;
/** Bytes of an error message with its IP header (RFC 1812, 4.3.2.3). */
const ERROR_BYTES: u32 = 576;
/** Internetwork control (RFC 1812, 4.3.2.5). */
const ERROR_TOS: u32 = 0xc0;
const MIN_IPV4_MTU: u32 = 68;

/**
 * Limits errors out: a bucket of tokens. What an error costs is drawn, so that counting errors tells an outsider
 * nothing (SAD DNS, 2020).
 */
export class IcmpLimiter {
  private readonly perSecond: i64;
  private readonly burst: i64;
  private tokens: i64;
  private filled_ns: i64 = 0;

  constructor(limits: Limits) {
    this.perSecond = max<i64>(limits.icmpErrorsPerSecond, 1);
    this.burst = max<i64>(limits.icmpErrorBurst, 2);
    this.tokens = this.burst;
  }

  allow(stack: Stack): bool {
    const elapsed = min<i64>(stack.now_ns - this.filled_ns, SECOND_NS);
    const earned = (elapsed * this.perSecond) / SECOND_NS;
    if (earned > 0) {
      this.tokens = min(this.burst, this.tokens + earned);
      this.filled_ns = stack.now_ns;
    }
    if (this.tokens <= 0) return false;
    this.tokens -= 1 + <i64>(stack.random32() & 1);
    return true;
  }
}

let scratch: Route | null = null;

// A Route that is resolved for each message: answers go to anybody.
export function scratchRoute(): Route {
  let route = scratch;
  if (route == null) {
    route = newRoute();
    scratch = route;
  }
  route.generation = 0;
  return route;
}

/** Takes an ICMP packet to us: `data` at the IPv4 header, `l4` behind it. Owns it. */
export function icmpInput(stack: Stack, iface: Interface, p: Packet): void {
  const counters = stack.counters;
  counters.icmpInMsgs++;
  const l4: u32 = p.l4;
  const bytes = p.totalLen - l4;
  if (bytes < ICMP_BYTES || !p.pull(l4 + ICMP_BYTES)) {
    counters.icmpInErrors++;
    p.free();
    return;
  }
  if ((p.flags & PacketFlag.CHECKSUM_OK) == 0 && sumPacket(p, l4, bytes) != 0xffff) {
    counters.icmpInCsumErrors++;
    p.free();
    return;
  }
  switch (icmpType(p.data + l4)) {
    case IcmpType.ECHO_REQUEST:
      counters.icmpInEchos++;
      echo(stack, p);
      return;
    case IcmpType.ECHO_REPLY: {
      // Whoever pings registers as the transport of ICMP.
      const transport = stack.ip.transport(Protocol.ICMP);
      if (transport != null) {
        transport.input(p, 0, v4(ipv4Src(p.data)), 0, v4(ipv4Dst(p.data)), ipv4Tos(p.data));
        return;
      }
      break;
    }
    case IcmpType.UNREACHABLE:
    case IcmpType.TIME_EXCEEDED:
    case IcmpType.PARAMETER_PROBLEM:
      counters.icmpInDestUnreachs++;
      errorInput(stack, p, l4);
      p.free();
      return;
  }
  // Redirects among them: a host with one gateway has no use for them, and anybody can send one.
  counters.icmpInIgnored++;
  p.free();
}

function echo(stack: Stack, p: Packet): void {
  const counters = stack.counters;
  // To a group: a reply would make us an amplifier (RFC 1122, 3.2.2.6 allows silence).
  if ((p.flags & (PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST)) != 0 || p.refs > 1) {
    counters.icmpInIgnored++;
    p.free();
    return;
  }
  const src = v4(ipv4Src(p.data));
  const dst = v4(ipv4Dst(p.data));
  const tos = ipv4Tos(p.data);
  p.drop(p.l4);
  // Only the type changes, from 8 to 0: the sum falls by 8 in the word whose first byte it is (RFC 1624).
  const at = p.data;
  const sum = fold(((<u64>load<u16>(at, ICMP_CHECKSUM)) ^ 0xffff) + (0xffff - 8));
  store<u8>(at, IcmpType.ECHO_REPLY);
  store<u16>(at, <u16>~sum, ICMP_CHECKSUM);
  p.flags = 0;
  p.csumStart = 0;
  counters.icmpOutMsgs++;
  counters.icmpOutEchoReps++;
  stack.ip.output(p, scratchRoute(), 0, dst, 0, src, Protocol.ICMP, tos);
}

function errorInput(stack: Stack, p: Packet, l4: u32): void {
  const quoted = l4 + ICMP_BYTES;
  // The quoted header with options, and as much of the transport header as there may be.
  if (!p.pull(min<u32>(p.totalLen, quoted + 60 + 64))) {
    stack.counters.icmpInErrors++;
    return;
  }
  const at = p.data + l4;
  const inner = p.data + quoted;
  const readable = p.len - quoted;
  const type = icmpType(at);
  const code = icmpCode(at);
  let error: IcmpError = IcmpError.PARAMETER_PROBLEM;
  let mtu: u32 = 0;
  if (type == IcmpType.TIME_EXCEEDED) {
    error = IcmpError.TIME_EXCEEDED;
  } else if (type == IcmpType.UNREACHABLE) {
    switch (code) {
      case IcmpUnreachable.PROTOCOL:
        error = IcmpError.PROTOCOL_UNREACHABLE;
        break;
      case IcmpUnreachable.PORT:
        error = IcmpError.PORT_UNREACHABLE;
        break;
      case IcmpUnreachable.FRAGMENTATION_NEEDED: {
        if (readable < IPV4_BYTES) return;
        error = IcmpError.TOO_BIG;
        const sent = ipv4Total(inner);
        mtu = icmpMtu(at);
        // Old routers do not say it: the next lower plateau (RFC 1191, 7.1).
        if (mtu == 0) mtu = plateau(sent);
        if (mtu < MIN_IPV4_MTU || mtu >= sent) {
          stack.counters.icmpInErrors++;
          return;
        }
        break;
      }
      case IcmpUnreachable.NET_PROHIBITED:
      case IcmpUnreachable.HOST_PROHIBITED:
      case IcmpUnreachable.PROHIBITED:
        error = IcmpError.PROHIBITED;
        break;
      case IcmpUnreachable.HOST:
        error = IcmpError.HOST_UNREACHABLE;
        break;
      default:
        error = IcmpError.NET_UNREACHABLE;
    }
  }
  reportError(stack, inner, readable, error, mtu);
}

// RFC 1191, table 7-1.
function plateau(sent: u32): u32 {
  if (sent > 32000) return 32000;
  if (sent > 17914) return 17914;
  if (sent > 8166) return 8166;
  if (sent > 4352) return 4352;
  if (sent > 2002) return 2002;
  if (sent > 1492) return 1492;
  if (sent > 1006) return 1006;
  if (sent > 508) return 508;
  return 296;
}

/**
 * Hands an error about a packet of ours, quoted from its IPv4 header on, to its transport. `bytes` of it may be read;
 * all of it is hostile.
 */
export function reportError(stack: Stack, inner: usize, bytes: u32, error: IcmpError, mtu: u32): void {
  const counters = stack.counters;
  if (bytes < IPV4_BYTES + 8 || load<u8>(inner) >> 4 != 4) {
    counters.icmpInErrors++;
    return;
  }
  const header = ipv4HeaderBytes(inner);
  // Only a first fragment has the transport header.
  if (header < IPV4_BYTES || header + 8 > bytes || (ipv4Fragment(inner) & 0x1fff) != 0) {
    counters.icmpInErrors++;
    return;
  }
  const src = v4(ipv4Src(inner));
  if (!stack.ip.isLocal(0, src)) {
    counters.icmpInErrors++;
    return;
  }
  const transport = stack.ip.transport(ipv4Protocol(inner));
  if (transport == null) {
    counters.icmpInIgnored++;
    return;
  }
  transport.icmpError(error, mtu, 0, src, 0, v4(ipv4Dst(inner)), inner + header, bytes - header);
}

/**
 * Sends an error about a received packet (`data` at its IPv4 header) where one is due (RFC 1122, 3.2.2). The packet
 * stays the caller's.
 */
export function sendIcmpError(stack: Stack, p: Packet, type: u32, code: u32, rest: u32): void {
  const counters = stack.counters;
  const h = p.data;
  const src = ipv4Src(h);
  if ((p.flags & (PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST)) != 0) return;
  if ((ipv4Fragment(h) & 0x1fff) != 0 || src == 0 || src >> 28 >= 14) return;
  const header = ipv4HeaderBytes(h);
  if (ipv4Protocol(h) == Protocol.ICMP && (p.len <= header || icmpIsError(load<u8>(h + header)))) return;
  if (!stack.ip.icmpLimiter.allow(stack)) {
    counters.icmpOutRateLimited++;
    return;
  }
  const e = allocPacket();
  if (e == null) {
    counters.noBuffers++;
    return;
  }
  const quote = min<u32>(p.totalLen, ERROR_BYTES - IPV4_BYTES - ICMP_BYTES);
  assert(<usize>(quote + ICMP_BYTES) <= BUFFER_DATA_BYTES - HEADROOM_BYTES);
  const at = e.append(ICMP_BYTES + quote);
  emitIcmp(at, type, code, rest);
  p.copyTo(at + ICMP_BYTES, 0, quote);
  store<u16>(at, finish(sumBytes(at, ICMP_BYTES + quote)), ICMP_CHECKSUM);
  counters.icmpOutMsgs++;
  counters.icmpOutErrors++;
  const route = scratchRoute();
  if (stack.ip.resolve(route, 0, v4(src)) < 0) {
    counters.ipOutNoRoutes++;
    e.free();
    return;
  }
  const dst = v4(ipv4Dst(h));
  stack.ip.output(e, route, 0, stack.ip.isLocal(0, dst) ? dst : route.srcLo, 0, v4(src), Protocol.ICMP, ERROR_TOS);
}
