// The console: COM1 (16550, 115200 8N1), or VGA text memory where there is no serial port.
// clang: -Oz -mgeneral-regs-only
#include <stdarg.h>
#include "../common/watchdog.h"
#include "pc.h"

enum { COM1 = 0x3F8, LINE_CONTROL = COM1 + 3, LINE_STATUS = COM1 + 5, SCRATCH = COM1 + 7, TRANSMIT_EMPTY = 0x20 };
enum { FIFO_BYTES = 16, POLLS_MAX = 100000, LOCK_POLLS = 100000000 };
enum { VGA_ADDRESS = 0xB8000, VGA_COLUMNS = 80, VGA_ROWS = 25, VGA_GREY = 0x0700 };

static bool serial;
static u32 fifo_left;
static u32 column;
static struct lock lock;

void console_init(void) {
  out8(SCRATCH, 0x5A);
  serial = in8(SCRATCH) == 0x5A;
  if (!serial) return;
  out8(COM1 + 1, 0);  // no interrupts
  out8(LINE_CONTROL, 0x80);
  out8(COM1, 1);  // 115200
  out8(COM1 + 1, 0);
  out8(LINE_CONTROL, 3);  // 8N1
  out8(COM1 + 2, 7);      // FIFO on and empty
  out8(COM1 + 4, 3);      // DTR, RTS
}

static void serial_put(u8 byte) {
  if (fifo_left == 0) {
    // Bounded: a port that never empties loses text, it does not stop the machine.
    for (u32 polls = 0; !(in8(LINE_STATUS) & TRANSMIT_EMPTY) && polls < POLLS_MAX; polls++) cpu_relax();
    fifo_left = FIFO_BYTES;
  }
  fifo_left--;
  out8(COM1, byte);
}

static void vga_put(u8 byte) {
  volatile u16* screen = direct(VGA_ADDRESS);
  if (byte == '\n' || column == VGA_COLUMNS) {
    column = 0;
    for (u32 i = 0; i < VGA_COLUMNS * (VGA_ROWS - 1); i++) screen[i] = screen[i + VGA_COLUMNS];
    for (u32 i = 0; i < VGA_COLUMNS; i++) screen[(VGA_ROWS - 1) * VGA_COLUMNS + i] = VGA_GREY | ' ';
    if (byte == '\n') return;
  }
  screen[(VGA_ROWS - 1) * VGA_COLUMNS + column++] = VGA_GREY | byte;
}

void console_write(const char* text, size_t length) {
  // Bounded: who reports a fault may have interrupted who holds it.
  for (u32 polls = 0; __atomic_exchange_n(&lock.held, 1, __ATOMIC_ACQUIRE) && polls < LOCK_POLLS; polls++) cpu_relax();
  for (size_t i = 0; i < length; i++) {
    u8 byte = (u8)text[i];
    if (!serial) {
      vga_put(byte);
      continue;
    }
    if (byte == '\n') serial_put('\r');
    serial_put(byte);
  }
  lock_give(&lock);
}

bool console_free(void) { return !__atomic_load_n(&lock.held, __ATOMIC_RELAXED); }

void print(const char* format, ...) {
  char line[256];
  size_t used = 0;
  va_list arguments;
  va_start(arguments, format);
  for (const char* p = format; *p && used < sizeof line - 24; p++) {
    if (*p != '%') {
      line[used++] = *p;
      continue;
    }
    char digits[20];
    u32 count = 0;
    p++;
    if (*p == 's') {
      for (const char* s = va_arg(arguments, const char*); *s && used < sizeof line - 24; s++) line[used++] = *s;
    } else if (*p == 'c') {
      line[used++] = (char)va_arg(arguments, int);
    } else {
      u64 value = *p == 'u' ? va_arg(arguments, u32) : va_arg(arguments, u64);
      u32 base = *p == 'u' ? 10 : 16;
      do digits[count++] = "0123456789abcdef"[value % base];
      while (value /= base);
      while (count) line[used++] = digits[--count];
    }
  }
  va_end(arguments);
  console_write(line, used);
}
