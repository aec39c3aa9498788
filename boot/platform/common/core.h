// A core: one instance of the module, its linear memory, its loop. Found from sandboxed code as the module's import
// instance, from interrupt handlers through the platform's own per-CPU pointer.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "layout.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef float f32;
typedef double f64;
#define WASM_RT_CORE_TYPES_DEFINED

// The generated code knows its import instance as `struct w2c_env`.
#define w2c_env core

struct stack;

// The watchdog's count (watchdog.c), touched by its ticks only.
struct watch {
  u64 interval_ns;         // of a tick; 0: off
  u32 report, end, panic;  // in ticks
  u32 moves;               // the core's at the last tick
  u32 ticks;               // since then, without a move
};

// What was reported, for the log: the last bytes, taken by the loop (trap.c). Positions only grow; modulo the size they wrap.
#define REPORT_BYTES 8192u
struct report {
  u32 written, taken;
  char bytes[REPORT_BYTES];
};

struct core {
  u8* memory;              // base of the linear memory: this struct + CORE_BELOW
  u32 number;
  u32 pending;             // bits set by interrupt handlers or signals, taken by the loop; atomic
  u32 running;             // the running stack (stacks.c)
  u32 kernel_depth;        // above 0: a trap is fatal for the core (kernel.h)
  u64 stack_limit;         // below it the running stack has no room for the kernel (kernel.h)
  u32 trapped;             // enum trap: why the platform ended the fiber that ran last; 0: it did not (trap.c)
  u32 heap_limit_pages;    // memory.grow refuses beyond
  u64 heap_mapped;         // linear offset up to which the heap is backed by memory; 0 before the first heap_map
  void* stacks;            // stacks.c
  u8* loop_top;            // where the loop's stack begins, as far as the module has used it
  struct watch watch;
  u32 moves;               // switches of stacks and turns of the loop; wraps
  u64 bells;               // bit N: core N rang (cores.h); atomic
  u32 waiting;             // the core halts, or is about to; atomic
  u32 state;               // enum core_state; atomic
  u32 notes;               // offset of `struct notes` (notes.c), 0: none
  struct report report;
};

// A safe way from an offset to a pointer for bytes that native code only reads or writes within linear memory.
// `offset` and `length` are the sandbox's: both are checked against [0, 4 GiB).
static inline bool core_range(u32 offset, u32 length, u64 low, u64 high) {
  return offset >= low && (u64)offset + length <= high;
}
static inline u8* core_pointer(struct core* core, u32 offset) { return core->memory + offset; }

// Why sandboxed code was stopped.
enum trap {
  TRAP_UNREACHABLE = 1,
  TRAP_OUT_OF_BOUNDS,      // a load or store outside what is mapped; the offset is in the message
  TRAP_DIVIDE_BY_ZERO,
  TRAP_INTEGER_OVERFLOW,
  TRAP_INVALID_CONVERSION,
  TRAP_INDIRECT_CALL,      // a function reference of the wrong type, or none
  TRAP_STACK_OVERFLOW,
  TRAP_ABORT,              // abort() in AssemblyScript
  TRAP_PLATFORM,           // an argument of a platform function that only a corrupted kernel, or a service by itself, can pass
  TRAP_MEMORY,             // no memory for what a service allocates
  TRAP_WATCHDOG,           // the fiber held the core for too long
  TRAP_FAULT,              // of native code, or of the machine: nothing that sandboxed code can bring about
};
