// Messages from one core to another: a single-producer single-consumer ring in the pages that two cores share.
//
//   out: pages that this core writes            in: pages that the other core writes, read-only here
//     0     tail: messages put in, modulo 2^32      0     its tail
//     64    head: messages taken from `in`          64    its head: what it has taken from `out`
//     4096  ring of 256 messages                    4096  its messages
//
// Invariants
// 1. head <= tail <= head + MESSAGES, modulo 2^32. What the other core writes may break that: then it is broken for good,
//    nothing more is read from it or sent to it, and that is counted.
// 2. A message is copied before anything in it is looked at: it cannot change between check and use.
// 3. The tail is stored after the messages that it covers (`acquire` keeps the compiler from moving either; x86 keeps the
//    order of stores).

import { acquire, callable } from "../platform";

export const MESSAGE_BYTES: u32 = 64;
export const MESSAGES: u32 = 256;
const TAIL: usize = 0;
const HEAD: usize = 64;
const RING: usize = 4096;

/** What goes from core to core. The receiver gets a copy that is valid during the call. */
@unmanaged
export class CoreMessage {
  /** The function that receives it, by its index in the function table: `(message: CoreMessage) => void`. */
  receiver: u32;
  /** The core that sent it: set by the receiver, not by the sender. */
  from: u32;
  a: u32;
  b: u32;
  c: u64;
  d: u64;
  e: u64;
  f: u64;
  g: u64;
  h: u64;
}

export class MessageRing {
  private tail: u32 = 0;
  private head: u32 = 0;
  private flushed: u32 = 0;
  /** Set once the other side has written what no honest core writes. */
  broken: bool = false;

  /** @param out, ins what this core writes and what it reads; both zeroed at first */
  constructor(
    private readonly out: usize,
    private readonly ins: usize,
  ) {}

  /** Room for the next message, zeroed; 0 when the other core has to take some first, or is broken. */
  put(): usize {
    if (this.tail - this.flushed >= MESSAGES || this.broken) return 0;
    acquire();
    const waiting = this.tail - load<u32>(this.ins, HEAD);
    if (waiting > MESSAGES) {
      this.broken = true;
      return 0;
    }
    if (waiting == MESSAGES) return 0;
    const at = this.out + RING + <usize>((this.tail & (MESSAGES - 1)) * MESSAGE_BYTES);
    memory.fill(at, 0, MESSAGE_BYTES);
    this.tail++;
    return at;
  }

  /** Makes what was put visible; true when there was something, so that the other core must be woken. */
  flush(): bool {
    if (this.flushed == this.tail) return false;
    this.flushed = this.tail;
    acquire();
    store<u32>(this.out, this.tail, TAIL);
    return true;
  }

  /** Takes at most `budget` messages and calls their receivers; true when there are more. */
  take(from: u32, budget: u32, scratch: CoreMessage): bool {
    acquire();
    const there = load<u32>(this.ins, TAIL) - this.head;
    if (there == 0 || this.broken) return false;
    if (there > MESSAGES) {
      this.broken = true;
      return false;
    }
    acquire();
    const count = min(there, budget);
    for (let i: u32 = 0; i < count; i++) {
      const at = this.ins + RING + <usize>((this.head & (MESSAGES - 1)) * MESSAGE_BYTES);
      memory.copy(changetype<usize>(scratch), at, MESSAGE_BYTES);
      this.head++;
      if (!callable(scratch.receiver)) {
        this.broken = true;
        break;
      }
      scratch.from = from;
      call_indirect<void>(scratch.receiver, scratch);
    }
    store<u32>(this.out, this.head, HEAD);
    return !this.broken && count < there;
  }
}
