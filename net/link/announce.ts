// Announcing and defending an own IPv4 address (RFC 5227, 2.3 and 2.4): two announcements two seconds apart, the first
// at once; one
// announcement when somebody else claims the address, at most every ten seconds.
//
// clang: -Oz

import { Timer } from "../../runtime";
import { stackAt } from "../stack";
import { sendArp } from "./arp";
import { Interface } from "./interface";
import { ArpOp } from "../wire/arp";
import { MAC_BROADCAST } from "../wire/ethernet";

const ANNOUNCE_NUM: u32 = 2;
const ANNOUNCE_INTERVAL_NS: i64 = 2_000_000_000;
const DEFEND_INTERVAL_NS: i64 = 10_000_000_000;

// The timer and what its callback needs: managed objects cannot stand behind a timer.
@unmanaged
class Announcement {
  stack: u32;
  iface: u32;
  address: u32;
  left: u32;
}

export class Announcer {
  private readonly state: Announcement;
  private defended_ns: i64 = i64.MIN_VALUE;

  constructor(iface: Interface, address: u32) {
    const at = heap.alloc(offsetof<Announcement>() + offsetof<Timer>());
    const state = changetype<Announcement>(at);
    state.stack = iface.stackId;
    state.iface = iface.index;
    state.address = address;
    state.left = ANNOUNCE_NUM;
    this.state = state;
    timerOf(state).init(onAnnounce, at);
    announce(state);
  }

  /** Forgets the address. The announcer is of no use afterwards. */
  stop(): void {
    const state = this.state;
    stackAt(state.stack).wheel.cancel(timerOf(state));
    heap.free(changetype<usize>(state));
  }

  /**
   * Somebody else claims the address: true when it was defended, false when that was done less than ten seconds ago.
   */
  defend(): bool {
    const state = this.state;
    const now = stackAt(state.stack).now_ns;
    if (this.defended_ns != i64.MIN_VALUE && now - this.defended_ns < DEFEND_INTERVAL_NS) return false;
    this.defended_ns = now;
    if (state.left == 0) state.left = 1;
    announce(state);
    return true;
  }
}


@inline
function timerOf(state: Announcement): Timer {
  return changetype<Timer>(changetype<usize>(state) + offsetof<Announcement>());
}

function onAnnounce(timer: Timer): void {
  announce(changetype<Announcement>(timer.context));
}

function announce(state: Announcement): void {
  const stack = stackAt(state.stack);
  const iface = stack.interfaces[state.iface];
  sendArp(stack, iface, ArpOp.REQUEST, MAC_BROADCAST, iface.mac, state.address, 0, state.address);
  if (--state.left > 0) stack.wheel.set(timerOf(state), stack.now_ns + ANNOUNCE_INTERVAL_NS);
}
