// The time of day: what a time server said where one was asked (net/sntp), else the machine's own clock; unknown without either.
//
// clang: -Oz

import { clockMonotonic, clockWall } from "./platform";

let known: bool = false;
let offset_ns: i64 = 0;

/** Time of day in ns since 1970-01-01 UTC; 0: unknown. It may be set back or forth: what lasts is measured by `clockMonotonic`. */
export function wallTime(): i64 {
  return known ? clockMonotonic() + offset_ns : clockWall();
}

/** Sets the time of day: it is the monotonic time plus `wall_offset_ns` from now on. */
export function setWallTime(wall_offset_ns: i64): void {
  offset_ns = wall_offset_ns;
  known = true;
}

/** A time of day as RFC 3339 has it: "2026-11-24T11:50:00Z"; "unknown" for 0. */
export function formatTime(wall_ns: i64): string {
  if (wall_ns <= 0) return "unknown";
  const second = wall_ns / 1_000_000_000;
  // Years that begin in March: the leap day is the last (Hinnant's civil_from_days).
  const z = second / 86_400 + 719_468;
  const era = z / 146_097;
  const day = z - era * 146_097;
  const year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
  const dayOfYear = day - (365 * year + year / 4 - year / 100);
  const march = (5 * dayOfYear + 2) / 153;
  const month = march < 10 ? march + 3 : march - 9;
  const date = (year + era * 400 + (month <= 2 ? 1 : 0)).toString() + "-" + two(month);
  const s = second % 86_400;
  return (
    date +
    "-" +
    two(dayOfYear - (153 * march + 2) / 5 + 1) +
    "T" +
    two(s / 3_600) +
    ":" +
    two((s / 60) % 60) +
    ":" +
    two(s % 60) +
    "Z"
  );
}

function two(value: i64): string {
  return (value < 10 ? "0" : "") + value.toString();
}
