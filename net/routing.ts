// The part `routes` of a configuration: where packets go besides the networks of the interfaces and their gateways.
//
//   "routes": [ { "to": "10.99.0.0/16", "via": "10.0.0.254" },             through a router on a link of ours
//               { "to": "0.0.0.0/0", "via": "10.8.0.1", "source": "10.0.20.0/24" },   only what comes from there
//               { "to": "10.50.0.0/16", "interface": "lan" },              on the link itself
//               { "to": "192.0.2.0/24", "blackhole": true } ]              dropped without a word
//
// The longest prefix wins, whatever the order; of equal ones the least `metric`.
//
// clang: -Oz

import { log, LogLevel, Section } from "../runtime";
import { interfaceNamed } from "./configure";
import { InterfaceSettings } from "./interfaces";
import {
  formatAddress,
  isLinkLocal,
  isMulticast,
  isV4,
  maskHi,
  maskLo,
  ParsedAddress,
  parseAddress,
  samePrefix,
} from "./ip/address";
import { RouteKind } from "./ip/route";
import { Stack } from "./stack";
import { zoned } from "./wire/ipv6";

const MAX_ROUTES: i32 = 1024;

export class RouteSettings {
  kind: RouteKind = RouteKind.UNICAST;
  /** The router, or 0: on the link. */
  hopHi: u64 = 0;
  hopLo: u64 = 0;
  /** Name of the interface it leaves by; empty for a blackhole. */
  interface: string = "";
  metric: u32 = 0;
  /** Only for packets from this prefix; 0 bits: for all. */
  fromHi: u64 = 0;
  fromLo: u64 = 0;
  fromBits: u32 = 0;

  constructor(
    readonly hi: u64,
    readonly lo: u64,
    /** Prefix length as pair bits. */
    readonly bits: u32,
  ) {}

  equals(other: RouteSettings): bool {
    return (
      this.samePlace(other) &&
      this.kind == other.kind &&
      this.hopHi == other.hopHi &&
      this.hopLo == other.hopLo &&
      this.interface == other.interface &&
      this.metric == other.metric
    );
  }

  /** Whether both are for the same packets. */
  samePlace(other: RouteSettings): bool {
    return (
      this.hi == other.hi &&
      this.lo == other.lo &&
      this.bits == other.bits &&
      this.fromHi == other.fromHi &&
      this.fromLo == other.fromLo &&
      this.fromBits == other.fromBits
    );
  }
}

/** Reads `routes` of the root, after `interfaces`; what is wrong goes to the root's problems. */
export function readRoutes(root: Section, interfaces: Array<InterfaceSettings>): Array<RouteSettings> {
  const routes = new Array<RouteSettings>();
  const nodes = root.list("routes");
  for (let i = 0; i < nodes.length; i++) {
    if (i == MAX_ROUTES) {
      root.source.fail(nodes[i], "there are at most " + MAX_ROUTES.toString() + " routes");
      break;
    }
    const route = readRoute(new Section(root.source, nodes[i]), interfaces);
    if (route == null) continue;
    for (let k = 0; k < routes.length; k++) {
      if (routes[k].samePlace(route) && routes[k].metric == route.metric) {
        root.source.fail(nodes[i], "leads to the same place as another route: give one of them another metric");
        break;
      }
    }
    routes.push(route);
  }
  return routes;
}

function readRoute(section: Section, interfaces: Array<InterfaceSettings>): RouteSettings | null {
  const to = prefixOf(section, "to");
  const source = prefixOf(section, "source");
  const hop = readHop(section, to);
  const name = section.text("interface", "", "the name of an interface");
  const blackhole = section.flag("blackhole", false);
  const metric = <u32>section.count("metric", 0, 0, 65535);
  section.finish();
  if (!section.has("to") && section.node != 0) section.source.fail(section.node, 'needs "to", a prefix');
  if (to == null) return null;
  const route = new RouteSettings(to.hi, to.lo, <u32>to.prefix);
  route.metric = metric;
  if (source != null) {
    if (isV4(source.hi, source.lo) != isV4(to.hi, to.lo))
      section.source.wrong(section.get("source"), 'of the same version of IP as "to"');
    route.fromHi = source.hi;
    route.fromLo = source.lo;
    route.fromBits = source.prefix;
  }
  if (blackhole) {
    route.kind = RouteKind.BLACKHOLE;
    if (section.has("via") || section.has("interface"))
      section.source.fail(section.node, 'goes nowhere ("blackhole"): leave "via" and "interface" out');
    return route;
  }
  if (name.length > 0 && settingsNamed(interfaces, name) == null) {
    section.source.wrong(section.get("interface"), "an interface of this configuration");
    return null;
  }
  route.interface = name;
  if (hop != null) {
    route.hopHi = hop.hi;
    route.hopLo = hop.lo;
    if (name.length == 0) route.interface = linkOf(section, hop, interfaces);
  } else if (!section.has("via") && !section.has("interface") && !section.has("blackhole")) {
    section.source.fail(section.node, 'needs one of "via", "interface" and "blackhole"');
  }
  return route;
}

