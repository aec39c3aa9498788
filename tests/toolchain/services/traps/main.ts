// Does the one wrong thing that its configuration names ({"trap": "abort"}). Each in a function that is recursive, so that no
// compiler inlines it and the backtrace has its name.
import { exit, info, Info, print } from "heddle/runtime";

class Box {
  value: i32 = 7;
}


@unmanaged
class Far {
  value: i32;
}

let nothing: Box | null = null;
let total: i32 = 0;

function aborts(depth: i32): i32 {
  if (depth > 0) return aborts(depth - 1) + total++;
  assert(total < 0, "this always fails");
  return total;
}

function readsNull(depth: i32): i32 {
  if (depth > 0) return readsNull(depth - 1) + total++;
  return changetype<Box>(changetype<usize>(nothing)).value;
}

function readsFar(depth: i32): i32 {
  if (depth > 0) return readsFar(depth - 1) + total++;
  return changetype<Far>(<usize>(0xfffffff0 + <u32>total)).value;
}

function writesFar(depth: i32): i32 {
  if (depth > 0) return writesFar(depth - 1) + total++;
  // Static offsets are 32 bits too: this reaches for 6 GiB, past the linear memory and inside its guard.
  store<u64>(<usize>(0xfffffff8 + <u32>total), 1, 0x7fffffff);
  return total;
}

function fillsFar(depth: i32): i32 {
  if (depth > 0) return fillsFar(depth - 1) + total++;
  memory.fill(<usize>(0xf0000000 + <u32>total), 1, 0xe0000000 + <u32>total);
  return total;
}

function divides(depth: i32): i32 {
  if (depth > 0) return divides(depth - 1) + total++;
  return 1 / total;
}

function overflows(depth: i32): i32 {
  if (depth > 0) return overflows(depth - 1) + total++;
  return i32.MIN_VALUE / (total - 1);
}

function recurses(depth: i32): i32 {
  total++;
  return recurses(depth + 1) * 3 + total;
}

function calls(depth: i32): i32 {
  if (depth > 0) return calls(depth - 1) + total++;
  // A function of another type is there, but not this.
  return call_indirect<i32>(wrongType.index, 1, 2, 3);
}

function callsNothing(depth: i32): i32 {
  if (depth > 0) return callsNothing(depth - 1) + total++;
  return call_indirect<i32>(0x7fffff00 + <u32>total, 1);
}

function takesOne(a: i32): void {
  total += a;
}
const wrongType: (a: i32) => void = takesOne;

function reachesUnreachable(depth: i32): i32 {
  if (depth > 0) return reachesUnreachable(depth - 1) + total++;
  unreachable();
  return total;
}

export function main(): void {
  const bundle = String.UTF8.decodeUnsafe(<usize>info(Info.BUNDLE_ADDRESS), <usize>info(Info.BUNDLE_BYTES));
  const trap = bundle.split('"')[3];
  print("trap " + trap);
  let result = 0;
  if (trap == "abort") result = aborts(3);
  else if (trap == "null") result = readsNull(3);
  else if (trap == "read-far") result = readsFar(3);
  else if (trap == "write-far") result = writesFar(3);
  else if (trap == "fill-far") result = fillsFar(3);
  else if (trap == "divide") result = divides(3);
  else if (trap == "overflow") result = overflows(3);
  else if (trap == "stack") result = recurses(3);
  else if (trap == "call-type") result = calls(3);
  else if (trap == "call-range") result = callsNothing(3);
  else if (trap == "unreachable") result = reachesUnreachable(3);
  else print("no such trap");
  print("survived: " + result.toString());
  exit(3);
}
