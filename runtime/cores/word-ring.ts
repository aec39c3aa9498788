// Words from one core to another: a single-producer single-consumer ring in the pages that two cores share, as
// message-ring.ts has it for messages, with the same invariants.

import { acquire } from "../platform";

export class WordRing {
  private tail: u32 = 0;
  private head: u32 = 0;
  private flushed: u32 = 0;
  /** Set once the other side has written what no honest core writes. */
  broken: bool = false;

  /**
   * @param out, ins what this core writes and what it reads
   * @param counters where the tail stands in either; the head, of what was taken, stands 64 bytes behind it
   * @param words where the ring begins in either
   * @param entries a power of two
   */
  constructor(
    private readonly out: usize,
    private readonly ins: usize,
    private readonly counters: usize,
    private readonly words: usize,
    private readonly entries: u32,
  ) {}

  /** False when the other core has to take some first, or is broken. */
  put(word: u32): bool {
    if (this.broken) return false;
    acquire();
    const waiting = this.tail - load<u32>(this.ins + this.counters, 64);
    if (waiting >= this.entries) {
      if (waiting > this.entries) this.broken = true;
      return false;
    }
    store<u32>(this.out + this.words + ((this.tail & (this.entries - 1)) << 2), word);
    this.tail++;
    return true;
  }

  /** Makes what was put visible; true when there was something, so that the other core must be woken. */
  flush(): bool {
    if (this.flushed == this.tail) return false;
    this.flushed = this.tail;
    acquire();
    store<u32>(this.out + this.counters, this.tail);
    return true;
  }

  /** How many words can be taken. */
  available(): u32 {
    if (this.broken) return 0;
    acquire();
    const there = load<u32>(this.ins + this.counters) - this.head;
    if (there > this.entries) {
      this.broken = true;
      return 0;
    }
    acquire();
    return there;
  }

  /** The next of the available words. */
  take(): u32 {
    const word = load<u32>(this.ins + this.words + ((this.head & (this.entries - 1)) << 2));
    this.head++;
    return word;
  }

  /** Says what was taken, so that there is room again. */
  taken(): void {
    store<u32>(this.out + this.counters, this.head, 64);
  }
}
