// virtio-net (VIRTIO 1.2, 5.1) on split rings (2.7), over PCI, MMIO and the hosted platform's own device side.
//
//   receive ring: every slot holds a packet that the device may fill; a completion names the slot, which gets a new packet
//   send ring:    a frame is a chain of slots: header and linear part, then its slices; a completion names the first
//
// The platform writes descriptors and available rings, the device the used rings; this driver reads only the used rings.
// Invariants
// 1. `packets` names for each slot the packet that the device has; 0 where it has none. A completion of such a slot is the
//    device's mistake.
// 2. A free slot of the send ring is on the list that begins at `free`, linked through `links`.

import { coreCount, coreNumber } from "../cores/cores";
import { Errno } from "../errors";
import { allocPacket, HEADROOM_BYTES, Packet, PacketFlag, PacketQueue } from "../memory/packet";
import {
  acquire,
  irqUnmask,
  Post,
  regRead,
  Region,
  ringArm,
  ringCompletions,
  ringCreate,
  ringEntries,
  ringFlush,
  RingFormat,
  ringPoll,
  ringPost,
  ringReserve,
  ringTake,
  Transport,
} from "../platform";
import { Card, CardOffload } from "./card";
import { F_VERSION_1, Virtio } from "./virtio";

const F_CSUM: u64 = 1 << 0;
const F_GUEST_CSUM: u64 = 1 << 1;
const F_MTU: u64 = 1 << 3;
const F_MAC: u64 = 1 << 5;
const F_GUEST_TSO4: u64 = 1 << 7;
const F_GUEST_TSO6: u64 = 1 << 8;
const F_HOST_TSO4: u64 = 1 << 11;
const F_HOST_TSO6: u64 = 1 << 12;
const F_MRG_RXBUF: u64 = 1 << 15;
const F_CTRL_VQ: u64 = 1 << 17;
const F_MQ: u64 = 1 << 22;
const F_ANY_LAYOUT: u64 = 1 << 27;
const F_EVENT_IDX: u64 = 1 << 29;

// struct virtio_net_hdr (5.1.6): offsets and values.
const HEADER_FLAGS: usize = 0;
const HEADER_GSO_TYPE: usize = 1;
const HEADER_LEN: usize = 2;
const HEADER_GSO_SIZE: usize = 4;
const HEADER_CSUM_START: usize = 6;
const HEADER_CSUM_OFFSET: usize = 8;
const HEADER_NUM_BUFFERS: usize = 10;
const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_ECN: u8 = 0x80;

const RX_QUEUE: i32 = 0;
const TX_QUEUE: i32 = 1;
const RING_ENTRIES: i32 = 256;

// The control queue's command that says how many pairs are in use (5.1.6.5.6): class, command, u16; the device's answer.
const CONTROL_ENTRIES: i32 = 8;
const CONTROL_MQ: u8 = 4;
const CONTROL_ANSWER: usize = 8;
const NO_ANSWER: u8 = 255;

export class VirtioNet extends Card {
  private virtio: Virtio;
  private headerBytes: u32 = 12;
  /** Whether header and frame may share a descriptor. */
  private anyLayout: bool = true;
  private raised: bool = true;

  /** Queue pairs that cores can use, pair N core N; in use, as the device knows. */
  pairs: u32 = 1;
  private pairsWanted: u32 = 1;
  private pairsTold: u32 = 1;
  private control: i32 = -1;
  private controlUsed: usize = 0;
  private controlSeen: u32 = 0;
  /** The command that the device has. */
  private controlPacket: Packet | null = null;

  private rx: i32 = -1;
  private rxMask: u32 = 0;
  private rxUsed: usize = 0;
  private rxSeen: u32 = 0;
  private rxPackets: usize = 0;
  /** Slots without a packet, because the pool was empty: a stack of slot numbers. */
  private rxEmpty: usize = 0;
  private rxEmptyCount: u32 = 0;

  private tx: i32 = -1;
  private txMask: u32 = 0;
  private txUsed: usize = 0;
  private txSeen: u32 = 0;
  private txPackets: usize = 0;
  private txLinks: usize = 0;
  private txFree: u32 = 0;
  private txFreeCount: u32 = 0;

