// The compiled policy against a plain walk through the rules, for random policies and packets. The packets are drawn from
// the rules' own ends, so that every field decides often; the test says how often, and fails when one hardly does.

import {
  Action,
  addPrefix,
  compilePolicy,
  Key,
  LimitSpec,
  newKey,
  NO_RULE,
  Places,
  Policy,
  Ranges,
  RuleSpec,
  shadowedBy,
} from "../../../net/filter";
import { Dice } from "../../sim/link";

const TCP: u32 = 6;
const UDP: u32 = 17;
const ICMP: u32 = 1;
const ICMP6: u32 = 58;
const INTERFACES: i32 = 3;

/** A range with its ends kept, as `Ranges` keeps them to itself. */
class Span {
  constructor(
    readonly fromHi: u64,
    readonly fromLo: u64,
    readonly toHi: u64,
    readonly toLo: u64,
  ) {}
  has(hi: u64, lo: u64): bool {
    const from = hi > this.fromHi || (hi == this.fromHi && lo >= this.fromLo);
    const to = hi < this.toHi || (hi == this.toHi && lo <= this.toLo);
    return from && to;
  }
}

/** A rule as the oracle sees it. */
class Plain {
  spec: RuleSpec = new RuleSpec();
  source: Array<Span> = [];
  destination: Array<Span> = [];
  port: Array<Span> = [];
  sourcePort: Array<Span> = [];
  icmp: Array<Span> = [];
}

function some(spans: Array<Span>, hi: u64, lo: u64): bool {
  if (spans.length == 0) return true;
  for (let i = 0; i < spans.length; i++) if (spans[i].has(hi, lo)) return true;
  return false;
}

/** Which field refused last: what decides against a rule. */
let refusing: i32 = 0;

function fits(rule: Plain, key: Key, from: i32, to: i32): bool {
  const spec = rule.spec;
  const protocols = spec.protocols;
  refusing = 0;
  if (!spec.from.holds(from, INTERFACES)) return false;
  refusing = 1;
  if (!spec.to.holds(to, INTERFACES)) return false;
  refusing = 2;
  if (protocols != null && !protocols.includes(key.protocol)) return false;
  refusing = 3;
  if (!some(rule.source, key.srcHi, key.srcLo)) return false;
  refusing = 4;
  if (!some(rule.destination, key.dstHi, key.dstLo)) return false;
  refusing = 5;
  const ports = key.protocol == TCP || key.protocol == UDP;
  if (ports && !some(rule.port, 0, key.selector)) return false;
  if (key.protocol == ICMP && !some(rule.icmp, 0, key.selector)) return false;
  refusing = 6;
  if (!some(rule.sourcePort, 0, key.srcPort)) return false;
  refusing = 7;
  return (key.flags & spec.tcpMask) == spec.tcpFlags;
}

class Lot {
  readonly dice: Dice;
  readonly rules: Array<Plain> = [];

  constructor(seed: u64) {
    this.dice = new Dice(seed);
  }

  places(): Places {
    const places = new Places();
    const draw = this.dice.below(4);
    if (draw == 0) places.any = true;
    else if (draw == 1) places.self = true;
    else for (let i = 0; i < INTERFACES; i++) if (this.dice.below(2) == 0) places.interfaces.push(i);
    return places;
  }

  /** Prefixes and ranges of both versions, nested and overlapping. */
  addresses(ranges: Ranges): Array<Span> {
    const spans = new Array<Span>();
    for (let n = 1 + this.dice.below(3); n > 0; n--) {
      const v6 = this.dice.below(3) == 0;
      const hi: u64 = v6 ? 0x20010db800000000 + <u64>this.dice.below(4) : 0;
      const lo: u64 = v6 ? (<u64>this.dice.below(65536)) << 40 : 0xffff0a000000 + <u64>this.dice.below(65536);
      if (this.dice.below(3) == 0) {
        const to = lo + this.dice.below(2000);
        ranges.add(hi, lo, hi, to);
        spans.push(new Span(hi, lo, hi, to));
      } else {
        const bits = v6 ? 30 + this.dice.below(80) : 104 + this.dice.below(25);
        addPrefix(ranges, hi, lo, bits);
        const maskHi: u64 = bits >= 64 ? 0 : u64.MAX_VALUE >> bits;
        const maskLo: u64 = bits >= 128 ? 0 : bits <= 64 ? u64.MAX_VALUE : u64.MAX_VALUE >> (bits - 64);
        spans.push(new Span(hi & ~maskHi, lo & ~maskLo, hi | maskHi, lo | maskLo));
      }
    }
    return spans;
  }

  numbers(ranges: Ranges, bound: u32): Array<Span> {
    const spans = new Array<Span>();
    for (let n = 1 + this.dice.below(3); n > 0; n--) {
      const from = <u64>this.dice.below(bound);
      const to = this.dice.below(2) == 0 ? from : from + this.dice.below(bound / 4);
      ranges.addSmall(from, to);
      spans.push(new Span(0, from, 0, to));
    }
    return spans;
  }

