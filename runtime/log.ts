// The log: one line for each event that a person should know of; on the console, in a ring in memory, and to whoever has
// asked to be told (syslog). Never on the packet path, which counts instead.
//
//   0.004 info  eth0: address 10.0.2.15/24 by DHCP, gateway 10.0.2.2
//   seconds since the kernel was entered, level, text
//
// A line is one line of printable text whatever is logged (a peer's host name, a path of a request): control characters
// are replaced, so that nobody outside can write to the console's terminal or forge a line.
// clang: -Oz

import { clockMonotonic, consoleWrite, CoreState, coreState, info, Info } from "./platform";
import { ringAppend } from "./log-ring";
import { takeReport } from "./notes";

/** Levels as in the configuration's `log.level`. */
export const enum LogLevel {
  ERROR = 0,
  WARN = 1,
  INFO = 2,
  DEBUG = 3,
}

export const LEVEL_NAMES: StaticArray<string> = ["error", "warn", "info", "debug"];
/** UTF-16 units of a line; what is longer is cut. */
const LINE_UNITS: i32 = 1000;
/** Room for the time and the level in front of the text. */
const PREFIX_BYTES: i32 = 48;

let threshold: i32 = LogLevel.INFO;
let toConsole: bool = true;
const line: usize = heap.alloc(PREFIX_BYTES + LINE_UNITS * 3 + 1);

/** Told that a line has come into the ring, to be read with a `LogReader`. It must not log and not suspend. */
export abstract class LogSink {
  abstract notify(): void;
}
const sinks = new Array<LogSink>();

export function addLogSink(sink: LogSink): void {
  sinks.push(sink);
}
export function removeLogSink(sink: LogSink): void {
  const at = sinks.indexOf(sink);
  if (at >= 0) sinks.splice(at, 1);
}

/** Lines above `level` are dropped; `console` tells whether the others are written to the console as well as to the ring. */
export function configureLog(level: LogLevel, console: bool): void {
  threshold = level;
  toConsole = console;
}

/** Whether lines of that level are kept: for texts that are dear to make. */
export function logs(level: LogLevel): bool {
  return <i32>level <= threshold;
}

export function log(level: LogLevel, text: string): void {
  if (!logs(level)) return;
  const bytes = encode(text);
  const now_ns = clockMonotonic();
  ringAppend(level, now_ns, line + PREFIX_BYTES, bytes);
  if (toConsole) {
    const prefix = uptime(now_ns) + " " + LEVEL_NAMES[level].padEnd(6);
    const at = line + PREFIX_BYTES - prefix.length;
    String.UTF8.encodeUnsafe(changetype<usize>(prefix), prefix.length, at);
    store<u8>(line + PREFIX_BYTES + bytes, 0x0a);
    consoleWrite(at, prefix.length + <i32>bytes + 1);
  }
  for (let i = 0; i < sinks.length; i++) sinks[i].notify();
}

/** Logs bytes of printable text (an access log's line), without allocating; on the console only when `console` is set. */
export function logBytes(level: LogLevel, at: usize, length: u32, console: bool): void {
  ringAppend(level, clockMonotonic(), at, length);
  if (console) {
    const shown = min(length, LINE_UNITS * 3);
    memory.copy(line, at, shown);
    store<u8>(line + shown, 0x0a);
    consoleWrite(line, <i32>shown + 1);
  }
  for (let i = 0; i < sinks.length; i++) sinks[i].notify();
}

// What is on the console already.
function keep(at: usize, bytes: u32): void {
  ringAppend(LogLevel.ERROR, clockMonotonic(), at, bytes);
}

/** Puts what the platform has reported into the ring: of this core, and on core 0 of those that have panicked. */
export function logReports(): void {
  takeReport(<i32>info(Info.CORE), keep);
  if (info(Info.CORE) == 0)
    for (let core: i32 = 1, n = <i32>info(Info.CORES); core < n; core++)
      if (coreState(core) == CoreState.DEAD) takeReport(core, keep);
  for (let i = 0; i < sinks.length; i++) sinks[i].notify();
}

/** Writes a line to the console as it is, whatever the log's settings. */
export function print(text: string): void {
  const bytes = encode(text);
  store<u8>(line + PREFIX_BYTES + bytes, 0x0a);
  consoleWrite(line + PREFIX_BYTES, <i32>bytes + 1);
}

/** Puts a text, printable, at line + PREFIX_BYTES; its bytes. */
function encode(text: string): u32 {
  const at = line + PREFIX_BYTES;
  const bytes = <u32>String.UTF8.encodeUnsafe(changetype<usize>(text), min(text.length, LINE_UNITS), at);
  for (let i: u32 = 0; i < bytes; i++) {
    const c = load<u8>(at + i);
    if (c < 0x20 || c == 0x7f) store<u8>(at + i, 0x3f);
  }
  return bytes;
}

/** A number in decimal, without the tables that the standard library's toString would link (2.5 KB). */
export function decimal(value: u64): string {
  let text = "";
  do {
    text = String.fromCharCode(48 + <i32>(value % 10)) + text;
    value /= 10;
  } while (value > 0);
  return text;
}

/** Seconds from the kernel's entry to a monotonic time, with three decimals. */
export function uptime(at_ns: i64): string {
  const ms = (at_ns - info(Info.ENTERED_NS)) / 1_000_000;
  return decimal(ms / 1000) + "." + decimal(1000 + (ms % 1000)).substring(1);
}
