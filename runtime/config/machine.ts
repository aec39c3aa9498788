// The parts of a configuration that concern the machine itself, common to all appliances: version, hostname, log, cores.
// clang: -Oz

import { configureLog, LogLevel } from "../log";
import { resizeLogRing } from "../log-ring";
import { useCores } from "../cores/start";
import { CORES_MAX, panicPolicy, PanicPolicy, watchdog } from "../platform";
import { JsonKind } from "../json/document";
import { Section } from "./section";

export class MachineConfiguration {
  hostname: string = "";
  logLevel: i32 = LogLevel.INFO;
  logConsole: bool = true;
  logRing_bytes: u32 = 0;
  /** Cores to use, as far as the machine has them. */
  cores: u32 = CORES_MAX;
  /** How long connections have to come to their end when the machine is to. */
  drain_ns: i64 = 0;
  /** What a panic does; -1: nothing was said. */
  onPanic: i32 = -1;
  /** How long a fiber may hold a core before it is reported, ended, or the core's panic; i64.MAX_VALUE: for ever. */
  report_ns: i64 = i64.MAX_VALUE;
  end_ns: i64 = i64.MAX_VALUE;
  panic_ns: i64 = i64.MAX_VALUE;

  constructor(
    /** The section `log`, for whoever sends it elsewhere; to be finished by the reader's caller. */
    readonly log: Section,
  ) {}

  /** Puts the settings into effect, also in place of earlier ones. */
  apply(): void {
    configureLog(this.logLevel, this.logConsole);
    resizeLogRing(this.logRing_bytes);
    useCores(this.cores);
    if (this.onPanic >= 0) panicPolicy(this.onPanic);
    watchdog(this.report_ns, this.end_ns, this.panic_ns);
  }
}

/** Reads the machine's keys of the root, except `log.syslog`. */
export function readMachine(root: Section): MachineConfiguration {
  const log = root.section("log");
  const machine = new MachineConfiguration(log);
  root.count("version", 1, 1, 1);
  machine.hostname = readHostname(root);
  machine.logLevel = log.choice("level", ["error", "warn", "info", "debug"], LogLevel.INFO);
  machine.logConsole = log.flag("console", true);
  machine.logRing_bytes = <u32>log.size("ring", "64KiB", "4KiB", "64MiB");
  const cores = root.section("cores");
  if (cores.has("onPanic"))
    machine.onPanic = cores.choice("onPanic", ["halt", "reboot", "restart-core"], 0) + PanicPolicy.HALT;
  machine.cores = readCount(cores);
  machine.drain_ns = cores.duration("drain", "20s", "0s", "1h");
  const guard = cores.section("watchdog");
  machine.report_ns = limit(guard, "report", "50ms");
  machine.end_ns = limit(guard, "end", "off");
  machine.panic_ns = limit(guard, "panic", "10s");
  guard.finish();
  cores.finish();
  return machine;
}

/** A duration of the watchdog; "off": i64.MAX_VALUE. */
function limit(section: Section, key: string, absent: string): i64 {
  const node = section.get(key);
  const document = section.document;
  const off = node == 0 ? absent == "off" : document.kind(node) == JsonKind.STRING && document.string(node) == "off";
  return off ? i64.MAX_VALUE : section.duration(key, absent == "off" ? "1h" : absent, "4ms", "1h", ' or "off"');
}

/** "all", or how many of them. */
function readCount(cores: Section): u32 {
  const node = cores.get("count");
  const wanted = '"all" or a number of cores, 1 to 64';
  if (node == 0) return CORES_MAX;
  if (!cores.document.isNumber(node)) {
    const text = cores.source.text(node, wanted);
    if (text != null && text != "all") cores.source.wrong(node, wanted);
    return CORES_MAX;
  }
  const count = cores.source.integer(node, 1, CORES_MAX, wanted);
  return count > 0 ? <u32>count : CORES_MAX;
}

/** A host name of RFC 1123, section 2.1: labels of letters, digits and inner hyphens, 63 characters each, 253 in all. */
function readHostname(root: Section): string {
  const hostname = root.text("hostname", "", "a host name");
  if (hostname.length > 0 && !isHostname(hostname)) {
    root.source.wrong(
      root.get("hostname"),
      "a host name: letters, digits and hyphens, parts of at most 63 separated by dots",
    );
    return "";
  }
  return hostname;
}

/** Whether a text is a host name. */
export function isHostname(text: string): bool {
  if (text.length == 0 || text.length > 253) return false;
  const labels = text.split(".");
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    const n = label.length;
    if (n == 0 || n > 63 || label.charCodeAt(0) == 0x2d || label.charCodeAt(n - 1) == 0x2d) return false;
    for (let k = 0; k < n; k++) {
      const c = label.charCodeAt(k);
      const lower = c | 0x20;
      if (!((lower >= 0x61 && lower <= 0x7a) || (c >= 0x30 && c <= 0x39) || c == 0x2d)) return false;
    }
  }
  return true;
}
