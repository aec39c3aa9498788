// What the machine tells of itself: health, status, metrics, log, connections.
// clang: -Oz

import {
  clockMonotonic,
  coreCount,
  formatTime,
  info,
  Info,
  JsonWriter,
  LEVEL_NAMES,
  LogReader,
  packetsFree,
  packetsTotal,
  ringCount,
  uptime,
  wallTime,
} from "../../runtime";
import { sleep, fiberCount } from "../../fibers";
import { coreTcp, COUNTER_NAMES, counterAt, describeFlows, formatAddress, formatMac, isV4 } from "../../net";
import { Request, Response } from "../../net/http";
import { label, Metrics, snake } from "./metrics";
import { theManagement } from "./server";

/** How often `/log?follow` looks for new lines, and how long it stays. */
const FOLLOW_MS: i64 = 100;
const FOLLOW_ROUNDS: i32 = 36000;

export function answerHealth(request: Request, response: Response): void {
  response.text("ok\n");
}

export function answerReady(request: Request, response: Response): void {
  const ready = theManagement().control.appliance.ready();
  response.status = ready ? 200 : 503;
  response.text(ready ? "ready\n" : "not ready\n");
}

export function answerStatus(request: Request, response: Response): void {
  const control = theManagement().control;
  const json = new JsonWriter().object();
  json.key("appliance").string(control.appliance.name).key("hostname").string(control.settings.machine.hostname);
  json.key("uptime_s").integer((clockMonotonic() - info(Info.ENTERED_NS)) / 1_000_000_000);
  json.key("time").string(formatTime(wallTime())).key("cores").integer(coreCount());
  json.key("memory_bytes").integer(info(Info.MEMORY_BYTES));
  json.key("config").object().key("tag").string(control.current.tag).key("onTrial").boolean(control.onTrial);
  if (control.onTrial) json.key("left_ms").integer(control.left_ns / 1_000_000);
  json.key("changes").integer(control.changes).key("rollbacks").integer(control.rollbacks).end();
  json.key("interfaces").object();
  const interfaces = control.stack.interfaces;
  for (let i = 0; i < interfaces.length; i++) {
    const iface = interfaces[i];
    json.key(iface.name).object().key("mac").string(formatMac(iface.mac)).key("mtu").integer(iface.mtu);
    json.key("addresses").array();
    for (let k = 0; k < iface.addresses.length; k++) {
      const address = iface.addresses[k];
      const bits = isV4(address.hi, address.lo) ? address.bits - 96 : address.bits;
      json.string(formatAddress(address.hi, address.lo) + "/" + bits.toString());
    }
    json.end().end();
  }
  json.end();
  control.appliance.status(json);
  response.text(json.end().toString() + "\n", "application/json");
}

export function answerMetrics(request: Request, response: Response): void {
  const m = theManagement();
  const control = m.control;
  const metrics = new Metrics();
  metrics.seconds("uptime_seconds", "Time since the kernel was entered.", clockMonotonic() - info(Info.ENTERED_NS));
  metrics.gauge("memory_bytes", "Physical memory of the machine.", info(Info.MEMORY_BYTES));
  metrics.gauge("heap_bytes", "Linear memory of core 0 below the packet pool.", (<i64>memory.size()) << 16);
  metrics.gauge("packets", "Packet buffers of core 0.", packetsTotal);
  metrics.gauge("packets_free", "Packet buffers of core 0 that are free.", packetsFree);
  metrics.gauge("cores", "Cores in use.", coreCount());
  metrics.gauge("fibers", "Fibers of core 0.", fiberCount);
  metrics.counter("log_lines", "Lines logged on core 0.", ringCount());
  metrics.counter("config_changes", "Configurations put into effect since boot.", control.changes);
  metrics.counter("config_rollbacks", "Configurations taken back as nobody confirmed them.", control.rollbacks);
  metrics.gauge("config_on_trial", "1 while a configuration waits to be confirmed.", control.onTrial ? 1 : 0);
  metrics.counter("management_requests", "Requests to the management.", m.server.requests);
  metrics.counter("management_refused", "Connections refused by interface or address.", m.refused);
  metrics.counter("management_tokens_failed", "Requests without a right token.", m.access.failed);
  const stack = control.stack;
  for (let i = 0; i < stack.interfaces.length; i++)
    metrics.gauge(
      "interface_addresses",
      "Addresses of an interface.",
      stack.interfaces[i].addresses.length,
      label("interface", stack.interfaces[i].name),
    );
  // Of core 0: each core counts for itself.
  for (let i = 0; i < COUNTER_NAMES.length; i++)
    metrics.counter(
      "net_" + snake(COUNTER_NAMES[i]),
      COUNTER_NAMES[i] + " of the MIBs (RFC 4293, RFC 4022), core 0.",
      counterAt(stack.counters, i),
    );
  control.appliance.metrics(metrics);
  response.text(metrics.toString(), "text/plain; version=0.0.4; charset=utf-8");
}

/** The ring's lines, oldest first; with "?follow" also those to come, for an hour. */
export function answerLog(request: Request, response: Response): void {
  const reader = new LogReader();
  const rounds = request.query == "follow" ? FOLLOW_ROUNDS : 1;
  response.set("Content-Type", "text/plain; charset=utf-8");
  for (let round = 0; round < rounds && response.error >= 0; round++) {
    if (round > 0) sleep(FOLLOW_MS);
    let text = "";
    while (reader.read()) {
      text += uptime(reader.time_ns) + " " + LEVEL_NAMES[reader.level].padEnd(6) + reader.text + "\n";
      if (text.length > 4096) {
        if (response.writeText(text) < 0) return;
        text = "";
      }
    }
    if (text.length > 0 && response.writeText(text) < 0) return;
  }
}

/** TCP connections of core 0, a line each: state, own end, peer's end. */
export function answerConnections(request: Request, response: Response): void {
  const tcp = coreTcp()!;
  response.set("Content-Type", "text/plain; charset=utf-8");
  for (let bucket: u32 = 0; bucket < tcp.table.buckets; bucket++) {
    // Whole buckets: sending may wait, and what waits may find the list changed.
    const text = describeFlows(tcp.table, bucket);
    if (text.length > 0 && response.writeText(text) < 0) return;
  }
}
