// A network stack: the state that its modules share, and its three entrances. Sans-IO and deterministic (docs: RFC
// numbers stand in
// the modules): time, randomness and frames go in; frames and events come out.
//
//   driver / simulated link --receive--> link -> ip -> transports --events--> sockets
//   loop: now_ns = ...; wheel.run(); ...; turn()                   transports -> ip -> link --> NetDevice.transmit
//
// Invariants
// 1. `now_ns` is set by whoever drives the stack before it calls `receive`, `wheel.run` or `turn`, and never goes back.
// 2. Nothing in net/ below net/socket asks the platform for anything: same seed, same frames and same times give the
//    same frames.
// 3. Stacks live for ever: timers name theirs by `id` (`stackAt`), as @unmanaged memory must not hold managed
//    references.
// 4. What a peer can make the stack hold is bounded by `Limits`.

import { Packet, PacketFlag, PacketQueue, packetsTotal, TimerWheel } from "../runtime";
import { Counters, newCounters } from "./counters";
import { NetDevice } from "./device";
import { sipHash } from "../runtime";
import { Ip } from "./ip/ip";
import { Interface } from "./link/interface";
import { Neighbours } from "./link/neighbour";
import { linkInput } from "./link/ethernet";
import { FlowHolder, Steering } from "./steering";
import { Notices, noticeLevel, NoticeLevel, noticeText } from "./notice";

/** Caps on what peers can make a stack hold; defaults follow from the packet pool. */
export class Limits {
  /** Entries of the neighbour cache (ARP, NDP), all interfaces together. */
  neighbours: u32 = 1024;
  /** Packets that wait for one neighbour, and for all. */
  neighbourQueue: u32 = 16;
  neighbourPackets: u32 = max<u32>(packetsTotal / 16, 32);
  /** Datagrams in reassembly, and packets held by all of them. */
  reassemblies: u32 = 64;
  reassemblyPackets: u32 = max<u32>(packetsTotal / 16, 64);
  /** Destinations whose path MTU is remembered. */
  pathMtus: u32 = 256;
  /** Packets on the way from the stack to itself. */
  loopbackPackets: u32 = max<u32>(packetsTotal / 8, 64);
  /** ICMP errors a second, and at once. */
  icmpErrorsPerSecond: u32 = 1000;
  icmpErrorBurst: u32 = 50;
  /** UDP sockets. */
  udpSockets: u32 = 256;
}

const stacks: Array<Stack> = [];

/** The stack with an id. */
@inline
export function stackAt(id: u32): Stack {
  return unchecked(stacks[id]);
}

/** Where log lines go: level (0 error, 1 warn, 2 info, 3 debug) and text. */
export type LogFunction = (level: i32, text: string) => void;

function logNothing(level: i32, text: string): void {}

export class Stack {
  readonly id: u32 = stacks.length;
  /** Monotonic time, ns. */
  now_ns: i64;
  readonly wheel: TimerWheel;
  readonly counters: Counters;
  readonly limits: Limits;
  readonly interfaces: Array<Interface> = [];
  readonly neighbours: Neighbours;
  readonly ip: Ip;
  readonly notices: Notices = new Notices();
  /** Lines above this level are not built. */
  logLevel: i32 = NoticeLevel.INFO;
  log: LogFunction = logNothing;
  /** Which core a frame belongs to; null with one core. */
  steering: Steering | null = null;
  /** The flows of this core's connections. */
  flows: FlowHolder | null = null;
  /** Another core has the cards and speaks for the machine: it answers, announces and defends (net/cores.ts). */
  follower: bool = false;
  /** Somebody listens here. */
  listening: bool = false;
  private readonly loopback: PacketQueue = new PacketQueue();
  private readonly key0: u64;
  private readonly key1: u64;
  private drawn: u64 = 0;

