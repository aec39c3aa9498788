// What an interface takes from routers: default routers, prefixes, addresses made of them, routes, the MTU, name servers, and
// redirects (RFC 4861, 6.3 and 8.3; RFC 4862, 5.5; RFC 4191; RFC 8106; RFC 7217; RFC 7559).
//
//   packet path: advertisement --> queue        timer: queue --> entries --> addresses, routes, servers
//                                                      entries that have expired --> taken back
//                                                      nothing heard yet --> solicitation, 4 s and longer apart
//
// Invariants
// 1. What is known is a list of entries, at most so many of each kind (`mostOf`): who floods the link with advertisements
//    replaces nothing that was there before.
// 2. Each entry has an end, at which everything that was made of it is taken back.
// 3. Packets are only queued by `input`: what follows from them allocates, and the packet path must not.
//
// clang: -Oz

import { allocPacket, Packet, PacketQueue, sipHash, Timer } from "../../runtime";
import { Interface } from "../link/interface";
import { sendIcmp6 } from "../link/ndp";
import { Stack, stackAt } from "../stack";
import { emitIcmp6, Icmp6Type, icmp6Type } from "../wire/icmpv6";
import { IPV6_SRC, loadHi, loadLo, zoned } from "../wire/ipv6";
import { ND_MAC_OPTION_BYTES } from "../wire/ndp";
import {
  emitRaMac,
  PrefixFlag,
  RA_BYTES,
  raLifetime_s,
  RaOption,
  raPreference,
  REDIRECT_DST,
  RS_BYTES,
} from "../wire/ra";
import { isLinkLocal, isMulticast, maskHi, maskLo } from "./address";
import { RouterMessages } from "./ipv6-interface";
import { MIN_MTU6 } from "./pmtu";
import { RouteKind } from "./route";

const SECOND_NS: i64 = 1_000_000_000;
const TWO_HOURS_NS: i64 = 7_200 * SECOND_NS;
/** Redirects are believed for so long; Linux forgets them when it forgets a path's MTU. */
const REDIRECT_S: u32 = 600;
const QUEUE: u32 = 8;
/** Solicitations (RFC 7559): first wait, and the longest. */
const FIRST_WAIT_NS: i64 = 4 * SECOND_NS;
const LAST_WAIT_NS: i64 = 3_600 * SECOND_NS;
/** Other addresses of a prefix that are tried when one is taken (RFC 7217, 6). */
const TRIES: u32 = 3;
/** Metrics of routes that were learnt: behind those of the configuration. */
const METRIC: i32 = 1024;

const enum Kind {
  ROUTER,
  PREFIX,
  ADDRESS,
  ROUTE,
  SERVER,
  REDIRECT,
}

function mostOf(kind: Kind): i32 {
  return kind == Kind.ROUTER || kind == Kind.SERVER ? 4 : kind == Kind.REDIRECT ? 64 : 8;
}

class Entry {
  expiry_ns: i64 = 0;
  /** When an address is to be used no longer for what is new. */
  preferred_ns: i64 = 0;
  /** Of an address: how many others of its prefix were taken. */
  tries: u32 = 0;
  metric: u32 = 0;

  constructor(
    readonly kind: Kind,
    /** A router's or server's address, a prefix, or an address made of one. */
    public hi: u64,
    public lo: u64,
    readonly bits: u32,
    /** The router that a route leads through; 0: on the link. */
    public hopHi: u64,
    public hopLo: u64,
  ) {}
}


@unmanaged
class Context {
  stack: u32;
  iface: u32;
}

export class Slaac extends RouterMessages {
  private readonly stack: Stack;
  private readonly timer: Timer;
  private readonly queue: PacketQueue = new PacketQueue();
  private readonly entries: Array<Entry> = [];
  private readonly mtu: u32;
  private heard: bool = false;
  private ask_ns: i64 = 0;
  private wait_ns: i64 = FIRST_WAIT_NS;

  constructor(private readonly iface: Interface) {
    super();
    const stack = stackAt(iface.stackId);
    this.stack = stack;
    this.mtu = iface.mtu;
    const at = heap.alloc(offsetof<Context>() + offsetof<Timer>());
    const context = changetype<Context>(at);
    context.stack = stack.id;
    context.iface = iface.index;
    const timer = changetype<Timer>(at + offsetof<Context>());
    timer.init(onTimer, at);
    this.timer = timer;
  }

