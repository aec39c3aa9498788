// What an appliance gives the management: how its configuration is read and put into effect, and what there is to know of it.
//
//   read(configuration)  -->  CommonSettings, and the appliance's own settings kept aside, not in effect
//   obstacle()           -->  what of them needs a reboot
//   commit()             -->  in effect, between two turns of the loop: it neither fails nor waits

import { Configuration, JsonWriter } from "../../runtime";
import { CommonSettings } from "./common";
import { Metrics } from "./metrics";

export abstract class Appliance {
  /** Its name: "http-server". */
  abstract get name(): string;
  /** Reads a configuration as a whole; mistakes go to its problems. */
  abstract read(configuration: Configuration): CommonSettings;
  /** What of the appliance's section that was read last needs a reboot, for people; empty: nothing. */
  abstract obstacle(): string;
  /** Puts the appliance's section that was read last into effect on this core. */
  abstract commit(): void;
  /** Whether it does its work; what `/readyz` says. */
  abstract ready(): bool;
  /** Adds members to the object of `/status`. */
  abstract status(json: JsonWriter): void;
  abstract metrics(metrics: Metrics): void;
}
