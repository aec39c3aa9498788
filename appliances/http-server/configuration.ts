// The section `httpServer` (CONFIG.md, HTTP server): listen, sites, limits, time-outs, access log. Roots are resolved in
// the bundles while reading, so that a missing one is an error with a place.
// clang: -Oz

import { Bundles, Card, Configuration, Section } from "../../runtime";
import { AccessFormat, AccessLog, HttpOptions, Site, Sites } from "../../net/http";
import { parseAddress } from "../../net";
import { ClientAuth, readClientAuth, readTls, TlsSettings } from "../../net/tls";
import { CommonSettings, readCommon } from "../management";
import { readHost } from "./host";
import { readPolicy } from "./policy";
import { buildSite, MediaTypes } from "./site";

/** Folder of the files in a bundle that are served when nothing else is said. */
const DEFAULT_ROOT = "www";
const DEFAULT_PORT: u16 = 80;

/** HTTPS on a port. */
export class ListenTls {
  /** The names of its certificates; none: HTTP. */
  certificates: Array<string> = [];
  /** Seconds for which clients are told to use nothing but HTTPS; 0: they are told nothing. */
  hsts_s: i64 = 0;
  clients: ClientAuth = new ClientAuth();
}

export class Listen {
  constructor(
    /** Address as a pair; unspecified: all of the machine. */
    readonly hi: u64,
    readonly lo: u64,
    readonly port: u16,
    readonly tls: ListenTls = new ListenTls(),
  ) {}
}

export class HttpServerConfiguration {
  listen: Array<Listen> = [];
  sites: Sites = new Sites();
  options: HttpOptions = new HttpOptions();
}

/** The whole configuration of the appliance. */
export class HttpServerSettings {
  constructor(
    readonly common: CommonSettings,
    readonly http: HttpServerConfiguration,
    readonly tls: TlsSettings,
    /** The text of `httpServer` and `tls`: whether they have changed. */
    readonly httpText: string,
    readonly tlsText: string,
  ) {}
}

/**
 * Reads a whole configuration; what is wrong goes to its problems, and it may be used only when there are none. The image
 * and `heddle check` call this same function.
 * @param cards the machine's cards, or null where there is no machine
 */
export function readConfiguration(
  configuration: Configuration,
  bundles: Bundles,
  cards: Array<Card> | null,
): HttpServerSettings {
  const root = configuration.root;
  const common = readCommon(configuration, cards);
  const tls = readTlsSection(root, bundles);
  const http = readHttpServer(root.section("httpServer"), bundles, tls);
  root.notYet(["loadBalancer", "firewall"]);
  root.finish();
  const document = configuration.document;
  const httpText = document.source(root.get("httpServer"));
  return new HttpServerSettings(common, http, tls, httpText, document.source(root.get("tls")));
}

function readTlsSection(root: Section, bundles: Bundles): TlsSettings {
  const node = root.get("tls");
  // The toolchain defines it for the image with TLS.
  if (isDefined(HEDDLE_TLS)) return readTls(root.section("tls"), bundles);
  if (node != 0) root.source.fail(node, "this image has no TLS: use http-server-tls");
  return new TlsSettings();
}

/** Reads the section; one that is absent gives port 80 and the folder www of the bundles. */
export function readHttpServer(section: Section, bundles: Bundles, tls: TlsSettings): HttpServerConfiguration {
  const configuration = new HttpServerConfiguration();
  readListen(section, configuration.listen, tls, bundles);
  readSites(section, bundles, configuration);
  readLimits(section.section("limits"), configuration.options);
  const timeouts = section.section("timeouts");
  configuration.options.headerTimeout_ns = timeouts.duration("header", "10s", "100ms", "1h");
  configuration.options.bodyTimeout_ns = timeouts.duration("body", "30s", "100ms", "1h");
  configuration.options.idleTimeout_ns = timeouts.duration("idle", "60s", "100ms", "1h");
  timeouts.finish();
  if (section.has("accessLog")) configuration.options.access = readAccessLog(section.section("accessLog"));
  section.finish();
  return configuration;
}

