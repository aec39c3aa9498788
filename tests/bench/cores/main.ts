// Messages from core 1 to core 0, in the batches that a turn makes of them, and calls there and back.
import { Call, callOn, sleep, yield_ } from "heddle/fibers";
import {
  clockMonotonic,
  CoreMessage,
  coreNumber,
  coreState,
  CoreState,
  exit,
  post,
  print,
  startCores,
} from "heddle/runtime";

const MESSAGES: u32 = 2_000_000;
const CALLS: u32 = 20_000;
let received: u32 = 0;
let sum: u64 = 0;

function count(message: CoreMessage): void {
  received++;
  sum += message.a;
}
function flood(call: Call): void {
  for (let i: u32 = 1; i <= MESSAGES;) {
    const message = post(call.from, count);
    if (message == null) {
      yield_();
      continue;
    }
    message.a = i;
    i++;
  }
}
function nothing(call: Call): void {}

export function main(): void {
  startCores();
  if (coreNumber() != 0) return;
  while (coreState(1) != CoreState.UP) sleep(1);
  callOn(1, nothing, 0);
  for (let round = 0; round < 6; round++) {
    received = 0;
    sum = 0;
    const begin = clockMonotonic();
    callOn(1, flood, 0);
    while (received < MESSAGES) yield_();
    const took_ns = clockMonotonic() - begin;
    if (sum != (<u64>MESSAGES * (MESSAGES + 1)) / 2) print("wrong sum");
    const callBegin = clockMonotonic();
    for (let i: u32 = 0; i < CALLS; i++) callOn(1, nothing, i);
    const call_ns = clockMonotonic() - callBegin;
    // The first round warms up.
    if (round > 0)
      print("result " + (<f64>took_ns / <f64>MESSAGES).toString() + " " + (<f64>call_ns / <f64>CALLS).toString());
  }
  exit(0);
}
