// The network of a service in one call: cards, the configuration's `interfaces` (DHCP on each card when it has none), TCP.
// Appliances with a section of their own in the configuration wire the same parts themselves.
//
// clang: -Oz

import {
  coreNumber,
  exit,
  loadConfiguration,
  openBundles,
  openCards,
  print,
  printProblems,
  readMachine,
  Section,
} from "../runtime";
import { sleep } from "../fibers";
import { formatHost } from "./ip/address";
import { Forwarder } from "./ip/forward";
import { Interface } from "./link/interface";
import { startTcp } from "./socket/index";
import { readNetwork, startSettings } from "./settings";
import { startStack } from "./source";
import { Stack } from "./stack";

/** How often a starting network is looked at, ms. */
const LOOK_MS: i64 = 5;

let interfaces: Array<Interface> = [];

/**
 * What a service wants of the network besides; only what is named here is linked. It may read keys of its own from the
 * configuration.
 */
export abstract class NetworkPart {
  /** Whether it makes the machine a router; known when it has read its keys. */
  forwards: bool = false;
  /** Reads its keys; mistakes go to the section's problems. */
  abstract read(root: Section): void;
  /** On each core, before the interfaces come up. */
  abstract start(stack: Stack): void;
}

/** Makes the machine a router, where the configuration says `"forwarding": true`: packets for others are sent on. */
export class Routing extends NetworkPart {
  read(root: Section): void {
    this.forwards = root.flag("forwarding", false);
  }

  start(stack: Stack): void {
    if (this.forwards) startForwarding(stack);
  }
}

/** Makes a stack a router. On each core, before its interfaces come up. */
export function startForwarding(stack: Stack): void {
  stack.ip.router = new Forwarder(stack);
  // Other cores get flows although nobody listens there.
  stack.listening = true;
}

/**
 * Starts the network and waits until an interface has an address. Call it once, from `main`. A configuration with
 * mistakes is reported on the console and ends the machine with status 1.
 * @param patience_ms how long to wait for an address; without one the network goes on trying
 * @param parts what is wanted besides, such as `[new Routing(), new Names()]`
 * @returns whether an interface has an address
 */
export function startNetwork(patience_ms: i64 = 10_000, parts: Array<NetworkPart> = []): bool {
  const cards = openCards();
  const configuration = loadConfiguration(openBundles());
  const machine = readMachine(configuration.root);
  let forwards = false;
  for (let i = 0; i < parts.length; i++) {
    parts[i].read(configuration.root);
    if (parts[i].forwards) forwards = true;
  }
  const settings = readNetwork(configuration.root, machine, cards, forwards);
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
  for (let i = 0; i < parts.length; i++) parts[i].start(stack);
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
