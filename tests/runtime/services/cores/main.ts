// A service on all cores: each runs this `main`. Core 0 starts the others, calls them, counts what they send, and lets one
// forge its ring at last.
import { callOn, Call, sleep } from "heddle/fibers";
import {
  clockMonotonic,
  coreCount,
  CoreMessage,
  coreNumber,
  coresBroken,
  coreState,
  CoreState,
  exit,
  post,
  print,
  startCores,
} from "heddle/runtime";
import { CHANNEL_BYTES, CHANNELS, CORES_MAX, coreWake } from "heddle/runtime/platform";

const FLOOD: u32 = 20_000;
let calls: u32 = 0;
let received: u32 = 0;
let sum: u64 = 0;

function twice(call: Call): void {
  calls++;
  call.result = <i32>(call.arg * 2 + coreNumber());
}
function slowly(call: Call): void {
  sleep(5);
  call.result = <i32>calls;
}
function count(message: CoreMessage): void {
  received++;
  sum += message.a;
}
function flood(call: Call): void {
  for (let i: u32 = 1; i <= FLOOD;) {
    const message = post(call.from, count);
    if (message == null) {
      sleep(1);
      continue;
    }
    message.a = i;
    i++;
  }
  call.result = 1;
}
function forge(call: Call): void {
  // A tail that no ring can have, left there long enough to be seen: this turn's end puts the right one back.
  store<u32>(CHANNELS + <usize>(coreNumber() * CORES_MAX + call.from) * CHANNEL_BYTES, 0x7fff_0000);
  coreWake(call.from);
  for (const until = clockMonotonic() + 5_000_000_000; clockMonotonic() < until;) {}
  call.result = 1;
}

function check(ok: bool, what: string): void {
  print((ok ? "ok     " : "FAILED ") + what);
}

export function main(): void {
  startCores();
  if (coreNumber() != 0) return;
  const cores = coreCount();
  let up: u32 = 1;
  for (let tries = 0; tries < 2000; tries++) {
    up = 0;
    for (let i: u32 = 0; i < cores; i++) if (coreState(i) == CoreState.UP) up++;
    if (up == cores) break;
    sleep(5);
  }
  check(up == cores, up.toString() + " of " + cores.toString() + " cores are up");
  let right: u32 = 0;
  for (let i: u32 = 0; i < cores; i++) if (callOn(i, twice, 100 + i, 10_000) == <i32>(200 + 3 * i)) right++;
  check(right == cores, "each core answered with its own number");
  check(callOn(cores, twice, 1) == -19, "there is no core " + cores.toString());
  if (cores > 1) {
    for (let i: u32 = 0; i < 200; i++) callOn(1, twice, i);
    check(callOn(1, slowly, 0) == 201, "calls that sleep return, and the core has counted all");
    check(callOn(1, slowly, 0, 1) == -110, "a call that takes too long times out");
    check(callOn(1, flood, 0) == 1, "a flood was sent");
    for (let tries = 0; received < FLOOD && tries < 1000; tries++) sleep(1);
    check(received == FLOOD && sum == (<u64>FLOOD * (FLOOD + 1)) / 2, "every message of it came, once");
    callOn(1, forge, 0, 100);
    for (let tries = 0; coresBroken == 0 && tries < 900; tries++) sleep(5);
    check(coresBroken == 1 && post(1, count) == null, "a forged ring is given up");
    if (cores > 2) check(callOn(2, twice, 5) == 12, "the other cores are not concerned");
  }
  print("done");
  exit(0);
}
