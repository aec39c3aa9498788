// `heddle explain`: what a configuration does with a packet that is described in words, and which rules can never decide. It
// runs where there is no machine: on a stack whose cards go nowhere.
//
//   tcp 10.0.0.5:1234 -> 1.2.3.4:443 in lan         udp [2001:db8::5]:53 -> [2001:db8:1::1]:53 in wan
//   icmp 10.0.0.5 -> 1.2.3.4 type 8 in lan          gre 10.0.0.5 -> 1.2.3.4 in lan         ... in self

import { closest, Packet, quote } from "../../runtime";
import { changeRoutes, interfaceNamed, isV4, NetDevice, parseAddress, Stack, Limits } from "../../net";
import {
  compilePolicy,
  Firewall,
  FirewallSettings,
  Key,
  newKey,
  NO_RULE,
  shadowedBy,
  tracePacket,
} from "../../net/filter";
import { FirewallConfiguration } from "./configuration";
import { parsePort, protocolNumber } from "./names";

const TCP: u32 = 6;
const UDP: u32 = 17;
const ICMP: u32 = 1;
const ICMP6: u32 = 58;

/** A card that goes nowhere. */
class NoCard extends NetDevice {
  transmit(p: Packet): void {
    p.free();
  }
  flush(): void {}
}

/** A stack as the configuration describes it, but for addresses that only DHCP will tell. */
function buildStack(configuration: FirewallConfiguration): Stack {
  const stack = new Stack(1, 1, 2, new Limits());
  for (let pass = 0; pass < 2; pass++) {
    for (let i = 0; i < configuration.interfaces.length; i++) {
      const one = configuration.network.interfaceNamed(configuration.interfaces[i])!;
      if ((one.vlan != 0) != (pass == 1)) continue;
      const parent = pass == 1 ? interfaceNamed(stack, one.parent) : null;
      const iface =
        parent != null ? stack.attachVlan(parent, one.vlan, one.name) : stack.attach(new NoCard(), one.name);
      for (let k = 0; k < one.addresses.length; k++) {
        const address = parseAddress(one.addresses[k]);
        if (address.ok && address.prefix >= 0) iface.addAddress(address.hi, address.lo, <u32>address.prefix);
      }
      for (let k = 0; k < one.gateways.length; k++) {
        const gateway = parseAddress(one.gateways[k]);
        if (gateway.ok) iface.addGateway(gateway.hi, gateway.lo);
      }
    }
  }
  changeRoutes(stack, [], configuration.network.routes);
  return stack;
}

/** The steps of a packet described in words, a line each; what is wrong with the words begins with "?". */
export function explain(configuration: FirewallConfiguration, question: string): string {
  const stack = buildStack(configuration);
  // The tables of a desk need no room for the flows of a network.
  const settings = configuration.firewall;
  settings.state.maxEntries = 256;
  const firewall = new Firewall(stack, settings);
  const key = newKey();
  const words = question.split(" ").filter((word) => word.length > 0);
  const arrow = words.indexOf("->");
  const inside = words.indexOf("in");
  if (arrow != 2 || words.length < 6 || inside < 4 || inside != words.length - 2)
    return '? say it as "tcp 10.0.0.5:1234 -> 1.2.3.4:443 in lan" or "icmp 10.0.0.5 -> 1.2.3.4 type 8 in lan"';
  const protocol = protocolNumber(words[0]);
  if (protocol < 0) return "? " + quote(words[0]) + " is no protocol";
  key.protocol = <u32>protocol;
  key.tag = key.protocol;
  const ported = key.protocol == TCP || key.protocol == UDP;
  if (!readEnd(key, words[1], false, ported)) return "? " + quote(words[1]) + endText(ported);
  if (!readEnd(key, words[3], true, ported)) return "? " + quote(words[3]) + endText(ported);
  if (isV4(key.srcHi, key.srcLo) != isV4(key.dstHi, key.dstLo))
    return "? source and destination are of different versions of IP";
  key.v6 = !isV4(key.srcHi, key.srcLo);
  // A connection begins with a SYN; a ping with a request.
  key.flags = key.protocol == TCP ? 2 : 0;
  if (ported) key.selector = key.dstPort;
  else if (key.protocol == ICMP || key.protocol == ICMP6) {
    let type: u32 = key.protocol == ICMP ? 8 : 128;
    if (inside == 6 && words[4] == "type") type = words[5] == "0" ? 0 : parsePort(words[5]);
    else if (inside != 4) return '? what stands before "in" is not "type NUMBER"';
    key.selector = (<u64>type) << 8;
  } else key.selector = key.protocol;
  const name = words[inside + 1];
  let from = configuration.interfaces.indexOf(name);
  if (name == "self") from = configuration.interfaces.length;
  if (from < 0) {
    const meant = closest(name, configuration.interfaces);
    return (
      "? " +
      quote(name) +
      " is no interface of this configuration" +
      (meant.length > 0 ? "; did you mean " + quote(meant) + "?" : "")
    );
  }
  return tracePacket(stack, firewall, key, from).join("\n");
}

function endText(ported: bool): string {
  return ported ? ' is no address with a port, such as "10.0.0.5:1234" or "[2001:db8::5]:1234"' : " is no address";
}

// "10.0.0.5:1234", "[2001:db8::5]:1234"; without ports an address.
function readEnd(key: Key, text: string, destination: bool, ported: bool): bool {
  let host = text;
  let port: u32 = 0;
  if (ported) {
    const colon = text.lastIndexOf(":");
    if (colon < 0) return false;
    host = text.substring(0, colon);
    port = parsePort(text.substring(colon + 1));
    const bracketed = host.startsWith("[") && host.endsWith("]");
    if (bracketed) host = host.substring(1, host.length - 1);
    if (port == 0 || bracketed != host.includes(":")) return false;
  }
  const address = parseAddress(host);
  if (!address.ok || address.prefix >= 0) return false;
  if (destination) {
    key.dstHi = address.hi;
    key.dstLo = address.lo;
    key.dstPort = port;
  } else {
    key.srcHi = address.hi;
    key.srcLo = address.lo;
    key.srcPort = port;
  }
  return true;
}

/** Rules that can never decide, as an earlier one covers them: a line each. */
export function warnings(settings: FirewallSettings, interfaces: i32): string {
  const rules = settings.rules;
  const policy = compilePolicy(rules, interfaces);
  const lines = new Array<string>();
  for (let i = 1; i < rules.length; i++) {
    const earlier = shadowedBy(policy, rules, i);
    if (earlier == NO_RULE) continue;
    const more = rules[earlier].action == rules[i].action ? ", which does the same" : ", which does otherwise";
    lines.push(
      "/firewall/rules/" +
        i.toString() +
        ": " +
        named(rules[i].name, i) +
        " never decides: all that it matches is matched by " +
        named(rules[earlier].name, earlier) +
        " before it" +
        more,
    );
  }
  return lines.join("\n");
}

function named(name: string, index: i32): string {
  return name.length > 0 ? "rule " + quote(name) : "rule " + (index + 1).toString();
}
