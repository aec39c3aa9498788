// A compiled policy: which rule is the first that fits a packet. The way there does not grow with the number of rules or of
// addresses in them, but with its logarithm.
//
//   (from, to) --table--> class of pair --+
//   protocol   --------> slot ------------+--> root: trees, those with the earliest rule first
//                                                |
//   tree:   cut one axis at a pivot? --yes--> left (below) or right
//             | no                         axes: source, destination, source port, selector
//           leaf: a few rules, first match
//
// The selector is the destination port for TCP and UDP, type << 8 | code for ICMP, the protocol's number for others. IPv4
// addresses lie in the same space of 128 bits as IPv6 (net/ip/address.ts), so there is one tree for both.
//
// Invariants
// 1. Everything is flat memory that the compiler (compile.ts) has filled; nothing here allocates.
// 2. A leaf has every rule that can be the first match in its box and is not in an earlier place of another tree of the
//    root; rules in a leaf stand in order, and a tree is not entered when its first rule comes after the one found.
// 3. Rules keep what they count across look-ups only; a new policy begins at 0, but for what the appliance carries over.

import { Key } from "./key";
import { Protocol } from "../wire/ipv4";

/** Axis of a node that is a leaf. */
export const LEAF: u32 = 4;
export const AXES: u32 = 4;
/** Protocol slots. */
export const SLOT_TCP: u32 = 0;
export const SLOT_UDP: u32 = 1;
export const SLOT_ICMP: u32 = 2;
export const SLOT_ICMP6: u32 = 3;
export const SLOT_OTHER: u32 = 4;
export const SLOTS: u32 = 5;
export const NO_RULE: u32 = u32.MAX_VALUE;
/** Bytes of a range: first and last as pairs. */
export const RANGE_BYTES: u32 = 32;


@unmanaged
export class Node {
  pivotHi: u64;
  pivotLo: u64;
  /** Offset of the axis in a Key (16 bytes each), or LEAF. */
  axis: u32;
  /** The left child's address, the right one follows; in a leaf that of its rules' numbers. */
  child: u32;
  /** Rules in a leaf. */
  count: u32;
  reserved: u32;
}

/** Ranges of one axis that a rule wants; 0 of them: any. */
@unmanaged
export class RangeSet {
  at: u32;
  count: u32;
}


@unmanaged
export class Rule {
  source: u32;
  sourceCount: u32;
  destination: u32;
  destinationCount: u32;
  sourcePort: u32;
  sourcePortCount: u32;
  tcpMask: u32;
  tcpFlags: u32;
  action: u32;
  log: bool;
  /** Number of its limit + 1, or 0. */
  limit: u32;
  reserved: u32;
  // What it has decided: first packets of flows, and when the last was, ns (0: never).
  hits: u64;
  last_ns: i64;
}

/** The selector's ranges for each slot stand behind the rule. */
export const RULE_BYTES: u32 = <u32>((offsetof<Rule>() + 7) & ~7) + SLOTS * <u32>offsetof<RangeSet>();
const SELECTORS: usize = (offsetof<Rule>() + 7) & ~7;


@inline
export function selectorOf(rule: Rule, slot: u32): RangeSet {
  return changetype<RangeSet>(changetype<usize>(rule) + SELECTORS + <usize>slot * offsetof<RangeSet>());
}


@inline
export function slotOf(protocol: u32): u32 {
  switch (protocol) {
    case Protocol.TCP:
      return SLOT_TCP;
    case Protocol.UDP:
      return SLOT_UDP;
    case Protocol.ICMP:
      return SLOT_ICMP;
    case Protocol.ICMPV6:
      return SLOT_ICMP6;
    default:
      return SLOT_OTHER;
  }
}