  constructor(device: i32, transport: i32) {
    super(device);
    this.virtio = new Virtio(device, transport);
  }

  /** Brings the card up. @returns 0, or EIO, ENODEV, ENOMEM */
  open(): i32 {
    const virtio = this.virtio;
    let wanted = F_CSUM | F_GUEST_CSUM | F_MTU | F_MAC | F_HOST_TSO4 | F_HOST_TSO6;
    wanted |= F_MRG_RXBUF | F_ANY_LAYOUT | F_EVENT_IDX | F_VERSION_1;
    if (virtio.transport == Transport.VIRTIO_PCI_LEGACY || virtio.transport == Transport.VIRTIO_MMIO_LEGACY)
      wanted &= ~F_VERSION_1;
    // Pairs for other cores need interrupts that reach them, and a device that can be told.
    if (coreCount() > 1 && virtio.transport == Transport.HOST) wanted |= F_MQ;
    if (coreCount() > 1 && virtio.transport == Transport.VIRTIO_PCI_MODERN) wanted |= F_MQ | F_CTRL_VQ;
    // Frames of up to 64 KiB (5.1.6.3.1) come only in mergeable buffers: a packet has slices for all of them.
    if (!virtio.negotiate(wanted, F_GUEST_TSO4 | F_GUEST_TSO6, F_MRG_RXBUF | F_GUEST_CSUM)) return Errno.EIO;
    this.readFeatures();

    const rx = ringCreate(this.device, RX_QUEUE, RingFormat.VIRTIO_SPLIT, RING_ENTRIES);
    if (rx < 0) return rx;
    const tx = ringCreate(this.device, TX_QUEUE, RingFormat.VIRTIO_SPLIT, RING_ENTRIES);
    if (tx < 0) return tx;
    this.readConfiguration();
    this.setupReceive(rx);
    this.setupSend(tx);
    this.reservePairs();
    virtio.start();
    this.refill();
    ringFlush(rx);
    return 0;
  }

  /**
   * Takes this core's pair of a card that core 0 has opened, instead of `open`.
   * @param features what core 0 has agreed on
   * @returns 0, or ENODEV, ENOMEM
   */
  openPair(features: u64): i32 {
    this.virtio.features = features;
    this.readFeatures();
    const rx = ringTake(this.device, 2 * coreNumber() + RX_QUEUE);
    if (rx < 0) return rx;
    const tx = ringTake(this.device, 2 * coreNumber() + TX_QUEUE);
    if (tx < 0) return tx;
    this.setupReceive(rx);
    this.setupSend(tx);
    this.refill();
    ringFlush(rx);
    return 0;
  }

  /** Features that both sides have, and how the device is reached: what another core needs for its pair. */
  get features(): u64 {
    return this.virtio.features;
  }
  get transport(): i32 {
    return this.virtio.transport;
  }

  private readFeatures(): void {
    const features = this.virtio.features;
    this.headerBytes = features & (F_VERSION_1 | F_MRG_RXBUF) ? 12 : 10;
    this.anyLayout = (features & (F_VERSION_1 | F_ANY_LAYOUT)) != 0;
  }

  // All queues exist before the device starts (3.1.1).
  private reservePairs(): void {
    const features = this.virtio.features;
    const host = this.virtio.transport == Transport.HOST;
    if (!(features & F_MQ) || (!host && !(features & F_CTRL_VQ))) return;
    const most = <u32>regRead(this.device, Region.CONFIG, 8, 2);
    if (most < 2 || most > 0x8000) return;
    if (!host) {
      const control = ringCreate(this.device, <i32>(2 * most), RingFormat.VIRTIO_SPLIT, CONTROL_ENTRIES);
      if (control < 0) return;
      this.control = control;
      this.controlUsed = ringCompletions(control);
    }
    for (let core: u32 = 1; core < min(most, coreCount()); core++) {
      if (ringReserve(this.device, <i32>(2 * core), RING_ENTRIES, core) != 0) return;
      if (ringReserve(this.device, <i32>(2 * core + 1), RING_ENTRIES, core) != 0) return;
      this.pairs = core + 1;
    }
  }

