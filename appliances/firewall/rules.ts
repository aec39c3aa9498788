// `rules` and `nat` of the section `firewall` (CONFIG.md, Firewall): from JSON to what net/filter compiles.
// clang: -Oz

import { INVALID, parseRate, Section } from "../../runtime";
import { isV4, parseAddress, ParsedAddress } from "../../net";
import { Action, LimitSpec, NatSpec, NatType, Places, Ranges, RuleSpec } from "../../net/filter";
import { Names, parsePort } from "./names";

const TCP: u32 = 6;
const UDP: u32 = 17;
const ICMP: u32 = 1;
const ICMP6: u32 = 58;
const MAX_RULES: i32 = 200_000;

export const ACTIONS: Array<string> = ["accept", "drop", "reject"];

export function readRules(section: Section, names: Names): Array<RuleSpec> {
  const rules = new Array<RuleSpec>();
  const nodes = section.list("rules");
  const taken = new Set<string>();
  if (nodes.length > MAX_RULES) section.source.fail(section.get("rules"), "has more than 200000 rules");
  for (let i = 0; i < min(nodes.length, MAX_RULES); i++) {
    const one = new Section(section.source, nodes[i]);
    rules.push(readRule(one, names));
    checkName(one, taken);
  }
  return rules;
}

function checkName(section: Section, taken: Set<string>): void {
  const node = section.get("name");
  if (node == 0) return;
  const name = section.document.string(node);
  if (taken.has(name)) section.source.fail(node, "is the name of an earlier one already");
  taken.add(name);
}

function readRule(section: Section, names: Names): RuleSpec {
  const rule = new RuleSpec();
  const source = section.source;
  rule.name = section.text("name", "", "a name");
  if (!section.has("action")) source.fail(section.node, 'needs "action": "accept", "drop" or "reject"');
  rule.action = section.choice("action", ACTIONS, Action.DROP);
  rule.log = section.flag("log", false);
  rule.from = names.places(section, "from");
  rule.to = names.places(section, "to");
  rule.source = names.addresses(section, "source");
  rule.destination = names.addresses(section, "destination");
  rule.protocols = names.protocols(section, "protocol");
  rule.port = names.ports(section, "port");
  rule.sourcePort = names.ports(section, "sourcePort");
  rule.icmp = names.icmpTypes(section, "icmpType", false);
  rule.icmp6 = names.icmpTypes(section, "icmpType", true);
  const flags = names.tcpFlags(section, "tcpFlags");
  rule.tcpMask = flags >> 8;
  rule.tcpFlags = flags & 255;
  rule.limit = readLimit(section);
  if (rule.port != null) needs(section, "port", rule.protocols, [TCP, UDP], '"protocol": "tcp", "udp" or both');
  if (rule.sourcePort != null)
    needs(section, "sourcePort", rule.protocols, [TCP, UDP], '"protocol": "tcp", "udp" or both');
  if (rule.icmp != null)
    needs(section, "icmpType", rule.protocols, [ICMP, ICMP6], '"protocol": "icmp", "icmpv6" or both');
  if (flags != 0) needs(section, "tcpFlags", rule.protocols, [TCP], '"protocol": "tcp"');
  section.notYet(["synProxy"]);
  section.finish();
  return rule;
}

/** A field that only some protocols have wants them to be named, and no others. */
function needs(section: Section, key: string, protocols: Array<u32> | null, allowed: Array<u32>, wanted: string): void {
  let fits = protocols != null;
  if (protocols != null) for (let i = 0; i < protocols.length; i++) if (!allowed.includes(protocols[i])) fits = false;
  if (!fits) section.source.fail(section.get(key), "needs " + wanted + " beside it");
}

function readLimit(section: Section): LimitSpec | null {
  if (!section.has("limit")) return null;
  const limit = section.section("limit");
  let rate: i64 = 1000;
  const node = limit.get("rate");
  const wanted = 'a rate such as "20/s", "100/m" or "5/h"';
  if (node == 0) {
    limit.source.fail(limit.node, 'needs "rate", as "20/s"');
  } else {
    const text = limit.source.text(node, wanted);
    rate = text == null ? INVALID : parseRate(text);
    if (text != null && (rate <= 0 || rate > 1_000_000_000_000)) limit.source.wrong(node, wanted);
  }
  // A burst of one second is what a rate is commonly taken for.
  const burst = limit.count("burst", max<i64>(1, min<i64>(rate / 1000, 1_000_000)), 1, 1_000_000);
  const per = limit.choice("per", ["rule", "source"], 0);
  limit.finish();
  return new LimitSpec(rate, burst, per == 1);
}

// ---- translation

export function readNat(section: Section, names: Names): Array<NatSpec> {
  const list = new Array<NatSpec>();
  const nodes = section.list("nat");
  const taken = new Set<string>();
  for (let i = 0; i < nodes.length; i++) {
    const one = new Section(section.source, nodes[i]);
    list.push(readOneNat(one, names));
    checkName(one, taken);
  }
  return list;
}

