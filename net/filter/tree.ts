// Building the decision trees of a policy (policy.ts), in the manner of HyperSplit (Qi et al., 2009): each node cuts one axis at
// an end of the rules' ranges, chosen from a sample so that both sides have few rules. Rules that would have to be copied
// often, as they are wide where others are narrow, are left for a further tree (EffiCuts, Vamanan et al., 2010).
//
// Invariants
// 1. A rule stays in a list as long as it can match in the list's box; what comes after a rule that covers the box cannot be
//    the first match there and is left out.
// 2. A rule has at most MAX_COPIES copies in a tree but the last, which takes what is left; a tree makes at most
//    `nodeBudget` nodes. When it is used up leaves become longer: slower, never wrong.

import { above } from "./rules";
import { AXES, LEAF, Node, Policy, RANGE_BYTES, Rule, RULE_BYTES, selectorOf } from "./policy";

/** Rules in a leaf that is not cut any more. */
const LEAF_RULES: i32 = 4;
/** Rules that a cut is chosen by, and ends of ranges that each of them suggests. */
const SAMPLE: i32 = 48;
const MAX_COPIES: u8 = 12;
const MAX_TREES: i32 = 6;
/** So few rules are not worth a further tree. */
const FEW: i32 = 24;
const BOX_BYTES: usize = <usize>AXES * 32;

export class TreeBuilder {
  private readonly copies: StaticArray<u8>;
  private readonly left: StaticArray<bool>;
  /** Rules left for the next tree. */
  private rest: Array<u32> = [];
  private last: bool = false;
  private budget: i32 = 0;
  private slot: u32 = 0;
  private readonly candidates: usize = heap.alloc(<usize>SAMPLE * 8 * 16);
  private chunk: usize = 0;
  private chunkLeft: u32 = 0;

  constructor(private readonly policy: Policy) {
    this.copies = new StaticArray<u8>(policy.ruleCount);
    this.left = new StaticArray<bool>(policy.ruleCount);
  }

  /** Gives back what only building needed. */
  done(): void {
    heap.free(this.candidates);
  }

  // Memory of the policy, in pieces.
  private take(bytes: u32): usize {
    if (bytes > this.chunkLeft) {
      const size: u32 = max<u32>(bytes, min<u32>(65536, max<u32>(1024, this.policy.ruleCount * 64)));
      this.chunk = heap.alloc(size);
      this.chunkLeft = size;
      this.policy.owned.push(this.chunk);
      this.policy.bytes += size;
    }
    const at = this.chunk;
    const rounded = (bytes + 7) & ~7;
    this.chunk += rounded;
    this.chunkLeft -= min(rounded, this.chunkLeft);
    return at;
  }

  /** Builds the trees of a list of rules in order; gives the address that `Policy.roots` has. */
  build(list: Array<u32>, slot: u32): usize {
    this.slot = slot;
    const roots = new Array<usize>();
    const firsts = new Array<u32>();
    let rules = list;
    while (rules.length > 0) {
      this.rest = [];
      this.last = roots.length == MAX_TREES - 1 || rules.length <= FEW;
      this.budget = 65536 + 16 * rules.length;
      for (let i = 0; i < rules.length; i++) {
        this.copies[rules[i]] = 1;
        this.left[rules[i]] = false;
      }
      const box = heap.alloc(BOX_BYTES);
      for (let axis: usize = 0; axis < AXES; axis++) {
        store<u64>(box + axis * 32, 0);
        store<u64>(box + axis * 32, 0, 8);
        store<u64>(box + axis * 32, u64.MAX_VALUE, 16);
        store<u64>(box + axis * 32, u64.MAX_VALUE, 24);
      }
      const root = this.take(<u32>offsetof<Node>());
      this.policy.nodes++;
      this.grow(changetype<Node>(root), rules, box, 0);
      heap.free(box);
      roots.push(root);
      firsts.push(rules[0]);
      this.rest.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
      rules = this.rest;
    }
    const at = this.take(4 + 8 * <u32>roots.length);
    store<u32>(at, roots.length);
    const order = new Array<i32>();
    for (let i = 0; i < roots.length; i++) {
      let k = order.length;
      order.push(i);
      while (k > 0 && firsts[order[k - 1]] > firsts[i]) {
        order[k] = order[k - 1];
        k--;
      }
      order[k] = i;
    }
    for (let i = 0; i < order.length; i++) {
      store<u32>(at + 8 * i, <u32>roots[order[i]], 4);
      store<u32>(at + 8 * i, firsts[order[i]], 8);
    }
    return at;
  }

  private rangesOf(rule: Rule, axis: u32): usize {
    switch (axis) {
      case 0:
        return rule.source;
      case 1:
        return rule.destination;
      case 2:
        return rule.sourcePort;
      default:
        return selectorOf(rule, this.slot).at;
    }
  }

