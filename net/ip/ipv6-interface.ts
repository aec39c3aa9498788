// What an interface has for IPv6: its address of the link, the others, their groups, and the check that nobody else uses them
// (RFC 4862, 5.4). Made by the first IPv6 address.
//
// Invariants
// 1. An address is used at once and checked for one second meanwhile (optimistic, RFC 4429): it overrides nobody's cache entry
//    and is a source only where there is no better one. An appliance that boots serves now, with a fixed address too.
// 2. An address that somebody else turns out to have in that second is given up; later it is defended, and people are told.
// 3. The address of the link hides the hardware address: fe80:: and a keyed hash of it (RFC 7217; nothing random survives a
//    boot here, so the key is fixed and the hardware address is its only secret).
//
// clang: -Oz

import { Errno, Packet, sipHash, Timer } from "../../runtime";
import { Interface, InterfaceAddress } from "../link/interface";
import { announce6, solicit, SOLICITED_NODE_LO } from "../link/ndp";
import { NoticeKind } from "../notice";
import { Stack, stackAt } from "../stack";
import { MAC_BROADCAST } from "../wire/ethernet";
import { zoned } from "../wire/ipv6";
import { maskHi, maskLo } from "./address";
import { Mld } from "./mld";
import { RouteKind } from "./route";

const CHECK_NS: i64 = 1_000_000_000;
const DEFEND_NS: i64 = 10_000_000_000;
const LINK_HI: u64 = 0xfe80000000000000;
const MAX_ADDRESSES: i32 = 64;

/** Takes what routers say to hosts: net/ip/slaac.ts. */
export abstract class RouterMessages {
  /** An advertisement or redirect from a router's address of the link, well-formed, in one piece; `l4` is at it. Owns it. */
  abstract input(p: Packet): void;
}

/** Hears that a host asks for routers: net/ip/advertiser.ts. */
export abstract class RouterSolicitations {
  abstract solicited(): void;
}

export class Ipv6Address {
  /** Not known yet to be ours alone. */
  tentative: bool = true;
  /** To be used no longer for what is new (RFC 4862, 5.5.4). */
  deprecated: bool = false;
  /** Somebody else has it. */
  lost: bool = false;
  mac: u64 = 0;
  told_ns: i64 = i64.MIN_VALUE;
  checked_ns: i64 = 0;

  constructor(
    readonly hi: u64,
    readonly lo: u64,
    readonly bits: u32,
  ) {}
}


@unmanaged
class Context {
  stack: u32;
  iface: u32;
}

export class Ipv6Interface {
  readonly mld: Mld;
  readonly addresses: Array<Ipv6Address> = [];
  /** Who listens to routers, and to hosts that ask for one; null: nobody. */
  routers: RouterMessages | null = null;
  advertiser: RouterSolicitations | null = null;
  private readonly timer: Timer;

  constructor(private readonly iface: Interface) {
    this.mld = new Mld(iface);
    const stack = stackAt(iface.stackId);
    const at = heap.alloc(offsetof<Context>() + offsetof<Timer>());
    const context = changetype<Context>(at);
    context.stack = stack.id;
    context.iface = iface.index;
    const timer = changetype<Timer>(at + offsetof<Context>());
    timer.init(onTimer, at);
    this.timer = timer;
  }

  /** Takes the interface's address of the link. Once, when the interface knows this object. */
  start(): void {
    const id = sipHash(0x6865646c65, 0x6970763669646e74, this.iface.mac, LINK_HI, 0);
    this.add(zoned(LINK_HI, this.iface.index), id, 64);
  }

  /** The address equal to (hi, lo), or null. */
  find(hi: u64, lo: u64): Ipv6Address | null {
    const addresses = this.addresses;
    for (let i = 0, n = addresses.length; i < n; i++) {
      const a = unchecked(addresses[i]);
      if (a.lo == lo && a.hi == hi) return a;
    }
    return null;
  }