/** Does a value lie in one of `count` sorted ranges at `at`? */
export function inRanges(at: usize, count: u32, hi: u64, lo: u64): bool {
  // The last range that begins at or before the value.
  let low: u32 = 0;
  while (count > 1) {
    const half = count >> 1;
    const middle = at + ((<usize>low + half) << 5);
    const fromHi = load<u64>(middle);
    if (fromHi < hi || (fromHi == hi && load<u64>(middle, 8) <= lo)) low += half;
    count -= half;
  }
  const range = at + ((<usize>low) << 5);
  const fromHi = load<u64>(range);
  if (fromHi > hi || (fromHi == hi && load<u64>(range, 8) > lo)) return false;
  const toHi = load<u64>(range, 16);
  return toHi > hi || (toHi == hi && load<u64>(range, 24) >= lo);
}

export class Policy {
  /** Places: the interfaces' numbers, then the machine itself. */
  places: u32 = 0;
  /** The class of each place as a source and as a destination: u32 each. */
  fromClass: usize = 0;
  toClass: usize = 0;
  toClasses: u32 = 0;
  /** For each pair of classes and slot: address of its trees (u32 count, then for each its root and its first rule), or 0. */
  roots: usize = 0;
  rules: usize = 0;
  ruleCount: u32 = 0;
  names: Array<string> = [];
  /** All memory that is given back with the policy. */
  owned: Array<usize> = [];
  /** Bytes of it, and nodes of the trees: what `compilePolicy` made. */
  bytes: usize = 0;
  nodes: u32 = 0;
  /** Steps of the last look-up: nodes passed and rules looked at. */
  steps: u32 = 0;


  @inline rule(index: u32): Rule {
    return changetype<Rule>(this.rules + <usize>index * RULE_BYTES);
  }

  /** The number of the first rule that fits, or NO_RULE. */
  lookup(key: Key, from: u32, to: u32): u32 {
    const classes =
      load<u32>(this.fromClass + ((<usize>from) << 2)) * this.toClasses + load<u32>(this.toClass + ((<usize>to) << 2));
    const slot = slotOf(key.protocol);
    let at = <usize>load<u32>(this.roots + ((<usize>(classes * SLOTS + slot)) << 2));
    this.steps = 0;
    if (at == 0) return NO_RULE;
    let best = NO_RULE;
    for (let trees = load<u32>(at); trees > 0; trees--) {
      if (load<u32>(at, 8) >= best) break;
      best = this.descend(changetype<Node>(<usize>load<u32>(at, 4)), key, slot, best);
      at += 8;
    }
    return best;
  }

  private descend(node: Node, key: Key, slot: u32, best: u32): u32 {
    let steps: u32 = 1;
    while (node.axis != LEAF) {
      const value = changetype<usize>(key) + node.axis;
      const hi = load<u64>(value);
      const pivotHi = node.pivotHi;
      const right = hi > pivotHi || (hi == pivotHi && load<u64>(value, 8) >= node.pivotLo);
      node = changetype<Node>(<usize>node.child + (right ? offsetof<Node>() : 0));
      steps++;
    }
    let at = <usize>node.child;
    for (let n = node.count; n > 0; n--) {
      const index = load<u32>(at);
      if (index >= best) break;
      steps++;
      if (this.fits(this.rule(index), key, slot)) {
        best = index;
        break;
      }
      at += 4;
    }
    this.steps += steps;
    return best;
  }

  private fits(rule: Rule, key: Key, slot: u32): bool {
    if ((key.flags & rule.tcpMask) != rule.tcpFlags) return false;
    const selector = selectorOf(rule, slot);
    if (selector.count != 0 && !inRanges(selector.at, selector.count, 0, key.selector)) return false;
    if (rule.destinationCount != 0 && !inRanges(rule.destination, rule.destinationCount, key.dstHi, key.dstLo))
      return false;
    if (rule.sourceCount != 0 && !inRanges(rule.source, rule.sourceCount, key.srcHi, key.srcLo)) return false;
    return rule.sourcePortCount == 0 || inRanges(rule.sourcePort, rule.sourcePortCount, 0, key.srcPort);
  }

  /** Gives the memory back. */
  free(): void {
    for (let i = 0; i < this.owned.length; i++) heap.free(this.owned[i]);
    this.owned = [];
  }
}
