// The log: one line for each event that a person should know of, on the console. Never on the packet path, which
// counts instead.
//
//   0.004 info  eth0: address 10.0.2.15/24 by DHCP, gateway 10.0.2.2
//   seconds since the kernel was entered, level, text
//
// A line is one line of printable text whatever is logged (a peer's host name, a path of a request): control characters
// are replaced, so that nobody outside can write to the console's terminal or forge a line.

import { clockMonotonic, consoleWrite, info, Info } from "./platform";

/** Levels as in the configuration's `log.level`. */
export const enum LogLevel {
  ERROR = 0,
  WARN = 1,
  INFO = 2,
  DEBUG = 3,
}

const NAMES: StaticArray<string> = ["error ", "warn  ", "info  ", "debug "];
/** UTF-16 units of a line; what is longer is cut. */
const LINE_UNITS: i32 = 1000;

let threshold: i32 = LogLevel.INFO;
let toConsole: bool = true;
const line: usize = heap.alloc(LINE_UNITS * 3 + 1);

/** Lines above `level` are dropped; `console` tells whether the others are written to the console. */
export function configureLog(level: LogLevel, console: bool): void {
  threshold = level;
  toConsole = console;
}

/** Whether lines of that level are written: for texts that are dear to make. */
export function logs(level: LogLevel): bool {
  return toConsole && <i32>level <= threshold;
}

export function log(level: LogLevel, text: string): void {
  if (logs(level)) print(uptime() + " " + NAMES[level] + text);
}

/** Writes a line to the console as it is, whatever the log's settings. */
export function print(text: string): void {
  const units = min(text.length, LINE_UNITS);
  const bytes = String.UTF8.encodeUnsafe(changetype<usize>(text), units, line);
  for (let i: usize = 0; i < bytes; i++) {
    const c = load<u8>(line + i);
    if (c < 0x20 || c == 0x7f) store<u8>(line + i, 0x3f);
  }
  store<u8>(line + bytes, 0x0a);
  consoleWrite(line, <i32>bytes + 1);
}

/** Seconds since the kernel was entered, with three decimals. */
function uptime(): string {
  const ms = (clockMonotonic() - info(Info.ENTERED_NS)) / 1_000_000;
  return (ms / 1000).toString() + "." + (ms % 1000).toString().padStart(3, "0");
}
