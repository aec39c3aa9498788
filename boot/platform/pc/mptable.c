// The CPUs by Intel's MultiProcessor Specification 1.4, chapter 4, for machines without ACPI (QEMU's microvm with acpi=off,
// Firecracker). Everything in it is firmware's: lengths and checksums are checked, all stays inside physical memory.
// clang: -Oz
#include "pc.h"

enum { POINTER_BYTES = 16, HEADER_BYTES = 44, PROCESSOR_BYTES = 20, OTHER_BYTES = 8, PROCESSOR = 0, ENABLED = 1 };

static bool sums_to_zero(const u8* data, u32 bytes) {
  u8 sum = 0;
  for (u32 i = 0; i < bytes; i++) sum = (u8)(sum + data[i]);
  return sum == 0;
}

static bool starts_with(const u8* data, const char* text) {
  for (u32 i = 0; i < 4; i++)
    if (data[i] != (u8)text[i]) return false;
  return true;
}

static u32 find(u64 from, u64 to) {
  for (u64 at = from; at + POINTER_BYTES <= to; at += POINTER_BYTES) {
    const u8* pointer = direct(at);
    if (starts_with(pointer, "_MP_") && pointer[8] == 1 && sums_to_zero(pointer, POINTER_BYTES))
      return *(const u32*)(pointer + 4);
  }
  return 0;
}

void mptable_read(void) {
  u64 ebda = (u64) * (volatile u16*)direct(0x40E) << 4;
  u32 physical = ebda >= 0x80000 && ebda < 0xA0000 ? find(ebda, ebda + 1024) : 0;
  if (!physical) physical = find(0x9FC00, 0xA0000);
  if (!physical) physical = find(0xF0000, 0x100000);
  if (!physical || !direct_covers(physical, HEADER_BYTES)) return;
  const u8* table = direct(physical);
  u32 bytes = table[4] | table[5] << 8;
  if (!starts_with(table, "PCMP") || bytes < HEADER_BYTES || !direct_covers(physical, bytes) || !sums_to_zero(table, bytes)) return;
  for (u32 at = HEADER_BYTES; at < bytes;) {
    bool processor = table[at] == PROCESSOR;
    if (processor && at + PROCESSOR_BYTES > bytes) return;
    if (processor && table[at + 3] & ENABLED) acpi_add_cpu(table[at + 1]);
    at += processor ? PROCESSOR_BYTES : OTHER_BYTES;
  }
}
