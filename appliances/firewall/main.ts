// The firewall appliance: routes between all interfaces what its policy accepts, as the configuration says.
// clang: -Oz

import {
  clockMonotonic,
  coreCount,
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
import { Interface, Stack, startForwarding, startSettings, startStack, startTcp, Udp } from "../../net";
import { Firewall, Reason, REASON_NAMES } from "../../net/filter";
import { sleep } from "../../fibers";
import { FirewallConfiguration, readConfiguration } from "./configuration";

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
  machine.apply();
  const stack = startStack();
  stack.logLevel = machine.logLevel;
  startTcp(stack);
  // What nobody listens to is answered with port unreachable.
  new Udp(stack);
  startForwarding(stack);
  const interfaces = startSettings(stack, cards, settings.network);
  const begun_ns = clockMonotonic();
  const firewall = new Firewall(stack, settings.firewall);
  const took_ms = (clockMonotonic() - begun_ns) / 1_000_000;
  stack.ip.filter = firewall;
  // The other cores do the same; one of them says so.
  if (coreNumber() == 0) announce(settings, interfaces, firewall, took_ms);
  report(stack, firewall);
}

function announce(
  settings: FirewallConfiguration,
  interfaces: Array<Interface>,
  firewall: Firewall,
  took_ms: i64,
): void {
  let names = "";
  for (let i = 0; i < interfaces.length; i++) names += (i == 0 ? "" : ", ") + interfaces[i].name;
  const rules = settings.firewall.rules.length;
  print("firewall: " + rules.toString() + (rules == 1 ? " rule" : " rules") + " between " + names);
  const size = (firewall.policy.bytes >> 10).toString() + " KiB";
  log(LogLevel.INFO, "firewall: the policy has " + size + ", compiled in " + took_ms.toString() + " ms");
}

/** Logs the counters when they are wanted and something has happened. */
function report(stack: Stack, firewall: Firewall): void {
  let last = "";
  while (logs(LogLevel.DEBUG)) {
    sleep(REPORT_MS);
    const text = counters(stack, firewall);
    const core = coreCount() > 1 ? "core " + coreNumber().toString() + ": " : "";
    if (text != last) log(LogLevel.DEBUG, "firewall: " + core + text);
    last = text;
  }
}

function counters(stack: Stack, firewall: Firewall): string {
  let text = firewall.table.count.toString() + " flows, " + firewall.accepted.toString() + " accepted, ";
  text += stack.counters.ipForwDatagrams.toString() + " forwarded";
  for (let reason = 1; reason < <i32>Reason.COUNT; reason++) {
    const dropped = firewall.dropped(reason);
    if (dropped > 0) text += ", " + REASON_NAMES[reason] + " " + dropped.toString();
  }
  const policy = firewall.policy;
  for (let i: u32 = 0; i < policy.ruleCount; i++) {
    const hits = policy.rule(i).hits;
    if (hits > 0) text += ', "' + policy.names[i] + '" ' + hits.toString();
  }
  return text;
}
