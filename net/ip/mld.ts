// Membership in IPv6 groups of a link: MLDv2 as a listener of whole groups (RFC 3810), which switches between snooping wait for.
//
// Invariants
// 1. ff02::1 is everybody's and never reported (RFC 3810, 6). A group is reported twice when it is joined.
// 2. Every query is answered by one report of all groups, after a random part of the time that it allows: as many groups as we
//    have fit one packet.
// clang: -Oz

import { allocPacket, Timer, Packet } from "../../runtime";
import { Interface } from "../link/interface";
import { stackAt } from "../stack";
import { EtherType } from "../wire/ethernet";
import { linkOutput } from "../link/ethernet";
import { emitIcmp6, Icmp6Type } from "../wire/icmpv6";
import { Protocol } from "../wire/ipv4";
import { emitIpv6, IPV6_BYTES, NextHeader, storeAddress } from "../wire/ipv6";
import { checksumIcmp6 } from "./icmpv6";

const MAX_GROUPS: i32 = 64;
const REPEAT_NS: i64 = 1_000_000_000;
const MILLISECOND_NS: i64 = 1_000_000;
const ALL_MLD2_ROUTERS_LO: u64 = 0x16;
const RECORD_BYTES: u32 = 20;
/** Group record types: is in exclude mode, changes to include (leaves), changes to exclude (joins). */
const MODE_IS_EXCLUDE: u32 = 2;
const TO_INCLUDE: u32 = 3;
const TO_EXCLUDE: u32 = 4;
const QUERY_BYTES: u32 = 24;

class Group {
  users: i32 = 1;
  constructor(
    readonly hi: u64,
    readonly lo: u64,
  ) {}
}


@unmanaged
class Context {
  stack: u32;
  iface: u32;
}

export class Mld {
  private readonly groups: Array<Group> = [];
  private readonly timer: Timer;

  constructor(private readonly iface: Interface) {
    const at = heap.alloc(offsetof<Context>() + offsetof<Timer>());
    const context = changetype<Context>(at);
    context.stack = iface.stackId;
    context.iface = iface.index;
    this.timer = changetype<Timer>(at + offsetof<Context>());
    this.timer.init(onTimer, at);
  }

  /** Are packets to a group for us? */
  isMember(hi: u64, lo: u64): bool {
    return (hi == 0xff02000000000000 && lo == 1) || this.find(hi, lo) >= 0;
  }

  private find(hi: u64, lo: u64): i32 {
    const groups = this.groups;
    for (let i = 0, n = groups.length; i < n; i++) {
      const g = unchecked(groups[i]);
      if (g.lo == lo && g.hi == hi) return i;
    }
    return -1;
  }

  /** Joins a group; joined more than once, it is left as often. False when there are too many. */
  join(hi: u64, lo: u64): bool {
    const at = this.find(hi, lo);
    if (at >= 0) {
      this.groups[at].users++;
      return true;
    }
    if (this.groups.length >= MAX_GROUPS) return false;
    this.groups.push(new Group(hi, lo));
    this.report(TO_EXCLUDE, this.groups.length - 1, 1);
    this.later(REPEAT_NS);
    return true;
  }

  leave(hi: u64, lo: u64): void {
    const at = this.find(hi, lo);
    if (at < 0 || --this.groups[at].users > 0) return;
    this.report(TO_INCLUDE, at, 1);
    this.groups.splice(at, 1);
  }

  /** Takes a query: `data` at the IPv6 header, `l4` at the message. The packet stays the caller's. */
  query(p: Packet, srcHi: u64): void {
    const counters = stackAt(this.iface.stackId).counters;
    const l4: u32 = p.l4;
    // Only routers of the link ask (RFC 3810, 6.2).
    if (srcHi >> 54 != 0x3fa || !p.pull(l4 + QUERY_BYTES)) {
      counters.icmp6InErrors++;
      return;
    }
    counters.mldInQueries++;
    const code = <u32>bswap<u16>(load<u16>(p.data + l4, 4));
    const delay_ms = code < 32768 ? code : ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3);
    const stack = stackAt(this.iface.stackId);
    this.later(<i64>stack.randomBelow(max<u32>(min<u32>(delay_ms, 60_000), 1)) * MILLISECOND_NS);
  }

  private later(delay_ns: i64): void {
    const stack = stackAt(this.iface.stackId);
    const at = stack.now_ns + delay_ns;
    if (!this.timer.isSet || at < this.timer.deadline_ns) stack.wheel.set(this.timer, at);
  }

  /** Reports all groups. */
  reportAll(): void {
    if (this.groups.length > 0) this.report(MODE_IS_EXCLUDE, 0, this.groups.length);
  }

  private report(type: u32, from: i32, count: i32): void {
    const iface = this.iface;
    const stack = stackAt(iface.stackId);
    const p = allocPacket();
    if (p == null) {
      stack.counters.noBuffers++;
      return;
    }
    const at = p.append(8 + <u32>count * RECORD_BYTES);
    emitIcmp6(at, Icmp6Type.MLD2_REPORT, 0, count);
    for (let i = 0; i < count; i++) {
      const record = at + 8 + i * RECORD_BYTES;
      const group = this.groups[from + i];
      store<u32>(record, type);
      storeAddress(record + 4, group.hi, group.lo);
    }
    // From :: while the address of the link is being checked (RFC 3810, 5.2.13).
    const own = iface.v6 != null && iface.v6!.addresses.length > 0 ? iface.v6!.addresses[0] : null;
    const ready = own != null && !own.tentative;
    const srcHi: u64 = ready ? own!.hi : 0;
    const srcLo: u64 = ready ? own!.lo : 0;
    checksumIcmp6(p, srcHi, srcLo, 0xff02000000000000, ALL_MLD2_ROUTERS_LO);
    // Hop-by-hop: router alert for MLD (RFC 2711), and padding.
    const alert = p.push(8);
    store<u32>(alert, Protocol.ICMPV6 | (0x0205 << 16));
    store<u32>(alert, 0x00010000, 4);
    const payload = p.totalLen;
    const header = p.push(IPV6_BYTES);
    emitIpv6(header, 0, 0, payload, NextHeader.HOP_BY_HOP, 1, srcHi, srcLo, 0xff02000000000000, ALL_MLD2_ROUTERS_LO);
    stack.counters.icmp6OutMsgs++;
    stack.counters.mldOutReports++;
    linkOutput(stack, iface, p, 0x333300000016, EtherType.IPV6);
  }
}

function onTimer(timer: Timer): void {
  const context = changetype<Context>(timer.context);
  const v6 = stackAt(context.stack).interfaces[context.iface].v6;
  if (v6 != null) v6.mld.reportAll();
}
