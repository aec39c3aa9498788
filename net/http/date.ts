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

function writeDate(at: usize, second: i64): u32 {
  const days = <u32>(second / 86400);
  const time = <u32>(second % 86400);
  // Days to the civil calendar: years that begin in March, eras of 400 years, so that leap days come last.
  const z = days + 719468;
  const era = z / 146097;
  const dayOfEra = z - era * 146097;
  const yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146096) / 365;
  const dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
  const monthFromMarch = (5 * dayOfYear + 2) / 153;
  const day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 2 : monthFromMarch - 10;
  const year = yearOfEra + era * 400 + (month < 2 ? 1 : 0);
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
  two(w, time / 3600);
  w.ascii(":");
  two(w, (time / 60) % 60);
  w.ascii(":");
  two(w, time % 60);
  w.ascii(" GMT\r\n");
  const length = w.length;
  heap.free(changetype<usize>(w));
  return length;
}

function two(w: Writer, value: u32): void {
  if (value < 10) w.ascii("0");
  w.decimal(value);
}
