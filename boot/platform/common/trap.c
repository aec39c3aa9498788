// What happens when sandboxed code is stopped: the reason, a backtrace with its function names, and the end of the fiber that
// it was, or of the machine.
//
// Invariant: a fiber is ended only where nothing of the kernel's can be half changed (kernel.h): at depth 0, or where the
// allocator or a platform function that the service called has refused before it changed anything. The scheduler, on the
// loop's stack, then finds a running fiber that did not switch away, asks `trapTaken`, and cleans up.
// Reports of the watchdog come from interrupt handlers: no vector registers.
// clang: -Oz -mgeneral-regs-only
#include "cores.h"
#include "kernel.h"
#include "notes.h"
#include "platform.h"
#include "symbols.h"
#include "text.h"
#include "watchdog.h"

#define EXIT_PANIC 70  // EX_SOFTWARE
#define MAX_FRAMES 64
#define MAX_REPORTED 100  // fibers in a report of all
#define FIBER_ESSENTIAL 1u  // the machine's end with it (fibers/task.ts)
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
    [TRAP_MEMORY] = "out of memory",
    [TRAP_WATCHDOG] = "held the core for too long",
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

static bool frame_within(u64 frame, u64 low, u64 high) {
  return frame % 8 == 0 && frame && frame >= low && frame + 16 <= high;
}

static void backtrace_within(struct core* core, u64 pc, u64 frame, u64 low, u64 high) {
  struct text text;
  text_begin(&text, core);
  for (u32 i = 0; i < MAX_FRAMES && pc; i++) {
    frame_line(&text, pc);
    // The chain of saved frame pointers is native memory: sandboxed code cannot have changed it. Its end is a zero. In the
    // middle of a function's entry or of a switch the register may hold anything: it is checked like everything else.
    if (!frame_within(frame, low, high)) break;
    u64 next = ((const u64*)frame)[0];
    pc = ((const u64*)frame)[1];
    if (next && (next <= frame || next - frame > MAX_FRAME_BYTES)) next = 0;
    frame = next;
  }
  text_flush(&text);
}

void print_backtrace(u64 pc, u64 frame) {
  struct core* core = this_core();
  // Before there is a core, and on stacks of the platform's own, frames may lie anywhere.
  u64 low = 0, high = ~0ull;
  if (core && core->loop_top) stack_bounds(core, core->running, &low, &high);
  backtrace_within(core, pc, frame, low, high);
}

void w2c_env_backtrace(struct core* core) {
  (void)core;
  print_backtrace((u64)__builtin_return_address(0), *(const u64*)__builtin_frame_address(0));
}

// What fibers/task.ts keeps of a fiber for people, in linear memory: nothing of it is trusted.
struct label {
  u32 number, flags, name_bytes;
  char name[24];
};

static const struct label* label_of(struct core* core, u32 stack) {
  u32 at = stack_label(core, stack);
  return at && core_range(at, sizeof(struct label), LINEAR_HEAP, core->heap_mapped) ? (const struct label*)core_pointer(core, at) : NULL;
}

static void text_fiber(struct core* core, u32 stack, struct text* text) {
  if (stack == 0) return text_string(text, "the event loop");
  const struct label* label = label_of(core, stack);
  text_string(text, "fiber ");
  if (!label) return text_decimal(text, stack);
  text_decimal(text, label->number);
  u32 bytes = label->name_bytes < sizeof label->name ? label->name_bytes : sizeof label->name;
  if (bytes) text_string(text, " (");
  text_foreign(text, label->name, bytes);
  if (bytes) text_string(text, ")");
}

void w2c_env_fibersReport(struct core* core) {
  u32 said = 0, left = 0;
  struct suspended suspended;
  for (u32 stack = 1, count = w2c_env_stackCount(core); stack < count; stack++) {
    if (!stack_suspended(core, stack, &suspended)) continue;
    if (said == MAX_REPORTED) {
      left++;
      continue;
    }
    said++;
    struct text text;
    text_begin(&text, core);
    text_fiber(core, stack, &text);
    text_string(&text, ", suspended\n");
    text_flush(&text);
    backtrace_within(core, suspended.pc, suspended.frame, suspended.low, suspended.high);
  }
  if (left == 0) return;
  struct text text;
  text_begin(&text, core);
  text_string(&text, "and ");
  text_decimal(&text, left);
  text_string(&text, " fibers more\n");
  text_flush(&text);
}

