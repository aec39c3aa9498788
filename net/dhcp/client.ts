// The DHCP client of an interface (RFC 2131, section 4.4; conflict detection of RFC 5227).
//
//   INIT --discover--> SELECTING --offer--> REQUESTING --ack--> PROBING --free--> BOUND --T1--> RENEWING --T2-->
// REBINDING
//    ^                    |4,8,16..64 s        | nak, 4 tries     | taken: decline      ^--ack--------+--ack--------+
//     | nak, expiry
//    +--------------------+--------------------+------------------+-----------------------------------------------------+
//
// Invariants
// 1. Everything a server says is hostile: a message counts when its transaction id and hardware address are ours, and
//    an offer only with an
//    address, mask and lease that make sense together.
// 2. Packets are only queued by `input`; they are worked on from a timer, as configuring an interface allocates and
//    the packet path must not.
// 3. The interface has an address of ours exactly in BOUND, RENEWING and REBINDING.
//
// Where this departs from the RFCs: no random wait of 1 to 10 s before the first message (RFC 2131, 4.4.1: against all
// hosts of a network booting at
// once; retransmissions are spread), and the three ARP probes are 20 ms apart instead of 1 to 2 s: on a link a station
// answers in well under that,
// a boot takes a tenth of it, and a claim that comes later is still seen and the address given back (RFC 5227, 2.4
// (b)). Options of
// the first offer that fits are taken; offers are not compared. No INIT-REBOOT: nothing is remembered over a boot.
// clang: -Oz

import { allocPacket, Packet, PacketQueue, Timer } from "../../runtime";
import { v4, v4Mask } from "../ip/address";
import { V4_ALL } from "../ip/ip";
import { newRoute, Route, RouteKind, RouteOption } from "../ip/route";
import { sendArp } from "../link/arp";
import { DhcpPort, Interface } from "../link/interface";
import { Notice, NoticeKind } from "../notice";
import { Stack, stackAt } from "../stack";
import { checkDatagram, emitDatagram, UdpCheck } from "../udp/udp";
import { ArpOp } from "../wire/arp";
import {
  DHCP_CLIENT_PORT,
  DHCP_MESSAGE_BYTES,
  DHCP_SERVER_PORT,
  DhcpMessage,
  DhcpRoute,
  DhcpType,
  emitDhcp,
  MAX_MESSAGE_BYTES,
  parseDhcp,
} from "../wire/dhcp";
import { MAC_BROADCAST } from "../wire/ethernet";
import { ipv4Dst, ipv4Src, Protocol } from "../wire/ipv4";
import { UDP_BYTES } from "../wire/udp";

export const enum DhcpState {
  INIT = 0,
  SELECTING = 1,
  REQUESTING = 2,
  PROBING = 3,
  BOUND = 4,
  RENEWING = 5,
  REBINDING = 6,
  STOPPED = 7,
}

const SECOND_NS: i64 = 1_000_000_000;
/** First wait for an answer, and the longest (RFC 2131, 4.1: doubled each time, plus or minus a second). */
const FIRST_WAIT_S: i64 = 4;
const LAST_WAIT_S: i64 = 64;
const REQUEST_TRIES: u32 = 4;
const PROBES: u32 = 3;
const PROBE_NS: i64 = 20_000_000;
/**
 * After a decline at least ten seconds (RFC 2131, 3.1); after a refusal a little, so that a server that only refuses
 * is not flooded.
 */
const DECLINE_WAIT_NS: i64 = 10 * SECOND_NS;
const NAK_WAIT_NS: i64 = SECOND_NS;
/** Renewals are repeated after half the time left, but not more often (RFC 2131, 4.4.5). */
const RENEW_MIN_S: i64 = 60;
const INFINITE: u32 = 0xffffffff;
/** Unanswered discovers after which people are told. */
const SILENT_TRIES: u32 = 3;
/** Routes taken of a lease, and their metric: behind those of the configuration. */
const MAX_ROUTES: i32 = 16;
const METRIC: u32 = 512;
/** Messages that may wait to be worked on. */
const QUEUE: u32 = 8;

// What stands behind the timers' callbacks: which client.
@unmanaged
class DhcpTimers {
  stack: u32;
  iface: u32;

  /** Something was received. */
  @inline get work(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<DhcpTimers>());
  }
  /** The state's own: retransmission, T1, T2, expiry. */
  @inline get state(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<DhcpTimers>() + offsetof<Timer>());
  }
}

