// The section `loadBalancer` of a configuration (CONFIG.md, Load balancer), as far as this version has it: TCP services in
// mode `proxy`. The image and `heddle check` read it by this one function.

import {
  Bundles,
  Card,
  Configuration,
  INVALID,
  JsonKind,
  MachineConfiguration,
  parseCount,
  parseShare,
  readMachine,
  Section,
} from "../../runtime";
import { formatAddress, isV4, NetworkSettings, parseAddress, readNetwork, samePrefix } from "../../net";
import {
  Admin,
  ADMIN_NAMES,
  Algorithm,
  ALGORITHM_NAMES,
  Backend,
  HealthOptions,
  ProxyOptions,
  WEIGHT_MAX,
} from "../../net/balance";

const MAX_SERVICES: i32 = 256;
const MAX_BACKENDS: i32 = 1000;
const MAX_LISTEN: i32 = 64;

/** An address and a port. */
export class Endpoint {
  constructor(
    readonly hi: u64,
    readonly lo: u64,
    readonly port: u16,
  ) {}
}

export class ServiceSettings {
  listen: Array<Endpoint> = [];
  backends: Array<Backend> = [];
  algorithm: Algorithm = Algorithm.LEAST_CONNECTIONS;
  slowStart_ns: i64 = 0;
  options: ProxyOptions = new ProxyOptions();
  health: HealthOptions | null = null;

  constructor(readonly name: string) {}
}

export class BalancerConfiguration {
  constructor(
    readonly machine: MachineConfiguration,
    readonly network: NetworkSettings,
    readonly hashSeed: string,
    readonly services: Array<ServiceSettings>,
  ) {}
}

/**
 * Reads a whole configuration; what is wrong goes to its problems, and it may be used only when there are none.
 * @param cards the machine's cards, or null where there is no machine
 */
export function readConfiguration(
  configuration: Configuration,
  bundles: Bundles,
  cards: Array<Card> | null,
): BalancerConfiguration {
  const root = configuration.root;
  const machine = readMachine(root);
  const network = readNetwork(root, machine, cards);
  const section = root.section("loadBalancer");
  const hashSeed = section.text("hashSeed", "", "a text");
  const services = new Array<ServiceSettings>();
  const node = section.get("services");
  if (node == 0) section.source.fail(section.node == 0 ? root.node : section.node, 'needs "services"');
  else if (section.document.kind(node) != JsonKind.OBJECT) section.source.wrong(node, "an object of services by name");
  else {
    const document = section.document;
    for (let child = document.first(node); child != 0; child = document.next(child)) {
      if (services.length == MAX_SERVICES) {
        section.source.fail(child, "there are at most " + MAX_SERVICES.toString() + " services");
        break;
      }
      services.push(readService(new Section(section.source, child), document.key(child), services));
    }
  }
  section.finish();
  root.notYet(["management", "tls", "httpServer", "firewall"]);
  root.finish();
  addAddresses(network, services);
  return new BalancerConfiguration(machine, network, hashSeed, services);
}

