// The keys of a site that say what it does besides giving files (CONFIG.md, HTTP server).
// clang: -Oz

import { INVALID, parseRate, Section } from "../../runtime";
import {
  BasicAuth,
  Cors,
  HttpOptions,
  pageResource,
  parseUser,
  PathRule,
  RateLimit,
  Site,
  SitePolicy,
} from "../../net/http";
import { isValue, MediaTypes } from "./site";

/** Fields that the server itself decides about. */
const OWN_FIELDS = [
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "date",
  "etag",
  "keep-alive",
  "location",
  "server",
  "transfer-encoding",
  "upgrade",
  "vary",
  "www-authenticate",
];
/** Of all fields of a site; they are in every response. */
const FIELDS_CHARACTERS: i32 = 4096;
/** The hash of CONFIG.md's example: whoever copied it has a password that everybody knows. */
const EXAMPLE_HASH = "dMtBKlcJGwonHkpFjLoFenaUMlA8Kx+dHeMttzYC+cg=";
const PATH = 'a path such as "/old" or "/old/*"';

/** Reads the keys into the site; null keeps reading for the mistakes. */
export function readPolicy(section: Section, site: Site | null, types: MediaTypes, options: HttpOptions): void {
  const policy = new SitePolicy();
  policy.httpsRedirect = section.flag("httpsRedirect", false);
  readFallback(section, site, policy);
  readPages(section.section("errorPages"), site, types, policy);
  readFields(section.section("headers"), policy);
  readRules(section, "redirects", policy.redirects);
  readRules(section, "rewrites", policy.rewrites);
  if (section.has("cors")) policy.cors = readCors(section.section("cors"));
  const auths = section.list("basicAuth");
  for (let i = 0; i < auths.length; i++) readAuth(new Section(section.source, auths[i]), policy);
  if (section.has("limit")) policy.limit = readLimit(section.section("limit"), options);
  if (site != null && hasPolicy(section)) site.policy = policy;
}

/** A site without such keys pays nothing for them. */
function hasPolicy(section: Section): bool {
  const keys = ["httpsRedirect", "spaFallback", "errorPages", "headers", "redirects", "rewrites", "cors", "basicAuth"];
  keys.push("limit");
  for (let i = 0; i < keys.length; i++) if (section.has(keys[i])) return true;
  return false;
}

function readFallback(section: Section, site: Site | null, policy: SitePolicy): void {
  const node = section.get("spaFallback");
  if (node == 0) return;
  const path = section.source.text(node, "the path of a file of the site");
  if (path == null || site == null) return;
  policy.fallback = site.get(path);
  if (policy.fallback == null) section.source.wrong(node, "the path of a file of the site");
}

function readPages(section: Section, site: Site | null, types: MediaTypes, policy: SitePolicy): void {
  const document = section.document;
  for (let node = document.first(section.node); node != 0; node = document.next(node)) {
    const key = document.key(node);
    if (key == "description") continue;
    section.get(key);
    const status = key.length == 3 ? <i32>parseInt(key) : 0;
    if (!(status >= 400 && status <= 599)) section.source.fail(node, '"' + key + '" is no status from 400 to 599');
    const path = section.source.text(node, "the path of a file of the site");
    if (path == null || site == null) continue;
    const file = site.get(path);
    if (file == null) section.source.wrong(node, "the path of a file of the site");
    else if (status > 0)
      policy.addPage(status, pageResource(status, types.of(path.endsWith("/") ? "x.html" : path), file));
  }
  section.finish();
}

function isToken(text: string): bool {
  if (text.length == 0) return false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    const alphanumeric = (c >= 0x30 && c <= 0x39) || ((c | 0x20) >= 0x61 && (c | 0x20) <= 0x7a);
    if (!alphanumeric && !"!#$%&'*+-.^_`|~".includes(String.fromCharCode(c))) return false;
  }
  return true;
}

function readFields(section: Section, policy: SitePolicy): void {
  const document = section.document;
  let characters = 0;
  for (let node = document.first(section.node); node != 0; node = document.next(node)) {
    const name = document.key(node);
    if (name == "description") continue;
    section.get(name);
    const value = section.source.text(node, "a text");
    if (!isToken(name)) section.source.fail(node, '"' + name + '" is no field name (RFC 9110, 5.1)');
    else if (OWN_FIELDS.includes(name.toLowerCase())) section.source.fail(node, name + " is set by the server itself");
    else if (value != null && !isValue(value)) section.source.wrong(node, "printable ASCII");
    else if (value != null) {
      characters += name.length + value.length + 4;
      if (characters > FIELDS_CHARACTERS)
        section.source.fail(node, "the fields are more than 4096 characters together");
      else policy.addField(name, value);
    }
  }
  section.finish();
}

/** A pattern of normalised paths: absolute, without dot segments, the star only at its end. */
function isPattern(text: string): bool {
  if (!text.startsWith("/") || text.includes("//") || text.includes("?")) return false;
  const star = text.indexOf("*");
  if (star >= 0 && star != text.length - 1) return false;
  return !text.includes("/./") && !text.includes("/../") && !text.endsWith("/.") && !text.endsWith("/..");
}

