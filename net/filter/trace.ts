// What would become of a packet, step by step, by the same look-ups as on the packet path: `heddle explain`.
// clang: -Oz

import { formatAddress, formatHost } from "../ip/address";
import { RouteKind } from "../ip/route";
import { Stack } from "../stack";
import { Protocol } from "../wire/ipv4";
import { Firewall } from "./firewall";
import { Key } from "./key";
import { describeFlow } from "./log";
import { externalHi, externalOf, NatSpec, NatType } from "./nat";
import { NO_RULE } from "./policy";
import { Reason, REASON_NAMES } from "./reason";
import { Action } from "./rules";

const VERDICTS: Array<string> = ["accept", "drop", "reject"];

/**
 * Follows the first packet of a flow through a firewall that has seen nothing yet.
 * @param from number of the interface that it comes in by, or of the machine itself
 * @returns a line for each step; the last one begins with the verdict
 */
export function tracePacket(stack: Stack, firewall: Firewall, key: Key, from: u32): Array<string> {
  const lines = new Array<string>();
  const self = <u32>stack.interfaces.length;
  if (key.srcHi == key.dstHi && key.srcLo == key.dstLo) {
    lines.push(dropLine(Reason.LAND, "source and destination are the same"));
    return lines;
  }
  let forwarded = false;
  let hairpin = false;
  const originalHi = key.dstHi;
  const originalLo = key.dstLo;
  if (from != self) {
    const iface = stack.interfaces[from];
    if (!firewall.comesFrom(iface, key)) {
      lines.push(
        "drop: no route leads back to " +
          formatAddress(key.srcHi, key.srcLo) +
          " by " +
          iface.name +
          " (hygiene.reversePath)",
      );
      return lines;
    }
    if (firewall.isBogon(iface, key)) {
      lines.push(dropLine(Reason.BOGON, "such a source does not come in by " + iface.name));
      return lines;
    }
    const spec = firewall.nat.destination(stack, key, from);
    if (spec != null) {
      const ported = key.protocol == Protocol.TCP || key.protocol == Protocol.UDP;
      key.dstHi = spec.targetHi;
      key.dstLo = spec.targetLo;
      if (ported && spec.targetPort != 0) {
        key.dstPort = spec.targetPort;
        key.selector = spec.targetPort;
      }
      forwarded = spec.type == NatType.PORT_FORWARD;
      hairpin = forwarded && !spec.from.holds(from, self);
      lines.push("destination NAT: " + natName(firewall, spec) + ": " + flowText(key));
    }
  }

  const entry = stack.ip.table.lookupFrom(key.dstHi, key.dstLo, key.srcHi, key.srcLo);
  if (entry == null) {
    lines.push("drop: no route to " + formatAddress(key.dstHi, key.dstLo));
    return lines;
  }
  const local = entry.kind == RouteKind.LOCAL || entry.kind == RouteKind.BROADCAST;
  const to: u32 = local ? self : entry.iface;
  if (entry.kind == RouteKind.BLACKHOLE) {
    lines.push("drop: a blackhole route");
    return lines;
  }
  let route = local ? "to the machine itself" : "out " + stack.interfaces[to].name;
  if (!local && (entry.hopHi | entry.hopLo) != 0) route += " by gateway " + formatAddress(entry.hopHi, entry.hopLo);
  lines.push("route: " + route);

  let action = from == self ? Action.ACCEPT : firewall.settings.fallback;
  let why = from == self ? "what the machine itself sends" : 'no rule fits: "default"';
  const index = forwarded ? NO_RULE : firewall.policy.lookup(key, from, to);
  if (forwarded) {
    action = Action.ACCEPT;
    why = "the port forward accepts what it translates";
  } else if (index != NO_RULE) {
    action = firewall.policy.rule(index).action;
    why = "rule " + (index + 1).toString();
    const name = firewall.policy.names[index];
    if (name.length > 0) why += ' "' + name + '"';
    if (firewall.policy.rule(index).limit != 0) why += ", within its limit";
  }
  if (action == Action.ACCEPT && !local && from != self)
    traceSource(stack, firewall, key, to, hairpin, originalHi, originalLo, lines);
  lines.push(VERDICTS[action] + ": " + why);
  return lines;
}

function traceSource(
  stack: Stack,
  firewall: Firewall,
  key: Key,
  to: u32,
  hairpin: bool,
  originalHi: u64,
  originalLo: u64,
  lines: Array<string>,
): void {
  if (hairpin) {
    lines.push("source NAT: hairpin: " + formatHost(originalHi, originalLo));
    return;
  }
  const spec = firewall.nat.source(stack, key, to);
  if (spec == null || spec.type == NatType.NONE) return;
  const lo = externalOf(spec, stack.interfaces[to], key);
  const external =
    (externalHi | lo) != 0
      ? formatAddress(externalHi, lo)
      : "the address that " + stack.interfaces[to].name + " will have";
  lines.push("source NAT: " + natName(firewall, spec) + ": " + external);
}

function natName(firewall: Firewall, spec: NatSpec): string {
  return spec.name.length > 0 ? '"' + spec.name + '"' : "number " + (firewall.nat.specs.indexOf(spec) + 1).toString();
}

function flowText(key: Key): string {
  return describeFlow(
    key.protocol,
    key.srcHi,
    key.srcLo,
    <u32>key.srcPort,
    key.dstHi,
    key.dstLo,
    key.dstPort,
    <u32>key.selector,
  );
}

function dropLine(reason: Reason, text: string): string {
  return "drop: " + REASON_NAMES[reason] + ": " + text;
}
