// Packet buffers: the pool shared with devices, and the packets cut from it.
//
//   a buffer, 2 KiB of this core's slice of the pool
//   +----------------------+-----------------+---------------------------------+
//   | Packet (400 bytes)   | headroom        | linear part: data .. data + len |
//   +----------------------+-----------------+---------------------------------+
//          slices[0..n): further bytes of the same packet, in other buffers or in the read-only content region
//
// Invariants
// 1. A packet's bytes are its linear part followed by its slices, in order. Headers always lie in the linear part: the
//    receive path pulls them there (`pull`) before anything parses them.
// 2. A slice that lies in a buffer holds one reference on that buffer's packet, its owner, which masking its address finds;
//    one in the content region has none. `free` drops the packet's own reference; the buffer returns to the pool with the
//    last one.
// 3. The pool never grows. `alloc` returns null when it is empty, and the caller sheds load and counts it.
// 4. Only the core that owns the slice of the pool allocates from it and returns buffers to it. What another core freed waits
//    in `strays` until it is sent home (away.ts, runtime/cores).

import { info, Info } from "../platform";

/** Bytes of a buffer, with its Packet. A power of two: the Packet of an address in a buffer is found by masking. */
export const BUFFER_BYTES: usize = 2048;
/** Bytes of a buffer before its data area. */
export const PACKET_META_BYTES: usize = 400;
/** Bytes that a buffer can hold. */
export const BUFFER_DATA_BYTES: usize = BUFFER_BYTES - PACKET_META_BYTES;
/** Room kept in front of a frame for the device's header (virtio-net: 12 bytes) and headers added on the way. */
export const HEADROOM_BYTES: usize = 96;
/** Slices that a packet can have: with them the largest frame that a card can give or take, 65,553 bytes, fits receive buffers. */
export const MAX_SLICES: u32 = 41;

/** Bits of `Packet.flags`. */
export const enum PacketFlag {
  /** Receive: the transport checksum was verified by the device or needs no check (virtio DATA_VALID / NEEDS_CSUM). */
  CHECKSUM_OK = 1,
  /** Transmit: the device (or the driver) completes the checksum at csumStart + csumOffset; the pseudo header is in place. */
  CHECKSUM_PARTIAL = 2,
  /** Transmit or receive: a TCP segment larger than the MTU, to be cut or having been merged at gsoSize. */
  GSO_TCP4 = 4,
  GSO_TCP6 = 8,
  /** Link-layer destination was broadcast or multicast. */
  LINK_BROADCAST = 16,
  LINK_MULTICAST = 32,
  /** Receive: the checksum at csumStart + csumOffset holds only the pseudo header (nothing was lost on the way here, from a
   *  neighbour on this machine); who sends the packet on completes it or leaves that to the device. */
  CHECKSUM_PENDING = 64,
  /** Another core's packet that it only lent: it goes home as it is, its slices are not given back here. */
  LENT = 128,
}


@unmanaged
export class Packet {
  /** Next in the queue that holds the packet; a queue's link belongs to whoever holds the packet. */
  next: Packet | null;
  /** References: the packet itself and each slice of another packet that lies in its buffer. */
  refs: u32;
  /** Offset of the first byte of the linear part, and its bytes. */
  data: usize;
  len: u32;
  /** Bytes in all: the linear part and the slices. */
  totalLen: u32;
  sliceCount: u32;
  flags: u32;
  /** Payload bytes of each segment of a GSO packet. */
  gsoSize: u16;
  /** Where checksumming starts, from `data`, and where the sum is stored, from there. */
  csumStart: u16;
  csumOffset: u16;
  /** Number of the interface it came in on. */
  iface: u16;
  /** VLAN tag control information as received, or 0. */
  vlanTci: u16;
  /** IP: joined from fragments, the largest of which had so many bytes; 0: it came whole. */
  fragmentBytes: u16;
  /** Offsets from `data` of the network and transport headers, set by the parser. */
  l3: u16;
  l4: u16;
  /** For whoever holds the packet (TCP: first sequence number; ARP: next hop). */
  cookie: u32;
  cookie2: u32;
  /** Monotonic time of receipt or queueing, ns. */
  time_ns: i64;

  /** First byte of the buffer's data area. */
  @inline get head(): usize {
    return changetype<usize>(this) + PACKET_META_BYTES;
  }
  /** One past the last byte of the buffer. */
  @inline get end(): usize {
    return changetype<usize>(this) + BUFFER_BYTES;
  }
  /** Bytes before the linear part. */
  @inline get headroom(): usize {
    return this.data - this.head;
  }
  /** Bytes behind the linear part. */
  @inline get tailroom(): usize {
    return this.end - this.data - this.len;
  }

