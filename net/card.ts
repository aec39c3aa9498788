// A card's driver as a device of the stack, and as a source of the loop: frames in by batches, frames out once a turn.

import { addSource, Card, FrameTaker, openPort, Packet, PacketQueue, receivePort, Source } from "../runtime";
import { NetDevice } from "./device";
import { Interface } from "./link/interface";
import { Stack } from "./stack";

/** Frames taken from a card in a turn, at most: the others, the timers and the fibers get theirs. */
const RECEIVE_BUDGET: u32 = 64;

class CardDevice extends NetDevice {
  constructor(private readonly card: Card) {
    super();
    this.mac = card.mac;
    this.mtu = card.mtu;
    // The bits of CardOffload and Offload are the same.
    this.offloads = card.offloads;
  }

  transmit(p: Packet): void {
    this.card.transmit(p);
  }

  flush(): void {
    this.card.flush();
  }
}

class CardSource extends Source {
  private readonly received: PacketQueue = new PacketQueue();
  /** Frames of this core's flows that came in on another core. */
  readonly handed: PacketQueue = new PacketQueue();

  constructor(
    private readonly card: Card,
    private readonly stack: Stack,
    private readonly iface: Interface,
    /** Its number among the cards. */
    private readonly index: u32,
  ) {
    super();
  }

  poll(pending: i32, now_ns: i64): bool {
    const stack = this.stack;
    const iface = this.iface;
    const handed = this.handed;
    for (let p = handed.shift(); p != null; p = handed.shift()) {
      stack.counters.steeredIn++;
      stack.receive(iface, p);
    }
    const card = this.card;
    if ((pending >> card.device) & 1) card.interrupt();
    const queue = this.received;
    const more = card.receive(queue, RECEIVE_BUDGET);
    const steering = stack.steering;
    if (steering == null) for (let p = queue.shift(); p != null; p = queue.shift()) stack.receive(iface, p);
    else for (let p = queue.shift(); p != null; p = queue.shift()) steering.receive(iface, p, this.index);
    return more;
  }

  arm(): bool {
    return this.card.arm() || this.handed.count > 0;
  }
}

class HandedFrames extends FrameTaker {
  constructor(private readonly queue: PacketQueue) {
    super();
  }

  takeFrame(p: Packet, from: u32): void {
    this.queue.push(p);
  }
}

/**
 * Puts an opened card on the stack and into the loop. The interface has no addresses yet. After `startStack`.
 * @param index its number among the cards of the machine
 */
export function attachCard(stack: Stack, card: Card, name: string, index: u32 = 0): Interface {
  const iface = stack.attach(new CardDevice(card), name);
  const source = new CardSource(card, stack, iface, index);
  openPort(receivePort(index), new HandedFrames(source.handed));
  addSource(source);
  return iface;
}