  private rangeCount(rule: Rule, axis: u32): u32 {
    switch (axis) {
      case 0:
        return rule.sourceCount;
      case 1:
        return rule.destinationCount;
      case 2:
        return rule.sourcePortCount;
      default:
        return selectorOf(rule, this.slot).count;
    }
  }

  // Whether a rule meets a box on an axis: 0 no, 1 in part, 2 it covers it.
  private meets(rule: Rule, axis: u32, box: usize): u32 {
    const count = this.rangeCount(rule, axis);
    if (count == 0) return 2;
    const at = box + <usize>axis * 32;
    const fromHi = load<u64>(at);
    const fromLo = load<u64>(at, 8);
    const toHi = load<u64>(at, 16);
    const toLo = load<u64>(at, 24);
    const i = this.firstEndingFrom(rule, axis, fromHi, fromLo);
    if (i == count) return 0;
    const range = this.rangesOf(rule, axis) + <usize>i * RANGE_BYTES;
    if (above(load<u64>(range), load<u64>(range, 8), toHi, toLo)) return 0;
    const begins = !above(load<u64>(range), load<u64>(range, 8), fromHi, fromLo);
    const ends = !above(toHi, toLo, load<u64>(range, 16), load<u64>(range, 24));
    return begins && ends ? 2 : 1;
  }

