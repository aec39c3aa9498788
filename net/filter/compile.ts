// From rules as people write them (rules.ts) to a policy that is looked up (policy.ts); and which rules can never decide.
// clang: -Oz

import { TreeBuilder } from "./tree";
import { NO_RULE, Policy, RangeSet, Rule, RULE_BYTES, selectorOf, SLOTS } from "./policy";
import { Ranges, RuleSpec } from "./rules";
import { Protocol } from "../wire/ipv4";

const PROTOCOLS: StaticArray<u32> = [Protocol.TCP, Protocol.UDP, Protocol.ICMP, Protocol.ICMPV6];

/**
 * Compiles rules in their order.
 * @param interfaces how many there are; the machine itself has that number as a place
 */
export function compilePolicy(specs: Array<RuleSpec>, interfaces: i32): Policy {
  const policy = new Policy();
  const places = interfaces + 1;
  policy.places = places;
  policy.ruleCount = specs.length;
  policy.rules = own(policy, max<usize>(<usize>specs.length * RULE_BYTES, 8));
  let limits: u32 = 0;
  for (let i = 0; i < specs.length; i++) {
    const spec = specs[i];
    policy.names.push(spec.name);
    const rule = policy.rule(i);
    fill(policy, rule, spec);
    if (spec.limit != null) rule.limit = ++limits;
  }

  const fromSigns = new Array<string>();
  const toSigns = new Array<string>();
  policy.fromClass = classes(policy, specs, places, true, fromSigns);
  policy.toClass = classes(policy, specs, places, false, toSigns);
  policy.toClasses = toSigns.length;
  policy.roots = own(policy, <usize>(fromSigns.length * toSigns.length) * SLOTS * 4);

  const builder = new TreeBuilder(policy);
  const built = new Map<string, usize>();
  for (let from = 0; from < fromSigns.length; from++) {
    for (let to = 0; to < toSigns.length; to++) {
      for (let slot: u32 = 0; slot < SLOTS; slot++) {
        const list = rulesFor(
          specs,
          placeOf(policy.fromClass, places, from),
          placeOf(policy.toClass, places, to),
          places - 1,
          slot,
        );
        if (list.length == 0) continue;
        // Many pairs have the same rules; the selector differs between slots.
        const sign = slot.toString() + ":" + list.length.toString() + ":" + digest(list);
        if (!built.has(sign)) built.set(sign, builder.build(list, slot));
        const index = <usize>((<u32>from * policy.toClasses + <u32>to) * SLOTS + slot);
        store<u32>(policy.roots + index * 4, <u32>built.get(sign));
      }
    }
  }
  builder.done();
  return policy;
}

function own(policy: Policy, bytes: usize): usize {
  const at = heap.alloc(bytes);
  memory.fill(at, 0, bytes);
  policy.owned.push(at);
  policy.bytes += bytes;
  return at;
}

function write(policy: Policy, ranges: Ranges): usize {
  return own(policy, max<usize>(<usize>ranges.count * 32, 8));
}

function fill(policy: Policy, rule: Rule, spec: RuleSpec): void {
  rule.action = spec.action;
  rule.log = spec.log;
  rule.tcpMask = spec.tcpMask;
  rule.tcpFlags = spec.tcpFlags;
  const source = spec.source;
  if (source != null) {
    rule.source = <u32>write(policy, source);
    rule.sourceCount = source.write(rule.source);
  }
  const destination = spec.destination;
  if (destination != null) {
    rule.destination = <u32>write(policy, destination);
    rule.destinationCount = destination.write(rule.destination);
  }
  const sourcePort = spec.sourcePort;
  if (sourcePort != null) {
    rule.sourcePort = <u32>write(policy, sourcePort);
    rule.sourcePortCount = sourcePort.write(rule.sourcePort);
  }
  const port = spec.port;
  if (port != null) {
    const set = selectorOf(rule, 0);
    set.at = <u32>write(policy, port);
    set.count = port.write(set.at);
    const other = selectorOf(rule, 1);
    other.at = set.at;
    other.count = set.count;
  }
  select(policy, selectorOf(rule, 2), spec.icmp);
  select(policy, selectorOf(rule, 3), spec.icmp6);
  const protocols = spec.protocols;
  if (protocols != null) {
    const others = new Ranges();
    for (let i = 0; i < protocols.length; i++)
      if (!PROTOCOLS.includes(protocols[i])) others.addSmall(protocols[i], protocols[i]);
    if (others.count > 0) select(policy, selectorOf(rule, 4), others);
  }
}

function select(policy: Policy, set: RangeSet, ranges: Ranges | null): void {
  if (ranges == null) return;
  set.at = <u32>write(policy, ranges);
  set.count = ranges.write(set.at);
}

