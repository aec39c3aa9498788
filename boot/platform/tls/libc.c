// What the library calls of the C library, on bare metal: strings, sorting, formatting of numbers into text (names of
// objects, dates, reports), and files, of which there are none. ISO C 7.21 to 7.24; nothing here knows a locale.
#if !__STDC_HOSTED__
#include "inline.h"  // tells platform.h what is inline there
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../common/platform.h"

// ---- strings

size_t strlen(const char* s) {
  size_t n = 0;
  while (s[n]) n++;
  return n;
}
int strncmp(const char* a, const char* b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (a[i] != b[i] || !a[i]) return (u8)a[i] - (u8)b[i];
  return 0;
}
int strcmp(const char* a, const char* b) { return strncmp(a, b, SIZE_MAX); }
void* memchr(const void* s, int c, size_t n) {
  const u8* at = s;
  for (size_t i = 0; i < n; i++)
    if (at[i] == (u8)c) return (void*)(at + i);
  return NULL;
}
char* strchr(const char* s, int c) { return memchr(s, c, strlen(s) + 1); }
char* strpbrk(const char* s, const char* set) {
  for (; *s; s++)
    if (strchr(set, *s)) return (char*)s;
  return NULL;
}
char* strerror(int number) {
  (void)number;
  return "error";
}

// ---- numbers

static bool digit_of(char c, u32 base, u32* value) {
  *value = c >= '0' && c <= '9' ? (u32)(c - '0') : (c | 32) >= 'a' && (c | 32) <= 'z' ? (u32)((c | 32) - 'a') + 10 : 99;
  return *value < base;
}

unsigned long strtoul(const char* restrict s, char** restrict end, int base) {
  unsigned long value = 0;
  u32 digit;
  while (*s == ' ' || *s == '\t') s++;
  bool negative = *s == '-';
  if (*s == '-' || *s == '+') s++;
  if ((base == 0 || base == 16) && s[0] == '0' && (s[1] | 32) == 'x') s += 2, base = 16;
  if (base == 0) base = *s == '0' ? 8 : 10;
  for (; digit_of(*s, (u32)base, &digit); s++) value = value * (u32)base + digit;
  if (end) *end = (char*)s;
  return negative ? -value : value;
}
long strtol(const char* restrict s, char** restrict end, int base) { return (long)strtoul(s, end, base); }

// ---- formatting: %[flags][width][.precision][hh|h|l|ll|z]conversion with d i u x X o c s p %

struct sink {
  char* at;
  size_t room, length;
};

static void put(struct sink* sink, char c) {
  if (sink->length + 1 < sink->room) sink->at[sink->length] = c;
  sink->length++;
}
static void fill(struct sink* sink, char c, int count) {
  while (count-- > 0) put(sink, c);
}

struct format { bool left, zero, plus, space, alternate; int width, precision; };

static void put_text(struct sink* sink, const struct format* f, const char* text, int length) {
  if (!f->left) fill(sink, ' ', f->width - length);
  for (int i = 0; i < length; i++) put(sink, text[i]);
  if (f->left) fill(sink, ' ', f->width - length);
}

static void put_number(struct sink* sink, const struct format* f, u64 value, u32 base, bool negative, bool upper) {
  char digits[24];
  int count = 0;
  for (; value || (count == 0 && f->precision != 0); value /= base) digits[count++] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
  const char* sign = negative ? "-" : f->plus ? "+" : f->space ? " " : f->alternate && base == 16 ? (upper ? "0X" : "0x") : "";
  int signs = (int)strlen(sign), zeros = f->precision > count ? f->precision - count : 0;
  if (f->zero && !f->left && f->precision < 0 && f->width > count + signs) zeros = f->width - count - signs;
  if (!f->left) fill(sink, ' ', f->width - signs - zeros - count);
  while (*sign) put(sink, *sign++);
  fill(sink, '0', zeros);
  for (int i = count; i-- > 0;) put(sink, digits[i]);
  if (f->left) fill(sink, ' ', f->width - signs - zeros - count);
}

