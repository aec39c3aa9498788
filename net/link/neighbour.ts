// The neighbour cache of all interfaces: next hop -> hardware address, for ARP (RFC 826) and NDP alike, with the
// states of RFC 4861, 7.3.2.
//
//             no answer          +--------- used, 5 s without a hint --------+
//   INCOMPLETE ------> FAILED    |                                          v
//       | answer                STALE <-- 30 s -- REACHABLE <-- answer -- PROBE --no answer--> FAILED
//       +-----------> REACHABLE                       ^---- answer, hint from above ----+
//
// Invariants
// 1. The number of entries is fixed. A new one takes a free one, else the oldest that has not answered or is not in use: a scan
//    of a prefix pushes out its own entries, and cannot grow memory (RFC 6583).
// 2. Packets wait only in INCOMPLETE entries; an entry holds at most `neighbourQueue`, all together
//    `neighbourPackets`. The oldest is dropped
//    first: the latest is the one worth keeping (RFC 1122, 2.3.2.2).
// 3. `serial` changes when an entry starts to mean another neighbour: cached pointers (Route) are good while it is the
//    same.
// 4. At most one question a second goes to one neighbour (RFC 1122, 2.3.2.1).

import { Packet, Timer } from "../../runtime";
import { Limits, Stack, stackAt } from "../stack";
import { EtherType, MAC_BROADCAST } from "../wire/ethernet";
import { isV4 } from "../ip/address";
import { selectSource } from "../ip/address-selection";
import { askArp } from "./arp";
import { linkOutput } from "./ethernet";
import { Interface } from "./interface";
import { solicit } from "./ndp";

export const enum NeighbourState {
  /** In no table. */
  FREE = 0,
  INCOMPLETE = 1,
  /** Did not answer; asked again by the next packet, a second later at the earliest. */
  FAILED = 2,
  // From here on `mac` is usable.
  REACHABLE = 3,
  STALE = 4,
  DELAY = 5,
  PROBE = 6,
}

const SECOND_NS: i64 = 1_000_000_000;
const REACHABLE_NS: i64 = 30 * SECOND_NS;
const DELAY_NS: i64 = 5 * SECOND_NS;
const RETRANS_NS: i64 = SECOND_NS;
/** So long after it answered an entry is taken to be in use: confirmed anew by then where packets go to it. */
const IN_USE_NS: i64 = 2 * REACHABLE_NS;
/** Entries that are looked at for one to replace. */
const VICTIMS: i32 = 16;
/** Questions before giving up: to all, and to the known station. */
const MAX_MULTICAST_SOLICIT: u32 = 3;
const MAX_UNICAST_SOLICIT: u32 = 3;
/** How long a confirmed hardware address is not overwritten by another one. */
const LOCK_NS: i64 = SECOND_NS;


@unmanaged
export class Neighbour {
  /** Next in the hash chain, or in the free list. */
  chain: Neighbour | null;
  /** Neighbours in the ring of use, least recent first. */
  lruNext: Neighbour | null;
  lruPrev: Neighbour | null;
  /** Packets that wait, `data` at the IP header. */
  queueHead: Packet | null;
  queueTail: Packet | null;
  queueCount: u32;
  state: NeighbourState;
  iface: u32;
  serial: u32;
  stack: u32;
  tries: u32;
  hi: u64;
  lo: u64;
  mac: u64;
  /** REACHABLE until then; when `mac` was last confirmed; when it was last asked for. */
  reachable_ns: i64;
  confirmed_ns: i64;
  asked_ns: i64;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<Neighbour>());
  }
}

const ENTRY_BYTES: usize = (offsetof<Neighbour>() + offsetof<Timer>() + 7) & ~7;

export class Neighbours {
  private readonly entries: usize;
  private readonly capacity: u32;
  private readonly buckets: usize;
  private readonly bucketMask: u32;
  private freeList: Neighbour | null = null;
  private lruHead: Neighbour | null = null;
  private lruTail: Neighbour | null = null;
  private readonly queueLimit: u32;
  private readonly packetLimit: u32;
  /** Packets that wait in all entries; entries in use. */
  waiting: u32 = 0;
  count: u32 = 0;

