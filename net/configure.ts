// Bringing interfaces to what settings say, at the start and while they run: `address` ("10.0.0.2/24", "dhcp"), `gateway`,
// `mtu`. Each kind of setting has a function that puts it into effect and one that takes it back; a change is what differs
// between the settings before and after, so that connections over what stays are not touched.
//
// What is wrong comes back as a text for people; who reads the configuration adds where in the file it stands.
// clang: -Oz

import { coreNumber, Card, Errno, log, LogLevel } from "../runtime";
import { attachCard } from "./card";
import { DhcpClient } from "./dhcp/index";
import { InterfaceSettings } from "./interfaces";
import { formatAddress, isV4, parseAddress } from "./ip/address";
import { Slaac } from "./ip/slaac";
import { Interface } from "./link/interface";
import { Stack } from "./stack";

/** Sets an interface's MTU, bytes; 0: what its card has. Empty, or what is wrong. */
export function configureMtu(stack: Stack, iface: Interface, mtu: u32): string {
  const parent = iface.parent;
  const most = parent != null ? parent.mtu : iface.device.mtu;
  if (mtu == 0) mtu = max<u32>(most, 576);
  if (mtu < 576 || mtu > most) {
    return "mtu of " + iface.name + " must be from 576 to " + most.toString() + " bytes, what its card can do";
  }
  iface.mtu = mtu;
  stack.ip.changed();
  return "";
}

/**
 * Adds an address of the configuration: a CIDR, "dhcp", which starts a client, or "slaac".
 * @returns empty, or what is wrong and what to write instead
 */
export function configureAddress(iface: Interface, text: string): string {
  if (text == "dhcp") {
    if (iface.dhcp != null) return '"dhcp" stands there twice';
    new DhcpClient(iface).start();
    return "";
  }
  if (text == "slaac") {
    new Slaac(iface).start();
    return "";
  }
  const parsed = parseAddress(text);
  if (!parsed.ok)
    return '"' + text + '" is no address: write one with its prefix length, as "10.0.0.2/24", "dhcp" or "slaac"';
  if (parsed.prefix < 0)
    return (
      '"' +
      text +
      '" has no prefix length: write "' +
      text +
      (isV4(parsed.hi, parsed.lo) ? '/24"' : '/64"') +
      " or what your network has"
    );
  switch (iface.addAddress(parsed.hi, parsed.lo, <u32>parsed.prefix)) {
    case 0:
      return "";
    case Errno.EEXIST:
      return '"' + text + '" stands there twice';
    case Errno.ENOSPC:
      return iface.name + " has too many addresses: 64 at most";
    default:
      return (
        '"' +
        text +
        '" cannot be the address of an interface: it is the network itself, its broadcast address, or reserved'
      );
  }
}

/** Takes an address of the configuration back: a CIDR, "dhcp", whose lease is given back, or "slaac". */
export function removeAddress(iface: Interface, text: string): void {
  if (text == "dhcp") {
    const client = iface.dhcp;
    if (client != null) (client as DhcpClient).stop();
    iface.dhcp = null;
    return;
  }
  if (text == "slaac") {
    const v6 = iface.v6;
    if (v6 != null && v6.routers != null) (v6.routers as Slaac).stop();
    return;
  }
  const parsed = parseAddress(text);
  if (parsed.ok) iface.removeAddress(parsed.hi, parsed.lo);
}

/** Adds a default gateway, after the addresses. Empty, or what is wrong. */
export function configureGateway(iface: Interface, text: string): string {
  const parsed = parseAddress(text);
  if (!parsed.ok || parsed.prefix >= 0)
    return '"' + text + '" is no address: write a gateway without prefix length, as "10.0.0.1"';
  if (iface.addGateway(parsed.hi, parsed.lo) < 0) {
    return (
      "gateway " +
      formatAddress(parsed.hi, parsed.lo) +
      " cannot be reached: it is in no prefix of " +
      iface.describe() +
      " (or it is that address itself)"
    );
  }
  return "";
}

/** Takes a default gateway back. */
export function removeGateway(iface: Interface, text: string): void {
  const parsed = parseAddress(text);
  if (parsed.ok) iface.removeGateway(parsed.hi, parsed.lo);
}