int vsnprintf(char* restrict to, size_t room, const char* restrict format, va_list arguments) {
  struct sink sink = {to, room, 0};
  for (const char* p = format; *p; p++) {
    if (*p != '%') {
      put(&sink, *p);
      continue;
    }
    struct format f = {.precision = -1};
    for (p++;; p++) {
      if (*p == '-') f.left = true;
      else if (*p == '0') f.zero = true;
      else if (*p == '+') f.plus = true;
      else if (*p == ' ') f.space = true;
      else if (*p == '#') f.alternate = true;
      else break;
    }
    if (*p == '*') {
      f.width = va_arg(arguments, int);
      if (f.width < 0) f.left = true, f.width = -f.width;
      p++;
    } else {
      for (; *p >= '0' && *p <= '9'; p++) f.width = f.width * 10 + (*p - '0');
    }
    if (*p == '.') {
      p++;
      f.precision = 0;
      if (*p == '*') f.precision = va_arg(arguments, int), p++;
      else for (; *p >= '0' && *p <= '9'; p++) f.precision = f.precision * 10 + (*p - '0');
    }
    u32 longs = 0, shorts = 0;
    for (;; p++) {
      if (*p == 'l' || *p == 'z' || *p == 'j' || *p == 't') longs++;
      else if (*p == 'h') shorts++;
      else break;
    }
    switch (*p) {
      case 'd': case 'i': {
        s64 value = longs ? va_arg(arguments, long) : va_arg(arguments, int);
        if (shorts) value = shorts == 1 ? (s16)value : (s8)value;
        put_number(&sink, &f, value < 0 ? -(u64)value : (u64)value, 10, value < 0, false);
        break;
      }
      case 'u': case 'x': case 'X': case 'o': {
        u64 value = longs ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned);
        if (shorts) value = shorts == 1 ? (u16)value : (u8)value;
        f.plus = f.space = false;
        put_number(&sink, &f, value, *p == 'u' ? 10 : *p == 'o' ? 8 : 16, false, *p == 'X');
        break;
      }
      case 'p':
        f.alternate = true;
        put_number(&sink, &f, (u64)va_arg(arguments, void*), 16, false, false);
        break;
      case 'c': {
        char c = (char)va_arg(arguments, int);
        put_text(&sink, &f, &c, 1);
        break;
      }
      case 's': {
        const char* text = va_arg(arguments, const char*);
        if (!text) text = "(null)";
        int length = 0;
        while ((f.precision < 0 || length < f.precision) && text[length]) length++;
        put_text(&sink, &f, text, length);
        break;
      }
      case 0: p--; break;
      default: put(&sink, *p);
    }
  }
  if (room) to[sink.length < room ? sink.length : room - 1] = 0;
  return (int)sink.length;
}

int snprintf(char* restrict to, size_t room, const char* restrict format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(to, room, format, arguments);
  va_end(arguments);
  return length;
}

// ---- sorting: a heap, so that no input of a peer's takes more than n log n steps

static void swap(u8* a, u8* b, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    u8 kept = a[i];
    a[i] = b[i];
    b[i] = kept;
  }
}

static void sink_down(u8* items, size_t at, size_t count, size_t bytes, int (*compare)(const void*, const void*)) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && compare(items + (child + 1) * bytes, items + child * bytes) > 0) child++;
    if (compare(items + child * bytes, items + at * bytes) <= 0) return;
    swap(items + child * bytes, items + at * bytes, bytes);
  }
}

void qsort(void* base, size_t count, size_t bytes, int (*compare)(const void*, const void*)) {
  for (size_t at = count / 2; at-- > 0;) sink_down(base, at, count, bytes, compare);
  for (size_t end = count; end-- > 1;) {
    swap(base, (u8*)base + end * bytes, bytes);
    sink_down(base, 0, end, bytes, compare);
  }
}

// ---- what is not there: files, an environment; and the end

FILE* stderr;
FILE* stdout;
char* getenv(const char* name) {
  (void)name;
  return NULL;
}
// Only asked to parse an environment variable, and there is none: nothing matches.
int __isoc99_sscanf(const char* restrict text, const char* restrict format, ...) {
  (void)text, (void)format;
  return 0;
}
// The library found its own state broken: fatal for the core.
_Noreturn void abort(void) { trap_report(this_core(), TRAP_FAULT, 0, (u64)__builtin_return_address(0), (u64)__builtin_frame_address(0)); }
// What it has to say before that.
int fprintf(FILE* restrict file, const char* restrict format, ...) {
  (void)file;
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  console_write(line, strlen(line));
  return length;
}
int fputs(const char* restrict text, FILE* restrict file) { return fprintf(file, "%s", text); }
int fflush(FILE* file) {
  (void)file;
  return 0;
}
size_t fwrite(const void* restrict from, size_t bytes, size_t count, FILE* restrict file) {
  (void)from, (void)bytes, (void)count, (void)file;
  return 0;
}
int* __errno_location(void) {
  static int number[CORES_MAX];
  return &number[this_core() ? this_core()->number : 0];
}
#endif
