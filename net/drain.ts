// The orderly end of a machine that serves: on every core no connection is taken any more, what is being answered is finished,
// and when nothing is left, or the time is up, the machine ends.
//
//   power button, SIGTERM --> core 0 --drain--> every core: begin, look every 20 ms --done--> core 0 --> exit
//
// A second press ends the machine at once.
// clang: -Oz

import {
  coreCount,
  CoreMessage,
  coreNumber,
  CoreState,
  coreState,
  exit,
  log,
  LogLevel,
  onShutdown,
  post,
  Source,
  Timer,
} from "../runtime";
import { Stack } from "./stack";

const LOOK_NS: i64 = 20_000_000;

/** Who has something to finish. */
export abstract class Drainer {
  /** Takes nothing new from now on, and finishes what there is. */
  abstract begin(): void;
  /** How much is left. */
  abstract left(): u32;
}

let drain: Drain | null = null;

/** On every core: how the machine ends. Once. @param patience_ns how long what is left may take */
export function drainOnShutdown(stack: Stack, drainer: Drainer, patience_ns: i64): void {
  const made = new Drain(stack, drainer, patience_ns);
  drain = made;
  if (coreNumber() == 0) onShutdown(made);
}

class Drain extends Source {
  private readonly timer: Timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));
  private begun: bool = false;
  private until_ns: i64 = 0;
  /** Core 0: bit N: core N has something left. */
  private busy: u64 = 0;

  constructor(
    private readonly stack: Stack,
    private readonly drainer: Drainer,
    private readonly patience_ns: i64,
  ) {
    super();
    this.timer.init(onLook, 0);
  }

  // The loop calls it with Pending.SHUTDOWN.
  poll(pending: i32, now_ns: i64): bool {
    if (this.begun) {
      exit(0);
      return false;
    }
    for (let core: u32 = 1; core < coreCount(); core++)
      if (coreState(core) == CoreState.UP && post(core, onDrain) != null) this.busy |= (<u64>1) << core;
    this.begin();
    return false;
  }

  begin(): void {
    if (this.begun) return;
    this.begun = true;
    this.until_ns = this.stack.now_ns + this.patience_ns;
    this.drainer.begin();
    // Not now: what was just sent has to leave first.
    this.stack.wheel.set(this.timer, this.stack.now_ns + 1);
  }

  done(core: u32): void {
    this.busy &= ~((<u64>1) << core);
  }

  look(): void {
    const left = this.drainer.left();
    if (left == 0 && coreNumber() != 0) {
      if (post(0, onDone) != null) return;
    } else if (coreNumber() == 0) {
      for (let bits = this.busy; bits != 0; bits &= bits - 1)
        if (coreState(<u32>ctz(bits)) != CoreState.UP) this.done(<u32>ctz(bits));
      const late = this.stack.now_ns >= this.until_ns;
      if (late) log(LogLevel.WARN, "the machine ends with connections open: " + left.toString() + " on core 0");
      if (late || (left == 0 && this.busy == 0)) exit(0);
    }
    this.stack.wheel.set(this.timer, this.stack.now_ns + LOOK_NS);
  }
}

function onLook(timer: Timer): void {
  const d = drain;
  if (d != null) d.look();
}

function onDrain(message: CoreMessage): void {
  const d = drain;
  if (d != null && message.from == 0) d.begin();
}

function onDone(message: CoreMessage): void {
  const d = drain;
  if (d != null) d.done(message.from);
}
