// Native stacks of fibers: a table of handles, a pool, the switch (switch.S).
//
//   top ------>  struct stack (this file's, at the highest address of the mapping)
//                frames, growing down
//   limit        below here only the kernel's: a call into it from service code checks this (kernel.h)
//   top - size   guard: unmapped
//
// Handle 0 is the stack on which the loop runs. A handle is an index that sandboxed code may forge: it is checked at
// each use, and a forged one can at most resume a suspended fiber out of turn, never reach native memory.
// clang: -Os
#include "platform.h"
#include "wasm-rt.h"

#define CHUNK 512
#define LOOP_STACK_REACH 0x100000ull  // the loop's stack is smaller than this
#define CHUNKS 256  // 131,072 stacks a core
#define SIZE_CLASSES 12
#define SMALLEST_SIZE 0x8000ull  // 32 KiB; the classes are its doublings

struct stack {
  u64 sp;        // saved stack pointer while suspended
  u8* top;       // end of the mapping
  u32 size_class;
  u32 entry;
  u32 argument;
  u32 label;
  u32 depth;     // kernel_depth while suspended
  u64 limit;     // stack_limit
  u32 next_free; // handle + 1 in the pool of its class
  enum { STACK_FREE, STACK_NEW, STACK_SUSPENDED, STACK_RUNNING, STACK_ENDED } state;
};

struct stack_chunk {
  struct stack* stacks[CHUNK];
};

struct stack_table {
  struct stack loop;
  u32 count;                      // handles given out so far, with the loop's
  u32 free[SIZE_CLASSES];         // handle + 1 of the first free stack of each class
  struct stack_chunk* chunks[CHUNKS];
};

void stack_switch(u64* save, u64 load);
void stack_start(void);

static struct stack_table* table_of(struct core* core) {
  if (!core->stacks) {
    u8* top = stack_map(sizeof(struct stack_table));
    if (!top) trap_report(core, TRAP_PLATFORM, 0, (u64)__builtin_return_address(0), 0);
    struct stack_table* table = (struct stack_table*)(((u64)top - sizeof(struct stack_table)) & ~15ull);
    table->count = 1;
    table->loop.state = STACK_RUNNING;
    core->stacks = table;
  }
  return core->stacks;
}

static inline struct stack* find(struct stack_table* table, u32 handle) {
  if (handle == 0) return &table->loop;
  if (handle >= table->count) return NULL;
  return table->chunks[handle / CHUNK]->stacks[handle % CHUNK];
}

// The first C of a new stack, called by stack_start.
_Noreturn void stack_main(struct core* core, struct stack* stack);

void module_call(struct core* core, u32 function, u32 argument);

_Noreturn void stack_main(struct core* core, struct stack* stack) {
  module_call(core, stack->entry, stack->argument);
  trap_report(core, TRAP_PLATFORM, 0, (u64)__builtin_return_address(0), 0);  // an entry must not return
}

// Lays out what stack_switch pops: six registers and the return address, which is stack_start; rbx and r12 are its arguments.
static void prepare(struct core* core, struct stack* stack) {
  u64* sp = (u64*)(((u64)stack & ~63ull) - 64);
  *--sp = 0;                    // end of the frame chain
  *--sp = 0;
  *--sp = (u64)stack_start;
  *--sp = 0;                    // rbp
  *--sp = (u64)core;            // rbx
  *--sp = (u64)stack;           // r12
  *--sp = 0;
  *--sp = 0;
  *--sp = 0;
  stack->sp = (u64)sp;
  stack->state = STACK_NEW;
  stack->depth = 1;  // the entry is the kernel's
}

u32 w2c_env_stackCreate(struct core* core, u32 size, u32 entry, u32 argument, u32 label) {
  struct stack_table* table = table_of(core);
  u32 class = 0;
  while (class < SIZE_CLASSES && (SMALLEST_SIZE << class) < size) class++;
  if (class == SIZE_CLASSES) return (u32)-12;  // ENOMEM
  u32 handle = table->free[class];
  struct stack* stack;
  if (handle) {
    handle--;
    stack = find(table, handle);
    table->free[class] = stack->next_free;
  } else {
    if (table->count == CHUNK * CHUNKS) return (u32)-12;
    u32 chunk = table->count / CHUNK;
    if (!table->chunks[chunk]) {
      u8* top = stack_map(sizeof(struct stack_chunk));
      if (!top) return (u32)-12;
      table->chunks[chunk] = (struct stack_chunk*)(top - sizeof(struct stack_chunk));
    }
    u8* top = stack_map(SMALLEST_SIZE << class);
    if (!top) return (u32)-12;
    stack = (struct stack*)(top - sizeof(struct stack));
    stack->top = top;
    stack->size_class = class;
    stack->limit = (u64)top - (SMALLEST_SIZE << class) + STACK_KERNEL_BYTES;
    handle = table->count++;
    table->chunks[chunk]->stacks[handle % CHUNK] = stack;
  }
  stack->entry = entry;
  stack->argument = argument;
  stack->label = label;
  prepare(core, stack);
  return handle;
}

