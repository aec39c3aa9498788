// Fibers that move references about while a cycle is marking, a part each turn of the loop: what is spliced out of an array
// that was not marked yet lives on only in the new one. Freed memory is taken again at once, so a lost node changes.

import { spawn, WaitGroup, yield_ } from "heddle/fibers";
import { exit, print } from "heddle/runtime";

class Node {
  constructor(public value: u32) {}
}

const FIBERS = 20;
const ARRAYS = 200;
const LENGTH = 32;
const group = new WaitGroup();
let lost = 0;

function mover(seed: i32): void {
  const arrays: Node[][] = [];
  for (let i = 0; i < ARRAYS; i++) {
    const nodes: Node[] = [];
    for (let k = 0; k < LENGTH; k++) nodes.push(new Node(<u32>(seed << 20) + i * LENGTH + k));
    arrays.push(nodes);
  }
  for (let round = 0; round < 40; round++) {
    for (let i = 0; i < ARRAYS; i++) {
      arrays[i] = arrays[i].splice(0);
      if (i % 16 == 0) yield_();
    }
    // Garbage that takes the place of whatever was freed wrongly.
    for (let i = 0; i < 2000; i++) new Node(0xffffffff);
    yield_();
    for (let i = 0; i < ARRAYS; i++) {
      for (let k = 0; k < LENGTH; k++) if (arrays[i][k].value != <u32>(seed << 20) + i * LENGTH + k) lost++;
    }
  }
  group.done();
}

export function main(): void {
  for (let i = 0; i < FIBERS; i++) {
    group.add(1);
    spawn<i32>(mover, i);
  }
  group.wait();
  print(lost == 0 ? "nothing lost" : lost.toString() + " nodes lost");
  exit(lost == 0 ? 0 : 1);
}