  /** Tells the device that the pairs below `count` are in use. The hosted one attaches each as it is taken. */
  usePairs(count: u32): void {
    this.pairsWanted = count;
    this.runControl();
  }

  // One command at a time; its answer is looked for when something is sent, at the latest before the next command.
  private runControl(): void {
    const sent = this.controlPacket;
    if (sent != null) {
      acquire();
      if (<u32>load<u16>(this.controlUsed, 2) == this.controlSeen) return;
      this.controlSeen = (this.controlSeen + 1) & 0xffff;
      if (load<u8>(sent.data, CONTROL_ANSWER) != 0) this.errors++;
      this.controlPacket = null;
      sent.free();
    }
    if (this.control < 0 || this.pairsWanted == this.pairsTold) return;
    const p = allocPacket();
    if (p == null) return;
    store<u8>(p.data, CONTROL_MQ);
    store<u8>(p.data, 0, 1);
    store<u16>(p.data, <u16>this.pairsWanted, 2);
    store<u8>(p.data, NO_ANSWER, CONTROL_ANSWER);
    const posted =
      ringPost(this.control, 0, p.data, 4, Post.NEXT | (1 << Post.NEXT_SHIFT)) == 0 &&
      ringPost(this.control, 1, p.data + CONTROL_ANSWER, 1, Post.WRITE) == 0;
    if (!posted) {
      this.errors++;
      p.free();
      return;
    }
    this.pairsTold = this.pairsWanted;
    this.controlPacket = p;
    ringFlush(this.control);
  }

  private readConfiguration(): void {
    let mac: u64 = 0;
    for (let i = 0; i < 6; i++) mac = (mac << 8) | ((<u64>regRead(this.device, Region.CONFIG, i, 1)) & 0xff);
    this.mac = mac;
    const features = this.virtio.features;
    if (features & F_MTU) {
      const mtu = <u32>regRead(this.device, Region.CONFIG, 10, 2);
      if (mtu >= 68 && mtu <= 1500) this.mtu = mtu;
    }
    let offloads: u32 = 0;
    if (features & F_CSUM) offloads |= CardOffload.CSUM_TX;
    if (features & F_HOST_TSO4) offloads |= CardOffload.TSO4;
    if (features & F_HOST_TSO6) offloads |= CardOffload.TSO6;
    if (features & F_GUEST_CSUM) offloads |= CardOffload.CSUM_RX;
    this.offloads = offloads;
  }

  private setupReceive(rx: i32): void {
    const entries = <u32>ringEntries(rx);
    this.rx = rx;
    this.rxMask = entries - 1;
    this.rxUsed = ringCompletions(rx);
    this.rxPackets = heap.alloc(entries * 4);
    memory.fill(this.rxPackets, 0, entries * 4);
    this.rxEmpty = heap.alloc(entries * 4);
    for (let i: u32 = 0; i < entries; i++) store<u32>(this.rxEmpty + i * 4, entries - 1 - i);
    this.rxEmptyCount = entries;
  }

  private setupSend(tx: i32): void {
    const entries = <u32>ringEntries(tx);
    this.tx = tx;
    this.txMask = entries - 1;
    this.txUsed = ringCompletions(tx);
    this.txPackets = heap.alloc(entries * 4);
    memory.fill(this.txPackets, 0, entries * 4);
    this.txLinks = heap.alloc(entries * 4);
    for (let i: u32 = 0; i < entries; i++) store<u32>(this.txLinks + i * 4, i + 1);
    this.txFree = 0;
    this.txFreeCount = entries;
  }

  interrupt(): void {
    this.interrupts++;
    this.raised = true;
  }

  // Gives every empty slot a packet, as far as the pool has some. The caller flushes.
  private refill(): bool {
    let posted = false;
    while (this.rxEmptyCount > 0) {
      const p = allocPacket();
      if (p == null) break;
      const slot = load<u32>(this.rxEmpty + (this.rxEmptyCount - 1) * 4);
      const buffer = p.data - this.headerBytes;
      if (ringPost(this.rx, slot, buffer, <i32>(p.end - buffer), Post.WRITE) != 0) {
        // Only a bug here gives that; the slot stays empty.
        this.errors++;
        p.free();
        break;
      }
      this.rxEmptyCount--;
      store<u32>(this.rxPackets + slot * 4, changetype<usize>(p));
      posted = true;
    }
    return posted;
  }

