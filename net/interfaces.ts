// The part `interfaces` of a configuration: read and checked against the cards of the machine first, brought up later, when
// the whole configuration has been accepted.
//
//   "interfaces": { "eth0": { "address": ["10.0.0.2/24"], "gateway": "10.0.0.1" },
//                   "lan": { "match": { "mac": "52:54:00:00:00:02" }, "address": "dhcp", "mtu": 1400 } }
//
// `ethN` is the N-th card in the order in which the VMM was given them; any other name needs `match`. Without the part,
// every card asks for an address by DHCP.

import { Card, JsonKind, log, LogLevel, Section } from "../runtime";
import { attachCard } from "./card";
import { configureAddress, configureGateway, configureMtu } from "./configure";
import { formatAddress, isV4, ParsedAddress, parseAddress, samePrefix, v4Mask } from "./ip/address";
import { Interface } from "./link/interface";
import { Stack } from "./stack";
import { formatMac } from "./wire/ethernet";

/** Addresses of one interface. */
const MAX_ADDRESSES: i32 = 64;

/** What is to be done with one card. */
export class InterfaceSettings {
  addresses: Array<string> = [];
  gateways: Array<string> = [];
  mtu: u32 = 0;

  constructor(
    readonly name: string,
    /** Index of the card among `cards`; -1 when none fits. */
    readonly card: i32,
  ) {}
}

/** Reads `interfaces` of the root; what is wrong with it goes to the root's problems. */
export function readInterfaces(root: Section, cards: Array<Card>): Array<InterfaceSettings> {
  const settings = new Array<InterfaceSettings>();
  const node = root.get("interfaces");
  if (node == 0) {
    for (let i = 0; i < cards.length; i++) {
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
  // Addresses of all interfaces, to find one that stands twice.
  const seen = new Set<string>();
  for (let child = document.first(node); child != 0; child = document.next(child)) {
    const one = readInterface(new Section(root.source, child), document.key(child), cards, seen);
    for (let i = 0; i < settings.length; i++) {
      if (one.card >= 0 && settings[i].card == one.card)
        root.source.fail(child, 'is the same card as "' + settings[i].name + '"');
    }
    settings.push(one);
  }
  return settings;
}

function readInterface(section: Section, name: string, cards: Array<Card>, seen: Set<string>): InterfaceSettings {
  const settings = new InterfaceSettings(name, readCard(section, name, cards));
  settings.mtu = <u32>section.count("mtu", 0, 576, settings.card >= 0 ? cards[settings.card].mtu : 65535);
  if (section.has("address")) readAddresses(section, settings, seen);
  else settings.addresses.push("dhcp");
  readGateways(section, settings);
  section.notYet(["vlan", "routerAdvertisement"]);
  section.finish();
  return settings;
}

/** The card of an interface: by `match`, else by its name. */
function readCard(section: Section, name: string, cards: Array<Card>): i32 {
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
    let found = -1;
    for (let i = 0; i < cards.length; i++) {
      if (cards[i].mac != <u64>mac) continue;
      if (found >= 0) return fail(section, "two cards have the address " + text);
      found = i;
    }
    if (found < 0) section.source.fail(node, "no card has this address; " + cardList(cards));
    return found;
  }
  if (index < 0) return fail(section, 'needs "match", as its name is not eth0, eth1, ... of a card by number');
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

function readAddresses(section: Section, settings: InterfaceSettings, seen: Set<string>): void {
  const source = section.source;
  const wanted = 'an address with its prefix length, such as "10.0.0.2/24", or "dhcp"';
  const nodes = section.list("address");
  if (nodes.length > MAX_ADDRESSES) {
    source.fail(nodes[MAX_ADDRESSES], "an interface has at most " + MAX_ADDRESSES.toString() + " addresses");
    return;
  }
  for (let i = 0; i < nodes.length; i++) {
    const text = source.text(nodes[i], wanted);
    if (text == null) continue;
    if (text == "slaac" || text == "dhcpv6") {
      source.fail(nodes[i], '"' + text + '" is not in this version of the image');
      continue;
    }
    let key = settings.name + " " + text;
    if (text != "dhcp") {
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
      key = formatAddress(address.hi, address.lo);
    }
    if (seen.has(key)) source.wrong(nodes[i], "given once: it stands twice");
    seen.add(key);
    settings.addresses.push(text);
  }
}

/** What an address and prefix must be to be an interface's; empty when they are. */
function hostMistake(address: ParsedAddress): string {
  if (!isV4(address.hi, address.lo)) return "usable in this version of the image, which speaks IPv4 only";
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
    if (i > 0) {
      source.fail(nodes[i], "only one gateway for each interface in this version of the image");
      continue;
    }
    let reachable = false;
    let own = false;
    for (let k = 0; k < settings.addresses.length; k++) {
      const address = parseAddress(settings.addresses[k]);
      if (!address.ok) continue;
      if (samePrefix(address.hi, address.lo, gateway.hi, gateway.lo, <u32>address.prefix)) reachable = true;
      if (address.hi == gateway.hi && address.lo == gateway.lo) own = true;
    }
    if (own) source.wrong(nodes[i], "another machine's address: it is this interface's own");
    else if (!reachable) source.wrong(nodes[i], "in the prefix of an address of this interface: it cannot be reached");
    else settings.gateways.push(text);
  }
}

/** Brings the interfaces up on a stack. The settings were accepted: what still fails is logged. */
export function startInterfaces(
  stack: Stack,
  cards: Array<Card>,
  settings: Array<InterfaceSettings>,
): Array<Interface> {
  const interfaces = new Array<Interface>();
  for (let i = 0; i < settings.length; i++) {
    const one = settings[i];
    const iface = attachCard(stack, cards[one.card], one.name);
    interfaces.push(iface);
    if (one.mtu != 0) report(one, configureMtu(iface, one.mtu));
    for (let k = 0; k < one.addresses.length; k++) report(one, configureAddress(iface, one.addresses[k]));
    for (let k = 0; k < one.gateways.length; k++) report(one, configureGateway(iface, one.gateways[k]));
  }
  return interfaces;
}

function report(settings: InterfaceSettings, mistake: string): void {
  if (mistake.length > 0) log(LogLevel.ERROR, settings.name + ": " + mistake);
}
