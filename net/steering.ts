// Which core a frame belongs to, and how it gets there. Each flow has one owner, whichever core its frames arrive on.
//
//   frame --> control (ARP, ND answers)          core 0, which speaks for the machine; a copy to each core that has neighbours
//         --> to us, to a port that a core draws  that core: port modulo cores
//         --> TCP, UDP                            a keyed hash of both ends, the same in either direction -> 256 slots -> core
//         --> ICMP error                          by the packet that it quotes
//         --> the rest, fragments                 core 0, which hands on what it has joined
//
// Invariants
// 1. Both directions of a flow have the same owner, on all cores: they have the same key and the same table.
// 2. Until the cores serve, everything is core 0's. A flow that it has by then stays there: as long as there are such flows
//    it looks among its own before it hands a frame over (`elders`).
// 3. Everything in a frame is hostile: what is too short to tell is core 0's, which judges it.

import {
  allocPacket,
  coreCount,
  coreNumber,
  FrameTaker,
  openPort,
  Packet,
  packetsFree,
  packetsTotal,
  receivePort,
  sendFrame,
  sharedKey,
  sipHash,
} from "../runtime";
import { isLinkLocal, V4_PREFIX } from "./ip/address";
import { Interface } from "./link/interface";
import { Stack } from "./stack";
import { arpOp, ArpOp, ARP_BYTES, arpSenderIp, arpTargetIp } from "./wire/arp";
import {
  ETHERNET_BYTES,
  EtherType,
  frameTaggedType,
  frameType,
  isGroupMac,
  frameDst,
  VLAN_TAG_BYTES,
} from "./wire/ethernet";
import { ICMP_BYTES, IcmpType } from "./wire/icmp";
import { Icmp6Type, ICMPV6_BYTES } from "./wire/icmpv6";
import { IPV4_BYTES, ipv4Dst, ipv4HeaderBytes, ipv4IsFragment, ipv4Protocol, ipv4Src, Protocol } from "./wire/ipv4";
import { IPV6_BYTES, IPV6_DST, IPV6_SRC, ipv6Next, loadHi, loadLo, unzoned, zoned } from "./wire/ipv6";

/** Ports from here on are drawn by the cores for what they begin: each those with its number modulo the cores. */
export const DRAWN_PORT_MIN: u32 = 32768;
export const SLOTS: u32 = 256;
/** Where whole IP packets go that another core has joined. */
const PACKET_PORT: u32 = 63;
/** Where packets go whose flow the filter of another core has found to be this core's. */
const FILTERED_PORT: u32 = 62;
/** DHCP's clients live on core 0. */
const DHCP_PORT: u32 = 68;
const DHCP6_PORT: u32 = 546;
/** The result of `place` for what all cores must hear of. */
const ALL: u32 = 0xffff;

/** A transport that knows flows by their ends. */
export abstract class FlowHolder {
  /** Whether this core has the flow between (dst, dstPort), which is ours, and (src, srcPort). */
  abstract holds(dstHi: u64, dstLo: u64, srcHi: u64, srcLo: u64, dstPort: u32, srcPort: u32): bool;
  /** Whether one of its flows belongs to another core. */
  abstract strays(steering: Steering): bool;
}

export class Steering {
  /** The core of each slot. */
  private readonly table: usize = heap.alloc(SLOTS);
  private readonly key0: u64 = sharedKey(0);
  private readonly key1: u64 = sharedKey(1);
  /** Bit N: core N takes flows. */
  serving: u64 = 1;
  /** Whether this core may have flows of others' slots. */
  elders: bool = false;
  /** Changes with `serving` and the table. */
  version: u32 = 1;
  /** The packet in hand was handed over by another core's filter. */
  handed: bool = false;
  /** A port of ours whose flows are core 0's, as it alone listens there (management); 0: none. The same on all cores. */
  leaderPort: u32 = 0;
  /** Index of the interface that the frame in hand came in on. */
  private iface: u32 = 0;

  constructor(
    private readonly stack: Stack,
    readonly self: u32 = coreNumber(),
    readonly cores: u32 = coreCount(),
  ) {
    memory.fill(this.table, 0, SLOTS);
    openPort(PACKET_PORT, new PacketPort(stack, false));
    openPort(FILTERED_PORT, new PacketPort(stack, true));
  }

