// Which translation a new flow gets (RFC 4787, RFC 5382, RFC 5508): rules of the destination before routing, of the source
// after it. The rules are policies of their own (policy.ts), so that thousands of port forwards cost no more than one.
//
//   destination: from the interface it came in on; `destination` the external address, or any of our own there; the axis of
//                the source port holds the number + 1 of the interface that the address belongs to, 0: it is not ours
//   source:      to the interface it leaves through; one-to-one first, then the list
//
// Invariants
// 1. A rule of type `none` ends the search, as any other does.
// 2. Without `source`, masquerade concerns IPv4 only.

import { Interface } from "../link/interface";
import { Stack } from "../stack";
import { Protocol } from "../wire/ipv4";
import { compilePolicy } from "./compile";
import { Key, newKey } from "./key";
import { PortKeeper } from "./mapping";
import { inRanges, NO_RULE, Policy } from "./policy";
import { allV4, Places, Ranges, RuleSpec } from "./rules";

export const enum NatType {
  MASQUERADE = 0,
  SOURCE = 1,
  PORT_FORWARD = 2,
  ONE_TO_ONE = 3,
  NONE = 4,
}

export class NatSpec {
  name: string = "";
  type: NatType = NatType.MASQUERADE;
  from: Places = new Places();
  to: Places = new Places();
  source: Ranges | null = null;
  protocols: Array<u32> | null = null;
  port: Ranges | null = null;
  /** The external address, or the first and the last of them; `hasExternal` false: the interface's own. */
  hasExternal: bool = false;
  externalHi: u64 = 0;
  externalLo: u64 = 0;
  /** `lo` of the last external address: a range lies in one /64. */
  externalLastLo: u64 = 0;
  /** Where a port forward or one-to-one leads; port 0: as it was. */
  targetHi: u64 = 0;
  targetLo: u64 = 0;
  targetPort: u32 = 0;
  hairpin: bool = false;
}

export class Nat extends PortKeeper {
  readonly destinations: Policy;
  readonly sources: Policy;
  /** The NatSpec of each rule of both. */
  private readonly destinationOf: Array<i32>;
  private readonly sourceOf: Array<i32>;
  /** Where port forwards and one-to-one lead, as destinations. */
  private readonly targets: Policy;
  /** External addresses of source NAT. */
  private readonly externals: usize;
  private readonly externalCount: u32;
  private readonly asked: Key = newKey();
  /** Ports of forwards, a bit each: TCP, then UDP. */
  private readonly forwarded: usize = heap.alloc(16384);

  constructor(
    readonly specs: Array<NatSpec>,
    interfaces: i32,
  ) {
    super();
    const destinationOf = new Array<i32>();
    const sourceOf = new Array<i32>();
    const destinations = new Array<RuleSpec>();
    const sources = new Array<RuleSpec>();
    const targets = new Array<RuleSpec>();
    const externals = new Ranges();
    for (let i = 0; i < specs.length; i++) {
      const spec = specs[i];
      if (spec.type != NatType.PORT_FORWARD && spec.type != NatType.ONE_TO_ONE) continue;
      destinations.push(destinationRule(spec, interfaces));
      destinationOf.push(i);
      targets.push(targetRule(spec));
    }
    for (let i = 0; i < specs.length; i++) {
      if (specs[i].type != NatType.ONE_TO_ONE) continue;
      sources.push(internalRule(specs[i]));
      sourceOf.push(i);
    }
    for (let i = 0; i < specs.length; i++) {
      if (specs[i].type == NatType.PORT_FORWARD || specs[i].type == NatType.ONE_TO_ONE) continue;
      sources.push(sourceRule(specs[i]));
      sourceOf.push(i);
      if (specs[i].type == NatType.SOURCE)
        externals.add(specs[i].externalHi, specs[i].externalLo, specs[i].externalHi, specs[i].externalLastLo);
    }
    this.destinations = compilePolicy(destinations, interfaces);
    this.sources = compilePolicy(sources, interfaces);
    this.targets = compilePolicy(targets, interfaces);
    const room = heap.alloc(<usize>max(externals.count, 1) * 32);
    this.externals = room;
    this.externalCount = externals.write(room);
    this.destinationOf = destinationOf;
    this.sourceOf = sourceOf;
    memory.fill(this.forwarded, 0, 16384);
    for (let i = 0; i < specs.length; i++) this.keepPorts(specs[i]);
  }

