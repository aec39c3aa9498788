// The face of a network card's driver: frames as packets, in batches. net/ puts its stack on top.
//
// A driver allocates nothing after `openCard` but packets. Whatever a device reports (slots, lengths, counts) is hostile:
// it is checked, counted in `errors` and dropped.

import { Packet, PacketQueue } from "../memory/packet";

/** What a card takes over; the same bits as net's. */
export const enum CardOffload {
  CSUM_TX = 1,
  TSO4 = 2,
  TSO6 = 4,
  CSUM_RX = 8,
  GRO = 16,
}

/** Frames that wait for room in the send ring; QEMU's own queue of a TAP is 1,000 frames. */
const BACKLOG: u32 = 1024;

export abstract class Card {
  /** Hardware address, first octet in bits 40 to 47. */
  mac: u64 = 0;
  /** Largest IP packet that a frame carries, bytes. */
  mtu: u32 = 1500;
  offloads: u32 = 0;
  /** Completions that no honest device gives. */
  errors: u64 = 0;
  /** Frames dropped because the send queue was full. */
  txDropped: u64 = 0;
  /** Interrupts taken. */
  interrupts: u64 = 0;

  /** Frames for which the send ring had no room. */
  protected backlog: PacketQueue = new PacketQueue();

  constructor(
    /** The device's number, which is also its bit of the pending word. */
    readonly device: i32,
  ) {}

  /** Notes that the device has raised an interrupt. */
  abstract interrupt(): void;

  /** Moves received frames to `queue`, at most `budget`; true when there may be more. */
  abstract receive(queue: PacketQueue, budget: u32): bool;

  /** Takes a frame: `data` at the Ethernet header, with 12 bytes of headroom. Frees it when it is sent or dropped. */
  transmit(p: Packet): void {
    if (this.backlog.count == 0 && this.post(p)) return;
    if (this.backlog.count >= BACKLOG) {
      this.txDropped++;
      p.free();
      return;
    }
    this.backlog.push(p);
  }

  /** Puts a frame on the send ring, or drops one that cannot be sent; false when there is no room now. */
  protected abstract post(p: Packet): bool;

  /** Posts what waits, as far as there is room. */
  protected postBacklog(): void {
    while (this.backlog.count > 0) {
      const p = this.backlog.head!;
      const after = p.next;
      if (!this.post(p)) {
        p.next = after;
        return;
      }
      this.backlog.dropHead(after);
    }
  }

  /** Hands what was queued to the device. */
  abstract flush(): void;

  /** Before the core halts: asks for an interrupt at the next frame. True when one is there already. */
  abstract arm(): bool;
}
