// What core 0 says of its cards to the cores that share them, and the key that all cores steer flows by.
//
//   words of 64 bits: key, key, number of cards; for each: device, hardware address, MTU,
//   offloads; of one with queues for each core: how many pairs, the features agreed on, how it is reached
// clang: -Oz

import { coreNumber } from "../cores/cores";
import { log, LogLevel } from "../log";
import { random } from "../platform";
import { publish, readPublished, Topic } from "../cores/published";
import { startCores } from "../cores/start";
import { Card } from "./card";
import { pairTaken, sharePairs } from "./pairs";
import { SharedCard } from "./shared-card";
import { VirtioNet } from "./virtio-net";

const HEAD_BYTES: u32 = 24;
const CARD_BYTES: u32 = 56;
const CARDS_MAX: u32 = 24;
const BYTES: u32 = HEAD_BYTES + CARDS_MAX * CARD_BYTES;

let keys: usize = 0;

/** 128 bits that all cores have and nobody else knows: half `index`, 0 or 1. */
export function sharedKey(index: u32): u64 {
  return keys == 0 ? 0 : load<u64>(keys + ((<usize>index) << 3));
}

/** Core 0: publishes its cards, before the other cores start. @returns 0, ENOMEM */
export function publishCards(cards: Array<Card>): i32 {
  const at = heap.alloc(BYTES);
  memory.fill(at, 0, BYTES);
  random(at, 16);
  keys = at;
  const count = min<u32>(cards.length, CARDS_MAX);
  store<u64>(at, count, 16);
  for (let i: u32 = 0; i < count; i++) {
    const card = cards[i];
    const to = at + HEAD_BYTES + <usize>(i * CARD_BYTES);
    store<u64>(to, card.device);
    store<u64>(to, card.mac, 8);
    store<u64>(to, card.mtu, 16);
    store<u64>(to, card.offloads, 24);
    if (!(card instanceof VirtioNet)) continue;
    const several = card as VirtioNet;
    store<u64>(to, several.pairs, 32);
    store<u64>(to, several.features, 40);
    store<u64>(to, several.transport, 48);
    sharePairs(several);
  }
  return publish(Topic.CARDS, at, BYTES);
}

/** Other cores: core 0's cards. */
export function sharedCards(): Array<Card> {
  startCores(); // joined first: a pair that is taken is told by message
  const cards = new Array<Card>();
  const at = heap.alloc(BYTES);
  if (readPublished(Topic.CARDS, at, BYTES) == 0) return cards;
  keys = at;
  const count = min<u32>(<u32>load<u64>(at, 16), CARDS_MAX);
  for (let i: u32 = 0; i < count; i++) {
    const from = at + HEAD_BYTES + <usize>(i * CARD_BYTES);
    const card = cardAt(from, i);
    card.mac = load<u64>(from, 8);
    card.mtu = <u32>load<u64>(from, 16);
    card.offloads = <u32>load<u64>(from, 24);
    cards.push(card);
  }
  return cards;
}

// With this core's own queues where there are some.
function cardAt(from: usize, index: u32): Card {
  const device = <i32>load<u64>(from);
  if (load<u64>(from, 32) > coreNumber()) {
    const own = new VirtioNet(device, <i32>load<u64>(from, 48));
    const status = own.openPair(load<u64>(from, 40));
    if (status == 0) {
      pairTaken(device);
      return own;
    }
    log(LogLevel.WARN, `core ${coreNumber()}: card ${index} gives no queues: error ${status}; core 0 sends for it`);
  }
  return new SharedCard(device, index);
}