  private keepPorts(spec: NatSpec): void {
    const port = spec.port;
    const protocols = spec.protocols;
    if (spec.type != NatType.PORT_FORWARD || port == null || protocols == null) return;
    for (let k = 0; k < protocols.length; k++) this.keep(port, protocols[k] == Protocol.UDP ? 65536 : 0);
  }

  private keep(port: Ranges, base: u32): void {
    const at = heap.alloc(<usize>port.count * 32);
    const count = port.write(at);
    for (let i: u32 = 0; i < count; i++) {
      const range = at + <usize>i * 32;
      for (let one = <u32>load<u64>(range, 8); one <= <u32>load<u64>(range, 24); one++) {
        const bit = base + one;
        store<u8>(this.forwarded + (bit >> 3), load<u8>(this.forwarded + (bit >> 3)) | (<u8>((<u32>1) << (bit & 7))));
      }
    }
    heap.free(at);
  }

  kept(protocol: u32, hi: u64, lo: u64, port: u32): bool {
    if (protocol != Protocol.TCP && protocol != Protocol.UDP) return false;
    const bit = port + (protocol == Protocol.UDP ? 65536 : 0);
    return (load<u8>(this.forwarded + (bit >> 3)) >> (bit & 7)) & 1 ? true : false;
  }

  /** The rule for the destination of a new flow's first packet; null: it stays. */
  destination(stack: Stack, key: Key, from: u32): NatSpec | null {
    const index = this.destinationRule(stack, key, from);
    if (index == NO_RULE) return null;
    this.count(this.destinations, index, stack);
    return this.specs[this.destinationOf[index]];
  }

  /** The same, uncounted. */
  findDestination(stack: Stack, key: Key, from: u32): NatSpec | null {
    const index = this.destinationRule(stack, key, from);
    return index == NO_RULE ? null : this.specs[this.destinationOf[index]];
  }

  private destinationRule(stack: Stack, key: Key, from: u32): u32 {
    const policy = this.destinations;
    if (policy.ruleCount == 0) return NO_RULE;
    const entry = stack.ip.table.lookup(key.dstHi, key.dstLo);
    const port = key.srcPort;
    key.srcPort = entry != null && stack.ip.isLocal(key.dstHi, key.dstLo) ? <u64>ownerOf(stack, key) + 1 : 0;
    const index = policy.lookup(key, from, policy.places - 1);
    key.srcPort = port;
    return index;
  }

  /** The rule for the source of a new flow that leaves through `to`; null: it stays. */
  source(stack: Stack, key: Key, to: u32): NatSpec | null {
    const policy = this.sources;
    if (policy.ruleCount == 0) return null;
    const index = policy.lookup(key, policy.places - 1, to);
    if (index == NO_RULE) return null;
    this.count(policy, index, stack);
    return this.specs[this.sourceOf[index]];
  }

  /** Is an address one that source NAT gives out, whether an interface has it or not? */
  isExternal(hi: u64, lo: u64): bool {
    return this.externalCount != 0 && inRanges(this.externals, this.externalCount, hi, lo);
  }

  /** Does a port forward or one-to-one lead to this end? */
  isTarget(protocol: u32, hi: u64, lo: u64, port: u32): bool {
    const policy = this.targets;
    if (policy.ruleCount == 0) return false;
    const key = this.asked;
    key.protocol = protocol;
    key.dstHi = hi;
    key.dstLo = lo;
    key.selector = port;
    return policy.lookup(key, policy.places - 1, policy.places - 1) != NO_RULE;
  }

  /** Would a new flow that leaves through `to` get another source? */
  translatesSource(protocol: u32, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, to: u32): bool {
    const policy = this.sources;
    if (policy.ruleCount == 0) return false;
    const key = this.asked;
    key.protocol = protocol;
    key.srcHi = srcHi;
    key.srcLo = srcLo;
    key.dstHi = dstHi;
    key.dstLo = dstLo;
    const index = policy.lookup(key, policy.places - 1, to);
    return index != NO_RULE && this.specs[this.sourceOf[index]].type != NatType.NONE;
  }

