// The section `management` of a configuration (CONFIG.md, Management): where the machine can be asked and changed, and by whom.
//
//   "management": { "listen": "10.0.0.1:9000", "interface": "lan", "allow": ["10.0.0.0/24"],
//                   "tokens": [ { "name": "ops", "role": "admin", "sha256": "..." } ] }
//
// Without the section nothing listens. Plain HTTP is taken only on one interface, from named prefixes that are not everybody.
// clang: -Oz

import { Section } from "../../runtime";
import { formatHost, isV4, NetworkSettings, ParsedAddress, parseAddress, samePrefix } from "../../net";

const MAX_TOKENS: i32 = 64;
const MAX_PREFIXES: i32 = 64;

/** What a token may do: ask (`/status`, `/metrics`, ...), or also read and change the configuration and capture packets. */
export const enum Role {
  NONE = 0,
  READ = 1,
  ADMIN = 2,
}

export class Token {
  constructor(
    readonly name: string,
    readonly role: Role,
    /** SHA-256 of the token, 32 bytes. */
    readonly digest: StaticArray<u8>,
  ) {}
}

/** Digests that stand in documentation, whose tokens everybody knows. */
const KNOWN_DIGESTS: StaticArray<string> = [
  "62c18e82f2889428f121e92961d7e35aa3f15a5321f18aec672b3dcd0d387f0d",
  "1317564adf842c9e71c944e5ab9ce061fd578bea0ded7dc722f0255ca9e98fb4",
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

export class ManagementSettings {
  /** False: the section is absent, and nothing listens. */
  enabled: bool = false;
  hi: u64 = 0;
  lo: u64 = 0;
  port: u32 = 0;
  /** Name of the interface from whose side it can be reached. */
  interface: string = "";
  allow: Array<ParsedAddress> = [];
  tokens: Array<Token> = [];

  /** Whether both listen at the same place. */
  samePlace(other: ManagementSettings): bool {
    return this.enabled == other.enabled && this.hi == other.hi && this.lo == other.lo && this.port == other.port;
  }

  allows(hi: u64, lo: u64): bool {
    for (let i = 0; i < this.allow.length; i++) {
      const prefix = this.allow[i];
      if (samePrefix(prefix.hi, prefix.lo, hi, lo, <u32>prefix.prefix)) return true;
    }
    return false;
  }
}

/** Reads `management` of the root, after the network; mistakes go to its problems. */
export function readManagement(root: Section, network: NetworkSettings): ManagementSettings {
  const settings = new ManagementSettings();
  const section = root.section("management");
  const listen = section.text("listen", "", LISTEN);
  settings.interface = section.text("interface", "", "the name of an interface");
  const allow = section.list("allow");
  for (let i = 0; i < min(allow.length, MAX_PREFIXES); i++) readPrefix(section, allow[i], settings);
  if (allow.length > MAX_PREFIXES) section.source.fail(allow[MAX_PREFIXES], "there are at most 64 prefixes");
  const tokens = section.list("tokens");
  for (let i = 0; i < min(tokens.length, MAX_TOKENS); i++) readToken(new Section(section.source, tokens[i]), settings);
  if (tokens.length > MAX_TOKENS) section.source.fail(tokens[MAX_TOKENS], "there are at most 64 tokens");
  section.finish();
  if (section.node == 0) return settings;
  settings.enabled = true;
  if (listen.length > 0) readListen(section, listen, settings, network);
  else if (!section.has("listen")) section.source.fail(section.node, 'needs "listen": ' + LISTEN);
  if (!section.has("interface")) section.source.fail(section.node, 'needs "interface", from whose side it is reached');
  else if (settings.interface.length > 0 && !isInterface(settings.interface, network))
    section.source.wrong(section.get("interface"), "an interface of this configuration");
  if (allow.length == 0) section.source.fail(section.node, 'needs "allow": prefixes such as "10.0.0.0/24"');
  if (tokens.length == 0) section.source.fail(section.node, 'needs "tokens": without one nobody could ask anything');
  return settings;
}

const LISTEN = 'an address of the machine and a port, such as "10.0.0.1:9000"';

function readListen(section: Section, text: string, settings: ManagementSettings, network: NetworkSettings): void {
  const node = section.get("listen");
  const colon = text.lastIndexOf(":");
  let host = text.substring(0, max(colon, 0));
  const bracketed = host.startsWith("[") && host.endsWith("]");
  if (bracketed) host = host.substring(1, host.length - 1);
  const address = parseAddress(host);
  const port = parsePort(text.substring(colon + 1));
  if (colon <= 0 || !address.ok || address.prefix >= 0 || port == 0 || bracketed != host.includes(":")) {
    section.source.wrong(node, LISTEN);
    return;
  }
  settings.hi = address.hi;
  settings.lo = address.lo;
  settings.port = port;
  const iface = network.interfaceNamed(settings.interface);
  if (iface == null) return;
  let fixed = true;
  for (let i = 0; i < iface.addresses.length; i++) {
    const own = parseAddress(iface.addresses[i]);
    if (!own.ok)
      fixed = false; // what DHCP or SLAAC will give is not known yet
    else if (own.hi == address.hi && own.lo == address.lo) return;
  }
  if (fixed)
    section.source.wrong(node, 'at an address of "' + iface.name + '", the interface from whose side it is reached');
}

/** A port in decimal without leading zeros; 0 for anything else. */
function parsePort(text: string): u32 {
  if (text.length == 0 || text.length > 5 || text.charCodeAt(0) == 0x30) return 0;
  let port: u32 = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = <u32>text.charCodeAt(i) - 0x30;
    if (digit > 9) return 0;
    port = port * 10 + digit;
  }
  return port > 65535 ? 0 : port;
}

