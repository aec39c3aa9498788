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

  constructor(
    /** The device's number, which is also its bit of the pending word. */
    readonly device: i32,
  ) {}

  /** Notes that the device has raised an interrupt. */
  abstract interrupt(): void;

  /** Moves received frames to `queue`, at most `budget`; true when there may be more. */
  abstract receive(queue: PacketQueue, budget: u32): bool;

  /** Takes a frame: `data` at the Ethernet header, with 12 bytes of headroom. Frees it when it is sent or dropped. */
  abstract transmit(p: Packet): void;

  /** Hands what was queued to the device. */
  abstract flush(): void;

  /** Before the core halts: asks for an interrupt at the next frame. True when one is there already. */
  abstract arm(): bool;
}