  /** Begins to listen and to ask. */
  start(): void {
    this.iface.enable6().routers = this;
    this.ask_ns = this.stack.now_ns;
    this.tick();
  }

  /** Takes everything back. */
  stop(): void {
    this.iface.enable6().routers = null;
    for (let p = this.queue.shift(); p != null; p = this.queue.shift()) p.free();
    while (this.entries.length > 0) this.takeBack(this.entries.pop());
    this.stack.wheel.cancel(this.timer);
  }

  input(p: Packet): void {
    if (this.queue.count >= QUEUE) {
      this.stack.counters.ndInIgnored++;
      p.free();
      return;
    }
    this.queue.push(p);
    this.stack.wheel.set(this.timer, this.stack.now_ns);
  }

  /** Works on what was received, ends what has expired, asks. */
  tick(): void {
    const stack = this.stack;
    const now = stack.now_ns;
    for (let p = this.queue.shift(); p != null; p = this.queue.shift()) {
      const l4: u32 = p.l4;
      const at = p.data + l4;
      const router = zoned(loadHi(p.data + IPV6_SRC), this.iface.index);
      if (icmp6Type(at) == Icmp6Type.REDIRECT) this.redirect(at, router, loadLo(p.data + IPV6_SRC));
      else this.advertised(at, p.len - l4, router, loadLo(p.data + IPV6_SRC));
      p.free();
    }
    if (!this.heard && now >= this.ask_ns) this.ask();
    let next = this.heard ? i64.MAX_VALUE : this.ask_ns;
    const entries = this.entries;
    for (let i = entries.length - 1; i >= 0; i--) {
      const e = entries[i];
      if (e.expiry_ns <= now) {
        entries.splice(i, 1);
        this.takeBack(e);
        continue;
      }
      next = min(next, e.expiry_ns);
      if (e.kind != Kind.ADDRESS) continue;
      const own = this.iface.v6!.find(e.hi, e.lo);
      if (own == null) {
        // It was somebody else's.
        if (++e.tries < TRIES) this.makeAddress(e);
        continue;
      }
      const deprecated = e.preferred_ns <= now;
      if (own.deprecated != deprecated) {
        own.deprecated = deprecated;
        stack.ip.changed();
      }
      if (!deprecated) next = min(next, e.preferred_ns);
    }
    // Nobody left who would have told: asked anew.
    if (next == i64.MAX_VALUE && entries.length == 0 && this.heard) {
      this.heard = false;
      this.wait_ns = FIRST_WAIT_NS;
      this.ask_ns = now + FIRST_WAIT_NS;
      next = this.ask_ns;
    }
    if (next != i64.MAX_VALUE) stack.wheel.set(this.timer, next);
  }

  private ask(): void {
    const stack = this.stack;
    this.ask_ns = stack.now_ns + this.wait_ns + <i64>stack.randomBelow(100) * 10_000_000;
    this.wait_ns = min(this.wait_ns * 2, LAST_WAIT_NS);
    const p = allocPacket();
    if (p == null) {
      stack.counters.noBuffers++;
      return;
    }
    const own = this.iface.v6!.addresses;
    // An address that may still be somebody else's names no hardware address (RFC 4429, 3.2).
    const ready = own.length > 0 && !own[0].tentative;
    const at = p.append(ready ? RS_BYTES + ND_MAC_OPTION_BYTES : RS_BYTES);
    emitIcmp6(at, Icmp6Type.ROUTER_SOLICITATION, 0, 0);
    if (ready) emitRaMac(at + RS_BYTES, this.iface.mac);
    sendIcmp6(
      stack,
      this.iface,
      p,
      ready ? own[0].hi : 0,
      ready ? own[0].lo : 0,
      0xff02000000000000,
      2,
      0x333300000002,
      255,
    );
  }