  add(): void {
    const dice = this.dice;
    const rule = new Plain();
    const spec = rule.spec;
    spec.name = "r" + this.rules.length.toString();
    spec.action = <Action>dice.below(3);
    spec.from = this.places();
    spec.to = this.places();
    if (dice.below(4) != 0) {
      spec.source = new Ranges();
      rule.source = this.addresses(spec.source!);
    }
    if (dice.below(4) != 0) {
      spec.destination = new Ranges();
      rule.destination = this.addresses(spec.destination!);
    }
    const draw = dice.below(5);
    if (draw == 0 || draw == 4) spec.protocols = [TCP];
    else if (draw == 1) spec.protocols = [TCP, UDP];
    else if (draw == 2) spec.protocols = [ICMP, 47];
    const protocols = spec.protocols;
    if (protocols != null && protocols.includes(TCP)) {
      if (dice.below(2) == 0) {
        spec.port = new Ranges();
        rule.port = this.numbers(spec.port!, 64);
      }
      if (dice.below(4) == 0) {
        spec.sourcePort = new Ranges();
        rule.sourcePort = this.numbers(spec.sourcePort!, 64);
      }
      if (protocols.length == 1 && dice.below(4) != 0) {
        spec.tcpMask = 0x12;
        spec.tcpFlags = dice.below(2) == 0 ? 2 : 0x12;
      }
    }
    if (protocols != null && protocols.includes(ICMP) && dice.below(2) == 0) {
      spec.icmp = new Ranges();
      rule.icmp = this.numbers(spec.icmp!, 2048);
    }
    this.rules.push(rule);
  }

  /** A packet near the ends of some rule. */
  packet(key: Key): void {
    const dice = this.dice;
    const rule = this.rules[dice.below(this.rules.length)];
    const source = near(dice, rule.source);
    const destination = near(dice, rule.destination);
    key.srcHi = source.fromHi;
    key.srcLo = source.fromLo;
    key.dstHi = destination.fromHi;
    key.dstLo = destination.fromLo;
    const protocols = rule.spec.protocols;
    const others: Array<u32> = [TCP, UDP, ICMP, 47, 50];
    key.protocol =
      protocols != null && dice.below(4) != 0 ? protocols[dice.below(protocols.length)] : others[dice.below(5)];
    key.portHi = 0;
    key.selectorHi = 0;
    key.flags = key.protocol == TCP ? (dice.below(2) == 0 ? 2 : 0x12) : 0;
    const ports = key.protocol == TCP || key.protocol == UDP;
    key.srcPort = ports ? (rule.sourcePort.length > 0 ? near(dice, rule.sourcePort).fromLo : dice.below(80)) : 0;
    key.selector = ports
      ? rule.port.length > 0
        ? near(dice, rule.port).fromLo
        : dice.below(80)
      : key.protocol == ICMP
        ? rule.icmp.length > 0
          ? near(dice, rule.icmp).fromLo
          : dice.below(2600)
        : key.protocol;
  }
}

/** At an end of a span, just beside it, or inside; anything when there is none. */
function near(dice: Dice, spans: Array<Span>): Span {
  if (spans.length == 0 || dice.below(8) == 0) {
    if (dice.below(3) == 0)
      return new Span(0x20010db800000000 + <u64>dice.below(4), (<u64>dice.below(65536)) << 40, 0, 0);
    return new Span(0, 0xffff0a000000 + <u64>dice.below(65536), 0, 0);
  }
  const span = spans[dice.below(spans.length)];
  switch (dice.below(5)) {
    case 0:
      return new Span(span.fromHi, span.fromLo, 0, 0);
    case 1:
      return new Span(span.toHi, span.toLo, 0, 0);
    case 2:
      return new Span(span.fromHi, span.fromLo - (span.fromLo > 0 ? 1 : 0), 0, 0);
    case 3:
      return new Span(span.toHi, span.toLo + (span.toLo < u64.MAX_VALUE ? 1 : 0), 0, 0);
    default: {
      const room = span.toLo - span.fromLo;
      return new Span(
        span.fromHi,
        span.fromLo + (room > 0 && span.fromHi == span.toHi ? <u64>dice.next() % room : 0),
        0,
        0,
      );
    }
  }
}

function specsOf(rules: Array<Plain>): Array<RuleSpec> {
  const specs = new Array<RuleSpec>();
  for (let i = 0; i < rules.length; i++) specs.push(rules[i].spec);
  return specs;
}

/** Rules of `count` random pairs of prefixes, of all lengths: they overlap in both dimensions. */
function twoDimensional(seed: u64, count: i32): Array<RuleSpec> {
  const dice = new Dice(seed);
  const specs = new Array<RuleSpec>();
  for (let i = 0; i < count; i++) {
    const spec = new RuleSpec();
    spec.from.any = true;
    spec.to.any = true;
    spec.source = new Ranges();
    spec.destination = new Ranges();
    addPrefix(spec.source!, 0, 0xffff0a000000 | (<u64>dice.below(1 << 24)), 104 + dice.below(25));
    addPrefix(spec.destination!, 0, 0xffff0a000000 | (<u64>dice.below(1 << 24)), 104 + dice.below(25));
    specs.push(spec);
  }
  return specs;
}

