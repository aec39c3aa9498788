// The host of a site: a name, an address, "*.name", or "*".

import { isHostname, ConfigSource } from "../../runtime";
import { parseAddress } from "../../net";

/** Reads a host in lower case; empty, and a mistake, when it is none. */
export function readHost(source: ConfigSource, node: u32): string {
  const wanted = 'a host name, "*.name" or "*"';
  const text = source.text(node, wanted);
  if (text == null) return "";
  const name = text.toLowerCase();
  if (name == "*" || isHostname(name.startsWith("*.") ? name.substring(2) : name)) return name;
  const v6 = name.startsWith("[") && name.endsWith("]");
  const address = parseAddress(v6 ? name.substring(1, name.length - 1) : name);
  if (address.ok && address.prefix < 0 && v6 == name.includes(":")) return name;
  source.wrong(node, wanted);
  return "";
}
