// A policy as people write it, in the terms of the machine: what the configuration's reader fills in and `compilePolicy`
// (compile.ts) takes.
// clang: -Oz

import { v4 } from "../ip/address";

/** What a rule does with the first packet of a flow. */
export const enum Action {
  ACCEPT = 0,
  DROP = 1,
  REJECT = 2,
}

/** Ranges of 128-bit numbers: addresses, or ports and types with a high half of 0. Sorted and merged by `normalise`. */
export class Ranges {
  private fromHi: Array<u64> = [];
  private fromLo: Array<u64> = [];
  private toHi: Array<u64> = [];
  private toLo: Array<u64> = [];

  get count(): i32 {
    return this.fromLo.length;
  }

  /** Adds all from one number to another, both included. */
  add(fromHi: u64, fromLo: u64, toHi: u64, toLo: u64): void {
    this.fromHi.push(fromHi);
    this.fromLo.push(fromLo);
    this.toHi.push(toHi);
    this.toLo.push(toLo);
  }

  addSmall(from: u64, to: u64): void {
    this.add(0, from, 0, to);
  }

  addAll(other: Ranges): void {
    for (let i = 0; i < other.count; i++) this.add(other.fromHi[i], other.fromLo[i], other.toHi[i], other.toLo[i]);
  }

  /** Writes them as four u64 each (first high, first low, last high, last low), sorted, without overlaps. Gives how many. */
  write(at: usize): u32 {
    const n = this.count;
    const order = new Array<i32>(n);
    for (let i = 0; i < n; i++) order[i] = i;
    sorting = this;
    order.sort((a, b) => sorting!.compare(a, b));
    sorting = null;
    let used: u32 = 0;
    for (let k = 0; k < n; k++) {
      const i = order[k];
      const last = at + ((<usize>used - 1) << 5);
      if (used > 0 && touches(load<u64>(last, 16), load<u64>(last, 24), this.fromHi[i], this.fromLo[i])) {
        if (above(this.toHi[i], this.toLo[i], load<u64>(last, 16), load<u64>(last, 24))) {
          store<u64>(last, this.toHi[i], 16);
          store<u64>(last, this.toLo[i], 24);
        }
        continue;
      }
      const to = at + ((<usize>used) << 5);
      store<u64>(to, this.fromHi[i]);
      store<u64>(to, this.fromLo[i], 8);
      store<u64>(to, this.toHi[i], 16);
      store<u64>(to, this.toLo[i], 24);
      used++;
    }
    return used;
  }

  compare(a: i32, b: i32): i32 {
    if (this.fromHi[a] != this.fromHi[b]) return this.fromHi[a] < this.fromHi[b] ? -1 : 1;
    if (this.fromLo[a] != this.fromLo[b]) return this.fromLo[a] < this.fromLo[b] ? -1 : 1;
    return 0;
  }
}

// Comparators are functions without an environment.
let sorting: Ranges | null = null;


@inline
export function above(aHi: u64, aLo: u64, bHi: u64, bLo: u64): bool {
  return aHi > bHi || (aHi == bHi && aLo > bLo);
}

// Does a range that begins at b continue or overlap one that ends at a?
function touches(aHi: u64, aLo: u64, bHi: u64, bLo: u64): bool {
  if (!above(bHi, bLo, aHi, aLo)) return true;
  return aLo == u64.MAX_VALUE ? bLo == 0 && bHi == aHi + 1 : bHi == aHi && bLo == aLo + 1;
}

/** Interfaces that a rule speaks of, by their numbers; the machine itself apart. */
export class Places {
  /** Every interface, and not the machine. */
  any: bool = false;
  self: bool = false;
  interfaces: Array<i32> = [];

  holds(index: i32, self: i32): bool {
    if (index == self) return this.self;
    return this.any || this.interfaces.includes(index);
  }
}

/** How often a rule lets something through. */
export class LimitSpec {
  constructor(
    /** Events in 1,000 seconds. */
    readonly rate: i64,
    readonly burst: i64,
    /** Each source by itself. */
    readonly perSource: bool,
  ) {}
}

export class RuleSpec {
  name: string = "";
  action: Action = Action.ACCEPT;
  log: bool = false;
  from: Places = new Places();
  to: Places = new Places();
  /** Null, here and below: any. */
  source: Ranges | null = null;
  destination: Ranges | null = null;
  protocols: Array<u32> | null = null;
  port: Ranges | null = null;
  sourcePort: Ranges | null = null;
  /** Types of ICMP and of ICMPv6, each << 8 with all codes or one. */
  icmp: Ranges | null = null;
  icmp6: Ranges | null = null;
  /** Flags that are looked at, and those of them that are set. */
  tcpMask: u32 = 0;
  tcpFlags: u32 = 0;
  limit: LimitSpec | null = null;
}

/** Adds an IPv4 or IPv6 prefix (`bits` as pair bits). */
export function addPrefix(ranges: Ranges, hi: u64, lo: u64, bits: u32): void {
  const hostHi: u64 = bits >= 64 ? 0 : bits == 0 ? u64.MAX_VALUE : u64.MAX_VALUE >> bits;
  const hostLo: u64 = bits >= 128 ? 0 : bits <= 64 ? u64.MAX_VALUE : u64.MAX_VALUE >> (bits - 64);
  ranges.add(hi & ~hostHi, lo & ~hostLo, hi | hostHi, lo | hostLo);
}

/** All of IPv4, for rules that speak of that version only. */
export function allV4(): Ranges {
  const ranges = new Ranges();
  addPrefix(ranges, 0, v4(0), 96);
  return ranges;
}
