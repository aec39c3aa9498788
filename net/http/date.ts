// The Date field (RFC 9110, 6.6.1 and 5.6.7: IMF-fixdate), made once a second and copied into responses. A machine that
// does not know the time sends none, as the RFC asks of servers without a clock.

import { Writer } from "./bytes";

const NS_PER_S: i64 = 1_000_000_000;
const DAYS = "ThuFriSatSunMonTueWed";
const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";

/** "Date: Sun, 06 Nov 1994 08:49:37 GMT" and CRLF, or nothing. */
export class DateLine {
  readonly at: usize = heap.alloc(64);
  length: u32 = 0;
  private second: i64 = -1;

  /** Makes the line for a wall time in ns since 1970, 0 when unknown. */
  refresh(wall_ns: i64): void {
    const second = wall_ns / NS_PER_S;
    if (second == this.second) return;
    this.second = second;
    this.length = second > 0 ? writeDate(this.at, second) : 0;
  }
}

// A day of the civil calendar, as `civil` leaves it.
let year: u32 = 0;
let month: u32 = 0;
let day: u32 = 0;

// Days since 1970 to the calendar: years that begin in March, eras of 400 years, so that leap days come last.
function civil(days: u32): void {
  const z = days + 719468;
  const era = z / 146097;
  const dayOfEra = z - era * 146097;
  const yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146096) / 365;
  const dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
  const monthFromMarch = (5 * dayOfYear + 2) / 153;
  day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1;
  month = monthFromMarch < 10 ? monthFromMarch + 2 : monthFromMarch - 10;
  year = yearOfEra + era * 400 + (month < 2 ? 1 : 0);
}

function writeDate(at: usize, second: i64): u32 {
  const days = <u32>(second / 86400);
  civil(days);
  const w = changetype<Writer>(heap.alloc(offsetof<Writer>()));
  w.open(at);
  w.ascii("Date: ");
  w.ascii(DAYS.substr((days % 7) * 3, 3));
  w.ascii(", ");
  two(w, day);
  w.ascii(" ");
  w.ascii(MONTHS.substr(month * 3, 3));
  w.ascii(" ");
  w.decimal(year);
  w.ascii(" ");
  writeTime(w, second);
  w.ascii(" GMT\r\n");
  const length = w.length;
  heap.free(changetype<usize>(w));
  return length;
}

function writeTime(w: Writer, second: i64): void {
  const time = <u32>(second % 86400);
  two(w, time / 3600);
  w.ascii(":");
  two(w, (time / 60) % 60);
  w.ascii(":");
  two(w, time % 60);
}

/** "10/Oct/2000:13:55:36 +0000", as access logs have it. */
export function writeLogDate(w: Writer, second: i64): void {
  civil(<u32>(second / 86400));
  two(w, day);
  w.ascii("/");
  w.ascii(MONTHS.substr(month * 3, 3));
  w.ascii("/");
  w.decimal(year);
  w.ascii(":");
  writeTime(w, second);
  w.ascii(" +0000");
}

/** "2000-10-10T13:55:36Z" (RFC 3339). */
export function writeIsoDate(w: Writer, second: i64): void {
  civil(<u32>(second / 86400));
  w.decimal(year);
  w.ascii("-");
  two(w, month + 1);
  w.ascii("-");
  two(w, day);
  w.ascii("T");
  writeTime(w, second);
  w.ascii("Z");
}

function two(w: Writer, value: u32): void {
  if (value < 10) w.ascii("0");
  w.decimal(value);
}