  constructor(
    private readonly stackId: u32,
    limits: Limits,
  ) {
    const n = max<u32>(limits.neighbours, 8);
    this.capacity = n;
    this.entries = heap.alloc(<usize>n * ENTRY_BYTES);
    memory.fill(this.entries, 0, <usize>n * ENTRY_BYTES);
    for (let i: u32 = n; i > 0; i--) {
      const entry = changetype<Neighbour>(this.entries + <usize>(i - 1) * ENTRY_BYTES);
      entry.stack = stackId;
      entry.chain = this.freeList;
      entry.timer.init(onTimer, changetype<usize>(entry));
      this.freeList = entry;
    }
    const buckets = (<u32>1) << (32 - clz<u32>(n - 1));
    this.bucketMask = buckets - 1;
    this.buckets = heap.alloc(<usize>buckets * sizeof<usize>());
    memory.fill(this.buckets, 0, <usize>buckets * sizeof<usize>());
    this.queueLimit = limits.neighbourQueue;
    this.packetLimit = limits.neighbourPackets;
  }


  @inline private bucket(stack: Stack, iface: u32, hi: u64, lo: u64): usize {
    return this.buckets + <usize>(stack.hash(hi, lo, iface) & this.bucketMask) * sizeof<usize>();
  }

  /** The entry for an address, or null. */
  find(iface: u32, hi: u64, lo: u64): Neighbour | null {
    let entry = changetype<Neighbour | null>(load<usize>(this.bucket(stackAt(this.stackId), iface, hi, lo)));
    while (entry != null && (entry.lo != lo || entry.hi != hi || entry.iface != iface)) entry = entry.chain;
    return entry;
  }

  /** The entry for an address, made when there is none; null when all are busy (counted). */
  findOrAdd(iface: u32, hi: u64, lo: u64): Neighbour | null {
    const found = this.find(iface, hi, lo);
    if (found != null) return found;
    const stack = stackAt(this.stackId);
    let entry = this.freeList;
    if (entry == null) {
      const victim = this.victim(stack);
      if (victim == null) {
        stack.counters.neighbourTableFull++;
        return null;
      }
      this.remove(victim);
      entry = this.freeList!;
    }
    this.freeList = entry.chain;
    const at = this.bucket(stack, iface, hi, lo);
    entry.chain = changetype<Neighbour | null>(load<usize>(at));
    store<usize>(at, changetype<usize>(entry));
    entry.hi = hi;
    entry.lo = lo;
    entry.iface = iface;
    entry.mac = 0;
    entry.tries = 0;
    entry.asked_ns = i64.MIN_VALUE;
    entry.confirmed_ns = i64.MIN_VALUE;
    entry.state = NeighbourState.FAILED;
    entry.serial++;
    this.count++;
    this.linkLast(entry);
    return entry;
  }

  // Whose place a new entry takes: the oldest of those that have not answered, so that a scan pushes out only its own entries,
  // or one that is not in use. Those in use get a second chance; the search stays short.
  private victim(stack: Stack): Neighbour | null {
    for (let i = 0; i < VICTIMS; i++) {
      const entry = this.lruHead;
      if (entry == null || entry.state < NeighbourState.REACHABLE) return entry;
      const confirmed = entry.confirmed_ns;
      if (confirmed == i64.MIN_VALUE || stack.now_ns - confirmed > IN_USE_NS) return entry;
      this.touch(entry);
    }
    return this.lruHead;
  }

  /**
   * Sends a packet (`data` at the IP header) to a neighbour, or keeps it until its address is known. Owns the packet.
   */
  send(stack: Stack, iface: Interface, entry: Neighbour, p: Packet): void {
    const state = entry.state;
    if (state == NeighbourState.REACHABLE) {
      if (stack.now_ns > entry.reachable_ns) this.delay(stack, entry);
    } else if (state == NeighbourState.STALE) {
      this.delay(stack, entry);
    } else if (state < NeighbourState.REACHABLE) {
      this.wait(stack, iface, entry, p);
      return;
    }
    linkOutput(stack, iface, p, entry.mac, isV4(entry.hi, entry.lo) ? EtherType.IPV4 : EtherType.IPV6);
  }

  // First use of an address that may be out of date: it is used, and asked for when nothing confirms it in five
  // seconds.
  private delay(stack: Stack, entry: Neighbour): void {
    this.touch(entry);
    entry.state = NeighbourState.DELAY;
    stack.wheel.set(entry.timer, stack.now_ns + DELAY_NS);
  }

