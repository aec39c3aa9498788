// The machine's network cards under the stack: frames from drivers in, frames of the stack out.

import { addSource, Card, Packet, PacketQueue, Source } from "../runtime/index";
import { NetDevice } from "./device";
import { Interface } from "./link/interface";
import { Stack } from "./stack";

/** Frames that one card may bring in a turn: timers, fibers and the other cards get theirs in between. */
const RECEIVE_BUDGET: u32 = 64;

class CardDevice extends NetDevice {
  constructor(private readonly card: Card) {
    super();
    this.mac = card.mac;
    this.mtu = card.mtu;
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

  constructor(
    private readonly stack: Stack,
    private readonly card: Card,
    private readonly iface: Interface,
  ) {
    super();
  }

  poll(pending: i32, now_ns: i64): bool {
    const card = this.card;
    if (pending & (1 << card.device)) card.interrupt();
    const received = this.received;
    const more = card.receive(received, RECEIVE_BUDGET);
    if (received.count == 0) return more;
    const stack = this.stack;
    const iface = this.iface;
    stack.now_ns = now_ns;
    for (let p = received.shift(); p != null; p = received.shift()) stack.receive(iface, p);
    return more;
  }

  arm(): bool {
    return this.card.arm();
  }
}

/** Puts an opened card under the stack as an interface of that name, and into the loop. */
export function attachCard(stack: Stack, card: Card, name: string): Interface {
  const iface = stack.attach(new CardDevice(card), name);
  addSource(new CardSource(stack, card, iface));
  return iface;
}
