// Fibers that do the one thing wrong; the service checks that each ended alone and that nothing it held is missing.
import { fiberCount, Fiber, spawn, yield_ } from "heddle/fibers";
import { Errno, exit, print } from "heddle/runtime";

let total: i32 = 0;
let wrong: i32 = 0;

class Box {
  value: i32 = 7;
}

function check(ok: bool, what: string): void {
  print((ok ? "ok " : "FAILED ") + what);
  if (!ok) wrong++;
}

function aborts(_: i32): void {
  assert(total < 0, "this always fails");
}
function readsNull(_: i32): void {
  total += changetype<Box>(total & 0).value;
}
function readsFar(_: i32): void {
  total += load<i32>(<usize>0xfffffff0);
}
function divides(_: i32): void {
  total = 1 / (total & 0);
}
function recurse(depth: i32): i32 {
  total++;
  return recurse(depth + 1) * 3 + total;
}
function overflows(_: i32): void {
  recurse(0);
}
function deepAllocation(depth: i32): i32 {
  const box = new Box();
  return deepAllocation(depth + 1) * 3 + box.value;
}
function overflowsAllocating(_: i32): void {
  deepAllocation(0);
}
function sorts(_: i32): void {
  const list = [3, 1, 2];
  list.sort((a, b) => a / (total & 0) - b);
}
function reachesUnreachable(_: i32): void {
  unreachable();
}
function tooLong(_: i32): void {
  const list = new Array<i32>(0x7fffffff);
  total += list.length;
}

class Chain {
  payload: StaticArray<u8> = new StaticArray<u8>(65536);
  constructor(public next: Chain | null) {}
}
function exhausts(_: i32): void {
  let chain: Chain | null = null;
  for (;;) chain = new Chain(chain);
}

function ends(fn: (arg: i32) => void, what: string): void {
  const before = fiberCount;
  const fiber: Fiber = spawn<i32>(fn, 0)!;
  check(fiber.join() == Errno.ETRAP, what);
  check(fiber.ended && fiberCount == before, what + ": it is gone");
}

// The loop collects what the ended fiber has left behind, in parts.
function collectNext(): void {
  for (let turn = 0; turn < 20000; turn++) yield_();
}

export function main(): void {
  for (let round = 0; round < 3; round++) {
    ends(aborts, "abort");
    ends(readsNull, "null");
    ends(readsFar, "far");
    ends(divides, "divide");
    ends(overflows, "stack overflow");
    ends(overflowsAllocating, "stack overflow while allocating");
    ends(sorts, "trap in a callback of the library");
    ends(reachesUnreachable, "unreachable");
    ends(tooLong, "an array that is too long");
    ends(exhausts, "out of memory");
    collectNext();
  }
  print("done");
  exit(wrong == 0 ? 0 : 1);
}
