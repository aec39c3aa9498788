// Reassembly of fragments of both versions of IP (RFC 791, 3.2; RFC 8200, 4.5; RFC 815's idea of holes as a sorted list
// without overlaps). Who calls has parsed the headers: here a fragment is a header that is skipped, an offset and bytes.
//
// Invariants
// 1. A datagram's fragments are sorted by offset and do not overlap. One that is received twice is dropped; one that
//    overlaps others in any other
//    way drops the whole datagram and what still comes of it (RFC 5722; for IPv4 too: nobody honest sends it).
// 2. So the datagram is whole when the end is known and the bytes received are as many: no scan.
// 3. At most `reassemblies` datagrams and `reassemblyPackets` buffers are held; a new datagram pushes out the oldest.
// 4. A datagram has at most MAX_FRAGMENTS fragments: enough for 64 KB on Ethernet. They become slices of the whole without a
//    copy as far as a Packet can hold so many; else they are packed into fewer buffers.

import { allocPacket, BUFFER_DATA_BYTES, MAX_SLICES, Packet, PacketFlag, Timer } from "../../runtime";
import { reasmCounters } from "../counters";
import { addRange } from "../range";
import { Limits, stackAt } from "../stack";
import { IcmpType } from "../wire/icmp";
import {
  IPV4_MF,
  ipv4Dst,
  ipv4Fragment,
  ipv4HeaderBytes,
  ipv4Id,
  ipv4Protocol,
  ipv4Src,
  rewriteIpv4,
} from "../wire/ipv4";
import { FRAGMENT_BYTES, unfragment } from "../wire/ipv6";
import { isV4, v4 } from "./address";
import { sendIcmpError } from "./icmp";
import { fragmentTimeout6 } from "./icmpv6";

/** RFC 1122, 3.3.2 wants 60 s or more; Linux keeps 30 s, as memory held for a sender that has gone is an attacker's. */
const TIMEOUT_NS: i64 = 30_000_000_000;
const MAX_FRAGMENTS: u32 = 64;
const MAX_PAYLOAD: u32 = 65535 - 20;
const MAX_PAYLOAD6: u32 = 65535;
const UNKNOWN: u32 = u32.MAX_VALUE;
/** `fragments` of a datagram that was dropped for an overlap: its entry stays until its time is up and takes the rest. */
const POISONED: u32 = u32.MAX_VALUE;


@unmanaged
class Datagram {
  /** Next in the hash chain or the free list; neighbours by age. */
  chain: Datagram | null;
  older: Datagram | null;
  younger: Datagram | null;
  /**
   * Fragments by offset: `data` at the IP header, `cookie` the offset of their payload, `cookie2` its end, `l4` the
   * length of the headers before it, `l3` for IPv6 where the type of the fragment header stands (0: IPv4).
   */
  head: Packet | null;
  tail: Packet | null;
  stack: u32;
  srcHi: u64;
  srcLo: u64;
  dstHi: u64;
  dstLo: u64;
  /** Identification and, for IPv4, the protocol. */
  key: u64;
  fragments: u32;
  buffers: u32;
  received: u32;
  /** Bytes of the largest fragment, with its IP header. */
  largest: u32;
  /** Payload bytes of the whole, or UNKNOWN. */
  end: u32;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this) + offsetof<Datagram>());
  }
}

const ENTRY_BYTES: usize = (offsetof<Datagram>() + offsetof<Timer>() + 7) & ~7;

export class Reassembly {
  private readonly buckets: usize;
  private readonly mask: u32;
  private freeList: Datagram | null = null;
  private oldest: Datagram | null = null;
  private youngest: Datagram | null = null;
  private readonly bufferLimit: u32;
  /** Datagrams in work, and the buffers they hold. */
  count: u32 = 0;
  buffers: u32 = 0;

  constructor(
    private readonly stackId: u32,
    limits: Limits,
  ) {
    const n = max<u32>(limits.reassemblies, 2);
    const entries = heap.alloc(<usize>n * ENTRY_BYTES);
    memory.fill(entries, 0, <usize>n * ENTRY_BYTES);
    for (let i: u32 = 0; i < n; i++) {
      const d = changetype<Datagram>(entries + <usize>i * ENTRY_BYTES);
      d.stack = stackId;
      d.timer.init(onTimeout, changetype<usize>(d));
      d.chain = this.freeList;
      this.freeList = d;
    }
    const buckets = (<u32>1) << (32 - clz<u32>(n - 1));
    this.mask = buckets - 1;
    this.buckets = heap.alloc(<usize>buckets * sizeof<usize>());
    memory.fill(this.buckets, 0, <usize>buckets * sizeof<usize>());
    this.bufferLimit = limits.reassemblyPackets;
  }