  // An advertisement of `bytes` bytes, its options checked, from a router's address of the link.
  private advertised(at: usize, bytes: u32, routerHi: u64, routerLo: u64): void {
    this.heard = true;
    const flags: u32 = load<u8>(at, 5);
    const router = this.entry(Kind.ROUTER, routerHi, routerLo, 128, 0, 0, raLifetime_s(at), false);
    if (router != null) this.route(router, 0, 0, 0, routerHi, routerLo, raPreference(flags));
    const end = at + bytes;
    let length: u32 = 0;
    for (let o = at + RA_BYTES; o < end; o += length) {
      length = (<u32>load<u8>(o, 1)) << 3;
      switch (<u32>load<u8>(o)) {
        case RaOption.PREFIX:
          if (length == 32) this.prefix(o);
          break;
        case RaOption.MTU: {
          const mtu = length == 8 ? bswap<u32>(load<u32>(o, 4)) : 0;
          if (mtu < MIN_MTU6 || mtu > this.mtu || mtu == this.iface.mtu) break;
          this.iface.mtu = mtu;
          this.stack.ip.changed();
          break;
        }
        case RaOption.ROUTE:
          this.moreSpecific(o, length, routerHi, routerLo);
          break;
        case RaOption.SERVERS:
          for (let k: u32 = 8; length >= 24 && k + 16 <= length; k += 16) {
            const hi = zoned(loadHi(o + k), this.iface.index);
            this.entry(Kind.SERVER, hi, loadLo(o + k), 128, 0, 0, bswap<u32>(load<u32>(o, 4)), true);
          }
          this.tellServers();
          break;
      }
    }
  }

  private prefix(o: usize): void {
    const bits: u32 = load<u8>(o, 2);
    const flags: u32 = load<u8>(o, 3);
    const valid_s = bswap<u32>(load<u32>(o, 4));
    const preferred_s = bswap<u32>(load<u32>(o, 8));
    if (bits == 0 || bits > 128 || preferred_s > valid_s) return;
    const hi = loadHi(o + 16) & maskHi(bits);
    const lo = loadLo(o + 16) & maskLo(bits);
    if (isLinkLocal(hi, lo) || isMulticast(hi, lo) || hi == 0) return;
    if (flags & (<u32>PrefixFlag.ON_LINK)) {
      const e = this.entry(Kind.PREFIX, hi, lo, bits, 0, 0, valid_s, true);
      if (e != null) this.route(e, hi, lo, bits, 0, 0, 0);
    }
    if ((flags & (<u32>PrefixFlag.AUTONOMOUS)) == 0 || bits != 64) return;
    const now = this.stack.now_ns;
    for (let i = 0; i < this.entries.length; i++) {
      const e = this.entries[i];
      if (e.kind != Kind.ADDRESS || e.hi != hi) continue;
      // Nobody can end it at once by a forged advertisement (RFC 4862, 5.5.3 (e)).
      const end = endOf(now, valid_s);
      if (end > now + TWO_HOURS_NS || end > e.expiry_ns) e.expiry_ns = end;
      else if (e.expiry_ns > now + TWO_HOURS_NS) e.expiry_ns = now + TWO_HOURS_NS;
      e.preferred_ns = min(endOf(now, preferred_s), e.expiry_ns);
      return;
    }
    if (valid_s == 0) return;
    const made = this.entry(Kind.ADDRESS, hi, 0, 64, 0, 0, valid_s, true);
    if (made == null) return;
    made.preferred_ns = endOf(now, preferred_s);
    this.makeAddress(made);
  }

  // RFC 7217, with the hardware address as its only secret, as nothing random survives a boot here (ipv6-interface.ts).
  private makeAddress(e: Entry): void {
    e.lo = sipHash(0x6865646c65, 0x6970763669646e74, this.iface.mac, e.hi, e.tries);
    this.iface.addAddress(e.hi, e.lo, 128);
  }

  private moreSpecific(o: usize, length: u32, routerHi: u64, routerLo: u64): void {
    const bits: u32 = load<u8>(o, 2);
    const flags: u32 = load<u8>(o, 3);
    if (bits > 128 || length > 24 || length < 8 + (((bits + 63) >> 6) << 3)) return;
    const hi = (length > 8 ? loadHi(o + 8) : 0) & maskHi(bits);
    const lo = length > 16 ? bswap<u64>(load<u64>(o, 16)) & maskLo(bits) : 0;
    if (isLinkLocal(hi, lo) || isMulticast(hi, lo)) return;
    const e = this.entry(Kind.ROUTE, hi, lo, bits, routerHi, routerLo, bswap<u32>(load<u32>(o, 4)), false);
    if (e != null) this.route(e, hi, lo, bits, routerHi, routerLo, raPreference(flags));
  }

