// What rules call things by: interfaces and zones, aliases of addresses and ports, protocols, ICMP types.
// clang: -Oz

import { closest, ConfigSource, JsonKind, parseCount, quote, Section } from "../../runtime";
import { addPrefix, Places, Ranges } from "../../net/filter";
import { isV4, parseAddress } from "../../net";

const MAX_DEPTH: i32 = 16;

const PROTOCOL_NAMES: Array<string> = ["icmp", "tcp", "udp", "gre", "esp", "ah", "icmpv6", "ospf", "sctp"];
const PROTOCOL_NUMBERS: Array<u32> = [1, 6, 17, 47, 50, 51, 58, 89, 132];

const ICMP_NAMES: Array<string> = [
  "echo-request",
  "echo-reply",
  "destination-unreachable",
  "time-exceeded",
  "parameter-problem",
  "redirect",
  "timestamp-request",
  "timestamp-reply",
  "packet-too-big",
];
/** Types of ICMP and ICMPv6; -1 where a version has none. */
const ICMP_TYPES: Array<i32> = [8, 0, 3, 11, 12, 5, 13, 14, -1];
const ICMP6_TYPES: Array<i32> = [128, 129, 1, 3, 4, 137, -1, -1, 2];

const FLAG_NAMES: Array<string> = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];

/** Everything that has a name in a configuration's firewall section. */
export class Names {
  readonly zoneNames: Array<string> = [];
  readonly zones: Array<Places> = [];
  private readonly addressNodes: Map<string, u32> = new Map<string, u32>();
  private readonly portNodes: Map<string, u32> = new Map<string, u32>();

  constructor(
    private readonly source: ConfigSource,
    /** Names of the interfaces in the order of their numbers. */
    readonly interfaces: Array<string>,
  ) {}

  /** Reads `zones` and `aliases` of the section. */
  read(section: Section): void {
    this.readZones(section);
    const aliases = section.section("aliases");
    this.readAliases(aliases, "addresses", this.addressNodes);
    this.readAliases(aliases, "ports", this.portNodes);
    aliases.finish();
    // An alias that nobody uses is read too: its mistakes are mistakes.
    const addresses = this.addressNodes.keys();
    for (let i = 0; i < addresses.length; i++) this.addAddresses(this.addressNodes.get(addresses[i]), new Ranges(), 0);
    const ports = this.portNodes.keys();
    for (let i = 0; i < ports.length; i++) this.addPorts(this.portNodes.get(ports[i]), new Ranges(), 0);
  }

  private readZones(section: Section): void {
    const node = section.get("zones");
    const document = section.document;
    if (node == 0) return;
    if (document.kind(node) != JsonKind.OBJECT) {
      this.source.wrong(node, "an object of zones by name");
      return;
    }
    for (let child = document.first(node); child != 0; child = document.next(child)) {
      const name = document.key(child);
      if (name == "any" || name == "self" || this.interfaces.includes(name)) {
        this.source.fail(child, quote(name) + " has a meaning already: a zone needs a name of its own");
        continue;
      }
      const places = new Places();
      const nodes = this.source.list(child);
      for (let i = 0; i < nodes.length; i++) {
        const text = this.source.text(nodes[i], "the name of an interface");
        if (text == null) continue;
        const index = this.interfaces.indexOf(text);
        if (index < 0)
          this.source.wrong(nodes[i], "an interface of this configuration" + this.meant(text, this.interfaces));
        else places.interfaces.push(index);
      }
      this.zoneNames.push(name);
      this.zones.push(places);
    }
  }

  private readAliases(aliases: Section, key: string, nodes: Map<string, u32>): void {
    const node = aliases.get(key);
    const document = aliases.document;
    if (node == 0) return;
    if (document.kind(node) != JsonKind.OBJECT) {
      this.source.wrong(node, "an object of lists by name");
      return;
    }
    for (let child = document.first(node); child != 0; child = document.next(child))
      nodes.set(document.key(child), child);
  }

  private meant(text: string, known: Array<string>): string {
    const word = closest(text, known);
    return word.length > 0 ? "; did you mean " + quote(word) + "?" : "";
  }

