// A card of core 0 as another core has it that has no queues of its own: what is sent goes to core 0, which sends it. Nothing
// is copied (runtime/cores/peer.ts).

import { FrameTaker } from "../cores/peer";
import { flushCores, sendFrame } from "../cores/cores";
import { isOwn, Packet, PacketFlag, PacketQueue } from "../memory/packet";
import { Card } from "./card";

/** The port at which a core takes frames that a card has received elsewhere, and the one at which core 0 takes frames for it. */
@inline
export function receivePort(index: u32): u32 {
  return 2 * index;
}


@inline
export function sendPort(index: u32): u32 {
  return 2 * index + 1;
}

export class SharedCard extends Card {
  /** @param index of the card among those that core 0 has opened */
  constructor(
    device: i32,
    private readonly index: u32,
  ) {
    super(device);
  }

  interrupt(): void {}

  receive(queue: PacketQueue, budget: u32): bool {
    return false;
  }

  protected post(p: Packet): bool {
    return sendFrame(0, sendPort(this.index), p, true);
  }

  flush(): void {
    this.postBacklog();
    flushCores();
  }

  arm(): bool {
    return false;
  }
}

/** On core 0: sends what other cores have for a card. */
export class CardSender extends FrameTaker {
  constructor(private readonly card: Card) {
    super();
  }

  takeFrame(p: Packet, from: u32): void {
    // It goes home as it came: the slices are the sender's. What is ours came back and is freed as usual.
    if (!isOwn(p)) p.flags |= PacketFlag.LENT;
    this.card.transmit(p);
  }
}