/** Told when the interface gets its address (`bound`) and when it loses it. */
export type DhcpHandler = (client: DhcpClient, bound: bool) => void;
function nobody(client: DhcpClient, bound: bool): void {}

class LeasedRoute {
  constructor(
    readonly destination: u32,
    /** Prefix length as pair bits. */
    readonly bits: u32,
    /** 0: on the link. */
    readonly router: u32,
  ) {}
}

export class DhcpClient extends DhcpPort {
  state: DhcpState = DhcpState.INIT;
  onChange: DhcpHandler = nobody;
  /** What the lease says; addresses in host order, 0: none. */
  address: u32 = 0;
  bits: u32 = 0;
  router: u32 = 0;
  server: u32 = 0;
  readonly dns: StaticArray<u32> = new StaticArray<u32>(3);
  readonly ntp: StaticArray<u32> = new StaticArray<u32>(3);
  lease_s: u32 = 0;
  /** Routes of the lease besides the default (RFC 3442). */
  private routes: Array<LeasedRoute> = [];

  private readonly stack: Stack;
  private readonly timers: DhcpTimers;
  private readonly message: DhcpMessage;
  private readonly route: Route;
  private readonly queue: PacketQueue = new PacketQueue();
  private readonly cardMtu: u32;
  private xid: u32 = 0;
  private tries: u32 = 0;
  private started_ns: i64 = 0;
  private requested_ns: i64 = 0;
  private t1_ns: i64 = 0;
  private t2_ns: i64 = 0;
  private expiry_ns: i64 = 0;
  private mtu: u32 = 0;
  // The station that claims the address, or 0.
  private claimant: u64 = 0;
  private toldSilent: bool = false;

  /** A client for an interface, which it takes over; `start` begins. */
  constructor(readonly iface: Interface) {
    super();
    this.stack = stackAt(iface.stackId);
    this.cardMtu = iface.mtu;
    const at = heap.alloc(offsetof<DhcpTimers>() + 2 * offsetof<Timer>());
    const timers = changetype<DhcpTimers>(at);
    timers.stack = iface.stackId;
    timers.iface = iface.index;
    timers.work.init(onWork, at);
    timers.state.init(onState, at);
    this.timers = timers;
    this.message = changetype<DhcpMessage>(heap.alloc(DHCP_MESSAGE_BYTES));
    this.route = newRoute();
    iface.dhcp = this;
  }

  /** Looks for a server, and keeps the lease from then on. */
  start(): void {
    this.started_ns = this.stack.now_ns;
    this.notice(NoticeKind.DHCP_DISCOVER);
    this.init();
  }

  /** Gives the address back to the server and stops. */
  stop(): void {
    if (this.hasAddress) {
      this.send(DhcpType.RELEASE, true, this.address, 0, this.server);
      this.unbind();
    }
    this.state = DhcpState.STOPPED;
    this.stack.wheel.cancel(this.timers.state);
    this.stack.wheel.cancel(this.timers.work);
    this.queue.clear();
    this.iface.dhcp = null;
  }


  @inline private get hasAddress(): bool {
    return this.state == DhcpState.BOUND || this.state == DhcpState.RENEWING || this.state == DhcpState.REBINDING;
  }

  // ---- from the packet path

  input(p: Packet): void {
    if (this.state == DhcpState.STOPPED || this.queue.count >= QUEUE) {
      this.stack.counters.dhcpInErrors++;
      p.free();
      return;
    }
    this.queue.push(p);
    this.wakeWork();
  }

  arpSeen(op: u32, senderMac: u64, sender: u32, target: u32): void {
    if (this.state != DhcpState.PROBING || senderMac == this.iface.mac) return;
    // Somebody has the address, or probes for it at the same time (RFC 5227, 2.1.1).
    if (sender == this.address || (sender == 0 && op == ArpOp.REQUEST && target == this.address)) {
      this.claimant = senderMac;
      this.wakeWork();
    }
  }

  conflict(address: u32, mac: u64): void {
    if (!this.hasAddress || address != this.address) return;
    this.claimant = mac;
    this.wakeWork();
  }

  private wakeWork(): void {
    if (!this.timers.work.isSet) this.stack.wheel.set(this.timers.work, this.stack.now_ns);
  }

  // ---- from timers

  /** Works on what was received. */
  work(): void {
    if (this.claimant != 0) {
      const mac = this.claimant;
      this.claimant = 0;
      this.decline(mac);
    }
    for (let p = this.queue.shift(); p != null; p = this.queue.shift()) {
      const valid = this.read(p);
      p.free();
      if (valid) {
        this.stack.counters.dhcpInMessages++;
        this.answer();
      } else {
        this.stack.counters.dhcpInErrors++;
      }
    }
  }

