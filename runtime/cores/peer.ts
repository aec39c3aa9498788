// Another core as this one sees it: three rings to it and three from it in the pages of their two channels.
//
//   0      tails and heads: messages at 0, frames at 128, homes at 256
//   4096   256 messages of 64 bytes (message-ring.ts)
//   20480  2048 frames: the packet's offset, and in its low bits the port to which it goes
//   28672  1024 homes: the first of some packets freed here, linked through `next`; in its low bits their number less one

import { admit, giveAway, lend, takeHome } from "../memory/away";
import { BUFFER_BYTES, Packet, PacketQueue } from "../memory/packet";
import { CoreMessage, MessageRing } from "./message-ring";
import { WordRing } from "./word-ring";

const FRAMES: u32 = 2048;
const HOMES: u32 = 1024;
/** Low bits of a word, below the packet's offset. */
const LOW: u32 = <u32>BUFFER_BYTES - 1;
/** Packets taken from one core in a turn, at most. */
const FRAME_BUDGET: u32 = 128;
/** Packets linked in one word, at most. */
const CHAIN: u32 = LOW + 1;
/** Where packets from other cores can go to. */
export const PORTS: u32 = 64;

/** Takes packets that other cores send to a port. */
export abstract class FrameTaker {
  /** Owns the packet. */
  abstract takeFrame(p: Packet, from: u32): void;
}


@lazy
export const takers: StaticArray<FrameTaker | null> = new StaticArray<FrameTaker | null>(<i32>PORTS);

export class Peer {
  readonly messages: MessageRing;
  private readonly frames: WordRing;
  private readonly homes: WordRing;
  /** Its packets, freed here. */
  readonly returning: PacketQueue = new PacketQueue();
  private counted: bool = false;

  constructor(out: usize, ins: usize) {
    this.messages = new MessageRing(out, ins);
    this.frames = new WordRing(out, ins, 128, 20480, FRAMES);
    this.homes = new WordRing(out, ins, 256, 28672, HOMES);
  }

  /** Whether it has written what no honest core writes: nothing is read from it or sent to it any more. */
  get broken(): bool {
    return this.messages.broken || this.frames.broken || this.homes.broken;
  }

  /** True once, when it broke. */
  justBroke(): bool {
    if (this.counted || !this.broken) return false;
    this.counted = true;
    this.messages.broken = true;
    this.frames.broken = true;
    this.homes.broken = true;
    return true;
  }

  /** Hands a packet over; false (and it is still ours) when there is no room. */
  send(p: Packet, port: u32, lent: bool): bool {
    if (!this.frames.put((<u32>changetype<usize>(p)) | port)) return false;
    if (lent) lend(p);
    else giveAway(p);
    return true;
  }

  /** Takes what there is, up to a budget; true when there is more. */
  take(from: u32, messages: u32, scratch: CoreMessage): bool {
    let more = this.messages.take(from, messages, scratch);
    const frames = this.frames;
    const there = frames.available();
    for (let n = min(there, FRAME_BUDGET); n > 0; n--) {
      const word = frames.take();
      const port = word & LOW;
      const taker = port < PORTS ? unchecked(takers[port]) : null;
      const p = taker != null ? admit(<usize>(word & ~LOW)) : null;
      if (p == null) {
        frames.broken = true;
        break;
      }
      taker!.takeFrame(p, from);
    }
    if (there > 0) frames.taken();
    if (there > FRAME_BUDGET) more = true;
    const homes = this.homes;
    const chains = homes.available();
    for (let n = chains; n > 0; n--) {
      const word = homes.take();
      if (!takeHome(<usize>(word & ~LOW), (word & LOW) + 1)) {
        homes.broken = true;
        break;
      }
    }
    if (chains > 0) homes.taken();
    return more && !this.broken;
  }

  /** Makes everything visible that was sent; true when the other core must be woken. */
  flush(): bool {
    this.sendHome();
    const messages = this.messages.flush();
    const frames = this.frames.flush();
    return this.homes.flush() || frames || messages;
  }

  // What finds no room goes with a later turn; a core that is broken gets its packets back no more.
  private sendHome(): void {
    const queue = this.returning;
    while (queue.count > 0) {
      const first = queue.head!;
      const count = min(queue.count, CHAIN);
      let last = first;
      for (let n = count; n > 1; n--) last = last.next!;
      if (!this.homes.put((<u32>changetype<usize>(first)) | (count - 1))) return;
      queue.dropFirst(count, last);
    }
  }
}