  private wait(stack: Stack, iface: Interface, entry: Neighbour, p: Packet): void {
    const now = stack.now_ns;
    if (entry.state == NeighbourState.FAILED) {
      if (entry.asked_ns != i64.MIN_VALUE && now - entry.asked_ns < RETRANS_NS) {
        // It was asked just now, in vain, and the senders of what waited then have been told.
        stack.counters.neighbourQueueDrops++;
        p.free();
        return;
      }
      entry.state = NeighbourState.INCOMPLETE;
      entry.tries = 0;
      this.ask(stack, iface, entry);
    }
    if (entry.queueCount >= this.queueLimit || this.waiting >= this.packetLimit) {
      const oldest = this.shift(entry);
      stack.counters.neighbourQueueDrops++;
      if (oldest == null) {
        p.free();
        return;
      }
      oldest.free();
    }
    p.next = null;
    const tail = entry.queueTail;
    if (tail != null) tail.next = p;
    else entry.queueHead = p;
    entry.queueTail = p;
    entry.queueCount++;
    this.waiting++;
  }

  private shift(entry: Neighbour): Packet | null {
    const p = entry.queueHead;
    if (p == null) return null;
    entry.queueHead = p.next;
    if (p.next == null) entry.queueTail = null;
    p.next = null;
    entry.queueCount--;
    this.waiting--;
    return p;
  }

  private ask(stack: Stack, iface: Interface, entry: Neighbour): void {
    entry.tries++;
    entry.asked_ns = stack.now_ns;
    stack.wheel.set(entry.timer, stack.now_ns + RETRANS_NS);
    const to = entry.state == NeighbourState.PROBE ? entry.mac : MAC_BROADCAST;
    if (isV4(entry.hi, entry.lo)) {
      askArp(stack, iface, <u32>entry.lo, to);
      return;
    }
    const v6 = iface.v6;
    const source = v6 != null ? selectSource(v6, entry.hi, entry.lo) : null;
    // An address that is still being checked asks nobody (RFC 4429, 3.2): the next question is a second away.
    if (source != null && !source.tentative) solicit(stack, iface, source.hi, source.lo, entry.hi, entry.lo, to);
  }

  /** The hardware address of a neighbour, 0 when it is not known. */
  macOf(iface: u32, hi: u64, lo: u64): u64 {
    const entry = this.find(iface, hi, lo);
    return entry != null && entry.state >= NeighbourState.REACHABLE ? entry.mac : 0;
  }

  /**
   * A station told its hardware address by neighbour discovery (RFC 4861, 7.2.3 and 7.2.5).
   * @param mac 0: it did not say it
   * @param solicited it answers a question of ours; overrides: what it says replaces what was known
   * @param create an entry is made when there is none: the station asked for one of our addresses
   */
  advertised(iface: Interface, hi: u64, lo: u64, mac: u64, solicited: bool, overrides: bool, create: bool): void {
    let entry = this.find(iface.index, hi, lo);
    if (entry == null && create) entry = this.findOrAdd(iface.index, hi, lo);
    if (entry == null) return;
    const stack = stackAt(this.stackId);
    const state = entry.state;
    if (state < NeighbourState.REACHABLE) {
      if (mac == 0 || (state == NeighbourState.FAILED && !create)) return;
      entry.mac = mac;
      entry.state = NeighbourState.STALE;
      if (entry.timer.isSet) stack.wheel.cancel(entry.timer);
      if (solicited) this.confirm(entry);
      for (let p = this.shift(entry); p != null; p = this.shift(entry)) this.send(stack, iface, entry, p);
      return;
    }
    const changed = mac != 0 && mac != entry.mac;
    if (changed && !overrides) {
      if (state == NeighbourState.REACHABLE) entry.state = NeighbourState.STALE;
      return;
    }
    if (changed) entry.mac = mac;
    if (solicited) {
      this.confirm(entry);
    } else if (changed) {
      if (entry.timer.isSet) stack.wheel.cancel(entry.timer);
      entry.state = NeighbourState.STALE;
    }
  }

  /**
   * A station said that it has an address.
   * @param solicited it answers a question of ours, as far as one can tell
   * @param create an entry is made when there is none: the station asked for one of our addresses
   */
  heard(iface: Interface, hi: u64, lo: u64, mac: u64, solicited: bool, create: bool): void {
    let entry = this.find(iface.index, hi, lo);
    if (entry == null) {
      if (!create) return;
      entry = this.findOrAdd(iface.index, hi, lo);
      if (entry == null) return;
    }
    const stack = stackAt(this.stackId);
    const now = stack.now_ns;
    const state = entry.state;
    if (state >= NeighbourState.REACHABLE && entry.mac != mac) {
      if (entry.confirmed_ns != i64.MIN_VALUE && now - entry.confirmed_ns < LOCK_NS) {
        stack.counters.arpInIgnored++;
        return;
      }
      entry.mac = mac;
      // A change that nobody asked for is used, but verified (RFC 4861, 7.2.5 with the override flag).
      if (!solicited || state != NeighbourState.PROBE) {
        stack.wheel.cancel(entry.timer);
        entry.state = NeighbourState.STALE;
        return;
      }
    }
    entry.mac = mac;
    const asked = state == NeighbourState.INCOMPLETE || state == NeighbourState.PROBE;
    if (solicited ? asked : state == NeighbourState.INCOMPLETE) {
      this.confirm(entry);
    } else if (state < NeighbourState.REACHABLE) {
      entry.state = NeighbourState.STALE;
    }
    if (state == NeighbourState.INCOMPLETE) {
      for (let p = this.shift(entry); p != null; p = this.shift(entry)) this.send(stack, iface, entry, p);
    }
  }

