// The part `interfaces` of a configuration, read and checked: against the cards of the machine, or, where there is no machine
// (a check at a desk), by itself. net/configure.ts brings up what was read.
//
//   "interfaces": { "eth0": { "address": ["10.0.0.2/24"], "gateway": "10.0.0.1" },
//                   "lan": { "match": { "mac": "52:54:00:00:00:02" }, "address": "dhcp", "mtu": 1400 },
//                   "dmz": { "vlan": { "parent": "lan", "id": 20 }, "address": "10.0.20.1/24" } }
//
// `ethN` is the N-th card in the order in which the VMM was given them; any other name needs `match` or `vlan`. Without the
// part, every card asks for an address by DHCP.
// clang: -Oz

import { Card, JsonKind, Section } from "../runtime";
import { formatAddress, isLinkLocal, isV4, parseAddress, ParsedAddress, samePrefix, v4Mask } from "./ip/address";
import { formatMac } from "./wire/ethernet";

/** Addresses of one interface. */
const MAX_ADDRESSES: i32 = 64;
const MAX_INTERFACES: i32 = 256;

/** What is to be done with one card or VLAN. Everything but `name`, `card`, `parent` and `vlan` can change while it runs. */
export class InterfaceSettings {
  addresses: Array<string> = [];
  gateways: Array<string> = [];
  /** 0: what the card has. */
  mtu: u32 = 0;
  /** Whether hosts on it are told that we are their router. */
  advertises: bool = false;
  /** Name of the interface whose VLAN this is, and its id; empty and 0 for a card. */
  parent: string = "";
  vlan: u32 = 0;

  constructor(
    readonly name: string,
    /** Index of the card among `cards`; -1 when none fits, for a VLAN, and without a machine. */
    readonly card: i32,
  ) {}

  /** Whether both name the same card or VLAN: only then one can take the other's place in a running machine. */
  sameLink(other: InterfaceSettings): bool {
    return this.name == other.name && this.card == other.card && this.parent == other.parent && this.vlan == other.vlan;
  }
}

/** A static address of some interface, to find overlaps. */
class Taken {
  constructor(
    readonly name: string,
    readonly hi: u64,
    readonly lo: u64,
    readonly bits: u32,
  ) {}
}

/**
 * Reads `interfaces` of the root; what is wrong with it goes to the root's problems.
 * @param cards the machine's cards, or null where there is no machine: then names and matches are not looked up
 * @param forwards whether the machine is a router
 */
export function readInterfaces(
  root: Section,
  cards: Array<Card> | null,
  forwards: bool = false,
): Array<InterfaceSettings> {
  const settings = new Array<InterfaceSettings>();
  const node = root.get("interfaces");
  if (node == 0) {
    for (let i = 0; cards != null && i < cards.length; i++) {
      const all = new InterfaceSettings("eth" + i.toString(), i);
      all.addresses.push("dhcp");
      settings.push(all);
    }
    return settings;
  }
  const document = root.document;
  if (document.kind(node) != JsonKind.OBJECT) {
    root.source.wrong(node, "an object of interfaces by name");
    return settings;
  }
  const taken = new Array<Taken>();
  const macs = new Map<string, string>();
  const nodes = new Array<u32>();
  for (let child = document.first(node); child != 0; child = document.next(child)) {
    if (nodes.length == MAX_INTERFACES) {
      root.source.fail(child, "there are at most " + MAX_INTERFACES.toString() + " interfaces");
      break;
    }
    const one = readInterface(new Section(root.source, child), document.key(child), cards, taken, macs, forwards);
    for (let i = 0; i < settings.length; i++) {
      if (one.card >= 0 && settings[i].card == one.card)
        root.source.fail(child, 'is the same card as "' + settings[i].name + '"');
    }
    settings.push(one);
    nodes.push(child);
  }
  for (let i = 0; i < settings.length; i++) checkParent(root, nodes[i], settings[i], settings);
  return settings;
}

function readInterface(
  section: Section,
  name: string,
  cards: Array<Card> | null,
  taken: Array<Taken>,
  macs: Map<string, string>,
  forwards: bool,
): InterfaceSettings {
  const isVlan = section.has("vlan");
  const settings = new InterfaceSettings(name, isVlan ? -1 : readCard(section, name, cards, macs));
  if (isVlan) {
    readVlan(section, settings);
    section.get("match");
    if (section.has("match")) section.source.fail(section.get("match"), "a VLAN has no card of its own to match");
  } else {
    section.get("vlan");
  }
  const most = settings.card >= 0 ? cards![settings.card].mtu : 65535;
  settings.mtu = <u32>section.count("mtu", 0, 576, most);
  if (section.has("address")) readAddresses(section, settings, taken);
  else {
    section.get("address");
    settings.addresses.push("dhcp");
  }
  readGateways(section, settings);
  settings.advertises = section.flag("routerAdvertisement", false);
  if (settings.advertises && !forwards)
    section.source.fail(section.get("routerAdvertisement"), "this machine is no router: it sends nothing on");
  section.finish();
  return settings;
}

