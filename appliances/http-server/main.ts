// The HTTP server appliance: static sites from the bundle, or the page that is embedded, as the configuration says.
// clang: -Oz

import {
  coreNumber,
  exit,
  loadConfiguration,
  log,
  LogLevel,
  logs,
  openBundles,
  openCards,
  print,
  printProblems,
} from "../../runtime";
import { HttpDrainer, ContentServer } from "../../net/http";
import { Control, startManagement } from "../management";
import { HttpAppliance } from "./appliance";
import { startHttps, tlsReport } from "./https";
import {
  configureNames,
  DhcpClient,
  drainOnShutdown,
  formatHost,
  Interface,
  startSettings,
  startStack,
  startTcp,
  startTime,
} from "../../net";
import { sleep } from "../../fibers";
import { Listen, readConfiguration } from "./configuration";

/** How often counters are logged at level debug. */
const REPORT_MS: i64 = 10_000;

let listen: Array<Listen> = [];
/** What was announced, so that a renewed lease does not say it again. */
const announced = new Set<string>();

export function main(): void {
  const cards = openCards();
  const bundles = openBundles();
  const configuration = loadConfiguration(bundles);
  const settings = readConfiguration(configuration, bundles, cards);
  const machine = settings.common.machine;
  const http = settings.http;
  if (!configuration.valid) {
    printProblems(configuration);
    exit(1);
    return;
  }

  machine.apply();
  const stack = startStack();
  stack.logLevel = machine.logLevel;
  const tcp = startTcp(stack);
  const servers = new Array<ContentServer>();
  const appliance = new HttpAppliance(stack, tcp, cards, bundles, settings, servers);
  if (isDefined(HEDDLE_TLS)) {
    startHttps(stack, tcp, settings, configuration, servers);
    if (!configuration.valid) {
      printProblems(configuration);
      exit(1);
      return;
    }
  }
  appliance.start();
  drainOnShutdown(stack, new HttpDrainer(tcp, servers), machine.drain_ns);
  listen = http.listen;
  configureNames(settings.common.names);
  const started = startSettings(stack, cards, settings.common.network);
  startTime(settings.common.timeServers);
  startManagement(new Control(appliance, stack, configuration, settings.common));
  // The other cores serve the same; one of them says so.
  if (coreNumber() == 0) for (let i = 0; i < started.length; i++) announce(started[i]);
  report(servers);
}

/** Says where the server can be reached through an interface: now for addresses that it has, later for one by DHCP. */
function announce(iface: Interface): void {
  const dhcp = iface.dhcp;
  if (dhcp != null) (dhcp as DhcpClient).onChange = onLease;
  for (let i = 0; i < iface.addresses.length; i++) {
    const address = iface.addresses[i];
    for (let k = 0; k < listen.length; k++) {
      const one = listen[k];
      if ((one.hi | one.lo) != 0 && (one.hi != address.hi || one.lo != address.lo)) continue;
      const scheme = one.tls.certificates.length > 0 ? "https" : "http";
      const line = "serving " + scheme + "://" + formatHost(address.hi, address.lo) + ":" + one.port.toString() + "/";
      if (announced.has(line)) continue;
      announced.add(line);
      print(line);
    }
  }
}

function onLease(client: DhcpClient, bound: bool): void {
  if (bound) announce(client.iface);
}

/** Logs the counters when they are wanted and something has happened. */
function report(servers: Array<ContentServer>): void {
  let last = "";
  while (logs(LogLevel.DEBUG)) {
    sleep(REPORT_MS);
    let text = "";
    for (let i = 0; i < servers.length; i++) text += (i == 0 ? "" : "; https: ") + servers[i].counters.toString();
    if (isDefined(HEDDLE_TLS)) text += "; " + tlsReport();
    if (text != last) log(LogLevel.DEBUG, "http: " + text);
    last = text;
  }
}
