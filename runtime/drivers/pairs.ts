// Queue pairs of a card that several cores use, pair N by core N: core 0 opens the card and reserves them, each core takes its
// own and says so, and core 0 tells the device how many are in use: those from 0 on without a gap.
// clang: -Oz

import { post } from "../cores/cores";
import { CoreMessage } from "../cores/message-ring";
import { VirtioNet } from "./virtio-net";

class Shared {
  /** Bit N: core N has its pair. */
  taken: u64 = 1;

  constructor(readonly card: VirtioNet) {}
}
const shared: Array<Shared> = [];

/** Core 0: a card with pairs for others. */
export function sharePairs(card: VirtioNet): void {
  if (card.pairs > 1) shared.push(new Shared(card));
}

/** Another core: its pair of a card is in use. */
export function pairTaken(device: i32): void {
  const message = post(0, onPairTaken);
  if (message != null) message.a = device;
}

function onPairTaken(message: CoreMessage): void {
  for (let i = 0; i < shared.length; i++) {
    const one = shared[i];
    if (one.card.device != <i32>message.a) continue;
    one.taken |= (<u64>1) << message.from;
    one.card.usePairs(min<u32>(<u32>ctz(~one.taken), one.card.pairs));
  }
}
