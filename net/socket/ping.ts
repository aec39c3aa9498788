// Echo requests for fibers (RFC 792; RFC 4443, 4.1).
//
// Invariants
// 1. At most SLOTS pings wait. A reply belongs to the one whose slot is its identifier's lowest bits, and only when address,
//    identifier, sequence and 8 drawn bytes are right: nobody can answer for another.
// 2. Answers come to core 0, which speaks for the machine: elsewhere `ping` gives ENETDOWN.
//
// clang: -Oz

import { allocPacket, coreNumber, Errno, Packet, PacketFlag } from "../../runtime";
import { now, WaitQueue } from "../../fibers";
import { isV4 } from "../ip/address";
import { checksumIcmp6 } from "../ip/icmpv6";
import { newRoute, Route } from "../ip/route";
import { IcmpError, Transport } from "../ip/transport";
import { coreStack } from "../source";
import { Stack } from "../stack";
import { finish, sumPacket } from "../wire/checksum";
import { emitIcmp, ICMP_BYTES, ICMP_CHECKSUM, IcmpType } from "../wire/icmp";
import { emitIcmp6, Icmp6Type } from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import { NO_DEADLINE } from "./stream";

const SLOTS: u32 = 64;
const NONCE_BYTES: u32 = 8;

class Waiting {
  hi: u64 = 0;
  lo: u64 = 0;
  id: u32 = 0;
  nonce: u64 = 0;
  used: bool = false;
  answered_ns: i64 = 0;
  readonly queue: WaitQueue = WaitQueue.create();

  constructor() {
    this.queue.init();
  }
}

class Echo extends Transport {
  private readonly slots: StaticArray<Waiting> = new StaticArray<Waiting>(SLOTS);
  private readonly route: Route = newRoute();

  constructor(private readonly stack: Stack) {
    super();
    for (let i: u32 = 0; i < SLOTS; i++) this.slots[i] = new Waiting();
    stack.ip.register(Protocol.ICMP, this);
    stack.ip.register(Protocol.ICMPV6, this);
  }

  /** Asks once and waits. */
  ask(hi: u64, lo: u64, bytes: u32, deadline_ns: i64): i64 {
    const stack = this.stack;
    let w: Waiting | null = null;
    let slot: u32 = 0;
    for (; slot < SLOTS && w == null; slot++) if (!this.slots[slot].used) w = this.slots[slot];
    if (w == null) return Errno.EBUSY;
    w.hi = hi;
    w.lo = lo;
    w.id = (stack.random32() & 0xffff & ~(SLOTS - 1)) | (slot - 1);
    w.nonce = stack.random64();
    w.answered_ns = 0;
    w.used = true;
    const begun_ns = now();
    let result: i32 = this.send(w, bytes);
    while (result >= 0 && w.answered_ns == 0) result = w.queue.wait(deadline_ns);
    w.used = false;
    return result < 0 ? <i64>result : w.answered_ns - begun_ns;
  }

  private send(w: Waiting, bytes: u32): i32 {
    const stack = this.stack;
    const route = this.route;
    route.generation = 0;
    const error = stack.ip.resolve(route, w.hi, w.lo);
    if (error < 0) return error;
    const p = allocPacket();
    if (p == null) return Errno.ENOBUFS;
    const at = p.append(ICMP_BYTES + NONCE_BYTES + bytes);
    const four = isV4(w.hi, w.lo);
    if (four) emitIcmp(at, IcmpType.ECHO_REQUEST, 0, (w.id << 16) | 1);
    else emitIcmp6(at, Icmp6Type.ECHO_REQUEST, 0, (w.id << 16) | 1);
    store<u64>(at + ICMP_BYTES, w.nonce);
    memory.fill(at + ICMP_BYTES + NONCE_BYTES, 0, bytes);
    if (four) store<u16>(at, finish(sumPacket(p, 0, p.totalLen)), ICMP_CHECKSUM);
    else checksumIcmp6(p, route.srcHi, route.srcLo, w.hi, w.lo);
    if (four) stack.counters.icmpOutMsgs++;
    else stack.counters.icmp6OutMsgs++;
    const protocol: u32 = four ? Protocol.ICMP : Protocol.ICMPV6;
    return stack.ip.output(p, route, route.srcHi, route.srcLo, w.hi, w.lo, protocol, 0);
  }

  // The ping that a message (echo request or reply) of `bytes` readable bytes belongs to, or null.
  private find(message: usize, bytes: u32, hi: u64, lo: u64): Waiting | null {
    if (bytes < ICMP_BYTES) return null;
    const rest = bswap<u32>(load<u32>(message, 4));
    const w = this.slots[(rest >> 16) & (SLOTS - 1)];
    if (!w.used || w.id != rest >> 16 || (rest & 0xffff) != 1 || w.lo != lo || w.hi != hi) return null;
    // An error may quote less than what was drawn.
    return bytes >= ICMP_BYTES + NONCE_BYTES && load<u64>(message, ICMP_BYTES) != w.nonce ? null : w;
  }

  input(p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, tos: u32): void {
    const l4: u32 = p.l4;
    const there = p.pull(l4 + ICMP_BYTES + NONCE_BYTES);
    const w = there ? this.find(p.data + l4, p.len - l4, srcHi, srcLo) : null;
    p.free();
    if (w == null) return;
    w.answered_ns = now();
    w.queue.wakeAll();
  }

  icmpError(
    error: IcmpError,
    mtu: u32,
    srcHi: u64,
    srcLo: u64,
    dstHi: u64,
    dstLo: u64,
    header: usize,
    header_bytes: u32,
  ): void {
    const w = this.find(header, header_bytes, dstHi, dstLo);
    if (w == null) return;
    let result: i32 = Errno.EHOSTUNREACH;
    if (error == IcmpError.NET_UNREACHABLE) result = Errno.ENETUNREACH;
    else if (error == IcmpError.TOO_BIG) result = Errno.EMSGSIZE;
    w.queue.wakeAll(result);
  }
}

let echo: Echo | null = null;

/**
 * Sends an echo request and waits for its answer.
 * @param bytes payload besides the 8 bytes that are drawn, at most 1,400
 * @returns the round trip, ns; ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EBUSY (64 wait already), ENETDOWN without a network
 */
export function ping(hi: u64, lo: u64, deadline_ns: i64 = NO_DEADLINE, bytes: u32 = 48): i64 {
  const stack = coreStack();
  if (stack == null || coreNumber() != 0) return Errno.ENETDOWN;
  if (bytes > 1400) return Errno.EINVAL;
  let e = echo;
  if (e == null) {
    e = new Echo(stack);
    echo = e;
  }
  return e.ask(hi, lo, bytes, deadline_ns);
}