  // Takes the packet of the next completion with its bytes in `len`; null for one that cannot be.
  private complete(): Packet | null {
    const entry = this.rxUsed + 4 + (this.rxSeen & this.rxMask) * 8;
    this.rxSeen = (this.rxSeen + 1) & 0xffff;
    const slot = load<u32>(entry);
    const bytes = load<u32>(entry, 4);
    if (slot > this.rxMask) {
      this.errors++;
      return null;
    }
    const p = changetype<Packet | null>(<usize>load<u32>(this.rxPackets + slot * 4));
    if (p == null) {
      this.errors++;
      return null;
    }
    store<u32>(this.rxPackets + slot * 4, 0);
    store<u32>(this.rxEmpty + this.rxEmptyCount * 4, slot);
    this.rxEmptyCount++;
    const buffer = p.data - this.headerBytes;
    if (<usize>bytes > p.end - buffer) {
      this.errors++;
      p.free();
      return null;
    }
    p.data = buffer;
    p.len = bytes;
    p.totalLen = bytes;
    return p;
  }

  receive(queue: PacketQueue, budget: u32): bool {
    ringPoll(this.rx);
    acquire();
    const index = <u32>load<u16>(this.rxUsed, 2);
    let frames: u32 = 0;
    while (this.rxSeen != index && frames < budget) {
      frames++;
      const p = this.complete();
      if (p == null) continue;
      const headerBytes = this.headerBytes;
      if (p.len <= headerBytes) {
        this.errors++;
        p.free();
        continue;
      }
      const header = p.data;
      // Once `data` has moved on, the header is in the headroom, where later pushes overwrite it: read it now.
      const flags = load<u8>(header, HEADER_FLAGS);
      const gso = load<u8>(header, HEADER_GSO_TYPE) & ~GSO_ECN;
      let more: u32 =
        headerBytes == 12 && this.virtio.features & F_MRG_RXBUF ? load<u16>(header, HEADER_NUM_BUFFERS) : 1;
      p.gsoSize = gso != 0 ? load<u16>(header, HEADER_GSO_SIZE) : 0;
      p.csumStart = load<u16>(header, HEADER_CSUM_START);
      p.csumOffset = load<u16>(header, HEADER_CSUM_OFFSET);
      p.drop(headerBytes);
      if (flags & NEEDS_CSUM) p.flags = PacketFlag.CHECKSUM_OK | PacketFlag.CHECKSUM_PENDING;
      else if (flags & DATA_VALID) p.flags = PacketFlag.CHECKSUM_OK;
      if (gso == GSO_TCPV4) p.flags |= PacketFlag.GSO_TCP4;
      else if (gso == GSO_TCPV6) p.flags |= PacketFlag.GSO_TCP6;
      let whole = more > 0;
      // All buffers of a frame are taken, also when it is lost: what a peer sent must never be read as a header. They are
      // published together; fewer than announced is the device's mistake.
      for (; more > 1 && this.rxSeen != index; more--) {
        const part = this.complete();
        whole = whole && part != null && p.addSlice(part.data, part.len, part);
        if (part != null) part.free();
      }
      if (more > 1) whole = false;
      if (whole) {
        queue.push(p);
      } else {
        this.errors++;
        p.free();
      }
    }
    if (this.rxEmptyCount > 0 && this.refill()) ringFlush(this.rx);
    return this.rxSeen != index;
  }

