// Starts all cores, hears each once, and has nothing more to do.
import { Call, callOn, sleep } from "heddle/fibers";
import { coreCount, coreNumber, coreState, CoreState, print, startCores } from "heddle/runtime";

function nothing(call: Call): void {}

export function main(): void {
  startCores();
  if (coreNumber() != 0) return;
  for (let i: u32 = 1; i < coreCount(); i++) {
    while (coreState(i) != CoreState.UP) sleep(1);
    callOn(i, nothing, 0);
  }
  print("idle");
}
