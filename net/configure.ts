// Bringing an interface up from plain settings, as the configuration has them: `address` ("10.0.0.2/24", "dhcp"),
// `gateway`, `mtu`. What is
// wrong comes back as a text for people; who reads the configuration adds where in the file it stands.

import { DhcpClient } from "./dhcp/index";
import { formatAddress, isV4, parseAddress } from "./ip/address";
import { Interface } from "./link/interface";
import { Errno } from "../runtime";

/** Sets an interface's MTU, bytes. Empty, or what is wrong. */
export function configureMtu(iface: Interface, mtu: u32): string {
  if (mtu < 576 || mtu > iface.device.mtu) {
    return (
      "mtu of " + iface.name + " must be from 576 to " + iface.device.mtu.toString() + " bytes, what its card can do"
    );
  }
  iface.mtu = mtu;
  return "";
}

/**
 * Adds an address of the configuration: a CIDR, or "dhcp", which starts a client.
 * @returns empty, or what is wrong and what to write instead
 */
export function configureAddress(iface: Interface, text: string): string {
  if (text == "dhcp") {
    if (iface.dhcp != null) return '"dhcp" stands there twice';
    new DhcpClient(iface).start();
    return "";
  }
  const parsed = parseAddress(text);
  if (!parsed.ok) return '"' + text + '" is no address: write one with its prefix length, as "10.0.0.2/24", or "dhcp"';
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
