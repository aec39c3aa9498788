// clang: -Oz -mgeneral-regs-only
#include "symbols.h"

u32 symbol_find(u64 address, char* name, u32 size, u64* distance) {
  u64 at = symbol_base;
  u32 found = 0;
  char current[256];
  u32 length = 0;
  const u8* p = symbol_table;
  const u8* end = symbol_table + symbol_bytes;
  while (p < end) {
    u64 delta = 0;
    u32 shift = 0;
    u8 byte;
    do {
      byte = *p++;
      delta |= (u64)(byte & 127) << shift;
      shift += 7;
    } while (byte & 128);
    at += delta;
    if (at > address) break;
    length = *p++;
    u32 more = *p++;
    for (u32 i = 0; i < more && length < sizeof current; i++) current[length++] = (char)p[i];
    p += more;
    found = length;
    *distance = address - at;
  }
  // The last entry is the end of the text and has no name.
  if (found > size) found = size;
  for (u32 i = 0; i < found; i++) name[i] = current[i];
  return found;
}
