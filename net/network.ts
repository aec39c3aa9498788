// The network of a service in one call: cards, the configuration's `interfaces` (DHCP on each card when it has none), TCP.
// Appliances with a section of their own in the configuration wire the same parts themselves.

import {
  coreNumber,
  exit,
  loadConfiguration,
  openBundles,
  openCards,
  print,
  printProblems,
  readMachine,
} from "../runtime";
import { sleep } from "../fibers";
import { formatHost } from "./ip/address";
import { Interface } from "./link/interface";
import { startTcp } from "./socket/index";
import { readNetwork, startSettings } from "./settings";
import { startStack } from "./source";

/** How often a starting network is looked at, ms. */
const LOOK_MS: i64 = 5;

let interfaces: Array<Interface> = [];

/**
 * Starts the network and waits until an interface has an address. Call it once, from `main`. A configuration with
 * mistakes is reported on the console and ends the machine with status 1.
 * @param patience_ms how long to wait for an address; without one the network goes on trying
 * @returns whether an interface has an address
 */
export function startNetwork(patience_ms: i64 = 10_000): bool {
  const cards = openCards();
  const configuration = loadConfiguration(openBundles());
  const machine = readMachine(configuration.root);
  const settings = readNetwork(configuration.root, machine, cards);
  configuration.root.notYet(["management"]);
  configuration.root.finish();
  if (!configuration.valid) {
    printProblems(configuration);
    exit(1);
    return false;
  }
  machine.apply();
  const stack = startStack();
  stack.logLevel = machine.logLevel;
  startTcp(stack);
  interfaces = startSettings(stack, cards, settings);
  for (let waited_ms: i64 = 0; !hasAddress() && waited_ms < patience_ms; waited_ms += LOOK_MS) sleep(LOOK_MS);
  return hasAddress();
}

function hasAddress(): bool {
  for (let i = 0; i < interfaces.length; i++) if (interfaces[i].addresses.length > 0) return true;
  return false;
}

/** Says on the console where a port is served, for people and for `heddle run`: `serving tcp://10.0.2.15:7`. */
export function announce(scheme: string, port: u32): void {
  if (coreNumber() != 0) return;
  for (let i = 0; i < interfaces.length; i++) {
    const addresses = interfaces[i].addresses;
    for (let k = 0; k < addresses.length; k++) {
      print("serving " + scheme + "://" + formatHost(addresses[k].hi, addresses[k].lo) + ":" + port.toString());
    }
  }
}