/** Whether a running machine can be brought from one to the other: the same cards and VLANs by the same names. */
export function sameLinks(before: Array<InterfaceSettings>, after: Array<InterfaceSettings>): bool {
  if (before.length != after.length) return false;
  for (let i = 0; i < after.length; i++) {
    const old = find(before, after[i].name);
    if (old == null || !old.sameLink(after[i])) return false;
  }
  return true;
}

/** Brings the interfaces up on a stack: cards first, then the VLANs on them. */
export function startInterfaces(
  stack: Stack,
  cards: Array<Card>,
  settings: Array<InterfaceSettings>,
): Array<Interface> {
  for (let i = 0; i < settings.length; i++) {
    if (settings[i].vlan == 0) attachCard(stack, cards[settings[i].card], settings[i].name, settings[i].card);
  }
  for (let i = 0; i < settings.length; i++) {
    const parent = interfaceNamed(stack, settings[i].parent);
    if (parent != null) stack.attachVlan(parent, settings[i].vlan, settings[i].name);
  }
  // Addresses are core 0's business: the others get them from it (cores.ts).
  if (coreNumber() == 0) changeInterfaces(stack, [], settings);
  return stack.interfaces.slice(0);
}

/**
 * Puts what differs between two settings of the same links (`sameLinks`) into effect. They were accepted: what still
 * fails is logged. New addresses come before old ones go, routes through gateways after both.
 */
export function changeInterfaces(
  stack: Stack,
  before: Array<InterfaceSettings>,
  after: Array<InterfaceSettings>,
): void {
  for (let i = 0; i < after.length; i++) {
    const next = after[i];
    const iface = interfaceNamed(stack, next.name);
    if (iface == null) continue;
    const found = find(before, next.name);
    const old = found != null ? found : new InterfaceSettings(next.name, next.card);
    const router = stack.ip.router;
    if (next.advertises != old.advertises && router != null) router.advertise(iface, next.advertises);
    if (next.mtu != old.mtu) report(next, configureMtu(stack, iface, next.mtu));
    for (let k = 0; k < old.gateways.length; k++)
      if (!next.gateways.includes(old.gateways[k])) removeGateway(iface, old.gateways[k]);
    // An address whose prefix length alone changes must go before it can come.
    for (let k = 0; k < old.addresses.length; k++)
      if (!next.addresses.includes(old.addresses[k]) && samePlace(old.addresses[k], next.addresses))
        removeAddress(iface, old.addresses[k]);
    for (let k = 0; k < next.addresses.length; k++)
      if (!old.addresses.includes(next.addresses[k])) report(next, configureAddress(iface, next.addresses[k]));
    for (let k = 0; k < old.addresses.length; k++)
      if (!next.addresses.includes(old.addresses[k]) && !samePlace(old.addresses[k], next.addresses))
        removeAddress(iface, old.addresses[k]);
    for (let k = 0; k < next.gateways.length; k++)
      if (!old.gateways.includes(next.gateways[k])) report(next, configureGateway(iface, next.gateways[k]));
  }
}

/** The interface of that name, or null. */
export function interfaceNamed(stack: Stack, name: string): Interface | null {
  for (let i = 0; i < stack.interfaces.length; i++) if (stack.interfaces[i].name == name) return stack.interfaces[i];
  return null;
}

function find(settings: Array<InterfaceSettings>, name: string): InterfaceSettings | null {
  for (let i = 0; i < settings.length; i++) if (settings[i].name == name) return settings[i];
  return null;
}

/** Whether the address of a CIDR stands among others, with whatever prefix length. */
function samePlace(cidr: string, others: Array<string>): bool {
  const slash = cidr.indexOf("/");
  if (slash < 0) return false;
  for (let i = 0; i < others.length; i++) if (others[i].startsWith(cidr.substring(0, slash + 1))) return true;
  return false;
}

function report(settings: InterfaceSettings, mistake: string): void {
  if (mistake.length > 0) log(LogLevel.ERROR, settings.name + ": " + mistake);
}