/** Most steps of a look-up, for packets that rules match. */
function mostSteps(policy: Policy, specs: Array<RuleSpec>, seed: u64): u32 {
  const dice = new Dice(seed);
  const key = newKey();
  key.protocol = TCP;
  key.selector = 80;
  key.srcPort = 1000;
  const range = heap.alloc(32);
  let most: u32 = 0;
  for (let i = 0; i < 5000; i++) {
    const spec = specs[dice.below(specs.length)];
    spec.source!.write(range);
    key.srcLo = load<u64>(range, 8) + (<u64>dice.next() % (load<u64>(range, 24) - load<u64>(range, 8) + 1));
    spec.destination!.write(range);
    key.dstLo = load<u64>(range, 8) + (<u64>dice.next() % (load<u64>(range, 24) - load<u64>(range, 8) + 1));
    expect(policy.lookup(key, 0, 1)).not.toBe(NO_RULE);
    most = max(most, policy.steps);
  }
  heap.free(range);
  return most;
}

describe("a compiled policy", () => {
  it("finds the rule that a plain walk finds first, for random policies and packets", () => {
    const key = newKey();
    const decided = new StaticArray<u32>(8);
    let packets: u32 = 0;
    let none: u32 = 0;
    const actions = new StaticArray<u32>(3);
    for (let round = 0; round < 60; round++) {
      const lot = new Lot(round + 1);
      for (let n = 1 + lot.dice.below(round < 50 ? 40 : 400); n > 0; n--) lot.add();
      const policy = compilePolicy(specsOf(lot.rules), INTERFACES);
      for (let i = 0; i < 500; i++) {
        lot.packet(key);
        const from = <i32>lot.dice.below(INTERFACES + 1);
        const to = <i32>lot.dice.below(INTERFACES + 1);
        let wanted = NO_RULE;
        for (let k = 0; k < lot.rules.length; k++) {
          if (fits(lot.rules[k], key, from, to)) {
            wanted = k;
            break;
          }
          decided[refusing]++;
        }
        const got = policy.lookup(key, from, to);
        if (got != wanted) log<string>("round " + round.toString() + " packet " + i.toString());
        expect(got).toBe(wanted);
        packets++;
        if (wanted == NO_RULE) none++;
        else actions[lot.rules[wanted].spec.action]++;
      }
      policy.free();
    }
    // Each verdict decides at least 5 % of the packets; each field has refused rules.
    expect(none * 20).toBeGreaterThan(packets);
    for (let i = 0; i < 3; i++) expect(actions[i] * 20).toBeGreaterThan(packets);
    for (let i = 0; i < 8; i++) expect(decided[i]).toBeGreaterThan(packets / 100);
  });

  it("takes no more than a few steps more for 5,000 rules that overlap in two dimensions than for 10", () => {
    const few = twoDimensional(1, 10);
    const many = twoDimensional(2, 5000);
    const small = compilePolicy(few, INTERFACES);
    const large = compilePolicy(many, INTERFACES);
    const a = mostSteps(small, few, 3);
    const b = mostSteps(large, many, 4);
    log<string>(
      "steps " +
        a.toString() +
        " and " +
        b.toString() +
        ", nodes " +
        large.nodes.toString() +
        ", KiB " +
        (large.bytes >> 10).toString(),
    );
    expect(b).toBeLessThan(80);
  });

  it("has a set of 20,000 addresses in one rule for a logarithm of steps", () => {
    const spec = new RuleSpec();
    spec.from.any = true;
    spec.to.any = true;
    spec.source = new Ranges();
    for (let i: u64 = 0; i < 20000; i++) spec.source!.addSmall(0xffff0a000000 + 3 * i, 0xffff0a000000 + 3 * i);
    const policy = compilePolicy([spec], INTERFACES);
    const key = newKey();
    key.protocol = UDP;
    for (let i: u64 = 0; i < 60000; i++) {
      key.srcLo = 0xffff0a000000 + i;
      expect(policy.lookup(key, 0, 0) == 0).toBe(i % 3 == 0);
      expect(policy.steps).toBeLessThan(8);
    }
  });

  it("tells which rule keeps another from ever deciding", () => {
    const all = new RuleSpec();
    all.from.any = true;
    all.to.any = true;
    all.source = new Ranges();
    addPrefix(all.source!, 0, 0xffff0a000000, 104);
    const one = new RuleSpec();
    one.from.interfaces = [1];
    one.to.any = true;
    one.source = new Ranges();
    addPrefix(one.source!, 0, 0xffff0a010000, 112);
    one.protocols = [TCP];
    const wider = new RuleSpec();
    wider.from.any = true;
    wider.from.self = true;
    wider.to.any = true;
    wider.source = all.source;
    const specs = [all, one, wider];
    const policy = compilePolicy(specs, INTERFACES);
    expect(shadowedBy(policy, specs, 0)).toBe(NO_RULE);
    expect(shadowedBy(policy, specs, 1)).toBe(0);
    expect(shadowedBy(policy, specs, 2)).toBe(NO_RULE);
  });
});
