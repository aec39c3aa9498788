// The part `time` of a configuration: which servers tell the time of day (SNTP).
//
//   "time": { "servers": ["pool.ntp.org", "10.0.0.1"] }
//
// Without servers, those that DHCP tells of are asked. Core 0 asks, the others are told.
//
// clang: -Oz

import { coreCount, coreNumber, onPublished, publish, readPublished, Section, setWallTime, Topic } from "../runtime";
import { parseAddress } from "./ip/address";
import { NetworkPart } from "./network";
import { SntpClient } from "./sntp/client";
import { Stack } from "./stack";
import { isDnsName } from "./wire/dns";

const MAX_SERVERS: i32 = 4;

/** Reads `time` of the root; mistakes go to the root's problems. */
export function readTimeServers(root: Section): Array<string> {
  const servers: Array<string> = [];
  const section = root.section("time");
  const nodes = section.list("servers");
  for (let i = 0; i < nodes.length; i++) {
    const wanted = 'the name or address of a time server, such as "pool.ntp.org"';
    if (i == MAX_SERVERS) section.source.fail(nodes[i], "there are at most " + MAX_SERVERS.toString() + " servers");
    const text = section.source.text(nodes[i], wanted);
    if (text == null || i >= MAX_SERVERS) continue;
    const address = parseAddress(text);
    if ((address.ok && address.prefix < 0) || (!address.ok && isDnsName(text) && !isNumeric(text))) servers.push(text);
    else section.source.wrong(nodes[i], wanted);
  }
  section.finish();
  return servers;
}

// "10.0.0" is an address with a mistake, not a name.
function isNumeric(text: string): bool {
  const last = text.charCodeAt(text.length - 1);
  return last >= 48 && last <= 57;
}

/** Keeps the time of day by what servers say, on all cores. */
export function startTime(servers: Array<string>): void {
  if (coreNumber() == 0) new SntpClient(servers, tellCores).start();
  else onPublished(Topic.TIME, takeTime);
}

function tellCores(offset_ns: i64): void {
  if (coreCount() < 2) return;
  const at = new StaticArray<i64>(1);
  at[0] = offset_ns;
  publish(Topic.TIME, changetype<usize>(at), 8);
}

function takeTime(topic: Topic): void {
  const at = new StaticArray<i64>(1);
  if (readPublished(topic, changetype<usize>(at), 8) != 0) setWallTime(at[0]);
}

/** The key `time` for a service. */
export class TimeOfDay extends NetworkPart {
  private servers: Array<string> = [];

  read(root: Section): void {
    this.servers = readTimeServers(root);
  }

  start(stack: Stack): void {
    startTime(this.servers);
  }
}
