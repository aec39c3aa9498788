// Core 1 panics while core 0 waits for its answer: with the policy `halt` the others go on.
import { Call, callOn, sleep } from "heddle/fibers";
import {
  CoreMessage,
  coreCount,
  coreNumber,
  coreState,
  CoreState,
  exit,
  panic,
  PanicPolicy,
  panicPolicy,
  post,
  print,
  startCores,
} from "heddle/runtime";

function add(call: Call): void {
  call.result = <i32>call.arg + 1;
}
function fail(message: CoreMessage): void {
  const text = String.UTF8.encode("asked for");
  panic(changetype<usize>(text), text.byteLength);
}
function whenUp(core: u32): void {
  while (coreState(core) != CoreState.UP) sleep(1);
}

export function main(): void {
  startCores();
  if (coreNumber() != 0) return;
  panicPolicy(PanicPolicy.HALT);
  for (let i: u32 = 1; i < coreCount(); i++) whenUp(i);
  const sum = callOn(1, add, 1) + callOn(2, add, 2);
  post(1, fail);
  for (let tries = 0; coreState(1) != CoreState.DEAD && tries < 1000; tries++) sleep(5);
  print("core 1 is " + (coreState(1) == CoreState.DEAD ? "dead" : "alive"));
  print("a call to it gives " + callOn(1, add, 1, 50).toString());
  print("before " + sum.toString() + ", core 2 now " + callOn(2, add, 40).toString());
  exit(0);
}