function readAccessLog(section: Section): AccessLog {
  const format = <AccessFormat>section.choice("format", ["common", "combined", "json"], AccessFormat.COMBINED);
  const nodes = section.list("to");
  let console = false;
  for (let i = 0; i < nodes.length; i++) {
    const wanted = '"ring" or "console"';
    const text = section.source.text(nodes[i], wanted);
    if (text == "console") console = true;
    else if (text == "syslog") section.source.fail(nodes[i], '"syslog" is not in this version of the image');
    else if (text != null && text != "ring") section.source.wrong(nodes[i], wanted);
  }
  section.finish();
  return new AccessLog(format, console);
}

function readLimits(section: Section, options: HttpOptions): void {
  options.head.bytes = <u32>section.size("headerBytes", "16KiB", "1KiB", "64KiB");
  options.head.targetBytes = options.head.bytes / 2;
  options.head.fields = <u32>section.count("headers", 100, 1, 1000);
  options.bodyBytes = <u64>section.size("bodyBytes", "1MiB", "0B", "1GiB");
  options.connections = <u32>section.count("connections", 20000, 1, 1000000);
  if (section.has("perSource")) options.perSource = <u32>section.count("perSource", 256, 1, 1000000);
  section.finish();
}

// ---- listen

function readListen(section: Section, listen: Array<Listen>, tls: TlsSettings, bundles: Bundles): void {
  if (!section.has("listen")) {
    section.get("listen");
    listen.push(new Listen(0, 0, DEFAULT_PORT));
    return;
  }
  const nodes = section.list("listen");
  if (nodes.length == 0) section.source.fail(section.get("listen"), "needs at least one port");
  if (nodes.length > 64) section.source.fail(section.get("listen"), "has more than 64 elements");
  for (let i = 0; i < min(nodes.length, 64); i++) {
    const one = readOneListen(section, nodes[i], tls, bundles);
    if (one == null) continue;
    for (let k = 0; k < listen.length; k++) {
      const other = listen[k];
      const same = other.hi == one.hi && other.lo == one.lo;
      const covers = (other.hi | other.lo) == 0 || (one.hi | one.lo) == 0;
      if (other.port == one.port && (same || covers)) {
        section.source.wrong(
          nodes[i],
          "free: listen element " + (k + 1).toString() + " has this address and port already",
        );
        break;
      }
    }
    listen.push(one);
  }
}

const LISTEN = 'a port (1 to 65535) or "address:port"';

function readOneListen(section: Section, node: u32, tls: TlsSettings, bundles: Bundles): Listen | null {
  const source = section.source;
  const document = section.document;
  if (document.isNumber(node)) {
    const port = source.integer(node, 1, 65535, LISTEN);
    return port < 0 ? null : new Listen(0, 0, <u16>port);
  }
  if (document.isObject(node)) {
    const object = new Section(source, node);
    const port = object.count("port", 0, 1, 65535);
    if (!object.has("port")) source.fail(node, 'needs "port"');
    let hi: u64 = 0;
    let lo: u64 = 0;
    const at = object.get("address");
    if (at != 0) {
      const text = object.text("address", "", "an address");
      const address = parseAddress(text);
      if (!address.ok || address.prefix >= 0) source.wrong(at, 'an address such as "10.0.0.1"');
      hi = address.hi;
      lo = address.lo;
    }
    const listenTls = object.has("tls") ? readListenTls(object.section("tls"), tls, bundles) : new ListenTls();
    object.finish();
    return port == 0 ? null : new Listen(hi, lo, <u16>port, listenTls);
  }
  const text = source.text(node, LISTEN);
  if (text == null) return null;
  const colon = text.lastIndexOf(":");
  if (colon > 0) {
    let host = text.substring(0, colon);
    const bracketed = host.startsWith("[") && host.endsWith("]");
    if (bracketed) host = host.substring(1, host.length - 1);
    const address = parseAddress(host);
    const port = parsePort(text.substring(colon + 1));
    if (address.ok && address.prefix < 0 && port > 0 && bracketed == host.includes(":")) {
      return new Listen(address.hi, address.lo, <u16>port);
    }
  }
  source.wrong(node, LISTEN);
  return null;
}