// Places that no rule tells apart are one class.
function classes(policy: Policy, specs: Array<RuleSpec>, places: i32, from: bool, signs: Array<string>): usize {
  const at = own(policy, <usize>places * 4);
  for (let place = 0; place < places; place++) {
    const bits = new StaticArray<u8>(specs.length);
    for (let i = 0; i < specs.length; i++) {
      const where = from ? specs[i].from : specs[i].to;
      bits[i] = where.holds(place, places - 1) ? 49 : 48;
    }
    const sign = String.UTF8.decodeUnsafe(changetype<usize>(bits), specs.length);
    let index = signs.indexOf(sign);
    if (index < 0) index = signs.push(sign) - 1;
    store<u32>(at + 4 * place, index);
  }
  return at;
}

function placeOf(table: usize, places: i32, wanted: i32): i32 {
  for (let i = 0; i < places; i++) if (load<u32>(table + 4 * i) == <u32>wanted) return i;
  return 0;
}

function rulesFor(specs: Array<RuleSpec>, from: i32, to: i32, self: i32, slot: u32): Array<u32> {
  const list = new Array<u32>();
  for (let i = 0; i < specs.length; i++) {
    const spec = specs[i];
    if (spec.from.holds(from, self) && spec.to.holds(to, self) && speaks(spec, slot)) list.push(i);
  }
  return list;
}

// Does a rule concern the protocols of a slot?
function speaks(spec: RuleSpec, slot: u32): bool {
  const protocols = spec.protocols;
  if (protocols == null) return true;
  if (slot < 4) return protocols.includes(PROTOCOLS[slot]);
  for (let i = 0; i < protocols.length; i++) if (!PROTOCOLS.includes(protocols[i])) return true;
  return false;
}

// Two lists of a policy with one digest of 128 bits are the same list.
function digest(list: Array<u32>): string {
  let a: u64 = 0xcbf29ce484222325;
  let b: u64 = 0x9e3779b97f4a7c15;
  for (let i = 0; i < list.length; i++) {
    a = (a ^ list[i]) * 0x100000001b3;
    b = rotl<u64>((b + list[i]) * 0xff51afd7ed558ccd, 31) ^ a;
  }
  return a.toString(16) + b.toString(16);
}

/**
 * Which earlier rule keeps rule `index` from ever deciding: one that covers all that it could match. NO_RULE when none does
 * alone (several together are not looked for).
 */
export function shadowedBy(policy: Policy, specs: Array<RuleSpec>, index: u32): u32 {
  const places = <i32>policy.places;
  for (let earlier: u32 = 0; earlier < index; earlier++) {
    if (coversPlaces(specs[earlier], specs[index], places) && coversRule(policy, specs, earlier, index)) return earlier;
  }
  return NO_RULE;
}

function coversPlaces(a: RuleSpec, b: RuleSpec, places: i32): bool {
  for (let i = 0; i < places; i++) {
    if (b.from.holds(i, places - 1) && !a.from.holds(i, places - 1)) return false;
    if (b.to.holds(i, places - 1) && !a.to.holds(i, places - 1)) return false;
  }
  return true;
}

function coversRule(policy: Policy, specs: Array<RuleSpec>, a: u32, b: u32): bool {
  const first = policy.rule(a);
  const second = policy.rule(b);
  if ((first.tcpMask & ~second.tcpMask) != 0 || (second.tcpFlags & first.tcpMask) != first.tcpFlags) return false;
  for (let slot: u32 = 0; slot < SLOTS; slot++) {
    if (!speaks(specs[b], slot)) continue;
    if (!speaks(specs[a], slot)) return false;
    const one = selectorOf(first, slot);
    const two = selectorOf(second, slot);
    if (!coversRanges(one.at, one.count, two.at, two.count)) return false;
  }
  return (
    coversRanges(first.source, first.sourceCount, second.source, second.sourceCount) &&
    coversRanges(first.destination, first.destinationCount, second.destination, second.destinationCount) &&
    coversRanges(first.sourcePort, first.sourcePortCount, second.sourcePort, second.sourcePortCount)
  );
}

// Is each range of b inside one of a? Both are merged, so that one range of a has all of it or none does.
function coversRanges(a: usize, aCount: u32, b: usize, bCount: u32): bool {
  if (aCount == 0) return true;
  if (bCount == 0) return false;
  let i: u32 = 0;
  for (let k: u32 = 0; k < bCount; k++) {
    const inner = b + <usize>k * 32;
    while (i < aCount && less(a + <usize>i * 32 + 16, inner + 16)) i++;
    if (i == aCount || less(inner, a + <usize>i * 32)) return false;
  }
  return true;
}


@inline
function less(a: usize, b: usize): bool {
  const aHi = load<u64>(a);
  const bHi = load<u64>(b);
  return aHi < bHi || (aHi == bHi && load<u64>(a, 8) < load<u64>(b, 8));
}