  /** Grows the linear part at its front; the caller knows that there is room (`headroom`). Returns the new front. */
  @inline push(bytes: u32): usize {
    this.data -= bytes;
    this.len += bytes;
    this.totalLen += bytes;
    return this.data;
  }
  /** Shrinks the linear part at its front, by at most `len`. */
  @inline drop(bytes: u32): void {
    this.data += bytes;
    this.len -= bytes;
    this.totalLen -= bytes;
  }
  /** Grows the linear part at its end; the caller knows that there is room (`tailroom`). Returns where the new bytes are. */
  @inline append(bytes: u32): usize {
    const at = this.data + this.len;
    this.len += bytes;
    this.totalLen += bytes;
    return at;
  }


  @inline sliceAddress(i: u32): usize {
    return load<u32>(changetype<usize>(this) + SLICES + i * SLICE_BYTES);
  }


  @inline sliceLen(i: u32): u32 {
    return load<u32>(changetype<usize>(this) + SLICES + i * SLICE_BYTES, 4) & ~OWNED;
  }


  @inline sliceOwner(i: u32): Packet | null {
    const at = changetype<usize>(this) + SLICES + i * SLICE_BYTES;
    return load<u32>(at, 4) & OWNED ? packetOf(<usize>load<u32>(at)) : null;
  }

  /**
   * Adds bytes that lie elsewhere, fewer than 2^31. `owner` is the packet in whose buffer they are (it gets a reference), or null
   * for the content region. False when the packet has no slice left.
   */
  addSlice(address: usize, bytes: u32, owner: Packet | null): bool {
    const i = this.sliceCount;
    if (i == MAX_SLICES) return false;
    const at = changetype<usize>(this) + SLICES + i * SLICE_BYTES;
    store<u32>(at, address);
    if (owner != null) {
      assert(packetOf(address) == owner);
      owner.refs++;
      store<u32>(at, bytes | OWNED, 4);
    } else {
      store<u32>(at, bytes, 4);
    }
    this.sliceCount = i + 1;
    this.totalLen += bytes;
    return true;
  }

  /** Removes `bytes` from the packet's end (padding of short frames, a trimmed segment), at most `totalLen`. */
  trim(bytes: u32): void {
    this.totalLen -= bytes;
    while (bytes > 0 && this.sliceCount > 0) {
      const i = this.sliceCount - 1;
      const len = this.sliceLen(i);
      if (len > bytes) {
        // The mark of ownership stays.
        const at = changetype<usize>(this) + SLICES + i * SLICE_BYTES;
        store<u32>(at, load<u32>(at, 4) - bytes, 4);
        return;
      }
      bytes -= len;
      this.sliceCount = i;
      const owner = this.sliceOwner(i);
      if (owner != null) release(owner);
    }
    this.len -= bytes;
  }

  /** Makes the first `bytes` of the packet contiguous in the linear part. False when the packet or the buffer is too short. */
  pull(bytes: u32): bool {
    if (bytes <= this.len) return true;
    if (bytes > this.totalLen) return false;
    let missing = bytes - this.len;
    if (this.tailroom < <usize>missing) return false;
    while (missing > 0) {
      const at = changetype<usize>(this) + SLICES;
      const address = <usize>load<u32>(at);
      const len = this.sliceLen(0);
      const take = min(len, missing);
      memory.copy(this.data + this.len, address, take);
      this.len += take;
      missing -= take;
      if (take < len) {
        store<u32>(at, address + take);
        store<u32>(at, load<u32>(at, 4) - take, 4);
      } else {
        const owner = this.sliceOwner(0);
        this.sliceCount--;
        memory.copy(at, at + SLICE_BYTES, this.sliceCount * SLICE_BYTES);
        if (owner != null) release(owner);
      }
    }
    return true;
  }

  /** Copies `bytes` from `offset` of the packet (linear part and slices) to `target`. The range lies in the packet. */
  copyTo(target: usize, offset: u32, bytes: u32): void {
    if (offset < this.len) {
      const take = min(bytes, this.len - offset);
      memory.copy(target, this.data + offset, take);
      target += take;
      bytes -= take;
      offset = 0;
    } else {
      offset -= this.len;
    }
    for (let i: u32 = 0; bytes > 0; i++) {
      const len = this.sliceLen(i);
      if (offset >= len) {
        offset -= len;
        continue;
      }
      const take = min(bytes, len - offset);
      memory.copy(target, this.sliceAddress(i) + offset, take);
      target += take;
      bytes -= take;
      offset = 0;
    }
  }

  /** Gives the packet back: its slices' references and its own. */
  @inline free(): void {
    release(this);
  }
}

// A slice: its address, then its length with the mark that a packet owns its bytes.
const SLICE_BYTES: usize = 8;
const OWNED: u32 = 1 << 31;
const SLICES: usize = PACKET_META_BYTES - <usize>MAX_SLICES * SLICE_BYTES;

