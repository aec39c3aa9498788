// clang: -Oz -mgeneral-regs-only
#include "text.h"
#include "notes.h"
#include "platform.h"

void text_bytes(struct text* text, const char* bytes, u32 length) {
  for (u32 i = 0; i < length; i++) {
    if (text->length == sizeof text->bytes) text_flush(text);
    text->bytes[text->length++] = bytes[i];
  }
}

void text_string(struct text* text, const char* string) {
  u32 length = 0;
  while (string[length]) length++;
  text_bytes(text, string, length);
}

void text_hex(struct text* text, u64 value) {
  char digits[18];
  u32 at = sizeof digits;
  do {
    digits[--at] = "0123456789abcdef"[value & 15];
    value >>= 4;
  } while (value);
  digits[--at] = 'x';
  digits[--at] = '0';
  text_bytes(text, digits + at, sizeof digits - at);
}

void text_decimal(struct text* text, u64 value) {
  char digits[20];
  u32 at = sizeof digits;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value);
  text_bytes(text, digits + at, sizeof digits - at);
}

void text_flush(struct text* text) {
  console_write(text->bytes, text->length);
  if (text->core) report_keep(text->core, text->bytes, text->length);
  text->length = 0;
}