function readVlan(section: Section, settings: InterfaceSettings): void {
  const vlan = section.section("vlan");
  settings.parent = vlan.text("parent", "", "the name of an interface");
  settings.vlan = <u32>vlan.count("id", 0, 1, 4094);
  if (!vlan.has("parent")) section.source.fail(vlan.node, 'needs "parent", the interface that carries the VLAN');
  if (!vlan.has("id")) section.source.fail(vlan.node, 'needs "id", 1 to 4094');
  vlan.finish();
}

/** A VLAN's parent is a card, and carries each id once (802.1Q). */
function checkParent(root: Section, node: u32, one: InterfaceSettings, all: Array<InterfaceSettings>): void {
  if (one.parent.length == 0) return;
  const at = root.document.member(root.document.member(node, "vlan"), "parent");
  let parent: InterfaceSettings | null = null;
  for (let i = 0; i < all.length; i++) if (all[i].name == one.parent) parent = all[i];
  if (parent == null) root.source.wrong(at, "an interface of this configuration");
  else if (parent.vlan != 0 || parent == one) root.source.wrong(at, "a card: it is a VLAN itself");
  for (let i = 0; i < all.length && all[i] != one; i++) {
    if (all[i].parent == one.parent && all[i].vlan == one.vlan && one.vlan != 0)
      root.source.fail(node, 'is the same VLAN as "' + all[i].name + '"');
  }
}

/** The card of an interface: by `match`, else by its name. -1 when there is none, or no machine. */
function readCard(section: Section, name: string, cards: Array<Card> | null, macs: Map<string, string>): i32 {
  const index = cardNumber(name);
  const match = section.section("match");
  match.notYet(["pci"]);
  if (match.node != 0) {
    const node = match.get("mac");
    match.finish();
    if (node == 0) return fail(section, 'match needs "mac"');
    const text = section.source.text(node, 'a hardware address such as "52:54:00:00:00:01"');
    if (text == null) return -1;
    const mac = parseMac(text);
    if (mac < 0) {
      section.source.wrong(node, 'a hardware address such as "52:54:00:00:00:01"');
      return -1;
    }
    if (macs.has(text.toLowerCase()))
      return fail(section, 'is the same card as "' + macs.get(text.toLowerCase()) + '"');
    macs.set(text.toLowerCase(), name);
    if (cards == null) return -1;
    let found = -1;
    for (let i = 0; i < cards.length; i++) {
      if (cards[i].mac != <u64>mac) continue;
      if (found >= 0) return fail(section, "two cards have the address " + text);
      found = i;
    }
    if (found < 0) section.source.fail(node, "no card has this address; " + cardList(cards));
    return found;
  }
  if (index < 0)
    return fail(section, 'needs "match" or "vlan", as its name is not eth0, eth1, ... of a card by number');
  if (cards == null) return -1;
  if (index >= cards.length) return fail(section, "there is no such card; " + cardList(cards));
  return index;
}

function fail(section: Section, message: string): i32 {
  section.source.fail(section.node, message);
  return -1;
}