function readService(section: Section, name: string, others: Array<ServiceSettings>): ServiceSettings {
  const service = new ServiceSettings(name);
  const source = section.source;
  readListen(section, service, others);
  if (section.choice("protocol", ["tcp", "udp"], 0) == 1)
    source.fail(section.get("protocol"), '"udp" is not in this version of the image');
  if (section.choice("mode", ["proxy", "nat", "full-nat", "dsr"], 0) != 0)
    source.fail(section.get("mode"), 'this version of the image has "proxy" only');
  service.algorithm = section.choice("algorithm", ALGORITHM_NAMES, Algorithm.LEAST_CONNECTIONS);
  const names = new Set<string>();
  const backends = section.list("backends");
  if (backends.length == 0) source.fail(section.node, 'needs "backends", at least one');
  if (backends.length > MAX_BACKENDS)
    source.fail(section.get("backends"), "has more than " + MAX_BACKENDS.toString() + " elements");
  for (let i = 0; i < min(backends.length, MAX_BACKENDS); i++)
    readBackend(new Section(source, backends[i]), names, service.backends);
  if (section.has("health")) service.health = readHealth(section.section("health"));
  service.slowStart_ns = section.duration("slowStart", "0s", "0s", "1h");
  const options = service.options;
  options.resetOnDown = section.choice("onBackendDown", ["reset", "keep"], 0) == 0;
  const limits = section.section("limits");
  options.connections = <u32>limits.count("connections", 100000, 1, 1000000);
  options.queue = <u32>limits.count("queue", 0, 0, 1000000);
  options.queueTimeout_ns = limits.duration("queueTimeout", "5s", "10ms", "5m");
  limits.notYet(["perSource"]);
  limits.finish();
  const timeouts = section.section("timeouts");
  options.connectTimeout_ns = timeouts.duration("connect", "5s", "10ms", "5m");
  options.idleTimeout_ns = timeouts.duration("idle", "5m", "1s", "1d");
  timeouts.finish();
  section.notYet(["tls", "stickiness", "passive", "panicThreshold", "drainTimeout", "proxyProtocol"]);
  section.finish();
  return service;
}

const LISTEN = 'an address and a port, as "192.0.2.10:443" or "[2001:db8::10]:443"';

function readListen(section: Section, service: ServiceSettings, others: Array<ServiceSettings>): void {
  const source = section.source;
  const nodes = section.list("listen");
  if (nodes.length == 0) source.fail(section.node, 'needs "listen", ' + LISTEN);
  if (nodes.length > MAX_LISTEN) source.fail(section.get("listen"), "has more than 64 elements");
  for (let i = 0; i < min(nodes.length, MAX_LISTEN); i++) {
    const one = readEndpoint(section, nodes[i]);
    if (one == null) continue;
    if (isTaken(one, service)) source.wrong(nodes[i], "free: this service has it already");
    for (let k = 0; k < others.length; k++)
      if (isTaken(one, others[k])) source.wrong(nodes[i], 'free: service "' + others[k].name + '" has it already');
    service.listen.push(one);
  }
}

function isTaken(one: Endpoint, service: ServiceSettings): bool {
  for (let i = 0; i < service.listen.length; i++) {
    const other = service.listen[i];
    if (other.port == one.port && other.hi == one.hi && other.lo == one.lo) return true;
  }
  return false;
}

function readEndpoint(section: Section, node: u32): Endpoint | null {
  const text = section.source.text(node, LISTEN);
  if (text == null) return null;
  const colon = text.lastIndexOf(":");
  if (colon > 0) {
    let host = text.substring(0, colon);
    const bracketed = host.startsWith("[") && host.endsWith("]");
    if (bracketed) host = host.substring(1, host.length - 1);
    const address = parseAddress(host);
    const port = parseCount(text.substring(colon + 1), 65535);
    if (address.ok && address.prefix < 0 && port > 0 && bracketed == host.includes(":"))
      return new Endpoint(address.hi, address.lo, <u16>port);
  }
  section.source.wrong(node, LISTEN);
  return null;
}

function readBackend(section: Section, names: Set<string>, backends: Array<Backend>): void {
  const source = section.source;
  const name = section.text("name", "", "a name");
  if (name.length == 0) source.fail(section.node, 'needs "name"');
  if (names.has(name)) source.fail(section.get("name"), "is another backend's name already");
  names.add(name);
  const node = section.get("address");
  if (node == 0) source.fail(section.node, 'needs "address", ' + LISTEN);
  let at: Endpoint | null = null;
  if (node != 0) at = readEndpoint(section, node);
  if (at == null) at = new Endpoint(0, 0, 0);
  const backend = new Backend(name, at.hi, at.lo, at.port);
  backend.weight = <u32>section.count("weight", 1, 0, WEIGHT_MAX);
  backend.maxConnections = <u32>section.count("maxConnections", 0, 1, 1000000);
  backend.admin = section.choice("state", ADMIN_NAMES, Admin.READY);
  backend.backup = section.flag("backup", false);
  section.finish();
  backends.push(backend);
}

