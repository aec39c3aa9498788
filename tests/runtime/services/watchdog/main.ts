// Fibers that hold the core, and what the watchdog does with each.
import { Fiber, sleep, spawn, yield_ } from "heddle/fibers";
import { clockMonotonic, Errno, exit, log, LogLevel, print, watchdog } from "heddle/runtime";

const MS: i64 = 1_000_000;
let sink: u64 = 1;

function busyFor(duration_ms: i64): void {
  const end = clockMonotonic() + duration_ms * MS;
  while (clockMonotonic() < end) for (let i = 0; i < 1000; i++) sink = sink * 6364136223846793005 + 1;
}

function holds(duration_ms: i32): void {
  busyFor(duration_ms);
  print("held to its end");
}
function spins(_: i32): void {
  for (;;) sink = sink * 6364136223846793005 + 1;
}
// Inside the kernel most of the time: it can be ended only between two calls.
function logsForEver(_: i32): void {
  for (;;) log(LogLevel.DEBUG, "again");
}
function yields(duration_ms: i32): void {
  const end = clockMonotonic() + duration_ms * MS;
  while (clockMonotonic() < end) {
    busyFor(1);
    yield_();
  }
}

function run(fn: (arg: i32) => void, arg: i32): i32 {
  const fiber: Fiber = spawn<i32>(fn, arg)!;
  return fiber.join();
}

export function main(): void {
  print("polite");
  run(yields, 400);
  sleep(200);
  print("rude");
  run(holds, 400);
  watchdog(20 * MS, 100 * MS, i64.MAX_VALUE);
  print("ended: " + (run(spins, 0) == Errno.ETRAP).toString());
  print("ended: " + (run(logsForEver, 0) == Errno.ETRAP).toString());
  sleep(20);
  watchdog(i64.MAX_VALUE, i64.MAX_VALUE, i64.MAX_VALUE);
  print("off: " + run(holds, 300).toString());
  watchdog(50 * MS, i64.MAX_VALUE, 200 * MS);
  print("for ever");
  spins(0);
  exit(1);
}