/** N of "ethN", or -1. */
function cardNumber(name: string): i32 {
  const digits = name.length - 3;
  if (!name.startsWith("eth") || digits < 1 || digits > 2) return -1;
  let value = 0;
  for (let i = 3; i < name.length; i++) {
    const digit = name.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return digits == 2 && value < 10 ? -1 : value;
}

function cardList(cards: Array<Card>): string {
  if (cards.length == 0) return "the machine has no network card that this image has a driver for";
  let text = "the machine has";
  for (let i = 0; i < cards.length; i++)
    text += (i > 0 ? ", " : " ") + "eth" + i.toString() + " (" + formatMac(cards[i].mac) + ")";
  return text;
}

/** Six octets in hexadecimal with colons; -1 for anything else. */
function parseMac(text: string): i64 {
  if (text.length != 17) return -1;
  let mac: i64 = 0;
  for (let i = 0; i < 17; i++) {
    const c = text.charCodeAt(i);
    if (i % 3 == 2) {
      if (c != 0x3a) return -1;
      continue;
    }
    const lower = c | 0x20;
    const digit = c >= 0x30 && c <= 0x39 ? c - 0x30 : lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
    if (digit < 0) return -1;
    mac = (mac << 4) | digit;
  }
  return mac;
}

function readAddresses(section: Section, settings: InterfaceSettings, taken: Array<Taken>): void {
  const source = section.source;
  const wanted = 'an address with its prefix length, such as "10.0.0.2/24", "dhcp" or "slaac"';
  const nodes = section.list("address");
  if (nodes.length > MAX_ADDRESSES) {
    source.fail(nodes[MAX_ADDRESSES], "an interface has at most " + MAX_ADDRESSES.toString() + " addresses");
    return;
  }
  for (let i = 0; i < nodes.length; i++) {
    const text = source.text(nodes[i], wanted);
    if (text == null) continue;
    if (text == "dhcpv6") {
      source.fail(nodes[i], '"' + text + '" is not in this version of the image');
      continue;
    }
    if (text == "dhcp" || text == "slaac") {
      if (settings.addresses.includes(text)) source.wrong(nodes[i], "given once: it stands twice");
    } else {
      const address = parseAddress(text);
      if (!address.ok || address.prefix < 0) {
        source.wrong(nodes[i], wanted);
        continue;
      }
      const mistake = hostMistake(address);
      if (mistake.length > 0) {
        source.wrong(nodes[i], mistake);
        continue;
      }
      const clash = overlap(taken, settings.name, address);
      if (clash.length > 0) {
        source.wrong(nodes[i], clash);
        continue;
      }
      taken.push(new Taken(settings.name, address.hi, address.lo, <u32>address.prefix));
    }
    settings.addresses.push(text);
  }
}

/** What an address must not do, when it does: stand twice, or lie in the network of another interface. */
function overlap(taken: Array<Taken>, name: string, address: ParsedAddress): string {
  for (let i = 0; i < taken.length; i++) {
    const other = taken[i];
    if (other.hi == address.hi && other.lo == address.lo) return "given once: it stands twice";
    const bits = min(other.bits, <u32>address.prefix);
    if (other.name != name && samePrefix(other.hi, other.lo, address.hi, address.lo, bits))
      return 'apart from the network of "' + other.name + '" (' + formatAddress(other.hi, other.lo) + "): they overlap";
  }
  return "";
}

/** What an address and prefix must be to be an interface's; empty when they are. */
function hostMistake(address: ParsedAddress): string {
  if (!isV4(address.hi, address.lo)) {
    if (address.prefix == 0) return "in a usable prefix: its length is from 1 to 128";
    const group = address.hi >> 56 == 0xff;
    const local = address.hi == 0 && address.lo <= 1;
    if (isLinkLocal(address.hi, address.lo)) return "a global address: that of the link is taken by itself";
    return group || local ? "an address that a host can have" : "";
  }
  const bits = <u32>(address.prefix - 96);
  const mask = v4Mask(bits);
  const host = (<u32>address.lo) & ~mask;
  const top = (<u32>address.lo) >> 24;
  if (bits == 0) return "in a usable prefix: its length is from 1 to 32";
  if (top == 0 || top == 127 || top >= 224) return "an address that a host can have";
  if (bits < 31 && host == 0) return "a host's: it is the network itself";
  if (bits < 31 && host == ~mask) return "a host's: it is the broadcast address of its network";
  return "";
}

function readGateways(section: Section, settings: InterfaceSettings): void {
  const source = section.source;
  const wanted = 'an address without prefix length, such as "10.0.0.1"';
  const nodes = section.list("gateway");
  for (let i = 0; i < nodes.length; i++) {
    const text = source.text(nodes[i], wanted);
    if (text == null) continue;
    const gateway = parseAddress(text);
    if (!gateway.ok || gateway.prefix >= 0) {
      source.wrong(nodes[i], wanted);
      continue;
    }
    const v4 = isV4(gateway.hi, gateway.lo);
    let second = false;
    for (let k = 0; k < settings.gateways.length; k++) {
      const other = parseAddress(settings.gateways[k]);
      if (isV4(other.hi, other.lo) == v4) second = true;
    }
    if (second) {
      source.fail(nodes[i], "only one gateway for each interface and version of IP in this version of the image");
      continue;
    }
    let reachable = false;
    let own = false;
    for (let k = 0; k < settings.addresses.length; k++) {
      const address = parseAddress(settings.addresses[k]);
      if (!address.ok || isV4(address.hi, address.lo) != v4) continue;
      if (isLinkLocal(gateway.hi, gateway.lo)) reachable = true;
      if (samePrefix(address.hi, address.lo, gateway.hi, gateway.lo, <u32>address.prefix)) reachable = true;
      if (address.hi == gateway.hi && address.lo == gateway.lo) own = true;
    }
    if (own) source.wrong(nodes[i], "another machine's address: it is this interface's own");
    else if (!reachable) source.wrong(nodes[i], "in the prefix of an address of this interface: it cannot be reached");
    else settings.gateways.push(text);
  }
}
