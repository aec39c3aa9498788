// The part `dns` of a configuration: which name servers `resolve` asks, and where it looks for names without a dot.
//
//   "dns": { "servers": ["9.9.9.9", "2620:fe::fe"], "search": ["example.org"] }
//
// Without servers, those that DHCP and router advertisements tell of are asked.
//
// clang: -Oz

import { Section } from "../runtime";
import { isMulticast, isUnspecified, parseAddress } from "./ip/address";
import { NetworkPart } from "./network";
import { configureNames, NameSettings } from "./socket/resolve";
import { Stack } from "./stack";
import { isDnsName } from "./wire/dns";

const MAX_SERVERS: i32 = 8;
const MAX_SEARCH: i32 = 6;

/** Reads `dns` of the root; mistakes go to the root's problems. */
export function readNames(root: Section): NameSettings {
  const names = new NameSettings();
  const section = root.section("dns");
  const servers = section.list("servers");
  for (let i = 0; i < servers.length; i++) {
    const wanted = 'the address of a name server, such as "9.9.9.9"';
    if (i == MAX_SERVERS) section.source.fail(servers[i], "there are at most " + MAX_SERVERS.toString() + " servers");
    const text = section.source.text(servers[i], wanted);
    if (text == null || i >= MAX_SERVERS) continue;
    const server = parseAddress(text);
    if (!server.ok || server.prefix >= 0 || isMulticast(server.hi, server.lo) || isUnspecified(server.hi, server.lo)) {
      section.source.wrong(servers[i], wanted);
      continue;
    }
    names.servers.push(server.hi);
    names.servers.push(server.lo);
  }
  const search = section.list("search");
  for (let i = 0; i < search.length; i++) {
    const wanted = 'a domain, such as "example.org"';
    if (i == MAX_SEARCH) section.source.fail(search[i], "there are at most " + MAX_SEARCH.toString() + " domains");
    const text = section.source.text(search[i], wanted);
    if (text == null || i >= MAX_SEARCH) continue;
    if (isDnsName(text) && !text.endsWith(".")) names.search.push(text.toLowerCase());
    else section.source.wrong(search[i], wanted);
  }
  section.finish();
  return names;
}

/** The key `dns` for a service. */
export class Names extends NetworkPart {
  private names: NameSettings = new NameSettings();

  read(root: Section): void {
    this.names = readNames(root);
  }

  start(stack: Stack): void {
    configureNames(this.names);
  }
}