  /** Takes an IPv4 fragment (`data` at its checked header); as `addFragment`. */
  add(p: Packet): Packet | null {
    const h = p.data;
    const word = ipv4Fragment(h);
    const key = ((<u64>ipv4Id(h)) << 8) | (<u64>ipv4Protocol(h));
    const more = (word & IPV4_MF) != 0;
    const header = ipv4HeaderBytes(h);
    return this.addFragment(p, header, (word & 0x1fff) << 3, more, 0, v4(ipv4Src(h)), 0, v4(ipv4Dst(h)), key);
  }

  /**
   * Takes a fragment (`data` at its IP header, `l3` as in Datagram). Gives the whole packet when it was the last one,
   * else null. Owns the fragment.
   * @param header bytes before its payload
   * @param offset of its payload in the whole's
   * @param more whether others follow
   */
  addFragment(
    p: Packet,
    header: u32,
    offset: u32,
    more: bool,
    srcHi: u64,
    srcLo: u64,
    dstHi: u64,
    dstLo: u64,
    key: u64,
  ): Packet | null {
    const counters = reasmCounters(stackAt(this.stackId).counters, p.l3 == 0);
    counters.reqds++;
    const bytes = p.totalLen - header;
    const end = offset + bytes;
    const most = p.l3 == 0 ? MAX_PAYLOAD : MAX_PAYLOAD6;
    // All but the last carry a multiple of 8 bytes; the whole fits the length field ("ping of death").
    if (bytes == 0 || (more && (bytes & 7) != 0) || end > most || bytes > most) {
      counters.fails++;
      p.free();
      return null;
    }
    const d = this.findOrAdd(srcHi, srcLo, dstHi, dstLo, key);
    if (d.fragments == POISONED) {
      p.free();
      return null;
    }
    const cost = 1 + p.sliceCount;
    if (
      d.fragments == MAX_FRAGMENTS ||
      this.buffers + cost > this.bufferLimit ||
      (more ? end > d.end : d.end != UNKNOWN ? d.end != end : d.tail != null && d.tail!.cookie2 > end)
    ) {
      return this.fail(d, p);
    }
    p.l4 = <u16>header;
    p.cookie = offset;
    p.cookie2 = end;
    // Mostly they come in order: behind the tail. Else the place is sought, among at most MAX_FRAGMENTS.
    let before = d.tail;
    if (before != null && before.cookie >= offset) {
      before = null;
      let f = d.head;
      while (f != null && f.cookie < offset) {
        before = f;
        f = f.next;
      }
    }
    const after = before != null ? before.next : d.head;
    if (after != null && after.cookie == offset && after.cookie2 == end) {
      p.free();
      return null;
    }
    if ((before != null && before.cookie2 > offset) || (after != null && after.cookie < end)) {
      counters.overlaps++;
      counters.fails++;
      p.free();
      this.empty(d);
      d.fragments = POISONED;
      return null;
    }
    p.next = after;
    if (before != null) before.next = p;
    else d.head = p;
    if (after == null) d.tail = p;
    if (!more) d.end = end;
    d.fragments++;
    d.received += bytes;
    d.largest = max(d.largest, header + bytes);
    d.buffers += cost;
    this.buffers += cost;
    return d.received == d.end ? this.join(d) : null;
  }

  private fail(d: Datagram, p: Packet): Packet | null {
    reasmCounters(stackAt(this.stackId).counters, p.l3 == 0).fails++;
    p.free();
    this.drop(d);
    return null;
  }

  // The first fragment becomes the whole: the payloads of the others are its slices.
  private join(d: Datagram): Packet | null {
    const whole = d.head!;
    const counters = reasmCounters(stackAt(this.stackId).counters, whole.l3 == 0);
    const packs = d.buffers > MAX_SLICES + 1;
    let into: Packet | null = packs ? emptyBuffer() : null;
    let fits = !packs || into != null;
    for (let f = whole.next; f != null;) {
      const next = f.next;
      const header: u32 = f.l4;
      if (fits && into != null) {
        into = pack(whole, into, f);
        fits = into != null;
      } else if (fits) {
        fits = addRange(whole, f, header, f.totalLen - header);
      }
      f.free();
      f = next;
    }
    if (into != null) fits = addBuffer(whole, into);
    whole.next = null;
    whole.fragmentBytes = <u16>d.largest;
    // What a card said about one fragment says nothing about the whole.
    whole.flags &= PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST;
    d.head = null;
    this.drop(d);
    if (!fits) {
      counters.fails++;
      whole.free();
      return null;
    }
    counters.oks++;
    if (whole.l3 == 0) {
      rewriteIpv4(whole.data, whole.totalLen, ipv4Id(whole.data), 0);
    } else {
      unfragment(whole.data, whole.l3, whole.l4, whole.totalLen);
      whole.drop(FRAGMENT_BYTES);
    }
    return whole;
  }