function readListenTls(section: Section, tls: TlsSettings, bundles: Bundles): ListenTls {
  const source = section.source;
  const listen = new ListenTls();
  if (!isDefined(HEDDLE_TLS)) {
    source.fail(section.node, "this image has no TLS: use http-server-tls");
    return listen;
  }
  const nodes = section.list("certificates");
  for (let i = 0; i < nodes.length; i++) {
    const name = source.text(nodes[i], "the name of a certificate");
    if (name == null) continue;
    if (tls.find(name) == null) source.wrong(nodes[i], "the name of a certificate below tls.certificates");
    else listen.certificates.push(name);
  }
  if (nodes.length == 0) {
    const at = section.get("certificates");
    source.fail(at != 0 ? at : section.node, 'needs "certificates": names of certificates below tls.certificates');
  }
  if (section.has("hsts")) listen.hsts_s = section.duration("hsts", "0s", "0s", "3650d") / 1_000_000_000;
  listen.clients = readClientAuth(section, bundles);
  section.finish();
  return listen;
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

// ---- sites

function readSites(section: Section, bundles: Bundles, configuration: HttpServerConfiguration): void {
  const types = new MediaTypes(bundles);
  const sites = configuration.sites;
  const index = ["index.html"];
  if (!section.has("sites")) {
    section.get("sites");
    const site = buildSite(bundles, types, DEFAULT_ROOT, index, false);
    if (site == null)
      section.source.problems.add(0, "", 'the bundle has no files under "' + DEFAULT_ROOT + '/" to serve');
    else sites.add("*", site);
    return;
  }
  const hosts = new Set<string>();
  const nodes = section.list("sites");
  if (nodes.length == 0) section.source.fail(section.get("sites"), "needs at least one site");
  for (let i = 0; i < nodes.length; i++)
    readSite(new Section(section.source, nodes[i]), bundles, types, hosts, configuration);
}

function readSite(
  section: Section,
  bundles: Bundles,
  types: MediaTypes,
  hosts: Set<string>,
  configuration: HttpServerConfiguration,
): void {
  const source = section.source;
  const root = section.text("root", DEFAULT_ROOT, "a folder in the bundle");
  const index = new Array<string>();
  const indexNodes = section.list("index");
  for (let i = 0; i < indexNodes.length; i++) {
    const name = source.text(indexNodes[i], "a file name");
    if (name == null) continue;
    if (name.length == 0 || name.includes("/")) source.wrong(indexNodes[i], "a file name without a slash");
    else index.push(name);
  }
  if (!section.has("index")) index.push("index.html");
  const listing = section.flag("listing", false);
  const site = root.length > 0 ? buildSite(bundles, types, root, index, listing) : null;
  if (site == null) {
    const node = section.get("root");
    source.fail(node == 0 ? section.node : node, 'the bundle has no files under "' + root + '/"');
  }
  addHosts(section, site, hosts, configuration.sites);
  readPolicy(section, site, types, configuration.options);
  section.finish();
}

function addHosts(section: Section, site: Site | null, hosts: Set<string>, sites: Sites): void {
  const names = new Array<string>();
  const node = section.get("host");
  if (node == 0) names.push("*");
  const nodes = node == 0 ? new Array<u32>() : section.source.list(node);
  for (let i = 0; i < nodes.length; i++) {
    const name = readHost(section.source, nodes[i]);
    if (name.length > 0) names.push(name);
  }
  for (let i = 0; i < names.length; i++) {
    if (hosts.has(names[i]))
      section.source.fail(node == 0 ? section.node : node, 'another site answers for "' + names[i] + '" already');
    hosts.add(names[i]);
    if (site != null) sites.add(names[i], site);
  }
}