function isInterface(name: string, network: NetworkSettings): bool {
  // Without `interfaces` the cards have numbers; how many there are only the machine knows.
  return network.interfaceNamed(name) != null || (network.interfaces.length == 0 && name.startsWith("eth"));
}

function readPrefix(section: Section, node: u32, settings: ManagementSettings): void {
  const wanted = 'a prefix or an address, such as "10.0.0.0/24"';
  const text = section.source.text(node, wanted);
  if (text == null) return;
  const prefix = parseAddress(text);
  if (!prefix.ok) {
    section.source.wrong(node, wanted);
    return;
  }
  if (prefix.prefix < 0) prefix.prefix = 128;
  // Half of all addresses is everybody too.
  if (prefix.prefix - (isV4(prefix.hi, prefix.lo) ? 96 : 0) < 4) {
    section.source.wrong(node, "a prefix of those who manage the machine: it is almost everybody");
    return;
  }
  settings.allow.push(prefix);
}

function readToken(section: Section, settings: ManagementSettings): void {
  const source = section.source;
  const name = section.text("name", "", "a text");
  const role = <Role>(section.choice("role", ["read", "admin"], 0) + 1);
  const hex = section.text("sha256", "", DIGEST).toLowerCase();
  section.finish();
  if (section.node == 0 || !section.document.isObject(section.node)) return;
  if (name.length == 0 || name.length > 64) source.fail(at(section, "name"), 'needs "name": 1 to 64 characters');
  for (let i = 0; i < settings.tokens.length; i++)
    if (settings.tokens[i].name == name) source.wrong(section.get("name"), "given once: another token has it");
  if (!section.has("role")) source.fail(section.node, 'needs "role": "read" or "admin"');
  const digest = parseDigest(hex);
  if (digest == null) {
    if (section.has("sha256")) source.wrong(section.get("sha256"), DIGEST);
    else source.fail(section.node, 'needs "sha256": ' + DIGEST);
    return;
  }
  if (KNOWN_DIGESTS.includes(hex)) {
    source.wrong(section.get("sha256"), "secret: it stands in the documentation. Make one with: openssl rand -hex 32");
    return;
  }
  settings.tokens.push(new Token(name, role, digest));
}

const DIGEST = "the SHA-256 of a token as 64 hexadecimal digits";

function at(section: Section, key: string): u32 {
  return section.has(key) ? section.get(key) : section.node;
}

function parseDigest(hex: string): StaticArray<u8> | null {
  if (hex.length != 64) return null;
  const digest = new StaticArray<u8>(32);
  for (let i = 0; i < 64; i++) {
    const c = hex.charCodeAt(i);
    const digit = c - 0x30 < 10 && c >= 0x30 ? c - 0x30 : c >= 0x61 && c <= 0x66 ? c - 0x57 : -1;
    if (digit < 0) return null;
    digest[i >> 1] = <u8>(((<u32>digest[i >> 1]) << 4) | digit);
  }
  return digest;
}

/** Where it listens, for messages. */
export function placeOf(settings: ManagementSettings): string {
  return formatHost(settings.hi, settings.lo) + ":" + settings.port.toString();
}