  /** Interfaces and zones under a key; absent: any. */
  places(section: Section, key: string): Places {
    const places = new Places();
    const nodes = section.list(key);
    if (section.get(key) == 0) places.any = true;
    for (let i = 0; i < nodes.length; i++) {
      const wanted = 'an interface, a zone, "any" or "self"';
      const text = this.source.text(nodes[i], wanted);
      if (text == null) continue;
      const zone = this.zoneNames.indexOf(text);
      const index = this.interfaces.indexOf(text);
      if (text == "any") places.any = true;
      else if (text == "self") places.self = true;
      else if (index >= 0) places.interfaces.push(index);
      else if (zone >= 0) places.interfaces = places.interfaces.concat(this.zones[zone].interfaces);
      else this.source.wrong(nodes[i], wanted + this.meant(text, this.interfaces.concat(this.zoneNames)));
    }
    if (nodes.length == 0 && section.get(key) != 0) this.source.fail(section.get(key), "needs at least one element");
    return places;
  }

  /** Addresses, networks, ranges and aliases under a key; null when it is absent. */
  addresses(section: Section, key: string): Ranges | null {
    const node = section.get(key);
    if (node == 0) return null;
    const ranges = new Ranges();
    this.addAddresses(node, ranges, 0);
    if (this.source.list(node).length == 0) this.source.fail(node, "needs at least one element");
    return ranges;
  }

  private addAddresses(node: u32, ranges: Ranges, depth: i32): void {
    const nodes = this.source.list(node);
    for (let i = 0; i < nodes.length; i++) {
      const wanted = 'an address, a network ("10.0.0.0/8"), a range ("10.0.0.8-10.0.0.15") or an alias ("@name")';
      const text = this.source.text(nodes[i], wanted);
      if (text == null) continue;
      if (text.startsWith("@")) {
        const alias = this.follow(nodes[i], text, this.addressNodes, depth);
        if (alias != 0) this.addAddresses(alias, ranges, depth + 1);
        continue;
      }
      const dash = text.indexOf("-");
      const first = parseAddress(dash < 0 ? text : text.substring(0, dash));
      if (dash < 0) {
        if (!first.ok) this.source.wrong(nodes[i], wanted);
        else addPrefix(ranges, first.hi, first.lo, first.prefix < 0 ? 128 : <u32>first.prefix);
        continue;
      }
      const last = parseAddress(text.substring(dash + 1));
      const same = first.ok && last.ok && first.prefix < 0 && last.prefix < 0;
      if (!same || isV4(first.hi, first.lo) != isV4(last.hi, last.lo)) this.source.wrong(nodes[i], wanted);
      else if (first.hi > last.hi || (first.hi == last.hi && first.lo > last.lo))
        this.source.wrong(nodes[i], "a range: its first address comes after its last");
      else ranges.add(first.hi, first.lo, last.hi, last.lo);
    }
  }

  // The list that an alias stands for; 0, and a mistake, when there is none or it leads back to itself.
  private follow(node: u32, text: string, nodes: Map<string, u32>, depth: i32): u32 {
    const name = text.substring(1);
    if (!nodes.has(name)) {
      this.source.wrong(node, "an alias of this configuration" + this.meant(name, nodes.keys()));
      return 0;
    }
    if (depth == MAX_DEPTH) {
      this.source.fail(node, "the alias leads back to itself, or aliases are nested deeper than 16");
      return 0;
    }
    return nodes.get(name);
  }

  /** Ports, ranges and aliases under a key; null when it is absent. */
  ports(section: Section, key: string): Ranges | null {
    const node = section.get(key);
    if (node == 0) return null;
    const ranges = new Ranges();
    this.addPorts(node, ranges, 0);
    if (this.source.list(node).length == 0) this.source.fail(node, "needs at least one element");
    return ranges;
  }

  private addPorts(node: u32, ranges: Ranges, depth: i32): void {
    const nodes = this.source.list(node);
    const wanted = 'a port (1 to 65535), a range ("8000-8099") or an alias ("@name")';
    for (let i = 0; i < nodes.length; i++) {
      if (this.source.document.isNumber(nodes[i])) {
        const port = this.source.integer(nodes[i], 1, 65535, wanted);
        if (port > 0) ranges.addSmall(port, port);
        continue;
      }
      const text = this.source.text(nodes[i], wanted);
      if (text == null) continue;
      if (text.startsWith("@")) {
        const alias = this.follow(nodes[i], text, this.portNodes, depth);
        if (alias != 0) this.addPorts(alias, ranges, depth + 1);
        continue;
      }
      const dash = text.indexOf("-");
      const first = parsePort(dash < 0 ? text : text.substring(0, dash));
      const last = dash < 0 ? first : parsePort(text.substring(dash + 1));
      if (first == 0 || last < first) this.source.wrong(nodes[i], wanted);
      else ranges.addSmall(first, last);
    }
  }