  /** Gives its memory back. */
  free(): void {
    this.targets.free();
    heap.free(this.externals);
    heap.free(changetype<usize>(this.asked));
    this.destinations.free();
    this.sources.free();
    heap.free(this.forwarded);
  }

  private count(policy: Policy, index: u32, stack: Stack): void {
    const rule = policy.rule(index);
    rule.hits++;
    rule.last_ns = stack.now_ns;
  }
}

// What a port forward or one-to-one translates.
function destinationRule(spec: NatSpec, interfaces: i32): RuleSpec {
  const rule = new RuleSpec();
  rule.name = spec.name;
  rule.to.self = true;
  if (spec.hairpin) rule.from.any = true;
  else rule.from = spec.from;
  if (spec.hasExternal) {
    rule.destination = new Ranges();
    rule.destination!.add(spec.externalHi, spec.externalLo, spec.externalHi, spec.externalLo);
  } else {
    const owners = new Ranges();
    for (let i = 0; i < interfaces; i++) if (spec.from.holds(i, interfaces)) owners.addSmall(i + 1, i + 1);
    // A zone without interfaces owns no address.
    if (owners.count == 0) owners.addSmall(u64.MAX_VALUE, u64.MAX_VALUE);
    rule.sourcePort = owners;
  }
  rule.protocols = spec.protocols;
  rule.port = spec.port;
  return rule;
}

// Where a port forward or one-to-one leads.
function targetRule(spec: NatSpec): RuleSpec {
  const rule = new RuleSpec();
  rule.from.self = true;
  rule.to.self = true;
  rule.destination = new Ranges();
  rule.destination!.add(spec.targetHi, spec.targetLo, spec.targetHi, spec.targetLo);
  rule.protocols = spec.protocols;
  rule.port = spec.port;
  if (spec.targetPort != 0) {
    rule.port = new Ranges();
    rule.port!.addSmall(spec.targetPort, spec.targetPort);
  }
  return rule;
}

// The internal side of one-to-one.
function internalRule(spec: NatSpec): RuleSpec {
  const rule = new RuleSpec();
  rule.from.self = true;
  rule.to = spec.from;
  rule.source = new Ranges();
  rule.source!.add(spec.targetHi, spec.targetLo, spec.targetHi, spec.targetLo);
  return rule;
}

function sourceRule(spec: NatSpec): RuleSpec {
  const rule = new RuleSpec();
  rule.from.self = true;
  rule.to = spec.to;
  rule.source = spec.source == null && spec.type == NatType.MASQUERADE ? allV4() : spec.source;
  return rule;
}

// The interface that has the key's destination as its address.
function ownerOf(stack: Stack, key: Key): u32 {
  const interfaces = stack.interfaces;
  for (let i = 0; i < interfaces.length; i++) {
    if (unchecked(interfaces[i]).find(key.dstHi, key.dstLo) != null) return i;
  }
  return u32.MAX_VALUE - 1;
}

/** The external address that a masqueraded flow gets on an interface: `lo`, with its `hi` in `externalHi`. 0: it has none. */
export let externalHi: u64 = 0;

export function externalOf(spec: NatSpec, to: Interface, key: Key): u64 {
  externalHi = 0;
  if (spec.type == NatType.SOURCE || spec.type == NatType.ONE_TO_ONE) {
    externalHi = spec.externalHi;
    const last = spec.externalLastLo;
    if (last <= spec.externalLo) return spec.externalLo;
    // All flows of one internal address have one external address (RFC 4787, 4.1: paired).
    const n = last - spec.externalLo + 1;
    return spec.externalLo + ((((key.srcHi ^ key.srcLo) * 0x9e3779b97f4a7c15) >> 32) % n);
  }
  if (!key.v6) return to.firstV4;
  const addresses = to.addresses;
  for (let i = 0; i < addresses.length; i++) {
    const address = unchecked(addresses[i]);
    if (address.hi != 0 && address.hi >> 54 != 0x3fa) {
      externalHi = address.hi;
      return address.lo;
    }
  }
  return 0;
}
