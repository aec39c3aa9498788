// The parts of a configuration that concern the network, common to services and appliances, read together and put into
// effect together: at the start (`startSettings`) and while the machine runs (`changeSettings`).
//
// To add one: a field with what was read, a line in `readNetwork`, and what differs between two of them in `apply`.
// clang: -Oz

import { Card, coreCount, coreNumber, MachineConfiguration, Section } from "../runtime";
import { changeInterfaces, sameLinks, startInterfaces } from "./configure";
import { followNetwork, shareNetwork } from "./cores";
import { InterfaceSettings, readInterfaces } from "./interfaces";
import { Interface } from "./link/interface";
import { changeRoutes, readRoutes, RouteSettings } from "./routing";
import { Stack } from "./stack";
import { Steering } from "./steering";

export class NetworkSettings {
  interfaces: Array<InterfaceSettings> = [];
  routes: Array<RouteSettings> = [];

  /** The interface of that name, or null. */
  interfaceNamed(name: string): InterfaceSettings | null {
    for (let i = 0; i < this.interfaces.length; i++) if (this.interfaces[i].name == name) return this.interfaces[i];
    return null;
  }
}

/**
 * Reads the network's keys of the root and what of `log` concerns it; mistakes go to the root's problems.
 * @param cards the machine's cards, or null where there is no machine
 * @param forwards whether the machine is a router
 */
export function readNetwork(
  root: Section,
  machine: MachineConfiguration,
  cards: Array<Card> | null,
  forwards: bool = false,
): NetworkSettings {
  const settings = new NetworkSettings();
  settings.interfaces = readInterfaces(root, cards, forwards);
  settings.routes = readRoutes(root, settings.interfaces);
  machine.log.notYet(["syslog"]);
  machine.log.finish();
  root.notYet(["dns", "time"]);
  return settings;
}

/** Brings the network of a stack up. The settings were accepted: what still fails is logged. */
export function startSettings(stack: Stack, cards: Array<Card>, settings: NetworkSettings): Array<Interface> {
  const first = coreNumber() == 0;
  if (coreCount() > 1) stack.steering = new Steering(stack);
  const interfaces = startInterfaces(stack, cards, settings.interfaces);
  if (first) {
    apply(stack, new NetworkSettings(), settings);
    shareNetwork(stack, cards);
  } else {
    followNetwork(stack);
  }
  return interfaces;
}

/** Whether a running machine can be brought from one to the other. */
export function canChange(before: NetworkSettings, after: NetworkSettings): bool {
  return sameLinks(before.interfaces, after.interfaces);
}

/** Puts what differs into effect; connections over what stays are not touched. Only where `canChange`. */
export function changeSettings(stack: Stack, before: NetworkSettings, after: NetworkSettings): void {
  changeInterfaces(stack, before.interfaces, after.interfaces);
  apply(stack, before, after);
}

/** What concerns the machine as a whole, after its interfaces. */
function apply(stack: Stack, before: NetworkSettings, after: NetworkSettings): void {
  changeRoutes(stack, before.routes, after.routes);
}