const TYPES: Array<string> = ["masquerade", "source", "port-forward", "one-to-one", "none"];

function readOneNat(section: Section, names: Names): NatSpec {
  const spec = new NatSpec();
  const source = section.source;
  spec.name = section.text("name", "", "a name");
  if (!section.has("type"))
    source.fail(section.node, 'needs "type": "masquerade", "source", "port-forward", "one-to-one" or "none"');
  const type = section.choice("type", TYPES, -1);
  // Which keys there may be, only the type says.
  if (type < 0) return spec;
  spec.type = type;
  switch (spec.type) {
    case NatType.PORT_FORWARD:
      readPortForward(section, names, spec);
      break;
    case NatType.ONE_TO_ONE:
      spec.from = zone(section, names, "from");
      readExternal(section, spec, false);
      readTarget(section, spec, "internal", false);
      if (spec.hasExternal && isV4(spec.externalHi, spec.externalLo) != isV4(spec.targetHi, spec.targetLo))
        source.fail(section.get("internal"), 'is not of the same version of IP as "external"');
      break;
    default:
      spec.to = zone(section, names, "to");
      spec.source = names.addresses(section, "source");
      if (spec.type == NatType.SOURCE) readExternal(section, spec, true);
  }
  section.finish();
  return spec;
}

/** Where traffic comes from or goes to; a translation has to say it. */
function zone(section: Section, names: Names, key: string): Places {
  const node = section.get(key);
  if (node == 0) section.source.fail(section.node, 'needs "' + key + '", an interface or a zone');
  const places = names.places(section, key);
  if (places.self)
    section.source.fail(node, '"self" has no place here: the machine\'s own packets need no translation');
  return places;
}

function readPortForward(section: Section, names: Names, spec: NatSpec): void {
  spec.from = zone(section, names, "from");
  spec.protocols = names.protocols(section, "protocol");
  spec.port = names.ports(section, "port");
  if (spec.port == null) section.source.fail(section.node, 'needs "port"');
  if (spec.protocols == null) section.source.fail(section.node, 'needs "protocol": "tcp", "udp" or both');
  else needs(section, "protocol", spec.protocols, [TCP, UDP], '"tcp", "udp" or both');
  if (section.has("external")) readExternal(section, spec, false);
  readTarget(section, spec, "target", true);
  spec.hairpin = section.flag("hairpin", false);
  section.notYet(["synProxy"]);
}

/** An address, or a range of one /64 for source translation. */
function readExternal(section: Section, spec: NatSpec, range: bool): void {
  const wanted = range ? 'an address or a range ("203.0.113.8-203.0.113.15")' : "an address";
  const node = section.get("external");
  if (node == 0) {
    section.source.fail(section.node, 'needs "external", ' + wanted);
    return;
  }
  const text = section.source.text(node, wanted);
  if (text == null) return;
  const dash = text.indexOf("-");
  const first = parseAddress(dash < 0 ? text : text.substring(0, dash));
  const last = dash < 0 ? first : parseAddress(text.substring(dash + 1));
  const right = isHost(first) && isHost(last) && first.hi == last.hi && first.lo <= last.lo;
  if (!right || (dash >= 0 && (!range || isV4(first.hi, first.lo) != isV4(last.hi, last.lo)))) {
    section.source.wrong(node, wanted);
    return;
  }
  spec.hasExternal = true;
  spec.externalHi = first.hi;
  spec.externalLo = first.lo;
  spec.externalLastLo = last.lo;
}

function isHost(address: ParsedAddress): bool {
  return address.ok && address.prefix < 0;
}

/** "10.0.20.10", "10.0.20.10:8443", "[2001:db8::10]:8443". */
function readTarget(section: Section, spec: NatSpec, key: string, port: bool): void {
  const wanted = port ? 'an address, with or without a port: "10.0.20.10:8443"' : "an address";
  const node = section.get(key);
  if (node == 0) {
    section.source.fail(section.node, 'needs "' + key + '", ' + wanted);
    return;
  }
  const text = section.source.text(node, wanted);
  if (text == null) return;
  let host = text;
  const bare = parseAddress(text);
  if (!isHost(bare) && port) {
    const colon = text.lastIndexOf(":");
    const number = colon > 0 ? parsePort(text.substring(colon + 1)) : 0;
    host = number > 0 ? text.substring(0, colon) : "";
    spec.targetPort = number;
    const bracketed = host.startsWith("[") && host.endsWith("]");
    if (bracketed) host = host.substring(1, host.length - 1);
    if (bracketed != host.includes(":")) host = "";
  }
  const address = parseAddress(host);
  if (!isHost(address)) {
    section.source.wrong(node, wanted);
    return;
  }
  spec.targetHi = address.hi;
  spec.targetLo = address.lo;
}