  /** Adds an address with its routes and begins to check it. 0, EEXIST or ENOSPC. */
  add(hi: u64, lo: u64, bits: u32): i32 {
    if (this.find(hi, lo) != null) return Errno.EEXIST;
    if (this.addresses.length >= MAX_ADDRESSES) return Errno.ENOSPC;
    const iface = this.iface;
    const stack = stackAt(iface.stackId);
    const address = new Ipv6Address(hi, lo, bits);
    this.addresses.push(address);
    const ip = stack.ip;
    ip.addRoute(hi, lo, 128, RouteKind.LOCAL, iface.index, 0, 0, hi, lo, 0);
    if (bits < 128)
      ip.addRoute(hi & maskHi(bits), lo & maskLo(bits), bits, RouteKind.UNICAST, iface.index, 0, 0, 0, 0, 0);
    this.mld.join(0xff02000000000000, SOLICITED_NODE_LO | (lo & 0xffffff));
    address.checked_ns = stack.now_ns + CHECK_NS;
    solicit(stack, iface, 0, 0, hi, lo, MAC_BROADCAST);
    if (!this.timer.isSet) stack.wheel.set(this.timer, address.checked_ns);
    return 0;
  }

  /** Removes an address and its routes. */
  remove(address: Ipv6Address): void {
    const iface = this.iface;
    const ip = stackAt(iface.stackId).ip;
    const hi = address.hi;
    const lo = address.lo;
    const bits = address.bits;
    ip.removeRoute(hi, lo, 128, RouteKind.LOCAL, iface.index, hi, lo);
    if (bits < 128) ip.removeRoute(hi & maskHi(bits), lo & maskLo(bits), bits, RouteKind.UNICAST, iface.index, 0, 0);
    this.addresses.splice(this.addresses.indexOf(address), 1);
    this.mld.leave(0xff02000000000000, SOLICITED_NODE_LO | (lo & 0xffffff));
  }

  /** From the packet path: another station says that an own address is its. */
  claimed(address: Ipv6Address, mac: u64): void {
    const stack = stackAt(this.iface.stackId);
    stack.counters.ndDuplicates++;
    address.mac = mac;
    if (address.tentative) {
      address.lost = true;
      stack.wheel.set(this.timer, stack.now_ns);
      return;
    }
    const now = stack.now_ns;
    if (address.told_ns != i64.MIN_VALUE && now - address.told_ns < DEFEND_NS) return;
    address.told_ns = now;
    announce6(stack, this.iface, address.hi, address.lo);
    this.tell(stack, address);
  }

  private tell(stack: Stack, address: Ipv6Address): void {
    const notice = stack.notices.add(NoticeKind.ADDRESS_CONFLICT, this.iface.index);
    if (notice == null) return;
    notice.hi = address.hi;
    notice.lo = address.lo;
    notice.bits = address.bits;
    notice.mac = address.mac;
  }

  /** Ends the checks that are due. */
  check(): void {
    const iface = this.iface;
    const stack = stackAt(iface.stackId);
    const now = stack.now_ns;
    let next = i64.MAX_VALUE;
    for (let i = this.addresses.length - 1; i >= 0; i--) {
      const a = this.addresses[i];
      if (!a.tentative) continue;
      if (a.lost) {
        this.tell(stack, a);
        if (!iface.removeAddress(a.hi, a.lo)) this.remove(a);
      } else if (a.checked_ns <= now) {
        a.tentative = false;
        stack.ip.changed();
        announce6(stack, iface, a.hi, a.lo);
      } else next = min(next, a.checked_ns);
    }
    if (next != i64.MAX_VALUE) stack.wheel.set(this.timer, next);
  }

  /** Adds a global address of the configuration to the interface's list too; as `Interface.addAddress`. */
  addGlobal(hi: u64, lo: u64, bits: u32): i32 {
    if (hi >> 56 == 0xff || hi >> 54 == 0x3fa || (hi == 0 && lo <= 1) || bits == 0 || bits > 128) return Errno.EINVAL;
    const status = this.add(hi, lo, bits);
    if (status < 0) return status;
    this.iface.addresses.push(new InterfaceAddress(hi, lo, bits, false));
    return 0;
  }
}

function onTimer(timer: Timer): void {
  const context = changetype<Context>(timer.context);
  const v6 = stackAt(context.stack).interfaces[context.iface].v6;
  if (v6 != null) v6.check();
}
