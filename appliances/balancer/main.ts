// The load balancer appliance: services on TCP, each ended here and begun again at a backend, as the configuration says.

import {
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
import { drainOnShutdown, formatHost, startSettings, startStack, startTcp } from "../../net";
import { Choice, HashSeed, Operational, Proxy, ProxyDrainer, startHealth } from "../../net/balance";
import { sleep } from "../../fibers";
import { readConfiguration } from "./configuration";

/** How often counters are logged at level debug. */
const REPORT_MS: i64 = 10_000;

export function main(): void {
  const cards = openCards();
  const bundles = openBundles();
  const configuration = loadConfiguration(bundles);
  const settings = readConfiguration(configuration, bundles, cards);
  if (!configuration.valid) {
    printProblems(configuration);
    exit(1);
    return;
  }
  const machine = settings.machine;
  // Counts and limits mean the machine: they are core 0's.
  machine.cores = 1;
  machine.apply();
  const stack = startStack();
  stack.logLevel = machine.logLevel;
  const tcp = startTcp(stack);
  startSettings(stack, cards, settings.network);
  const seed = new HashSeed(settings.hashSeed);
  const proxies = new Array<Proxy>();
  for (let i = 0; i < settings.services.length; i++) {
    const service = settings.services[i];
    const health = service.health;
    for (let k = 0; health == null && k < service.backends.length; k++)
      service.backends[k].operational = Operational.UP;
    const choice = new Choice(service.algorithm, service.backends, seed, stack.random64());
    choice.slowStart_ns = service.slowStart_ns;
    const proxy = new Proxy(service.name, tcp, choice, service.options);
    for (let k = 0; k < service.listen.length; k++) {
      const at = service.listen[k];
      const status = proxy.listen(at.hi, at.lo, at.port);
      const place = formatHost(at.hi, at.lo) + ":" + at.port.toString();
      if (status < 0) log(LogLevel.ERROR, "cannot listen on " + place + ": error " + status.toString());
      else print("serving tcp://" + place);
    }
    if (health != null) startHealth(proxy, health);
    proxies.push(proxy);
  }
  drainOnShutdown(stack, new ProxyDrainer(), machine.drain_ns);
  report(proxies);
}

/** Logs the counters when they are wanted and something has happened. */
function report(proxies: Array<Proxy>): void {
  let last = "";
  while (logs(LogLevel.DEBUG)) {
    sleep(REPORT_MS);
    const text = proxies.map<string>((proxy) => counters(proxy)).join("; ");
    if (text != last) log(LogLevel.DEBUG, "balancer: " + text);
    last = text;
  }
}

function counters(proxy: Proxy): string {
  let text = proxy.name + " " + proxy.open.toString() + " open, " + proxy.refused.toString() + " refused";
  const backends = proxy.choice.backends;
  for (let i = 0; i < backends.length; i++) {
    const b = backends[i];
    text += ", " + b.name + " " + b.active.toString() + "/" + b.connections.toString();
    text += " " + b.failures.toString() + " failed, p99 " + b.connectTime_us(99).toString() + " us";
  }
  return text;
}
