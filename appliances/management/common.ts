// What every appliance reads and starts alike: the keys of the machine, the network, names, time and management. An appliance
// adds its section (appliance.ts).
// clang: -Oz

import { Card, Configuration, MachineConfiguration, readMachine } from "../../runtime";
import {
  canChange,
  changeSettings,
  configureNames,
  NameSettings,
  NetworkSettings,
  readNames,
  readNetwork,
  readTimeServers,
  Stack,
} from "../../net";
import { ManagementSettings, readManagement } from "./settings";

export class CommonSettings {
  constructor(
    readonly machine: MachineConfiguration,
    readonly network: NetworkSettings,
    readonly names: NameSettings,
    readonly timeServers: Array<string>,
    readonly management: ManagementSettings,
  ) {}

  /** What of the change to `next` needs a reboot, for people; empty: nothing. */
  obstacle(next: CommonSettings): string {
    if (!canChange(this.network, next.network)) return "/interfaces: cards, VLANs and their names";
    if (this.machine.cores != next.machine.cores) return "/cores/count";
    if (this.machine.drain_ns != next.machine.drain_ns) return "/cores/drain";
    if (this.timeServers.join(" ") != next.timeServers.join(" ")) return "/time/servers";
    return "";
  }

  /** Puts what differs from `before` into effect on this core; established connections stay. */
  change(stack: Stack, before: CommonSettings, first: bool): void {
    this.machine.apply();
    stack.logLevel = this.machine.logLevel;
    configureNames(this.names);
    // The other cores hear of addresses and routes from core 0.
    if (first) changeSettings(stack, before.network, this.network);
  }
}

/**
 * Reads the common keys of a configuration; the appliance's section and `finish` of the root follow.
 * @param cards the machine's cards, or null where there is no machine
 * @param forwards whether the machine is a router
 */
export function readCommon(
  configuration: Configuration,
  cards: Array<Card> | null,
  forwards: bool = false,
): CommonSettings {
  const root = configuration.root;
  const machine = readMachine(root);
  const network = readNetwork(root, machine, cards, forwards);
  const names = readNames(root);
  const timeServers = readTimeServers(root);
  return new CommonSettings(machine, network, names, timeServers, readManagement(root, network));
}