/** The prefix under a key, without bits behind it; null when it is absent or wrong. */
function prefixOf(section: Section, key: string): ParsedAddress | null {
  const node = section.get(key);
  const wanted = 'a prefix, such as "10.99.0.0/16" or "2001:db8:99::/48"';
  if (node == 0) return null;
  const text = section.source.text(node, wanted);
  if (text == null) return null;
  const prefix = parseAddress(text);
  if (!prefix.ok || prefix.prefix < 0 || isMulticast(prefix.hi, prefix.lo) || isLinkLocal(prefix.hi, prefix.lo)) {
    section.source.wrong(node, wanted);
    return null;
  }
  const bits = <u32>prefix.prefix;
  const hi = prefix.hi & maskHi(bits);
  const lo = prefix.lo & maskLo(bits);
  if (hi != prefix.hi || lo != prefix.lo) {
    const length = isV4(hi, lo) ? bits - 96 : bits;
    section.source.wrong(node, 'a whole prefix: write "' + formatAddress(hi, lo) + "/" + length.toString() + '"');
    return null;
  }
  return prefix;
}

function readHop(section: Section, to: ParsedAddress | null): ParsedAddress | null {
  const node = section.get("via");
  const wanted = 'the address of a router on a link of this machine, such as "10.0.0.254"';
  if (node == 0) return null;
  const text = section.source.text(node, wanted);
  if (text == null) return null;
  const hop = parseAddress(text);
  const unspecified = (hop.hi | hop.lo) == 0 || (hop.hi == 0 && <u32>hop.lo == 0);
  if (!hop.ok || hop.prefix >= 0 || isMulticast(hop.hi, hop.lo) || unspecified) {
    section.source.wrong(node, wanted);
    return null;
  }
  if (to != null && isV4(hop.hi, hop.lo) != isV4(to.hi, to.lo)) {
    section.source.wrong(node, 'of the same version of IP as "to"');
    return null;
  }
  return hop;
}

/** The interface in whose network a router lies; empty, and said, when there is none. */
function linkOf(section: Section, hop: ParsedAddress, interfaces: Array<InterfaceSettings>): string {
  const node = section.get("via");
  for (let i = 0; i < interfaces.length && !isLinkLocal(hop.hi, hop.lo); i++) {
    const addresses = interfaces[i].addresses;
    for (let k = 0; k < addresses.length; k++) {
      const own = parseAddress(addresses[k]);
      if (!own.ok || !samePrefix(own.hi, own.lo, hop.hi, hop.lo, <u32>own.prefix)) continue;
      if (own.hi != hop.hi || own.lo != hop.lo) return interfaces[i].name;
      section.source.wrong(node, "another machine's address: it is our own");
      return "";
    }
  }
  section.source.wrong(node, 'in the prefix of a fixed address of an interface: say on which it is with "interface"');
  return "";
}

function settingsNamed(interfaces: Array<InterfaceSettings>, name: string): InterfaceSettings | null {
  for (let i = 0; i < interfaces.length; i++) if (interfaces[i].name == name) return interfaces[i];
  return null;
}

/** Takes out the routes that are no longer wanted and adds those that are new. */
export function changeRoutes(stack: Stack, before: Array<RouteSettings>, after: Array<RouteSettings>): void {
  for (let i = 0; i < before.length; i++) if (!includes(after, before[i])) change(stack, before[i], false);
  for (let i = 0; i < after.length; i++) if (!includes(before, after[i])) change(stack, after[i], true);
}

function includes(routes: Array<RouteSettings>, route: RouteSettings): bool {
  for (let i = 0; i < routes.length; i++) if (routes[i].equals(route)) return true;
  return false;
}

function change(stack: Stack, r: RouteSettings, add: bool): void {
  let index: u32 = 0;
  if (r.kind == RouteKind.UNICAST) {
    const iface = interfaceNamed(stack, r.interface);
    if (iface == null) {
      log(LogLevel.ERROR, "routes: there is no interface " + r.interface);
      return;
    }
    index = iface.index;
    if (!isV4(r.hi, r.lo)) iface.enable6();
  }
  const hop = zoned(r.hopHi, index);
  if (add)
    stack.ip.addRoute(r.hi, r.lo, r.bits, r.kind, index, hop, r.hopLo, 0, 0, r.metric, r.fromHi, r.fromLo, r.fromBits);
  else stack.ip.removeRoute(r.hi, r.lo, r.bits, r.kind, index, 0, 0, r.fromHi, r.fromLo, r.fromBits, hop, r.hopLo);
}