void w2c_env_stackFree(struct core* core, u32 handle) {
  struct stack_table* table = table_of(core);
  struct stack* stack = find(table, handle);
  if (!stack || handle == 0 || handle == core->running || stack->state == STACK_FREE) wasm_trap(TRAP_PLATFORM);
  stack->state = STACK_FREE;
  stack->next_free = table->free[stack->size_class];
  table->free[stack->size_class] = handle + 1;
}

void w2c_env_stackSwitch(struct core* core, u32 handle) {
  struct stack_table* table = table_of(core);
  struct stack* from = find(table, core->running);
  struct stack* to = find(table, handle);
  if (!to || to == from || to->state == STACK_FREE || to->state == STACK_ENDED) wasm_trap(TRAP_PLATFORM);
  from->state = STACK_SUSPENDED;
  to->state = STACK_RUNNING;
  from->depth = core->kernel_depth;
  core->running = handle;
  core->kernel_depth = to->depth;
  core->stack_limit = to->limit;
  core->moves++;
  stack_switch(&from->sp, to->sp);
}

// The fiber is gone between two of its instructions; its callers' frames are never returned to.
u64 stack_abandon(struct core* core) {
  struct stack_table* table = table_of(core);
  find(table, core->running)->state = STACK_ENDED;
  table->loop.state = STACK_RUNNING;
  core->running = 0;
  core->kernel_depth = table->loop.depth;
  core->stack_limit = 0;
  return table->loop.sp;
}

void stack_bounds(struct core* core, u32 handle, u64* low, u64* high) {
  struct stack* stack = handle ? find(table_of(core), handle) : NULL;
  *high = stack ? (u64)stack : (u64)core->loop_top + 64;
  *low = stack ? stack->limit - STACK_KERNEL_BYTES : *high - LOOP_STACK_REACH;
}

bool stack_suspended(struct core* core, u32 handle, struct suspended* suspended) {
  struct stack* stack = find(table_of(core), handle);
  if (!stack || stack->state != STACK_SUSPENDED) return false;
  stack_bounds(core, handle, &suspended->low, &suspended->high);
  // As stack_switch pushed them: five registers, the frame pointer, the return address.
  const u64* saved = (const u64*)stack->sp;
  suspended->frame = saved[5];
  suspended->pc = saved[6];
  return true;
}

u32 stack_label(struct core* core, u32 handle) { return handle ? find(table_of(core), handle)->label : 0; }

u32 w2c_env_stackCount(struct core* core) { return table_of(core)->count; }

u32 w2c_env_stackScan(struct core* core, u32 handle, u32 skip, u32 target, u32 capacity, u32 low, u32 high) {
  struct stack_table* table = table_of(core);
  struct stack* stack = find(table, handle);
  if (!stack || !core_range(target, capacity, LINEAR_HEAP, core->heap_mapped) || capacity > core->heap_mapped / 4 ||
      !core_range(target, capacity * 4, LINEAR_HEAP, core->heap_mapped)) {
    wasm_trap(TRAP_PLATFORM);
  }
  if (stack->state == STACK_FREE || stack->state == STACK_ENDED) return 0;
  // Values in the heap are all that the collector looks for; nothing else on a native stack is the sandbox's to see.
  if (low < LINEAR_HEAP) low = LINEAR_HEAP;
  if (high > core->heap_mapped) high = (u32)core->heap_mapped;
  __builtin_unwind_init();  // the running stack: its registers go into this frame
  const u8* from = stack->state == STACK_RUNNING ? __builtin_frame_address(0) : (const u8*)stack->sp;
  if (stack->state == STACK_RUNNING) from -= 256;  // where this function saved them
  const u8* to = handle == 0 ? core->loop_top : (const u8*)stack;
  u32* out = (u32*)core_pointer(core, target);
  u32 found = 0;
  for (const u32* p = (const u32*)((u64)from & ~3ull); (const u8*)p < to; p++) {
    if (*p < low || *p >= high) continue;
    if (skip > 0) {
      skip--;
      continue;
    }
    if (found == capacity) break;
    out[found++] = *p;
  }
  // An entry that has not run yet has its argument only here.
  if (stack->state == STACK_NEW && found < capacity && skip == 0) {
    if (stack->argument >= low && stack->argument < high) out[found++] = stack->argument;
  }
  return found;
}
