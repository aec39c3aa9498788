// A router's part of neighbour discovery (RFC 4861, 6.2): tells the hosts of a link that it is there, which prefixes they make
// addresses of, and the MTU; now and then, and when asked.
//
// Invariant: advertisements to all are at least 3 s apart (RFC 4861, 6.2.6), however often somebody asks.
//
// clang: -Oz

import { allocPacket, Timer } from "../../runtime";
import { Interface } from "../link/interface";
import { sendIcmp6 } from "../link/ndp";
import { Stack, stackAt } from "../stack";
import { emitRa, emitRaMac, emitRaMtu, emitRaPrefix } from "../wire/ra";
import { isV4 } from "./address";
import { RouterSolicitations } from "./ipv6-interface";

const SECOND_NS: i64 = 1_000_000_000;
const APART_NS: i64 = 3 * SECOND_NS;
/** The first ones come faster (RFC 4861, 6.2.4). */
const FIRST: u32 = 3;
const FIRST_NS: i64 = 16 * SECOND_NS;
const LEAST_S: u32 = 200;
const MOST_S: u32 = 600;
/** Hosts keep us as a router so long, and prefixes (RFC 8978: shorter than RFC 4861 has it, so that what has changed is soon forgotten). */
const ROUTER_S: u32 = 1800;
const VALID_S: u32 = 5400;
const PREFERRED_S: u32 = 2700;
const MAX_PREFIXES: u32 = 16;


@unmanaged
class Context {
  stack: u32;
  iface: u32;
}

export class Advertiser extends RouterSolicitations {
  private readonly timer: Timer;
  private readonly stack: Stack;
  private sent: u32 = 0;
  private sent_ns: i64;

  constructor(private readonly iface: Interface) {
    super();
    const stack = stackAt(iface.stackId);
    this.stack = stack;
    this.sent_ns = stack.now_ns - APART_NS;
    const at = heap.alloc(offsetof<Context>() + offsetof<Timer>());
    const context = changetype<Context>(at);
    context.stack = stack.id;
    context.iface = iface.index;
    const timer = changetype<Timer>(at + offsetof<Context>());
    timer.init(onTimer, at);
    this.timer = timer;
  }

  /** Begins to advertise. */
  start(): void {
    const v6 = this.iface.enable6();
    v6.advertiser = this;
    v6.mld.join(0xff02000000000000, 2);
    this.stack.wheel.set(this.timer, this.stack.now_ns + SECOND_NS / 10);
  }

  /** Tells all that we are no router any more. */
  stop(): void {
    const v6 = this.iface.enable6();
    v6.advertiser = null;
    v6.mld.leave(0xff02000000000000, 2);
    this.stack.wheel.cancel(this.timer);
    this.send(0);
  }

  solicited(): void {
    const stack = this.stack;
    // All who ask at once get one answer (RFC 4861, 6.2.6).
    const delay_ns = <i64>stack.randomBelow(500) * 1_000_000;
    const at = max(stack.now_ns + delay_ns, this.sent_ns + APART_NS);
    if (at < this.timer.deadline_ns || !this.timer.isSet) stack.wheel.set(this.timer, at);
  }

  tick(): void {
    const stack = this.stack;
    this.send(stack.ip.router != null ? ROUTER_S : 0);
    this.sent_ns = stack.now_ns;
    const first = ++this.sent < FIRST;
    const wait_ns = first ? FIRST_NS : <i64>(LEAST_S + stack.randomBelow(MOST_S - LEAST_S)) * SECOND_NS;
    stack.wheel.set(this.timer, stack.now_ns + wait_ns);
  }

  private send(router_s: u32): void {
    const iface = this.iface;
    const stack = this.stack;
    const own = iface.v6!.addresses;
    if (own.length == 0) return;
    const p = allocPacket();
    if (p == null) {
      stack.counters.noBuffers++;
      return;
    }
    let to = emitRaMtu(emitRaMac(emitRa(p.data, router_s), iface.mac), iface.mtu);
    let count: u32 = 0;
    for (let i = 0; i < iface.addresses.length && count < MAX_PREFIXES; i++) {
      const a = iface.addresses[i];
      if (isV4(a.hi, a.lo) || a.bits != 64 || before(iface, i, a.hi)) continue;
      to = emitRaPrefix(to, a.hi, VALID_S, router_s == 0 ? 0 : PREFERRED_S);
      count++;
    }
    p.append(<u32>(to - p.data));
    sendIcmp6(stack, iface, p, own[0].hi, own[0].lo, 0xff02000000000000, 1, 0x333300000001, 255);
  }
}

// Whether an address before this one has the same prefix.
function before(iface: Interface, index: i32, hi: u64): bool {
  for (let i = 0; i < index; i++) {
    const a = iface.addresses[i];
    if (a.hi == hi && a.bits == 64) return true;
  }
  return false;
}

function onTimer(timer: Timer): void {
  const context = changetype<Context>(timer.context);
  const v6 = stackAt(context.stack).interfaces[context.iface].v6;
  if (v6 == null) return;
  const advertiser = v6.advertiser;
  if (advertiser != null) (advertiser as Advertiser).tick();
}