  /** Protocols under a key; null when it is absent. */
  protocols(section: Section, key: string): Array<u32> | null {
    const node = section.get(key);
    if (node == 0) return null;
    const protocols = new Array<u32>();
    const nodes = this.source.list(node);
    const wanted =
      "a protocol's number (0 to 255) or one of " + PROTOCOL_NAMES.map<string>((name) => quote(name)).join(", ");
    for (let i = 0; i < nodes.length; i++) {
      if (this.source.document.isNumber(nodes[i])) {
        const number = this.source.integer(nodes[i], 0, 255, wanted);
        if (number >= 0) protocols.push(<u32>number);
        continue;
      }
      const text = this.source.text(nodes[i], wanted);
      if (text == null) continue;
      const index = PROTOCOL_NAMES.indexOf(text);
      if (index < 0) this.source.wrong(nodes[i], wanted + this.meant(text, PROTOCOL_NAMES));
      else protocols.push(PROTOCOL_NUMBERS[index]);
    }
    if (nodes.length == 0) this.source.fail(node, "needs at least one element");
    return protocols;
  }

  /** Types under `icmpType`, for one version: each << 8, with all codes. Null when the key is absent. */
  icmpTypes(section: Section, key: string, v6: bool): Ranges | null {
    const node = section.get(key);
    if (node == 0) return null;
    const ranges = new Ranges();
    const nodes = this.source.list(node);
    const wanted = "a type's number (0 to 255) or one of " + ICMP_NAMES.map<string>((name) => quote(name)).join(", ");
    for (let i = 0; i < nodes.length; i++) {
      let type: i64 = -1;
      if (this.source.document.isNumber(nodes[i])) {
        type = this.source.integer(nodes[i], 0, 255, wanted);
      } else {
        const text = this.source.text(nodes[i], wanted);
        if (text == null) continue;
        const index = ICMP_NAMES.indexOf(text);
        if (index < 0) this.source.wrong(nodes[i], wanted + this.meant(text, ICMP_NAMES));
        else type = v6 ? ICMP6_TYPES[index] : ICMP_TYPES[index];
      }
      if (type >= 0) ranges.addSmall((<u64>type) << 8, ((<u64>type) << 8) | 255);
    }
    // Of a version that has none of them nothing fits.
    if (ranges.count == 0) ranges.addSmall(u64.MAX_VALUE, u64.MAX_VALUE);
    return ranges;
  }

  /** `tcpFlags`, "syn" or "syn/syn,ack": those that are set, of those that are looked at. Mask << 8 | flags. */
  tcpFlags(section: Section, key: string): u32 {
    const node = section.get(key);
    if (node == 0) return 0;
    const wanted = 'TCP flags, as "syn" or "syn/syn,ack" (set / looked at), of ' + FLAG_NAMES.join(", ");
    const text = this.source.text(node, wanted);
    if (text == null) return 0;
    const slash = text.indexOf("/");
    const set = parseFlags(slash < 0 ? text : text.substring(0, slash));
    const mask = slash < 0 ? set : parseFlags(text.substring(slash + 1));
    if (set < 0 || mask <= 0 || (set & ~mask) != 0) {
      this.source.wrong(node, wanted);
      return 0;
    }
    return ((<u32>mask) << 8) | (<u32>set);
  }
}

/** A protocol's number by name or in decimal; -1 for anything else. */
export function protocolNumber(text: string): i32 {
  const index = PROTOCOL_NAMES.indexOf(text);
  return index >= 0 ? <i32>PROTOCOL_NUMBERS[index] : <i32>parseCount(text, 255);
}

function parseFlags(text: string): i32 {
  let flags = 0;
  const parts = text.split(",");
  if (text == "none") return 0;
  for (let i = 0; i < parts.length; i++) {
    const index = FLAG_NAMES.indexOf(parts[i]);
    if (index < 0) return -1;
    flags |= 1 << index;
  }
  return flags;
}

/** A port in decimal without leading zeros; 0 for anything else. */
export function parsePort(text: string): u32 {
  if (text.length == 0 || text.length > 5 || text.charCodeAt(0) == 0x30) return 0;
  let port: u32 = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = <u32>text.charCodeAt(i) - 0x30;
    if (digit > 9) return 0;
    port = port * 10 + digit;
  }
  return port > 65535 ? 0 : port;
}