  /** The neighbour is known to receive: it answered, or a transport saw its data acknowledged (RFC 4861, 7.3.1). */
  confirm(entry: Neighbour): void {
    const stack = stackAt(this.stackId);
    const now = stack.now_ns;
    entry.confirmed_ns = now;
    // Between half and one and a half of the base time, so that neighbours do not ask in step (RFC 4861, 6.3.2).
    entry.reachable_ns = now + REACHABLE_NS / 2 + <i64>stack.randomBelow(<u32>(REACHABLE_NS >> 20)) * (1 << 20);
    entry.state = NeighbourState.REACHABLE;
    if (entry.timer.isSet) stack.wheel.cancel(entry.timer);
    this.touch(entry);
  }

  /** Runs an entry's timer. */
  expire(entry: Neighbour): void {
    const stack = stackAt(this.stackId);
    const iface = unchecked(stack.interfaces[entry.iface]);
    switch (entry.state) {
      case NeighbourState.INCOMPLETE:
        if (entry.tries < MAX_MULTICAST_SOLICIT) {
          this.ask(stack, iface, entry);
          return;
        }
        break;
      case NeighbourState.DELAY:
        entry.state = NeighbourState.PROBE;
        entry.tries = 0;
        this.ask(stack, iface, entry);
        return;
      case NeighbourState.PROBE:
        if (entry.tries < MAX_UNICAST_SOLICIT) {
          this.ask(stack, iface, entry);
          return;
        }
        break;
      default:
        return;
    }
    entry.state = NeighbourState.FAILED;
    stack.counters.neighbourFailed++;
    // Their senders may answer by sending again: only what waits now is given back.
    for (let n = entry.queueCount; n > 0; n--) {
      const p = this.shift(entry);
      if (p == null) break;
      p.iface = <u16>entry.iface;
      stack.ip.unreachable(p);
    }
  }

  /** Forgets what is known on an interface; what waits there is dropped. */
  flush(iface: u32): void {
    for (let entry = this.lruHead; entry != null;) {
      const next = entry.lruNext;
      if (entry.iface == iface) this.remove(entry);
      entry = next;
    }
  }

  private remove(entry: Neighbour): void {
    const stack = stackAt(this.stackId);
    for (let p = this.shift(entry); p != null; p = this.shift(entry)) {
      stack.counters.neighbourQueueDrops++;
      p.free();
    }
    stack.wheel.cancel(entry.timer);
    let at = this.bucket(stack, entry.iface, entry.hi, entry.lo);
    for (
      let other = changetype<Neighbour | null>(load<usize>(at));
      other != entry;
      other = changetype<Neighbour | null>(load<usize>(at))
    ) {
      at = changetype<usize>(other) + offsetof<Neighbour>("chain");
    }
    store<usize>(at, changetype<usize>(entry.chain));
    this.unlink(entry);
    entry.state = NeighbourState.FREE;
    entry.serial++;
    entry.chain = this.freeList;
    this.freeList = entry;
    this.count--;
  }

  private touch(entry: Neighbour): void {
    if (this.lruTail == entry) return;
    this.unlink(entry);
    this.linkLast(entry);
  }
  private linkLast(entry: Neighbour): void {
    const tail = this.lruTail;
    entry.lruPrev = tail;
    entry.lruNext = null;
    if (tail != null) tail.lruNext = entry;
    else this.lruHead = entry;
    this.lruTail = entry;
  }
  private unlink(entry: Neighbour): void {
    const prev = entry.lruPrev;
    const next = entry.lruNext;
    if (prev != null) prev.lruNext = next;
    else this.lruHead = next;
    if (next != null) next.lruPrev = prev;
    else this.lruTail = prev;
  }
}

function onTimer(timer: Timer): void {
  const entry = changetype<Neighbour>(timer.context);
  stackAt(entry.stack).neighbours.expire(entry);
}