  /**
   * Deals the slots out to the cores that serve, core 0 among them: those of cores that no longer do go round, a new one gets its
   * part of core 0's. So no slot moves from one core that has flows to another, but from core 0, which looks (`elders`).
   */
  deal(serving: u64): void {
    this.serving = serving;
    const counts = new StaticArray<u32>(64);
    let next: u32 = 0;
    for (let slot: u32 = 0; slot < SLOTS; slot++) {
      let core = <u32>load<u8>(this.table + slot);
      if (((serving >> core) & 1) == 0) {
        do next = (next + 1) & 63;
        while (((serving >> next) & 1) == 0);
        core = next;
        store<u8>(this.table + slot, <u8>core);
      }
      counts[core]++;
    }
    const part = SLOTS / <u32>popcnt(serving);
    for (let bits = serving & ~1; bits != 0; bits &= bits - 1) {
      const core = <u32>ctz(bits);
      for (let slot: u32 = 0; slot < SLOTS && counts[core] < part && counts[0] > part; slot++) {
        if (load<u8>(this.table + slot) != 0) continue;
        store<u8>(this.table + slot, <u8>core);
        counts[core]++;
        counts[0]--;
      }
    }
    this.look();
  }

  /** Takes the table and the cores from another core's `write`. */
  read(at: usize): void {
    this.serving = load<u64>(at, SLOTS) | 1;
    for (let slot: u32 = 0; slot < SLOTS; slot++) store<u8>(this.table + slot, load<u8>(at + slot) & 63);
    this.look();
  }

  write(to: usize): void {
    memory.copy(to, this.table, SLOTS);
    store<u64>(to, this.serving, SLOTS);
  }

  /** Looks whether flows of others are left here. */
  look(): void {
    this.version++;
    const holder = this.stack.flows;
    this.elders = holder != null && holder.strays(this);
  }

  /** Takes a frame that a card has received for this core's queue: it stays, or goes to its owner. Owns it. */
  receive(iface: Interface, p: Packet, card: u32): void {
    const to = this.place(iface, p);
    if (to == this.self) {
      this.stack.receive(iface, p);
      return;
    }
    if (to == ALL) {
      this.copies(iface, p, card);
      if (this.self == 0) this.stack.receive(iface, p);
      else this.hand(0, card, p);
      return;
    }
    this.hand(to, card, p);
  }

  private hand(to: u32, card: u32, p: Packet): void {
    if (sendFrame(to, receivePort(card), p, false)) {
      this.stack.counters.steeredOut++;
      return;
    }
    this.stack.counters.steeringDrops++;
    p.free();
  }

  // To every core but core 0, which gets the frame itself. Lost when buffers are short: neighbours are asked again.
  private copies(iface: Interface, p: Packet, card: u32): void {
    for (let bits = this.serving & ~1; bits != 0; bits &= bits - 1) {
      const copy = packetsFree > packetsTotal / 4 ? allocPacket() : null;
      if (copy == null) return;
      if (copy.tailroom < <usize>p.totalLen) {
        copy.free();
        return;
      }
      p.copyTo(copy.append(p.totalLen), 0, p.totalLen);
      copy.flags = p.flags;
      const to = <u32>ctz(bits);
      if (to == this.self) this.stack.receive(iface, copy);
      else this.hand(to, card, copy);
    }
  }

  /**
   * Hands a whole IP packet (`data` at its header) to the core that owns its flow: what was joined from fragments, or what a
   * translation has given to somebody. False, and it is still the caller's, when that is this core.
   */
  handPacket(iface: Interface, p: Packet, owner: u32): bool {
    if (owner == this.self) return false;
    this.sendPacket(iface, p, owner, PACKET_PORT);
    return true;
  }

  /** Hands a whole IP packet to the filter of another core, as if it had come in there. Owns it. */
  handFiltered(iface: Interface, p: Packet, owner: u32): void {
    this.sendPacket(iface, p, owner, FILTERED_PORT);
  }

  private sendPacket(iface: Interface, p: Packet, owner: u32, port: u32): void {
    p.iface = <u16>iface.index;
    if (sendFrame(owner, port, p, false)) {
      this.stack.counters.steeredOut++;
    } else {
      this.stack.counters.steeringDrops++;
      p.free();
    }
  }

  /** The owner of the flow between two ends, `dst` ours when `local`. */
  owner(local: bool, dstHi: u64, dstLo: u64, srcHi: u64, srcLo: u64, dstPort: u32, srcPort: u32): u32 {
    if (this.serving == 1) return 0;
    if (local) {
      if (dstPort == this.leaderPort && dstPort != 0) return 0;
      if (dstPort == DHCP_PORT || dstPort == DHCP6_PORT) return 0;
      if (dstPort >= DRAWN_PORT_MIN) {
        const core = dstPort % this.cores;
        return (this.serving >> core) & 1 ? core : 0;
      }
    }
    return load<u8>(this.table + (this.hash(dstHi, dstLo, srcHi, srcLo, dstPort, srcPort) & (SLOTS - 1)));
  }