  /** @param seed0, seed1 128 random bits: the key of hash tables and random numbers */
  constructor(now_ns: i64, seed0: u64, seed1: u64, limits: Limits) {
    this.now_ns = now_ns;
    this.key0 = seed0;
    this.key1 = seed1;
    this.wheel = new TimerWheel(now_ns);
    this.counters = newCounters();
    this.limits = limits;
    this.neighbours = new Neighbours(stacks.length, limits);
    this.ip = new Ip(stacks.length, limits);
    stacks.push(this);
  }

  /** A random number that outsiders cannot predict from others they have seen. */
  random64(): u64 {
    return sipHash(this.key0, this.key1, 0, ++this.drawn, 0x72616e646f6d);
  }
  random32(): u32 {
    return <u32>this.random64();
  }
  /** A random number below `bound` (above 0). */
  randomBelow(bound: u32): u32 {
    return <u32>((<u64>this.random32() * <u64>bound) >> 32);
  }
  /** The port that a draw gives: of the `range` ports from `min` on one whose answers come to this core (steering.ts). */
  portOf(min: u32, range: u32, draw: u32): u32 {
    const steering = this.steering;
    const cores: u32 = steering != null ? steering.cores : 1;
    const self: u32 = steering != null ? steering.self : 0;
    const first = (self + cores - (min % cores)) % cores;
    return min + first + (draw % ((range - first + cores - 1) / cores)) * cores;
  }
  /** Keyed hash for tables that peers fill. */
  hash(a: u64, b: u64, c: u64): u32 {
    return <u32>sipHash(this.key1, this.key0, a, b, c);
  }

  /** Adds a card and gives its interface, without addresses yet. */
  attach(device: NetDevice, name: string): Interface {
    const iface = new Interface(this, <u32>this.interfaces.length, name, device, null, 0);
    this.interfaces.push(iface);
    return iface;
  }

  /** Adds the VLAN `vlan` (1 to 4094) of a card's interface as an interface of its own (802.1Q). */
  attachVlan(parent: Interface, vlan: u32, name: string): Interface {
    assert(vlan > 0 && vlan < 4095 && parent.parent == null);
    const iface = new Interface(this, <u32>this.interfaces.length, name, parent.device, parent, vlan);
    this.interfaces.push(iface);
    parent.vlans.push(iface);
    return iface;
  }

  /** Takes a frame that came in on a card's interface: `data` at the Ethernet header. Owns it from here. */
  receive(iface: Interface, p: Packet): void {
    linkInput(this, iface, p);
  }

  /** Queues a packet to an own address: `data` at the IP header. It comes in with the next `turn`. */
  loop(p: Packet, iface: u32): void {
    if (this.loopback.count >= this.limits.loopbackPackets) {
      this.counters.loopbackDrops++;
      p.free();
      return;
    }
    // It never leaves the machine: the checksum needs neither computing nor checking.
    p.flags =
      (p.flags & ~(PacketFlag.CHECKSUM_PARTIAL | PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST)) |
      PacketFlag.CHECKSUM_OK;
    p.iface = <u16>iface;
    this.loopback.push(p);
  }

  /** Has `turn` something to do now? Then the loop must not halt. */
  get busy(): bool {
    return this.loopback.count > 0 || this.notices.count > 0;
  }

  /** Once a turn, after packets and timers: what came from the stack to itself, the log, and the devices' queues. */
  turn(): void {
    // Only what was there at the start: two ends that answer each other must not hold the loop.
    for (let n = this.loopback.count; n > 0; n--) {
      const p = this.loopback.shift();
      if (p == null) break;
      this.ip.inputLocal(unchecked(this.interfaces[p.iface]), p);
    }
    this.ip.turn();
    for (let notice = this.notices.take(); notice != null; notice = this.notices.take()) {
      const level = noticeLevel(notice.kind);
      if (level <= this.logLevel) this.log(level, noticeText(notice, this.interfaces[notice.iface].name));
    }
    const interfaces = this.interfaces;
    for (let i = 0, n = interfaces.length; i < n; i++) {
      const iface = unchecked(interfaces[i]);
      if (iface.parent == null) iface.device.flush();
    }
  }
}