  /** The state's timer has run out. */
  expire(): void {
    const now = this.stack.now_ns;
    switch (this.state) {
      case DhcpState.INIT:
        this.tries = 0;
        this.xid = this.stack.random32();
        this.state = DhcpState.SELECTING;
        this.discover();
        return;
      case DhcpState.SELECTING:
        this.discover();
        return;
      case DhcpState.REQUESTING:
        if (this.tries >= REQUEST_TRIES) this.init();
        else this.request();
        return;
      case DhcpState.PROBING:
        if (this.tries < PROBES) this.probe();
        else this.bind();
        return;
      case DhcpState.BOUND:
        this.state = DhcpState.RENEWING;
        this.xid = this.stack.random32();
        this.renew(now);
        return;
      case DhcpState.RENEWING:
        if (now >= this.t2_ns) this.state = DhcpState.REBINDING;
        this.renew(now);
        return;
      case DhcpState.REBINDING:
        if (now < this.expiry_ns) {
          this.renew(now);
          return;
        }
        this.notice(NoticeKind.DHCP_EXPIRED);
        this.unbind();
        this.init();
    }
  }

  private init(): void {
    this.state = DhcpState.INIT;
    this.expire();
  }

  private initLater(wait_ns: i64): void {
    this.state = DhcpState.INIT;
    this.setTimer(this.stack.now_ns + wait_ns);
  }

  private setTimer(at_ns: i64): void {
    this.stack.wheel.set(this.timers.state, at_ns);
  }

  // Until the next try: 4, 8, 16, 32, 64, 64 ... seconds, plus or minus one.
  private backoff(): void {
    const wait = min(FIRST_WAIT_S << min<u32>(this.tries, 5), LAST_WAIT_S);
    const jitter = <i64>this.stack.randomBelow(2000) - 1000;
    this.tries++;
    this.setTimer(this.stack.now_ns + wait * SECOND_NS + jitter * 1_000_000);
  }

  private discover(): void {
    if (this.tries == SILENT_TRIES && !this.toldSilent) {
      this.toldSilent = true;
      this.notice(NoticeKind.DHCP_NO_ANSWER);
    }
    this.send(DhcpType.DISCOVER, false, 0, 0, 0);
    this.backoff();
  }

  private request(): void {
    this.requested_ns = this.stack.now_ns;
    this.send(DhcpType.REQUEST, false, 0, this.address, this.server);
    this.backoff();
  }

  private renew(now: i64): void {
    const rebinding = this.state == DhcpState.REBINDING;
    this.requested_ns = now;
    this.send(DhcpType.REQUEST, !rebinding, this.address, 0, 0);
    const until = rebinding ? this.expiry_ns : this.t2_ns;
    const half = max((until - now) / 2, RENEW_MIN_S * SECOND_NS);
    this.setTimer(min(now + half, until));
  }

  private probe(): void {
    this.tries++;
    this.stack.counters.arpOutRequests++;
    sendArp(this.stack, this.iface, ArpOp.REQUEST, MAC_BROADCAST, this.iface.mac, 0, 0, this.address);
    this.setTimer(this.stack.now_ns + PROBE_NS);
  }

  // ---- what a server says

  private read(p: Packet): bool {
    const src = v4(ipv4Src(p.data));
    const dst = v4(ipv4Dst(p.data));
    if (checkDatagram(p, 0, src, 0, dst) != UdpCheck.OK) return false;
    const payload: u32 = <u32>p.l4 + UDP_BYTES;
    // A message of more than a buffer is none that we asked for (option 57).
    if (!p.pull(p.totalLen)) return false;
    return parseDhcp(p.data + payload, p.len - payload, this.xid, this.iface.mac, this.message);
  }

  private answer(): void {
    const m = this.message;
    switch (this.state) {
      case DhcpState.SELECTING:
        if (m.type == DhcpType.OFFER && this.acceptable(m)) {
          this.take(m);
          this.state = DhcpState.REQUESTING;
          this.tries = 0;
          this.request();
        }
        return;
      case DhcpState.REQUESTING:
        if (m.type == DhcpType.NAK && (m.server == 0 || m.server == this.server)) {
          this.refused();
        } else if (
          m.type == DhcpType.ACK &&
          m.server == this.server &&
          m.yiaddr == this.address &&
          this.acceptable(m)
        ) {
          this.take(m);
          this.state = DhcpState.PROBING;
          this.tries = 0;
          this.claimant = 0;
          this.probe();
        }
        return;
      case DhcpState.RENEWING:
      case DhcpState.REBINDING:
        if (m.type == DhcpType.NAK) {
          if (this.state == DhcpState.REBINDING || m.server == 0 || m.server == this.server) this.refused();
        } else if (m.type == DhcpType.ACK && m.yiaddr == this.address && this.acceptable(m)) {
          this.renewed(m);
        }
    }
  }