  // Index of the first range that ends at or behind a value.
  private firstEndingFrom(rule: Rule, axis: u32, hi: u64, lo: u64): u32 {
    const at = this.rangesOf(rule, axis);
    let low: u32 = 0;
    let high = this.rangeCount(rule, axis);
    while (low < high) {
      const middle = (low + high) >> 1;
      const range = at + <usize>middle * RANGE_BYTES;
      if (above(hi, lo, load<u64>(range, 16), load<u64>(range, 24))) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private covers(rule: Rule, box: usize): bool {
    if (rule.tcpMask != 0) return false;
    for (let axis: u32 = 0; axis < AXES; axis++) if (this.meets(rule, axis, box) != 2) return false;
    return true;
  }

  // The rules of a list that meet a box, up to one that covers it.
  private part(list: Array<u32>, box: usize, axis: u32): Array<u32> {
    const part = new Array<u32>();
    for (let i = 0; i < list.length; i++) {
      const index = list[i];
      if (this.left[index]) continue;
      const rule = this.policy.rule(index);
      const met = this.meets(rule, axis, box);
      if (met == 0) continue;
      part.push(index);
      if (met == 2 && this.covers(rule, box)) break;
    }
    return part;
  }

  private leaf(node: Node, list: Array<u32>): void {
    const at = this.take(4 * <u32>list.length);
    for (let i = 0; i < list.length; i++) store<u32>(at + 4 * i, list[i]);
    node.axis = LEAF;
    node.child = <u32>at;
    node.count = list.length;
  }

  private grow(node: Node, list: Array<u32>, box: usize, depth: i32): void {
    if (list.length <= LEAF_RULES || depth > 200 || this.budget <= 0) {
      this.leaf(node, list);
      return;
    }
    const axis = this.choose(list, box);
    if (axis < 0) {
      this.leaf(node, list);
      return;
    }
    const pivotHi = this.pivotHi;
    const pivotLo = this.pivotLo;
    // The list of the left side is made before that of the right: a rule that is left out on the way stays in both.
    const side = heap.alloc(BOX_BYTES);
    memory.copy(side, box, BOX_BYTES);
    const edge = side + <usize>axis * 32;
    store<u64>(edge, pivotLo == 0 ? pivotHi - 1 : pivotHi, 16);
    store<u64>(edge, pivotLo - 1, 24);
    const below = this.part(list, side, axis);
    memory.copy(side, box, BOX_BYTES);
    store<u64>(edge, pivotHi);
    store<u64>(edge, pivotLo, 8);
    const from = this.part(list, side, axis);
    if (!this.last && list.length > FEW) this.countCopies(below, from);

    const children = this.take(2 * <u32>offsetof<Node>());
    this.policy.nodes += 2;
    this.budget -= 2;
    node.pivotHi = pivotHi;
    node.pivotLo = pivotLo;
    node.axis = <u32>axis * 16;
    node.child = <u32>children;
    memory.copy(side, box, BOX_BYTES);
    store<u64>(edge, pivotLo == 0 ? pivotHi - 1 : pivotHi, 16);
    store<u64>(edge, pivotLo - 1, 24);
    this.grow(changetype<Node>(children), below, side, depth + 1);
    memory.copy(side, box, BOX_BYTES);
    store<u64>(edge, pivotHi);
    store<u64>(edge, pivotLo, 8);
    this.grow(changetype<Node>(children + offsetof<Node>()), from, side, depth + 1);
    heap.free(side);
  }

  // Counts what is on both sides, and leaves for another tree what has too many copies. Both lists are in order.
  private countCopies(a: Array<u32>, b: Array<u32>): void {
    for (let i = 0, k = 0; i < a.length && k < b.length;) {
      if (a[i] < b[k]) i++;
      else if (a[i] > b[k]) k++;
      else {
        const index = a[i];
        if (++this.copies[index] > MAX_COPIES && !this.left[index]) {
          this.left[index] = true;
          this.rest.push(index);
        }
        i++;
        k++;
      }
    }
  }

  // ---- where to cut

  private pivotHi: u64 = 0;
  private pivotLo: u64 = 0;

  // The axis to cut, with the pivot in `pivotHi`, `pivotLo`; -1 when no cut helps.
  private choose(list: Array<u32>, box: usize): i32 {
    let best = -1;
    let bestCost = i32.MAX_VALUE;
    let bestHi: u64 = 0;
    let bestLo: u64 = 0;
    const n = list.length;
    const taken = min(n, SAMPLE);
    for (let axis: u32 = 0; axis < AXES; axis++) {
      const count = this.suggest(list, axis, box);
      if (count == 0) continue;
      const middle = this.candidates + ((<usize>(count >> 1)) << 4);
      const hi = load<u64>(middle);
      const lo = load<u64>(middle, 8);
      let below = 0;
      let from = 0;
      for (let i = 0; i < taken; i++) {
        const rule = this.policy.rule(list[<i32>((<i64>i * n) / taken)]);
        if (this.rangeCount(rule, axis) == 0) {
          below++;
          from++;
          continue;
        }
        const first = this.firstEndingFrom(rule, axis, load<u64>(box + axis * 32), load<u64>(box + axis * 32, 8));
        const range = this.rangesOf(rule, axis) + <usize>first * RANGE_BYTES;
        if (above(hi, lo, load<u64>(range), load<u64>(range, 8))) below++;
        const next = this.firstEndingFrom(rule, axis, hi, lo);
        if (next < this.rangeCount(rule, axis)) {
          const behind = this.rangesOf(rule, axis) + <usize>next * RANGE_BYTES;
          const toHi = load<u64>(box + axis * 32, 16);
          const toLo = load<u64>(box + axis * 32, 24);
          if (!above(load<u64>(behind), load<u64>(behind, 8), toHi, toLo)) from++;
        }
      }
      const cost = below + from + 2 * max(below, from);
      // Of equals the axis with more ends: it has more to be told apart.
      if (cost < bestCost || (cost == bestCost && count > this.bestCount)) {
        best = axis;
        bestCost = cost;
        bestHi = hi;
        bestLo = lo;
        this.bestCount = count;
      }
    }
    this.pivotHi = bestHi;
    this.pivotLo = bestLo;
    return best;
  }

  private bestCount: u32 = 0;

  // Ends of ranges inside the box, of a sample of rules, sorted into `candidates`. Gives how many.
  private suggest(list: Array<u32>, axis: u32, box: usize): u32 {
    const at = box + <usize>axis * 32;
    const fromHi = load<u64>(at);
    const fromLo = load<u64>(at, 8);
    const toHi = load<u64>(at, 16);
    const toLo = load<u64>(at, 24);
    const n = list.length;
    const taken = min(n, SAMPLE);
    let count: u32 = 0;
    for (let i = 0; i < taken; i++) {
      const rule = this.policy.rule(list[<i32>((<i64>i * n) / taken)]);
      const ranges = this.rangeCount(rule, axis);
      if (ranges == 0) continue;
      const first = this.firstEndingFrom(rule, axis, fromHi, fromLo);
      let end = this.firstEndingFrom(rule, axis, toHi, toLo);
      if (end < ranges) end++;
      // The first, a middle and the last of its ranges there: both ends of each.
      for (let k: u32 = 0; k < 3 && first + k < end; k++) {
        const which = k == 0 ? first : k == 1 ? (first + end) >> 1 : end - 1;
        const range = this.rangesOf(rule, axis) + <usize>which * RANGE_BYTES;
        const startHi = load<u64>(range);
        const startLo = load<u64>(range, 8);
        if (above(startHi, startLo, fromHi, fromLo) && !above(startHi, startLo, toHi, toLo))
          count = this.insert(count, startHi, startLo);
        const endHi = load<u64>(range, 16);
        const endLo = load<u64>(range, 24);
        if (!above(fromHi, fromLo, endHi, endLo) && above(toHi, toLo, endHi, endLo))
          count = this.insert(count, endLo == u64.MAX_VALUE ? endHi + 1 : endHi, endLo + 1);
      }
    }
    return count;
  }

  private insert(count: u32, hi: u64, lo: u64): u32 {
    let i = count;
    for (; i > 0; i--) {
      const before = this.candidates + ((<usize>(i - 1)) << 4);
      if (!above(load<u64>(before), load<u64>(before, 8), hi, lo)) break;
      memory.copy(before + 16, before, 16);
    }
    const to = this.candidates + ((<usize>i) << 4);
    store<u64>(to, hi);
    store<u64>(to, lo, 8);
    return count + 1;
  }
}

/** Bytes that rules take, for who allocates them. */
export function rulesBytes(count: u32): usize {
  return <usize>count * RULE_BYTES;
}
