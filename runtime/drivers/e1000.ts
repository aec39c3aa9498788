// Intel 8254x (82540EM: VirtualBox's default, QEMU's and bochs's e1000); 8254x developer's manual, chapters 3 and 13.
//
// Rings of 16-byte descriptors that the platform writes and the device completes in order; this driver reads their status.
//   receive: bytes at 8, checksum at 10, status at 12, errors at 13      send: status at 12
// A frame larger than a buffer cannot come: long packets are off, buffers are 2 KiB.

import { allocPacket, Packet, PacketQueue } from "../memory/packet";
import {
  acquire,
  irqUnmask,
  Post,
  regRead,
  regWrite,
  Region,
  ringArm,
  ringCompletions,
  ringCreate,
  ringEntries,
  ringFlush,
  RingFormat,
  ringPost,
} from "../platform";
import { Card } from "./card";

const CTRL: i32 = 0x00;
const ICR: i32 = 0xc0;
const RAL: i32 = 0x5400;
const RAH: i32 = 0x5404;
const CTRL_FD: i64 = 1 << 0;
const CTRL_ASDE: i64 = 1 << 5;
const CTRL_SLU: i64 = 1 << 6;

const DESCRIPTOR_BYTES: usize = 16;
const STATUS_DONE: u8 = 1;
const STATUS_END: u8 = 2;
const RING_ENTRIES: i32 = 256;
/** What the device writes at most into a buffer (RCTL, set by the platform). */
const RX_BYTES: i32 = 2048;
const FRAME_MAX: u32 = 1522;

export class E1000 extends Card {
  private raised: bool = true;

  private rx: i32 = -1;
  private rxMask: u32 = 0;
  private rxDescriptors: usize = 0;
  private rxPackets: usize = 0;
  /** Slots from `rxNext` to `rxPosted` are the device's. */
  private rxNext: u32 = 0;
  private rxPosted: u32 = 0;

  private tx: i32 = -1;
  private txMask: u32 = 0;
  private txDescriptors: usize = 0;
  private txPackets: usize = 0;
  private txNext: u32 = 0;
  private txPosted: u32 = 0;

  constructor(device: i32) {
    super(device);
  }

  /** Brings the card up. @returns 0, or ENODEV, ENOMEM */
  open(): i32 {
    const rx = ringCreate(this.device, 0, RingFormat.E1000_RX, RING_ENTRIES);
    if (rx < 0) return rx;
    const tx = ringCreate(this.device, 1, RingFormat.E1000_TX, RING_ENTRIES);
    if (tx < 0) return tx;
    const low = <u64>regRead(this.device, Region.TRANSPORT, RAL, 4);
    const high = <u64>regRead(this.device, Region.TRANSPORT, RAH, 4);
    this.mac = ((<u64>bswap<u32>(<u32>low)) << 16) | bswap<u16>(<u16>high);
    this.rx = rx;
    this.rxMask = <u32>ringEntries(rx) - 1;
    this.rxDescriptors = ringCompletions(rx);
    this.rxPackets = heap.alloc((this.rxMask + 1) * 4);
    this.tx = tx;
    this.txMask = <u32>ringEntries(tx) - 1;
    this.txDescriptors = ringCompletions(tx);
    this.txPackets = heap.alloc((this.txMask + 1) * 4);
    regWrite(this.device, Region.TRANSPORT, CTRL, 4, CTRL_FD | CTRL_ASDE | CTRL_SLU);
    if (this.refill()) ringFlush(rx);
    ringArm(rx, 0, true);
    return 0;
  }

  interrupt(): void {
    this.interrupts++;
    this.raised = true;
  }

  // Posts packets up to one slot less than the ring: with all slots posted, head and tail would look like an empty ring.
  private refill(): bool {
    let posted = false;
    while (this.rxPosted - this.rxNext < this.rxMask) {
      const p = allocPacket();
      if (p == null) break;
      const slot = this.rxPosted & this.rxMask;
      // The device may write RX_BYTES from here, more than the buffer has; with long packets off it writes a frame at most.
      if (ringPost(this.rx, slot, p.data, RX_BYTES, Post.WRITE) != 0) {
        this.errors++;
        p.free();
        break;
      }
      store<u32>(this.rxPackets + slot * 4, changetype<usize>(p));
      this.rxPosted++;
      posted = true;
    }
    return posted;
  }

  receive(queue: PacketQueue, budget: u32): bool {
    let frames: u32 = 0;
    let more = false;
    while (this.rxNext != this.rxPosted) {
      acquire();
      const slot = this.rxNext & this.rxMask;
      const descriptor = this.rxDescriptors + slot * DESCRIPTOR_BYTES;
      const status = load<u8>(descriptor, 12);
      if (!(status & STATUS_DONE)) break;
      if (frames == budget) {
        more = true;
        break;
      }
      frames++;
      this.rxNext++;
      const p = changetype<Packet>(<usize>load<u32>(this.rxPackets + slot * 4));
      const bytes = <u32>load<u16>(descriptor, 8);
      if (!(status & STATUS_END) || load<u8>(descriptor, 13) != 0 || bytes < 14 || <usize>bytes > p.tailroom) {
        this.errors++;
        p.free();
        continue;
      }
      p.len = bytes;
      p.totalLen = bytes;
      queue.push(p);
    }
    if (this.refill()) ringFlush(this.rx);
    return more;
  }

  protected post(p: Packet): bool {
    const slices = p.sliceCount;
    if (p.totalLen > FRAME_MAX) {
      this.txDropped++;
      p.free();
      return true;
    }
    if (this.txPosted - this.txNext + slices + 1 > this.txMask) {
      this.reap();
      if (this.txPosted - this.txNext + slices + 1 > this.txMask) return false;
    }
    let ok = this.put(p.data, p.len, slices == 0, slices == 0 ? p : null);
    for (let i: u32 = 0; i < slices; i++) {
      const last = i + 1 == slices;
      ok = this.put(p.sliceAddress(i), p.sliceLen(i), last, last ? p : null) && ok;
    }
    assert(ok, "a frame refers to memory that no device may read");
    return true;
  }

  // The packet hangs on its last slot: it is free when that one is done.
  private put(buffer: usize, bytes: u32, last: bool, p: Packet | null): bool {
    const slot = this.txPosted & this.txMask;
    this.txPosted++;
    store<u32>(this.txPackets + slot * 4, changetype<usize>(p));
    return ringPost(this.tx, slot, buffer, bytes, last ? Post.END : Post.NEXT) == 0;
  }

  private reap(): void {
    while (this.txNext != this.txPosted) {
      acquire();
      const slot = this.txNext & this.txMask;
      if (!(load<u8>(this.txDescriptors + slot * DESCRIPTOR_BYTES, 12) & STATUS_DONE)) return;
      const p = changetype<Packet | null>(<usize>load<u32>(this.txPackets + slot * 4));
      this.txNext++;
      if (p != null) p.free();
    }
  }

  flush(): void {
    this.reap();
    this.postBacklog();
    ringFlush(this.tx);
  }

  arm(): bool {
    this.reap();
    // A masked pin suppresses interrupts while polling finds work; the cause stays enabled.
    ringArm(this.tx, this.txNext, this.backlog.count > 0);
    if (this.raised) {
      this.raised = false;
      regRead(this.device, Region.TRANSPORT, ICR, 4);
      irqUnmask(this.device);
    }
    acquire();
    if (this.rxNext == this.rxPosted) return false;
    const slot = this.rxNext & this.rxMask;
    return (load<u8>(this.rxDescriptors + slot * DESCRIPTOR_BYTES, 12) & STATUS_DONE) != 0;
  }
}