  // An address, mask, lease and server that make sense together. Changes `m`: a missing mask becomes that of the
  // address's class.
  private acceptable(m: DhcpMessage): bool {
    const address = m.yiaddr;
    const top = address >> 24;
    if (top == 0 || top == 127 || top >= 224 || m.server == 0 || m.lease_s == 0) return false;
    if (m.mask == 0) m.mask = top < 128 ? v4Mask(8) : top < 192 ? v4Mask(16) : v4Mask(24);
    const bits = <u32>popcnt<u32>(m.mask);
    if (m.mask != v4Mask(bits) || bits < 8) return false;
    return bits >= 31 || ((address & ~m.mask) != 0 && (address | m.mask) != 0xffffffff);
  }

  private take(m: DhcpMessage): void {
    this.routes = [];
    this.address = m.yiaddr;
    this.server = m.server;
    this.bits = 96 + <u32>popcnt<u32>(m.mask);
    const router = m.routes_bytes > 0 ? this.takeRoutes(m) : m.router;
    // A gateway that is not on the link cannot be used.
    this.router = router != m.yiaddr && ((router ^ m.yiaddr) & m.mask) == 0 ? router : 0;
    this.mtu = m.mtu;
    this.dns[0] = m.dns0;
    this.dns[1] = m.dns1;
    this.dns[2] = m.dns2;
    this.ntp[0] = m.ntp0;
    this.ntp[1] = m.ntp1;
    this.ntp[2] = m.ntp2;
    this.lease_s = m.lease_s;
    // T1 and T2 where the server's fit between 0 and the lease, else half and seven eighths of it (RFC 2131, 4.4.5).
    const lease = <i64>this.lease_s;
    let t1 = lease / 2;
    let t2 = (lease * 7) / 8;
    if (m.t1_s != 0 && m.t2_s != 0 && m.t1_s < m.t2_s && <i64>m.t2_s < lease) {
      t1 = m.t1_s;
      t2 = m.t2_s;
    }
    const from = this.requested_ns;
    const infinite = m.lease_s == INFINITE;
    this.t1_ns = infinite ? i64.MAX_VALUE : from + t1 * SECOND_NS;
    this.t2_ns = infinite ? i64.MAX_VALUE : from + t2 * SECOND_NS;
    this.expiry_ns = infinite ? i64.MAX_VALUE : from + lease * SECOND_NS;
  }

  // The routes of the lease, except the default, whose router is given. With them the router of the lease does not count (RFC 3442).
  private takeRoutes(m: DhcpMessage): u32 {
    const route = changetype<DhcpRoute>(memory.data(sizeof<u32>() * 4, 4));
    route.at = 0;
    let router: u32 = 0;
    while (route.next(m)) {
      const via = route.router;
      const reachable = via == 0 || ((via ^ m.yiaddr) & m.mask) == 0;
      if (route.bits == 0) router = via;
      else if (reachable && via != m.yiaddr && this.routes.length < MAX_ROUTES)
        this.routes.push(new LeasedRoute(route.destination, 96 + route.bits, via));
    }
    return router;
  }

  private bind(): void {
    this.state = DhcpState.BOUND;
    this.toldSilent = false;
    this.configure();
    this.tellServers();
    this.waitForT1();
    this.notice(NoticeKind.DHCP_BOUND);
    this.onChange(this, true);
  }

  private configure(): void {
    const iface = this.iface;
    // RFC 2132, 5.1 allows 68; nothing below 576 is believed, as it only serves to slow us down.
    iface.mtu = this.mtu >= 576 ? min(this.mtu, this.cardMtu) : this.cardMtu;
    iface.addAddress(0, v4(this.address), this.bits, true);
    if (this.router != 0) iface.addGateway(0, v4(this.router));
    this.changeRoutes(this.routes, true);
  }

  private changeRoutes(routes: Array<LeasedRoute>, add: bool): void {
    const ip = this.stack.ip;
    const index = this.iface.index;
    for (let i = 0; i < routes.length; i++) {
      const r = routes[i];
      const to = v4(r.destination);
      const hop: u64 = r.router != 0 ? v4(r.router) : 0;
      if (add) ip.addRoute(0, to, r.bits, RouteKind.UNICAST, index, 0, hop, 0, 0, METRIC);
      else ip.removeRoute(0, to, r.bits, RouteKind.UNICAST, index, 0, 0, 0, 0, 0, 0, hop);
    }
  }

