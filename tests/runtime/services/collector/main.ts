// Graphs built, changed, checked and dropped by many fibers while the collector runs, with an oracle that lives outside the heap:
// every node's value follows from its place, so a freed node (poisoned under gc=stress) or a lost reference shows.

import { spawn, WaitGroup, yield_ } from "heddle/fibers";
import { exit, print } from "heddle/runtime";

const FIBERS = 50;
const ROUNDS = 20;

class Node {
  left: Node | null = null;
  right: Node | null = null;
  constructor(public value: u32) {}
}

const group = new WaitGroup();
let failures = 0;

function check(name: string, ok: bool): void {
  if (ok) return;
  failures++;
  print("FAILED " + name);
}

function build(depth: i32, value: u32): Node {
  const node = new Node(value);
  if (depth > 0) {
    node.left = build(depth - 1, value * 2 + 1);
    if (depth == 3) yield_();
    node.right = build(depth - 1, value * 2 + 2);
  }
  return node;
}

function whole(node: Node | null, depth: i32, value: u32): bool {
  if (node == null) return depth < 0;
  if (node.value != value) return false;
  if (depth == 0) return node.left == null && node.right == null;
  return whole(node.left, depth - 1, value * 2 + 1) && whole(node.right, depth - 1, value * 2 + 2);
}

function trees(seed: i32): void {
  for (let round = 0; round < ROUNDS; round++) {
    const root = build(5, <u32>seed);
    yield_();
    check("tree", whole(root, 5, <u32>seed));
    root.left = null;
    yield_();
    root.left = build(4, <u32>seed * 2 + 1);
    yield_();
    check("tree with a new half", whole(root, 5, <u32>seed));
  }
  group.done();
}

// Frames over the part of the stack that earlier calls used: what they left there would be taken for a reference.
function scrub(depth: i32): i32 {
  return depth < 2 ? depth : scrub(depth - 1) + scrub(depth - 2);
}

// The only reference to the array is what the compiler makes of these loops: a pointer below the array, one past its
// end, one that runs backwards.
function biased(seed: i32): void {
  const a = new StaticArray<u32>(200);
  for (let i = 0; i < 200; i++) a[i] = <u32>(i ^ seed);
  let sum: u32 = 0;
  for (let i: u32 = 0; i < 264; i++) {
    if (i == 0) scrub(16);
    yield_();
    if (i >= 64) sum += unchecked(a[i - 64]) ^ (<u32>seed);
  }
  check("biased pointer", sum == (199 * 200) / 2);
  group.done();
}

function reversed(seed: i32): void {
  const a = new StaticArray<u32>(200);
  for (let i = 0; i < 200; i++) a[i] = <u32>(i ^ seed);
  let sum: u32 = 0;
  for (let i = 199; i >= 0; i--) {
    yield_();
    sum += unchecked(a[i]) ^ (<u32>seed);
  }
  check("reversed pointer", sum == (199 * 200) / 2);
  group.done();
}

function fromEnd(seed: i32): void {
  const a = new StaticArray<u32>(200);
  for (let i = 0; i < 200; i++) a[i] = <u32>(i ^ seed);
  let sum: u32 = 0;
  const end = changetype<usize>(a) + 800;
  for (let left: usize = 800; left > 0; left -= 4) {
    yield_();
    sum += load<u32>(end - left) ^ (<u32>seed);
  }
  check("pointer to the end", sum == (199 * 200) / 2);
  group.done();
}

function strings(seed: i32): void {
  const parts: string[] = [];
  for (let i = 0; i < 50; i++) {
    parts.push((seed * 1000 + i).toString());
    yield_();
  }
  let ok = true;
  const joined = parts.join(",").split(",");
  yield_();
  for (let i = 0; i < 50; i++) ok = ok && joined[i] == (seed * 1000 + i).toString();
  check("strings", ok);
  const map = new Map<string, i32>();
  for (let i = 0; i < 50; i++) {
    map.set("k" + i.toString(), i * seed);
    yield_();
  }
  for (let i = 0; i < 50; i++) check("map", map.get("k" + i.toString()) == i * seed);
  group.done();
}

export function main(): void {
  for (let i = 0; i < FIBERS; i++) {
    group.add(5);
    spawn<i32>(trees, i);
    spawn<i32>(biased, i);
    spawn<i32>(reversed, i);
    spawn<i32>(fromEnd, i);
    spawn<i32>(strings, i);
  }
  group.wait();
  print(failures == 0 ? "all graphs whole" : failures.toString() + " failures");
  exit(failures == 0 ? 0 : 1);
}