bool trap_ends_fiber(struct core* core, enum trap reason) {
  if (core->running == 0 || reason == TRAP_FAULT) return false;
  const struct label* label = label_of(core, core->running);
  if (!label || label->flags & FIBER_ESSENTIAL) return false;
  if (core->kernel_depth == 0) return true;
  return core->kernel_depth == KERNEL_LEAF && (reason == TRAP_MEMORY || reason == TRAP_PLATFORM);
}

static void text_place(struct core* core, struct text* text) {
  text_string(text, ", on core ");
  text_decimal(text, core->number);
  text_string(text, ", ");
  text_fiber(core, core->running, text);
  text_string(text, "\n");
}

static _Noreturn void panic_end(struct core* core, struct text* text, u64 pc, u64 frame) {
  text_place(core, text);
  text_flush(text);
  print_backtrace(pc, frame);
  notes_print(core);
  core_panicked(core, EXIT_PANIC);
}

// Says what was ended and gives up its stack; `text` already says why.
static u64 fiber_end(struct core* core, struct text* text, enum trap reason, u64 pc, u64 frame) {
  text_place(core, text);
  text_flush(text);
  print_backtrace(pc, frame);
  core->trapped = reason;
  return stack_abandon(core);
}

static void text_held(struct text* text, u64 held_ms) {
  text_string(text, ": ");
  text_decimal(text, held_ms);
  text_string(text, " ms");
}

void report_held(struct core* core, u64 held_ms, u64 pc, u64 frame) {
  struct text text;
  text_begin(&text, core);
  text_string(&text, "\nwatchdog: the core is held");
  text_held(&text, held_ms);
  text_place(core, &text);
  text_flush(&text);
  print_backtrace(pc + 1, frame);
}

_Noreturn void core_held(struct core* core, u64 held_ms, u64 pc, u64 frame) {
  struct text text;
  text_begin(&text, core);
  text_string(&text, "\npanic: held the core for too long");
  text_held(&text, held_ms);
  panic_end(core, &text, pc + 1, frame);
}

u64 trap_take(struct core* core, enum trap reason, u64 detail, u64 pc, u64 frame) {
  struct text text;
  text_begin(&text, core);
  bool fiber = trap_ends_fiber(core, reason);
  text_string(&text, fiber ? "\ntrap: " : "\npanic: ");
  text_string(&text, trap_names[reason]);
  if (reason == TRAP_OUT_OF_BOUNDS) {
    text_string(&text, ": address ");
    text_hex(&text, detail);
    if (detail < LINEAR_NULL_BYTES) text_string(&text, " (a null reference)");
  }
  if (reason == TRAP_WATCHDOG) text_held(&text, detail);
  // A fault's pc is the instruction itself, not a return address.
  if (fiber) return fiber_end(core, &text, reason, pc + 1, frame);
  panic_end(core, &text, pc + 1, frame);
}

_Noreturn void trap_report(struct core* core, enum trap reason, u64 detail, u64 pc, u64 frame) {
  stack_resume(trap_take(core, reason, detail, pc, frame));
}

_Noreturn void wasm_trap(enum trap reason) {
  trap_report(this_core(), reason, 0, (u64)__builtin_return_address(0) - 1, *(const u64*)__builtin_frame_address(0));
}

_Noreturn void stack_exhausted(struct core* core) {
  trap_report(core, TRAP_STACK_OVERFLOW, 0, (u64)__builtin_return_address(0) - 1, *(const u64*)__builtin_frame_address(0));
}

void w2c_env_outOfMemory(struct core* core) {
  trap_report(core, TRAP_MEMORY, 0, (u64)__builtin_return_address(0) - 1, *(const u64*)__builtin_frame_address(0));
}

u32 w2c_env_trapTaken(struct core* core) {
  u32 reason = core->trapped;
  core->trapped = 0;
  return reason;
}

void w2c_env_panic(struct core* core, u32 message, u32 length) {
  struct text text;
  text_begin(&text, core);
  text_string(&text, "\npanic: ");
  if (core_range(message, length, LINEAR_HEAP, core->heap_mapped)) {
    text_bytes(&text, (const char*)core_pointer(core, message), length);
  }
  panic_end(core, &text, (u64)__builtin_return_address(0), *(const u64*)__builtin_frame_address(0));
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
  struct text text;
  text_begin(&text, core);
  bool fiber = trap_ends_fiber(core, TRAP_ABORT);
  text_string(&text, fiber ? "\ntrap: abort" : "\npanic: abort");
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
  u64 pc = (u64)__builtin_return_address(0), frame = *(const u64*)__builtin_frame_address(0);
  if (fiber) stack_resume(fiber_end(core, &text, TRAP_ABORT, pc, frame));
  panic_end(core, &text, pc, frame);
}