let freeList: Packet | null = null;
let poolStart: usize = 0;
let poolEnd: usize = 0;
let sliceBytes: usize = 0;
/** Packets of other cores that were freed here, to be sent home. */
export const strays: PacketQueue = new PacketQueue();
/** Buffers in the pool, and free ones. */
export let packetsTotal: u32 = 0;
export let packetsFree: u32 = 0;
/** Times that `allocPacket` found the pool empty. */
export let packetsExhausted: u64 = 0;

/** Cuts this core's slice of the pool into buffers. Once, before the first allocation. */
export function initPackets(): void {
  initPacketsAt(<usize>info(Info.POOL_SLICE_ADDRESS), <usize>info(Info.POOL_SLICE_BYTES));
}

/** The same for a given region: tests under V8, which has no window at the pool's place. */
export function initPacketsAt(address: usize, bytes: usize): void {
  assert(offsetof<Packet>() <= SLICES, "a Packet's fields reach into its slices");
  poolStart = (address + BUFFER_BYTES - 1) & ~(BUFFER_BYTES - 1);
  poolEnd = poolStart;
  freeList = null;
  // The last buffer is left out: an e1000 is allowed to write 2 KiB from any packet's `data`.
  packetsTotal = <u32>((address + bytes - poolStart) / BUFFER_BYTES) - 1;
  sliceBytes = <usize>packetsTotal * BUFFER_BYTES;
  packetsFree = packetsTotal;
  packetsExhausted = 0;
}

/** A packet with `HEADROOM_BYTES` before its empty linear part, or null when the pool is empty (counted). */
export function allocPacket(): Packet | null {
  let p = freeList;
  if (p != null) {
    freeList = p.next;
  } else {
    // Buffers never used yet are taken in order: memory that the machine never needs is never touched.
    if (packetsFree == 0) {
      packetsExhausted++;
      return null;
    }
    p = changetype<Packet>(poolEnd);
    poolEnd += BUFFER_BYTES;
  }
  packetsFree--;
  p.next = null;
  p.refs = 1;
  p.data = p.head + HEADROOM_BYTES;
  p.len = 0;
  p.totalLen = 0;
  p.sliceCount = 0;
  p.flags = 0;
  p.gsoSize = 0;
  p.vlanTci = 0;
  p.fragmentBytes = 0;
  p.cookie = 0;
  return p;
}

/** Drops one reference; with the last one the buffer returns to the pool. */
export function release(p: Packet): void {
  assert(p.refs > 0);
  if (--p.refs > 0) return;
  if (p.flags & PacketFlag.LENT) {
    strays.push(p);
    return;
  }
  releaseSlices(p);
  if (isOwn(p)) {
    p.next = freeList;
    freeList = p;
    packetsFree++;
  } else strays.push(p);
}

/** Gives the references of a packet's slices back. */
export function releaseSlices(p: Packet): void {
  const n = p.sliceCount;
  p.sliceCount = 0;
  for (let i: u32 = 0; i < n; i++) {
    const owner = p.sliceOwner(i);
    if (owner != null) release(owner);
  }
}

/** Whether a packet lies in this core's slice of the pool. */
@inline
export function isOwn(p: Packet): bool {
  return changetype<usize>(p) - poolStart < sliceBytes;
}

/** Number of an own packet among this core's, below `packetsTotal`. */
@inline
export function packetNumber(p: Packet): u32 {
  return <u32>((changetype<usize>(p) - poolStart) / BUFFER_BYTES);
}

/** The packet in whose buffer `address` lies. */
@inline
export function packetOf(address: usize): Packet {
  return changetype<Packet>(address & ~(BUFFER_BYTES - 1));
}

/** A first-in first-out queue through `Packet.next`. */
export class PacketQueue {
  head: Packet | null = null;
  tail: Packet | null = null;
  count: u32 = 0;

  push(p: Packet): void {
    p.next = null;
    const tail = this.tail;
    if (tail != null) tail.next = p;
    else this.head = p;
    this.tail = p;
    this.count++;
  }
  shift(): Packet | null {
    const p = this.head;
    if (p == null) return null;
    this.head = p.next;
    if (this.head == null) this.tail = null;
    p.next = null;
    this.count--;
    return p;
  }
  /** Removes the head, whose link may have been overwritten: `after` is what followed it. */
  dropHead(after: Packet | null): void {
    this.head = after;
    if (after == null) this.tail = null;
    this.count--;
  }
  /** Removes the first `count` packets, which stay linked; `last` is the last of them. */
  dropFirst(count: u32, last: Packet): void {
    this.head = last.next;
    if (this.head == null) this.tail = null;
    this.count -= count;
  }
  /** Frees all packets in the queue. */
  clear(): void {
    for (let p = this.shift(); p != null; p = this.shift()) p.free();
  }
}