  private tellServers(): void {
    putServers(this.iface.nameServers, this.dns);
    putServers(this.iface.timeServers, this.ntp);
    // Other cores hear of them with the routes.
    this.stack.ip.changed();
  }

  private waitForT1(): void {
    if (this.t1_ns != i64.MAX_VALUE) this.setTimer(this.t1_ns);
    else this.stack.wheel.cancel(this.timers.state);
  }

  private renewed(m: DhcpMessage): void {
    const bits = this.bits;
    const router = this.router;
    const mtu = this.mtu;
    const routes = this.routes;
    this.changeRoutes(routes, false);
    this.take(m);
    this.changeRoutes(this.routes, true);
    if (bits != this.bits || router != this.router || mtu != this.mtu) {
      this.unconfigure(router);
      this.configure();
    }
    this.tellServers();
    this.state = DhcpState.BOUND;
    this.waitForT1();
    this.notice(NoticeKind.DHCP_RENEWED);
    this.onChange(this, true);
  }

  private unconfigure(router: u32): void {
    if (router != 0) this.iface.removeGateway(0, v4(router));
    this.changeRoutes(this.routes, false);
    this.iface.nameServers.length = 0;
    this.iface.timeServers.length = 0;
    this.iface.removeAddress(0, v4(this.address));
  }

  private unbind(): void {
    this.unconfigure(this.router);
    this.onChange(this, false);
  }

  private refused(): void {
    this.notice(NoticeKind.DHCP_NAK);
    if (this.hasAddress) this.unbind();
    this.initLater(NAK_WAIT_NS);
  }

  private decline(mac: u64): void {
    if (this.state != DhcpState.PROBING && !this.hasAddress) return;
    const notice = this.notice(NoticeKind.DHCP_DECLINED);
    if (notice != null) notice.mac = mac;
    if (this.hasAddress) this.unbind();
    this.xid = this.stack.random32();
    this.send(DhcpType.DECLINE, false, 0, this.address, this.server);
    this.initLater(DECLINE_WAIT_NS);
  }

  // ---- out

  private send(type: DhcpType, unicast: bool, ciaddr: u32, requested: u32, server: u32): void {
    const p = allocPacket();
    if (p == null) {
      this.stack.counters.noBuffers++;
      return;
    }
    const stack = this.stack;
    const secs = <u32>((stack.now_ns - this.started_ns) / SECOND_NS);
    const bytes = emitDhcp(p.data, type, this.xid, secs, this.iface.mac, ciaddr, requested, server, this.iface.mtu);
    p.append(bytes);
    const route = this.route;
    route.generation = 0;
    route.options = unicast ? 0 : <u8>RouteOption.FIXED_INTERFACE;
    route.iface = <u16>this.iface.index;
    const src = v4(unicast ? this.address : 0);
    const dst = unicast ? v4(this.server) : V4_ALL;
    emitDatagram(p, 0, src, DHCP_CLIENT_PORT, 0, dst, DHCP_SERVER_PORT);
    stack.counters.dhcpOutMessages++;
    stack.ip.output(p, route, 0, src, 0, dst, Protocol.UDP, 0);
  }

  private notice(kind: NoticeKind): Notice | null {
    const notice = this.stack.notices.add(kind, this.iface.index);
    if (notice == null) {
      this.stack.counters.noticesLost++;
      return null;
    }
    notice.lo = v4(this.address);
    notice.bits = this.bits;
    notice.value = this.lease_s;
    if (this.router != 0) notice.lo2 = v4(this.router);
    return notice;
  }
}

function putServers(to: Array<u64>, from: StaticArray<u32>): void {
  to.length = 0;
  for (let i = 0; i < from.length; i++) {
    if (from[i] == 0) continue;
    to.push(0);
    to.push(v4(from[i]));
  }
}

function clientOf(timer: Timer): DhcpClient | null {
  const timers = changetype<DhcpTimers>(timer.context);
  const port = stackAt(timers.stack).interfaces[timers.iface].dhcp;
  return port == null ? null : (port as DhcpClient);
}

function onWork(timer: Timer): void {
  const client = clientOf(timer);
  if (client != null) client.work();
}

function onState(timer: Timer): void {
  const client = clientOf(timer);
  if (client != null) client.expire();
}