  protected post(p: Packet): bool {
    const headerBytes = this.headerBytes;
    const slices = p.sliceCount;
    const needed: u32 = slices + (this.anyLayout ? 1 : 2);
    if (this.txFreeCount < needed) {
      this.reap();
      if (this.txFreeCount < needed) return false;
    }
    const header = p.data - headerBytes;
    if (p.headroom < <usize>headerBytes) {
      this.txDropped++;
      p.free();
      return true;
    }
    this.writeHeader(header, p);
    const head = this.txFree;
    let slot = head;
    let ok: bool;
    if (this.anyLayout) {
      ok = this.put(slot, header, p.len + headerBytes, slices > 0);
    } else {
      ok = this.put(slot, header, headerBytes, true);
      slot = load<u32>(this.txLinks + slot * 4);
      ok = this.put(slot, p.data, p.len, slices > 0) && ok;
    }
    for (let i: u32 = 0; i < slices; i++) {
      slot = load<u32>(this.txLinks + slot * 4);
      ok = this.put(slot, p.sliceAddress(i), p.sliceLen(i), i + 1 < slices) && ok;
    }
    // A refused buffer is a bug above: better no network than a frame with somebody else's bytes.
    assert(ok, "a frame refers to memory that no device may read");
    this.txFree = load<u32>(this.txLinks + slot * 4);
    this.txFreeCount -= needed;
    store<u32>(this.txPackets + head * 4, changetype<usize>(p));
    return true;
  }


  @inline private put(slot: u32, buffer: usize, bytes: u32, more: bool): bool {
    const next = load<u32>(this.txLinks + slot * 4) & this.txMask;
    return ringPost(this.tx, slot, buffer, bytes, more ? Post.NEXT | (<i32>(next << Post.NEXT_SHIFT)) : 0) == 0;
  }

  private writeHeader(header: usize, p: Packet): void {
    const flags = p.flags;
    store<u64>(header, 0);
    store<u16>(header, 0, 8);
    if (this.headerBytes == 12) store<u16>(header, 0, 10);
    if (!(flags & PacketFlag.CHECKSUM_PARTIAL)) return;
    store<u8>(header, NEEDS_CSUM, HEADER_FLAGS);
    store<u16>(header, p.csumStart, HEADER_CSUM_START);
    store<u16>(header, p.csumOffset, HEADER_CSUM_OFFSET);
    if (flags & (PacketFlag.GSO_TCP4 | PacketFlag.GSO_TCP6)) {
      store<u8>(header, flags & PacketFlag.GSO_TCP4 ? GSO_TCPV4 : GSO_TCPV6, HEADER_GSO_TYPE);
      const tcpHeader = ((<u32>load<u8>(p.data + p.csumStart, 12)) >> 4) << 2;
      store<u16>(header, <u16>(<u32>p.csumStart + tcpHeader), HEADER_LEN);
      store<u16>(header, p.gsoSize, HEADER_GSO_SIZE);
    }
  }

  // Frees what the device has sent.
  private reap(): void {
    acquire();
    const index = <u32>load<u16>(this.txUsed, 2);
    while (this.txSeen != index) {
      const head = load<u32>(this.txUsed + 4 + (this.txSeen & this.txMask) * 8);
      this.txSeen = (this.txSeen + 1) & 0xffff;
      const p = head <= this.txMask ? changetype<Packet | null>(<usize>load<u32>(this.txPackets + head * 4)) : null;
      if (p == null) {
        this.errors++;
        continue;
      }
      store<u32>(this.txPackets + head * 4, 0);
      // The chain's slots are linked as they were taken; its end gets the rest of the list.
      const count: u32 = p.sliceCount + (this.anyLayout ? 1 : 2);
      let last = head;
      for (let i: u32 = 1; i < count; i++) last = load<u32>(this.txLinks + last * 4);
      store<u32>(this.txLinks + last * 4, this.txFree);
      this.txFree = head;
      this.txFreeCount += count;
      p.free();
    }
  }

  flush(): void {
    if (this.pairsTold != this.pairsWanted || this.controlPacket != null) this.runControl();
    this.reap();
    this.postBacklog();
    ringFlush(this.tx);
  }

  arm(): bool {
    this.reap();
    ringArm(this.rx, this.rxSeen, true);
    // Completions of frames sent are looked at each turn; an interrupt is wanted only when frames wait for room.
    ringArm(this.tx, this.txSeen, this.backlog.count > 0);
    if (this.raised) {
      this.raised = false;
      this.virtio.acknowledge();
      irqUnmask(this.device);
    }
    ringPoll(this.rx);
    acquire();
    if (<u32>load<u16>(this.rxUsed, 2) != this.rxSeen) return true;
    return this.backlog.count > 0 && <u32>load<u16>(this.txUsed, 2) != this.txSeen;
  }
}