  // The sum of what each end gives under the key is the same in either direction, and nobody else can aim at a slot.
  private hash(aHi: u64, aLo: u64, bHi: u64, bLo: u64, aPort: u32, bPort: u32): u32 {
    if (aHi == 0 && bHi == 0) {
      // Two IPv4 ends: 48 bits each.
      const a = ((aLo & 0xffffffff) << 16) | aPort;
      const b = ((bLo & 0xffffffff) << 16) | bPort;
      return <u32>sipHash(this.key0, this.key1, min(a, b), max(a, b), 4);
    }
    return <u32>(sipHash(this.key0, this.key1, aHi, aLo, aPort) + sipHash(this.key0, this.key1, bHi, bLo, bPort));
  }

  // The core of a frame, or ALL.
  private place(iface: Interface, p: Packet): u32 {
    if (this.serving == 1) return 0;
    this.iface = iface.index;
    const frame = p.data;
    let at: u32 = ETHERNET_BYTES;
    if (p.len < ETHERNET_BYTES + VLAN_TAG_BYTES) return 0;
    let type = frameType(frame);
    if (type == EtherType.VLAN) {
      type = frameTaggedType(frame);
      at += VLAN_TAG_BYTES;
    }
    if (type == EtherType.ARP) return p.len >= at + <u32>ARP_BYTES && this.concerns(iface, frame + at) ? ALL : 0;
    if (isGroupMac(frameDst(frame))) return 0;
    const filter = this.stack.ip.filter;
    if (filter != null && filter.steers) return this.placeFiltered(frame + at, p.len - at, type);
    if (type == EtherType.IPV4) return this.place4(frame + at, p.len - at);
    if (type == EtherType.IPV6) return this.place6(frame + at, p.len - at);
    return 0;
  }

  // A filter that translates knows better whose a packet is, but for fragments, which have to meet, and a link's business.
  private placeFiltered(h: usize, len: u32, type: u32): u32 {
    if (type == EtherType.IPV4) return len < <u32>IPV4_BYTES || ipv4IsFragment(h) ? 0 : this.self;
    if (type != EtherType.IPV6 || len < IPV6_BYTES + ICMPV6_BYTES) return 0;
    const next = ipv6Next(h);
    if (next == Protocol.TCP || next == Protocol.UDP) return this.self;
    if (next != Protocol.ICMPV6) return 0;
    const kind = load<u8>(h + IPV6_BYTES);
    if (kind == <u8>Icmp6Type.NEIGHBOUR_ADVERTISEMENT) return ALL;
    return kind <= <u8>Icmp6Type.ECHO_REPLY ? this.self : 0;
  }

  // Answers, announcements and questions to us: what can change what a core knows of its neighbours.
  private concerns(iface: Interface, arp: usize): bool {
    const target = arpTargetIp(arp);
    return arpOp(arp) == ArpOp.REPLY || arpSenderIp(arp) == target || iface.find(0, V4_PREFIX | (<u64>target)) != null;
  }

  private place4(h: usize, len: u32): u32 {
    if (len < <u32>IPV4_BYTES || ipv4IsFragment(h)) return 0;
    const header = ipv4HeaderBytes(h);
    if (header < <u32>IPV4_BYTES || len < header + 8) return 0;
    const protocol = ipv4Protocol(h);
    const src = V4_PREFIX | (<u64>ipv4Src(h));
    const dst = V4_PREFIX | (<u64>ipv4Dst(h));
    const l4 = h + header;
    if (protocol == Protocol.TCP || protocol == Protocol.UDP) return this.flow(0, dst, 0, src, l4, protocol);
    if (protocol != Protocol.ICMP) return 0;
    const kind = load<u8>(l4);
    const error =
      kind == <u8>IcmpType.UNREACHABLE || kind == <u8>IcmpType.TIME_EXCEEDED || kind == <u8>IcmpType.PARAMETER_PROBLEM;
    if (!error || len < header + ICMP_BYTES + IPV4_BYTES) return 0;
    const quoted = l4 + ICMP_BYTES;
    const inner = ipv4HeaderBytes(quoted);
    if (
      inner < <u32>IPV4_BYTES ||
      len < header + ICMP_BYTES + inner + 8 ||
      (load<u8>(quoted, 6) & 0x1f) != 0 ||
      load<u8>(quoted, 7) != 0
    )
      return 0;
    return this.quoted(
      0,
      V4_PREFIX | (<u64>ipv4Src(quoted)),
      0,
      V4_PREFIX | (<u64>ipv4Dst(quoted)),
      quoted + inner,
      ipv4Protocol(quoted),
    );
  }

