// What happens when sandboxed code is stopped: the reason, a backtrace with its function names, the end.
#include "cores.h"
#include "platform.h"
#include "symbols.h"
#include "text.h"

#define EXIT_PANIC 70  // EX_SOFTWARE
#define MAX_FRAMES 64
// No frame of ours is larger than 2 KiB (-Wframe-larger-than), so a step of more than this is not a frame.
#define MAX_FRAME_BYTES 0x10000

static const char* const trap_names[] = {
    [TRAP_UNREACHABLE] = "unreachable code was reached",
    [TRAP_OUT_OF_BOUNDS] = "memory access out of bounds",
    [TRAP_DIVIDE_BY_ZERO] = "division by zero",
    [TRAP_INTEGER_OVERFLOW] = "integer overflow in a division or conversion",
    [TRAP_INVALID_CONVERSION] = "conversion of a NaN to an integer",
    [TRAP_INDIRECT_CALL] = "call through a function reference of the wrong type, or none",
    [TRAP_STACK_OVERFLOW] = "native stack overflow",
    [TRAP_ABORT] = "abort",
    [TRAP_PLATFORM] = "a platform function was called with arguments that the kernel never passes",
    [TRAP_FAULT] = "a fault in native code",
};

static void frame_line(struct text* text, u64 pc) {
  char name[192];
  u64 distance = 0;
  // A return address may be the first byte behind a function that never returns: look up the call itself.
  u32 length = symbol_find(pc - 1, name, sizeof name, &distance);
  text_string(text, "  at ");
  if (length) {
    text_bytes(text, name, length);
    text_string(text, " +");
    text_hex(text, distance + 1);
  } else {
    text_hex(text, pc);
  }
  text_string(text, "\n");
}

void print_backtrace(u64 pc, u64 frame) {
  struct text text = {.length = 0};
  for (u32 i = 0; i < MAX_FRAMES && pc; i++) {
    frame_line(&text, pc);
    // The chain of saved frame pointers is native memory: sandboxed code cannot have changed it. Its end is a zero.
    if (!frame || frame % 8) break;
    u64 next = ((const u64*)frame)[0];
    pc = ((const u64*)frame)[1];
    if (next && (next <= frame || next - frame > MAX_FRAME_BYTES)) next = 0;
    frame = next;
  }
  text_flush(&text);
}

void w2c_env_backtrace(struct core* core) {
  (void)core;
  print_backtrace((u64)__builtin_return_address(0), *(const u64*)__builtin_frame_address(0));
}

static _Noreturn void panic_end(struct core* core, u64 pc, u64 frame) {
  struct text text = {.length = 0};
  text_string(&text, "on core ");
  text_decimal(&text, core->number);
  text_string(&text, ", stack ");
  text_decimal(&text, core->running);
  text_string(&text, "\n");
  text_flush(&text);
  print_backtrace(pc, frame);
  core_panicked(core, EXIT_PANIC);
}

_Noreturn void trap_report(struct core* core, enum trap reason, u64 detail, u64 pc, u64 frame) {
  struct text text = {.length = 0};
  text_string(&text, "\npanic: ");
  text_string(&text, trap_names[reason]);
  if (reason == TRAP_OUT_OF_BOUNDS) {
    text_string(&text, ": address ");
    text_hex(&text, detail);
    if (detail < LINEAR_NULL_BYTES) text_string(&text, " (a null reference)");
  }
  text_string(&text, ", ");
  text_flush(&text);
  // A fault's pc is the instruction itself, not a return address.
  panic_end(core, pc + 1, frame);
}

_Noreturn void wasm_trap(enum trap reason) {
  trap_report(this_core(), reason, 0, (u64)__builtin_return_address(0) - 1, *(const u64*)__builtin_frame_address(0));
}

void w2c_env_panic(struct core* core, u32 message, u32 length) {
  struct text text = {.length = 0};
  text_string(&text, "\npanic: ");
  if (core_range(message, length, LINEAR_HEAP, core->heap_mapped)) {
    text_bytes(&text, (const char*)core_pointer(core, message), length);
  }
  text_string(&text, ", ");
  text_flush(&text);
  panic_end(core, (u64)__builtin_return_address(0), *(const u64*)__builtin_frame_address(0));
}

// An AssemblyScript string: UTF-16, its size in bytes 4 bytes before it. Not trusted: the kernel may be what is broken.
static void text_utf16(struct core* core, struct text* text, u32 string) {
  if (!core_range(string, 0, LINEAR_HEAP + 20, core->heap_mapped)) return;
  u32 bytes = *(const u32*)core_pointer(core, string - 4);
  if (bytes > 1024) bytes = 1024;
  if (!core_range(string, bytes, LINEAR_HEAP, core->heap_mapped)) return;
  const u16* units = (const u16*)core_pointer(core, string);
  for (u32 i = 0; i < bytes / 2; i++) {
    u16 c = units[i];
    char one = c >= 32 && c < 127 ? (char)c : '?';
    text_bytes(text, &one, 1);
  }
}

void w2c_env_abort(struct core* core, u32 message, u32 file, u32 line, u32 column) {
  struct text text = {.length = 0};
  text_string(&text, "\npanic: abort");
  if (message) {
    text_string(&text, ": ");
    text_utf16(core, &text, message);
  }
  if (file) {
    text_string(&text, " at ");
    text_utf16(core, &text, file);
    text_string(&text, ":");
    text_decimal(&text, line);
    text_string(&text, ":");
    text_decimal(&text, column);
  }
  text_string(&text, ", ");
  text_flush(&text);
  panic_end(core, (u64)__builtin_return_address(0), *(const u64*)__builtin_frame_address(0));
}
