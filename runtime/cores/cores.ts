// The cores of the machine as this core sees them: how many, which one this is, messages to the others.
//
//   post --> ring --end of the turn: one tail, one bell--> WAKE --> the other core's next turn: receiver(message)
//
// Each core runs the same module in an instance of its own, so the index of a function means the same function everywhere.

import {
  bellTake,
  CHANNEL_BYTES,
  channelOpen,
  CHANNELS,
  CORES_MAX,
  coresStart,
  coreWake,
  info,
  Info,
  Pending,
} from "../platform";
import { addSource, loopNow, Source, timers } from "../loop/loop";
import { Timer } from "../loop/timer";
import { CoreMessage, MESSAGE_BYTES, MessageRing } from "./message-ring";

/** Messages taken from one core in a turn, at most. */
const TAKE_BUDGET: u32 = 256;

let source: CoresSource | null = null;
let started = false;

/** Messages sent, and cores whose rings held what no honest core writes. */
export let messagesSent: u64 = 0;
export let coresBroken: u32 = 0;

/** Number of this core, from 0. */
export function coreNumber(): u32 {
  return <u32>info(Info.CORE);
}

/** Cores that the machine has and the image uses. */
export function coreCount(): u32 {
  return <u32>info(Info.CORES);
}

/** Makes this core reachable by the others. Once, before the loop runs; nothing on a machine with one core. */
export function initCores(): void {
  if (coreCount() < 2 || source != null) return;
  const made = new CoresSource();
  source = made;
  addSource(made);
}

/** Starts the other cores, each with `main` of its own; returns at once. Only core 0 can, and only once. */
export function startCores(): void {
  if (started || coreNumber() != 0 || coreCount() < 2) return;
  started = true;
  const timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));
  memory.fill(changetype<usize>(timer), 0, offsetof<Timer>());
  timer.init(startStep, 0);
  startStep(timer);
}

function startStep(timer: Timer): void {
  const wait_ns = coresStart();
  if (wait_ns > 0) timers().set(timer, loopNow() + wait_ns);
}

/**
 * Room for a message to another core, which leaves at the end of this turn. Fill it in at once.
 * @param receiver called there from the loop, so it must not block
 * @returns null when that core is not there, has fallen 256 messages behind, or is broken
 */
export function post(core: u32, receiver: (message: CoreMessage) => void): CoreMessage | null {
  const s = source;
  const ring = s != null ? s.ringTo(core) : null;
  const at = ring != null ? ring.put() : 0;
  if (at == 0) return null;
  messagesSent++;
  const message = changetype<CoreMessage>(at);
  message.receiver = receiver.index;
  return message;
}

class CoresSource extends Source {
  private readonly rings: StaticArray<MessageRing | null> = new StaticArray<MessageRing | null>(CORES_MAX);
  private readonly scratch: CoreMessage = changetype<CoreMessage>(heap.alloc(MESSAGE_BYTES));
  /** Cores with something to take, and those that get something at the end of the turn. */
  private rang: u64 = 0;
  private dirty: u64 = 0;
  private readonly self: u32 = coreNumber();
  private readonly count: u32 = coreCount();

  ringTo(core: u32): MessageRing | null {
    if (core >= this.count || core == this.self) return null;
    let ring = unchecked(this.rings[core]);
    if (ring == null) {
      if (channelOpen(core) != 0) return null;
      ring = new MessageRing(channelAt(this.self, core), channelAt(core, this.self));
      this.rings[core] = ring;
    }
    this.dirty |= (<u64>1) << core;
    return ring;
  }

  poll(pending: i32, now_ns: i64): bool {
    if (pending & Pending.WAKE) this.rang |= bellTake();
    let left: u64 = 0;
    for (let bits = this.rang; bits != 0; bits &= bits - 1) {
      const core = <u32>ctz(bits);
      const ring = this.ringTo(core);
      if (ring == null) continue;
      const was = ring.broken;
      if (ring.take(core, TAKE_BUDGET, this.scratch)) left |= (<u64>1) << core;
      if (ring.broken && !was) coresBroken++;
    }
    this.rang = left;
    return left != 0;
  }

  flush(): void {
    let bits = this.dirty;
    if (bits == 0) return;
    this.dirty = 0;
    for (; bits != 0; bits &= bits - 1) {
      const core = <u32>ctz(bits);
      const ring = unchecked(this.rings[core]);
      if (ring != null && ring.flush()) coreWake(core);
    }
  }

  // What was posted after this source's flush, by a later one.
  arm(): bool {
    this.flush();
    return false;
  }
}


@inline
function channelAt(writer: u32, reader: u32): usize {
  return CHANNELS + <usize>(writer * CORES_MAX + reader) * CHANNEL_BYTES;
}