  private place6(h: usize, len: u32): u32 {
    if (len < <u32>IPV6_BYTES + 8) return 0;
    const l4 = h + IPV6_BYTES;
    const next = ipv6Next(h);
    if (next == Protocol.TCP || next == Protocol.UDP)
      return this.flow(
        loadHi(h + IPV6_DST),
        loadLo(h + IPV6_DST),
        loadHi(h + IPV6_SRC),
        loadLo(h + IPV6_SRC),
        l4,
        next,
      );
    if (next != Protocol.ICMPV6) return 0;
    const kind = load<u8>(l4);
    if (kind == <u8>Icmp6Type.NEIGHBOUR_ADVERTISEMENT) return ALL;
    if (kind == 0 || kind > <u8>Icmp6Type.PARAMETER_PROBLEM) return 0;
    const quoted = l4 + ICMPV6_BYTES;
    if (len < IPV6_BYTES + ICMPV6_BYTES + IPV6_BYTES + 8) return 0;
    return this.quoted(
      loadHi(quoted + IPV6_SRC),
      loadLo(quoted + IPV6_SRC),
      loadHi(quoted + IPV6_DST),
      loadLo(quoted + IPV6_DST),
      quoted + IPV6_BYTES,
      ipv6Next(quoted),
    );
  }

  private flow(dstHi: u64, dstLo: u64, srcHi: u64, srcLo: u64, l4: usize, protocol: u32): u32 {
    const srcPort = <u32>bswap<u16>(load<u16>(l4));
    const dstPort = <u32>bswap<u16>(load<u16>(l4, 2));
    return this.judge(dstHi, dstLo, srcHi, srcLo, dstPort, srcPort, protocol);
  }

  // A packet that somebody quotes was sent by us: its source is our end.
  private quoted(srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, l4: usize, protocol: u32): u32 {
    if (protocol != Protocol.TCP && protocol != Protocol.UDP) return 0;
    const srcPort = <u32>bswap<u16>(load<u16>(l4));
    const dstPort = <u32>bswap<u16>(load<u16>(l4, 2));
    return this.judge(srcHi, srcLo, dstHi, dstLo, srcPort, dstPort, protocol);
  }

  private judge(ownHi: u64, ownLo: u64, hi: u64, lo: u64, ownPort: u32, port: u32, protocol: u32): u32 {
    const drawn =
      ownPort >= DRAWN_PORT_MIN ||
      (ownPort == this.leaderPort && ownPort != 0) ||
      ownPort == DHCP_PORT ||
      ownPort == DHCP6_PORT;
    // Addresses of the link are not routed: one of them is ours, or nobody's.
    const local = drawn && (isLinkLocal(ownHi, ownLo) || this.stack.ip.isLocal(ownHi, ownLo));
    const core = this.owner(local, ownHi, ownLo, hi, lo, ownPort, port);
    if (core == this.self || !this.elders || protocol != Protocol.TCP) return core;
    const holder = this.stack.flows;
    return holder != null && holder.holds(zoned(ownHi, this.iface), ownLo, zoned(hi, this.iface), lo, ownPort, port)
      ? this.self
      : core;
  }

  /** The owner of a whole packet to us (`data` at the IP header, `l4` at its transport's), of TCP or UDP; else this core. */
  ownerOf(p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, protocol: u32): u32 {
    const l4: u32 = p.l4;
    if ((protocol != Protocol.TCP && protocol != Protocol.UDP) || this.serving == 1 || p.len < l4 + 8) return this.self;
    return this.flow(unzoned(dstHi), dstLo, unzoned(srcHi), srcLo, p.data + l4, protocol);
  }
}

/** Whole packets from other cores. */
class PacketPort extends FrameTaker {
  constructor(
    private readonly stack: Stack,
    private readonly filtered: bool,
  ) {
    super();
  }

  takeFrame(p: Packet, from: u32): void {
    const stack = this.stack;
    const iface: u32 = p.iface;
    if (iface >= <u32>stack.interfaces.length || p.len < <u32>IPV4_BYTES) {
      p.free();
      return;
    }
    stack.counters.steeredIn++;
    const inside = unchecked(stack.interfaces[iface]);
    if (!this.filtered) {
      stack.ip.inputLocal(inside, p);
      return;
    }
    const steering = stack.steering!;
    steering.handed = true;
    if (load<u8>(p.data) >> 4 == 6) stack.ip.input6(inside, p);
    else stack.ip.input4(inside, p);
    steering.handed = false;
  }
}
