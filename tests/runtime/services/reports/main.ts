// What a person learns when something is wrong: one case a run, chosen by the configuration's first value.
import { Channel, sleep, spawn, yield_ } from "heddle/fibers";
import {
  clockMonotonic,
  configureLog,
  exit,
  info,
  Info,
  log,
  LogLevel,
  LogReader,
  print,
  Timer,
  timers,
} from "heddle/runtime";

const a: Channel<i32> = new Channel<i32>();
const b: Channel<i32> = new Channel<i32>();

function waitsForA(_: i32): void {
  a.receive();
  b.send(1);
}
function waitsForB(_: i32): void {
  b.receive();
  a.send(1);
}
function blocksOnTheLoop(_: Timer): void {
  sleep(5);
}
function fails(_: i32): void {
  assert(false, "in a fiber");
}

/** Lines of the log's ring that hold `part`. */
function linesWith(part: string): i32 {
  const reader = new LogReader();
  let count = 0;
  while (reader.read()) if (reader.text.includes(part)) count++;
  return count;
}

export function main(): void {
  const text = String.UTF8.decodeUnsafe(<usize>info(Info.BUNDLE_ADDRESS), <usize>info(Info.BUNDLE_BYTES));
  const which = text.split('"')[3];
  if (which == "deadlock") {
    spawn<i32>(waitsForA, 0);
    spawn<i32>(waitsForB, 0)!.join();
  } else if (which == "outside") {
    const timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));
    timer.init(blocksOnTheLoop, 0);
    timers().set(timer, clockMonotonic());
    sleep(1000);
  } else if (which == "panic") {
    configureLog(LogLevel.INFO, false);
    for (let i = 0; i < 20; i++) log(LogLevel.INFO, "line " + i.toString());
    log(LogLevel.INFO, "the very last\n");
    assert(false, "on purpose");
  } else if (which == "kept") {
    spawn<i32>(fails, 0)!.join();
    yield_();
    sleep(5);
    print("kept " + linesWith("trap: abort: in a fiber").toString() + " " + linesWith("at main/fails").toString());
  }
  exit(0);
}