  private bucket(srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, key: u64): usize {
    const stack = stackAt(this.stackId);
    const sender = <u64>stack.hash(srcHi, srcLo, key);
    return this.buckets + <usize>(stack.hash(dstHi, dstLo, sender) & this.mask) * sizeof<usize>();
  }

  private findOrAdd(srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, key: u64): Datagram {
    const at = this.bucket(srcHi, srcLo, dstHi, dstLo, key);
    let known = changetype<Datagram | null>(load<usize>(at));
    while (known != null) {
      if (
        known.key == key &&
        known.srcLo == srcLo &&
        known.dstLo == dstLo &&
        known.srcHi == srcHi &&
        known.dstHi == dstHi
      )
        return known;
      known = known.chain;
    }
    const stack = stackAt(this.stackId);
    if (this.freeList == null) {
      const oldest = this.oldest!;
      reasmCounters(stack.counters, isV4(oldest.dstHi, oldest.dstLo)).fails++;
      this.drop(oldest);
    }
    const d = this.freeList!;
    this.freeList = d.chain;
    d.chain = changetype<Datagram | null>(load<usize>(at));
    store<usize>(at, changetype<usize>(d));
    d.srcHi = srcHi;
    d.srcLo = srcLo;
    d.dstHi = dstHi;
    d.dstLo = dstLo;
    d.key = key;
    d.head = null;
    d.tail = null;
    d.fragments = 0;
    d.buffers = 0;
    d.received = 0;
    d.largest = 0;
    d.end = UNKNOWN;
    d.older = this.youngest;
    d.younger = null;
    if (this.youngest != null) this.youngest!.younger = d;
    else this.oldest = d;
    this.youngest = d;
    this.count++;
    stack.wheel.set(d.timer, stack.now_ns + TIMEOUT_NS);
    return d;
  }

  // Frees the fragments that a datagram holds.
  private empty(d: Datagram): void {
    for (let f = d.head; f != null;) {
      const next = f.next;
      f.free();
      f = next;
    }
    d.head = null;
    this.buffers -= d.buffers;
    d.buffers = 0;
  }

  /** Frees a datagram and what it holds. */
  private drop(d: Datagram): void {
    this.empty(d);
    this.count--;
    stackAt(this.stackId).wheel.cancel(d.timer);
    let at = this.bucket(d.srcHi, d.srcLo, d.dstHi, d.dstLo, d.key);
    for (let other = changetype<Datagram>(load<usize>(at)); other != d; other = changetype<Datagram>(load<usize>(at))) {
      at = changetype<usize>(other) + offsetof<Datagram>("chain");
    }
    store<usize>(at, changetype<usize>(d.chain));
    const older = d.older;
    const younger = d.younger;
    if (older != null) older.younger = younger;
    else this.oldest = younger;
    if (younger != null) younger.older = older;
    else this.youngest = older;
    d.chain = this.freeList;
    this.freeList = d;
  }

  /** A datagram was not whole in time: its sender is told when the first fragment is there (RFC 1122, 3.3.2). */
  timeout(d: Datagram): void {
    const stack = stackAt(this.stackId);
    reasmCounters(stack.counters, isV4(d.dstHi, d.dstLo)).timeout++;
    const first = d.head;
    if (first != null && first.cookie == 0) {
      if (first.l3 == 0) sendIcmpError(stack, first, IcmpType.TIME_EXCEEDED, 1, 0);
      else fragmentTimeout6(stack, first);
    }
    this.drop(d);
  }
}

function emptyBuffer(): Packet | null {
  const p = allocPacket();
  // No headers go before a slice: it uses the whole buffer.
  if (p != null) p.data = p.head;
  return p;
}

// A filled buffer becomes a slice of the whole.
function addBuffer(whole: Packet, into: Packet): bool {
  const added = whole.addSlice(into.data, into.len, into);
  into.free();
  return added;
}

// Copies a fragment's payload behind what is in a buffer, and into further ones. Gives the last; null when there are no more.
function pack(whole: Packet, first: Packet, f: Packet): Packet | null {
  let into = first;
  for (let at: u32 = f.l4; at < f.totalLen;) {
    if (<usize>into.len == BUFFER_DATA_BYTES) {
      if (!addBuffer(whole, into)) return null;
      const next = emptyBuffer();
      if (next == null) return null;
      into = next;
    }
    const take = min(<u32>BUFFER_DATA_BYTES - into.len, f.totalLen - at);
    f.copyTo(into.append(take), at, take);
    at += take;
  }
  return into;
}

function onTimeout(timer: Timer): void {
  const d = changetype<Datagram>(timer.context);
  stackAt(d.stack).ip.reassembly.timeout(d);
}