function readRules(section: Section, key: string, rules: Array<PathRule>): void {
  const isRedirect = key == "redirects";
  const nodes = section.list(key);
  if (nodes.length > 1000) section.source.fail(section.get(key), "has more than 1000 elements");
  for (let i = 0; i < min(nodes.length, 1000); i++) {
    const rule = new Section(section.source, nodes[i]);
    const from = rule.text("from", "", PATH);
    const to = rule.text("to", "", PATH);
    let status = 0;
    if (isRedirect) {
      const statuses = ["301", "302", "303", "307", "308"];
      const node = rule.get("status");
      status = node == 0 ? 301 : <i32>section.source.integer(node, 301, 308, "301, 302, 303, 307 or 308");
      if (status > 0 && !statuses.includes(status.toString())) section.source.wrong(node, "301, 302, 303, 307 or 308");
    }
    rule.finish();
    const absolute = isRedirect && (to.startsWith("http://") || to.startsWith("https://"));
    const star = to.indexOf("*");
    if (!rule.has("from")) section.source.fail(nodes[i], 'needs "from"');
    else if (!isPattern(from)) section.source.wrong(rule.get("from"), PATH);
    if (!rule.has("to")) section.source.fail(nodes[i], 'needs "to"');
    else if (!isValue(to) || to.includes(" ") || to.length > 1024 || !(absolute || isTarget(to, isRedirect)))
      section.source.wrong(rule.get("to"), isRedirect ? 'a path or a URL such as "https://example.org/*"' : PATH);
    else if (star >= 0 && (star != to.length - 1 || !from.endsWith("*")))
      section.source.fail(rule.get("to"), 'a star stands only at the end, and only when "from" ends in one');
    else rules.push(new PathRule(from, to, status));
  }
}

/** What a rule may lead to: a path; "//host" would be another machine's. */
function isTarget(to: string, isRedirect: bool): bool {
  return to.startsWith("/") && !to.startsWith("//") && (isRedirect || isPattern(to));
}

function readCors(section: Section): Cors {
  const source = section.source;
  const origins = new Array<string>();
  const nodes = section.list("origins");
  if (nodes.length == 0) source.fail(section.node, 'needs "origins"');
  for (let i = 0; i < nodes.length; i++) {
    const wanted = '"*" or an origin such as "https://app.example.org"';
    const text = source.text(nodes[i], wanted);
    if (text == null) continue;
    const scheme = text.startsWith("https://") ? 8 : text.startsWith("http://") ? 7 : 0;
    const rest = text.substring(scheme);
    const isOrigin = scheme > 0 && rest.length > 0 && rest.length < 256 && !rest.includes("/") && !rest.includes(" ");
    if (text != "*" && !(isOrigin && isValue(text) && text == text.toLowerCase())) source.wrong(nodes[i], wanted);
    else if (text == "*" && nodes.length > 1) source.fail(nodes[i], '"*" stands alone');
    else origins.push(text);
  }
  const methods = new Array<string>();
  const methodNodes = section.list("methods");
  for (let i = 0; i < methodNodes.length; i++) {
    const text = source.text(methodNodes[i], "a method");
    if (text == null) continue;
    if (!["GET", "HEAD", "OPTIONS"].includes(text))
      source.wrong(methodNodes[i], "a method of this server: GET, HEAD or OPTIONS");
    else methods.push(text);
  }
  if (methods.length == 0) methods.push("GET");
  const maxAge_ns = section.duration("maxAge", "5s", "0s", "1d");
  section.finish();
  return new Cors(origins, methods, maxAge_ns / 1_000_000_000);
}

function readAuth(section: Section, policy: SitePolicy): void {
  const source = section.source;
  const path = section.text("path", "/*", PATH);
  if (!isPattern(path)) source.wrong(section.get("path"), PATH);
  const realm = section.text("realm", "restricted", "a text");
  if (!isValue(realm) || realm.includes('"') || realm.includes("\\") || realm.length > 200)
    source.wrong(section.get("realm"), "printable ASCII without quotes and backslashes");
  const auth = new BasicAuth(path, realm);
  const users = section.section("users");
  if (!section.has("users")) source.fail(section.node, 'needs "users"');
  const document = section.document;
  for (let node = document.first(users.node); node != 0; node = document.next(node)) {
    const name = document.key(node);
    if (name == "description") continue;
    users.get(name);
    const wanted =
      'a hash "pbkdf2-sha256:ITERATIONS:SALT:HASH" with 1000 to 1000000 iterations, salt and hash in base64';
    const text = source.text(node, wanted);
    if (text == null) continue;
    const user = parseUser(name, text);
    if (name.length == 0 || name.includes(":")) source.fail(node, "a user's name has no colon and is not empty");
    else if (text.endsWith(":" + EXAMPLE_HASH))
      source.fail(node, "is the documentation's example: anybody knows its password");
    else if (user == null) source.fail(node, "is not " + wanted);
    else auth.users.push(user);
  }
  users.finish();
  section.finish();
  policy.auth.push(auth);
}

function readLimit(section: Section, options: HttpOptions): RateLimit | null {
  const node = section.get("rate");
  const wanted = 'a rate such as "100/s", "30/m" or "10/h"';
  let rate: i64 = INVALID;
  if (node == 0) {
    section.source.fail(section.node, 'needs "rate"');
  } else {
    const text = section.source.text(node, wanted);
    if (text != null) {
      rate = parseRate(text);
      if (rate <= 0 || rate > 1_000_000_000) {
        section.source.wrong(node, wanted);
        rate = INVALID;
      }
    }
  }
  const burst = section.count("burst", 1, 1, 1_000_000);
  const perSource = section.choice("per", ["source", "site"], 0) == 0;
  section.finish();
  options.knowsSource = true;
  return rate == INVALID ? null : new RateLimit(rate, burst, perSource);
}