function readHealth(section: Section): HealthOptions {
  const source = section.source;
  const health = new HealthOptions();
  const type = section.choice("type", ["tcp", "http", "udp"], 0);
  if (type == 2) source.fail(section.get("type"), '"udp" is not in this version of the image');
  health.http = type == 1;
  health.path = section.text("path", "/", "a path");
  let clean = health.path.startsWith("/") && health.path.length <= 1024;
  for (let i = 0; i < health.path.length; i++) {
    const code = health.path.charCodeAt(i);
    if (code <= 0x20 || code >= 0x7f) clean = false;
  }
  if (!clean)
    source.wrong(section.get("path"), "a path: at most 1,024 characters of ASCII without spaces, the first a slash");
  const statuses = section.list("status");
  if (statuses.length > 0) health.statuses = new Array<u32>();
  for (let i = 0; i < statuses.length; i++) readStatus(section, statuses[i], health.statuses);
  health.interval_ns = section.duration("interval", "2s", "10ms", "1h");
  health.fastInterval_ns = section.duration("fastInterval", "500ms", "10ms", "1h");
  health.timeout_ns = section.duration("timeout", "1s", "10ms", "1m");
  health.rise = <u32>section.count("rise", 2, 1, 100);
  health.fall = <u32>section.count("fall", 3, 1, 100);
  const jitter = section.get("jitter");
  if (jitter != 0) {
    const wanted = 'a share from "0%" to "50%"';
    const text = source.text(jitter, wanted);
    const share = text == null ? INVALID : parseShare(text);
    if (text != null && (share < 0 || share > 50)) source.wrong(jitter, wanted);
    else health.jitter = <u32>share;
  }
  section.notYet(["send"]);
  section.finish();
  return health;
}

/** "200-299", "204", or the number 204. */
function readStatus(section: Section, node: u32, statuses: Array<u32>): void {
  const source = section.source;
  const wanted = 'a status from 100 to 599 or a range of them, as "200-299"';
  if (section.document.isNumber(node)) {
    const status = source.integer(node, 100, 599, wanted);
    statuses.push(<u32>status);
    statuses.push(<u32>status);
    return;
  }
  const text = source.text(node, wanted);
  if (text == null) return;
  const dash = text.indexOf("-");
  const first = parseCount(dash < 0 ? text : text.substring(0, dash), 599);
  const last = dash < 0 ? first : parseCount(text.substring(dash + 1), 599);
  if (first < 100 || last < first) {
    source.wrong(node, wanted);
    return;
  }
  statuses.push(<u32>first);
  statuses.push(<u32>last);
}

/** Addresses of services that lie in an interface's network become its own, so that ARP and ND are answered for them. */
function addAddresses(network: NetworkSettings, services: Array<ServiceSettings>): void {
  for (let i = 0; i < services.length; i++) {
    for (let k = 0; k < services[i].listen.length; k++) {
      const one = services[i].listen[k];
      if ((one.hi | one.lo) == 0) continue;
      const text = formatAddress(one.hi, one.lo) + (isV4(one.hi, one.lo) ? "/32" : "/128");
      for (let n = 0; n < network.interfaces.length; n++) {
        const iface = network.interfaces[n];
        let inside = false;
        let own = false;
        for (let a = 0; a < iface.addresses.length; a++) {
          const address = parseAddress(iface.addresses[a]);
          if (!address.ok) continue;
          if (address.hi == one.hi && address.lo == one.lo) own = true;
          else if (address.prefix > 0 && samePrefix(address.hi, address.lo, one.hi, one.lo, address.prefix))
            inside = true;
        }
        if (inside && !own) iface.addresses.push(text);
      }
    }
  }
}