  // Another router of the link, or the destination itself, is the better next hop (RFC 4861, 8.1 and 8.3).
  private redirect(at: usize, routerHi: u64, routerLo: u64): void {
    const iface = this.iface;
    const ip = this.stack.ip;
    const dstHi = loadHi(at + REDIRECT_DST);
    const dstLo = loadLo(at + REDIRECT_DST);
    const hopHi = zoned(loadHi(at + 8), iface.index);
    const hopLo = loadLo(at + 8);
    const direct = hopHi == dstHi && hopLo == dstLo;
    const entry = ip.table.lookup(dstHi, dstLo);
    // Only from the router that is asked now, and a router does not listen.
    const asked = entry != null && entry.iface == iface.index && entry.hopHi == routerHi && entry.hopLo == routerLo;
    if (ip.router != null || !asked || isMulticast(dstHi, dstLo) || isLinkLocal(dstHi, dstLo)) return;
    if (!direct && !isLinkLocal(hopHi, hopLo)) return;
    const e = this.entry(Kind.REDIRECT, dstHi, dstLo, 128, direct ? 0 : hopHi, direct ? 0 : hopLo, REDIRECT_S, true);
    if (e != null) this.route(e, dstHi, dstLo, 128, e.hopHi, e.hopLo, 0);
  }

  // The entry for something heard with a lifetime, new or prolonged; null when it ends now, or there is no room.
  private entry(
    kind: Kind,
    hi: u64,
    lo: u64,
    bits: u32,
    hopHi: u64,
    hopLo: u64,
    life_s: u32,
    anyHop: bool,
  ): Entry | null {
    const entries = this.entries;
    let count = 0;
    for (let i = 0; i < entries.length; i++) {
      const e = entries[i];
      if (e.kind != kind) continue;
      count++;
      const same = e.hi == hi && e.lo == lo && e.bits == bits;
      if (!same || (!anyHop && (e.hopHi != hopHi || e.hopLo != hopLo))) continue;
      e.expiry_ns = endOf(this.stack.now_ns, life_s);
      if (life_s == 0) {
        entries.splice(i, 1);
        this.takeBack(e);
        return null;
      }
      // A redirect can lead elsewhere than the one before.
      if (anyHop && (e.hopHi != hopHi || e.hopLo != hopLo)) {
        this.takeBack(e);
        e.metric = 0;
        e.hopHi = hopHi;
        e.hopLo = hopLo;
      }
      return e;
    }
    if (life_s == 0) return null;
    if (count >= mostOf(kind)) {
      this.stack.counters.ndInIgnored++;
      return null;
    }
    const made = new Entry(kind, hi, lo, bits, hopHi, hopLo);
    made.expiry_ns = endOf(this.stack.now_ns, life_s);
    entries.push(made);
    return made;
  }

  // The route of an entry, where it does not stand with this preference already.
  private route(e: Entry, hi: u64, lo: u64, bits: u32, hopHi: u64, hopLo: u64, preference: i32): void {
    const metric = <u32>(METRIC - preference * 100);
    if (e.metric == metric) return;
    if (e.metric != 0) this.takeBack(e);
    e.metric = metric;
    this.stack.ip.addRoute(hi, lo, bits, RouteKind.UNICAST, this.iface.index, hopHi, hopLo, 0, 0, metric);
  }

  private takeBack(e: Entry): void {
    const ip = this.stack.ip;
    const index = this.iface.index;
    if (e.kind == Kind.ADDRESS) this.iface.removeAddress(e.hi, e.lo);
    else if (e.kind == Kind.SERVER) this.tellServers();
    else if (e.metric == 0) return;
    else if (e.kind == Kind.ROUTER) ip.removeRoute(0, 0, 0, RouteKind.UNICAST, index, 0, 0, 0, 0, 0, e.hi, e.lo);
    else ip.removeRoute(e.hi, e.lo, e.bits, RouteKind.UNICAST, index, 0, 0, 0, 0, 0, e.hopHi, e.hopLo);
  }

  private tellServers(): void {
    const servers = this.iface.nameServers6;
    servers.length = 0;
    for (let i = 0; i < this.entries.length; i++) {
      const e = this.entries[i];
      if (e.kind != Kind.SERVER) continue;
      servers.push(e.hi);
      servers.push(e.lo);
    }
    this.stack.ip.changed();
  }
}

function endOf(now_ns: i64, life_s: u32): i64 {
  return life_s == u32.MAX_VALUE ? i64.MAX_VALUE : now_ns + <i64>life_s * SECOND_NS;
}

function onTimer(timer: Timer): void {
  const context = changetype<Context>(timer.context);
  const v6 = stackAt(context.stack).interfaces[context.iface].v6;
  if (v6 == null) return;
  const routers = v6.routers;
  if (routers != null) (routers as Slaac).tick();
}
