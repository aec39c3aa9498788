// Wall time: the machine's CMOS clock, read once at boot, plus the monotonic clock; 0 where there is none (QEMU's microvm
// with rtc=off). MC146818 data sheet; a century register where ACPI's FADT names one.
// clang: -Oz
#include "pc.h"

enum { SECONDS = 0, MINUTES = 2, HOURS = 4, DAY = 7, MONTH = 8, YEAR = 9, STATUS_A = 10, STATUS_B = 11, STATUS_D = 13 };
enum { UPDATING = 0x80, BINARY = 4, HOURS_24 = 2, PM = 0x80 };

static u64 wall_at_origin_ns;

static u8 cmos(u8 index) {
  out8(0x70, 0x80 | index);  // NMI stays off, as firmware left it
  return in8(0x71);
}

static void read_fields(u8 fields[7]) {
  static const u8 index[6] = {SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR};
  for (u32 i = 0; i < 6; i++) fields[i] = cmos(index[i]);
  fields[6] = acpi.century ? cmos(acpi.century & 0x7F) : 0;
}

// Days from 1970-01-01 to a date of the Gregorian calendar.
static u64 days_since_1970(u32 year, u32 month, u32 day) {
  u32 y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
  return (u64)y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

void wall_init(void) {
  u8 now[7], again[7];
  // Twice the same and no update under way: consistent. Bounded, for a clock that is not there.
  for (u32 tries = 0;; tries++) {
    if (tries == 5000) return;
    if (cmos(STATUS_A) & UPDATING) continue;
    read_fields(now);
    read_fields(again);
    bool same = true;
    for (u32 i = 0; i < 7; i++) same &= now[i] == again[i];
    if (same) break;
  }
  u8 format = cmos(STATUS_B);
  bool afternoon = !(format & HOURS_24) && now[2] & PM;
  if (!(format & HOURS_24)) now[2] &= 0x7F;
  if (!(format & BINARY))
    for (u32 i = 0; i < 7; i++) now[i] = (u8)((now[i] >> 4) * 10 + (now[i] & 15));
  if (!(format & HOURS_24)) now[2] = (u8)(now[2] % 12 + (afternoon ? 12 : 0));
  u32 century = now[6] >= 19 && now[6] <= 30 ? now[6] : 20, year = century * 100 + now[5];
  if (now[0] > 60 || now[1] > 59 || now[2] > 23 || now[3] < 1 || now[3] > 31 || now[4] < 1 || now[4] > 12 || now[5] > 99) return;
  u64 seconds = days_since_1970(year, now[4], now[3]) * 86400 + now[2] * 3600 + now[1] * 60 + now[0];
  wall_at_origin_ns = seconds * 1000000000ull - now_ns();
}

u64 w2c_env_clockWall(struct core* core) {
  (void)core;
  return wall_at_origin_ns ? wall_at_origin_ns + now_ns() : 0;
}
