// The module's instance: where it lies, how its memory grows, how it is started. Compiled for each module: it needs the
// generated header for the instance's type.
// clang: -Os
#include "heddle.h"
#include "platform.h"

// Bytes between struct core and the function table (struct core has all of them).
#define TABLE_AFTER_CORE 0x4000ull
_Static_assert(sizeof(struct core) <= TABLE_AFTER_CORE, "struct core");

static inline w2c_heddle* instance_of(struct core* core) { return (w2c_heddle*)(core->memory - INSTANCE_BELOW); }

static inline struct core* core_of_memory(const wasm_rt_memory_t* memory) {
  u8* instance = (u8*)memory - offsetof(w2c_heddle, w2c_memory);
  return (struct core*)(instance + INSTANCE_BELOW - CORE_BELOW);
}

static _Noreturn void out_of_memory(const char* what) {
  console_write("panic: ", 7);
  size_t n = 0;
  while (what[n]) n++;
  console_write(what, n);
  machine_exit(70);
}

void wasm_rt_allocate_memory(wasm_rt_memory_t* memory, u32 pages, u32 max_pages, bool is64, u32 page_size) {
  (void)max_pages, (void)is64, (void)page_size;
  struct core* core = core_of_memory(memory);
  if (pages > core->heap_limit_pages || !heap_map(core, (u64)pages << 16)) {
    out_of_memory("the machine has too little memory for the image's static data\n");
  }
  memory->pages = pages;
}

u32 wasm_rt_grow_memory(wasm_rt_memory_t* memory, u32 pages) {
  struct core* core = core_of_memory(memory);
  u64 old = memory->pages;
  u64 new = old + pages;
  if (new > core->heap_limit_pages) return (u32)-1;
  if ((new << 16) > core->heap_mapped && !heap_map(core, new << 16)) return (u32)-1;
  memory->pages = new;
  return (u32)old;
}

void wasm_rt_free_memory(wasm_rt_memory_t* memory) { (void)memory; }

void wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t* table, u32 size, u32 max) {
  (void)max;
  // Between struct core and the instance. The table of this module comes first; a module has one.
  u8* instance = (u8*)((u64)table & ~(INSTANCE_BELOW - 1));
  u8* core = instance + INSTANCE_BELOW - CORE_BELOW;
  if (TABLE_AFTER_CORE + size * sizeof(wasm_rt_funcref_t) > CORE_BELOW - INSTANCE_BELOW) {
    out_of_memory("the module has more function references than fit below its linear memory\n");
  }
  table->data = (wasm_rt_funcref_t*)(core + TABLE_AFTER_CORE);
  table->size = size;
}
void wasm_rt_free_funcref_table(wasm_rt_funcref_table_t* table) { (void)table; }

wasm_rt_func_type_t heddle_entry_type(void);  // boot/toolchain/compact-c.ts

void module_call(struct core* core, u32 function, u32 argument) {
  w2c_heddle* instance = instance_of(core);
  wasm_rt_func_type_t type = heddle_entry_type();
  const wasm_rt_funcref_table_t* table = &instance->w2c_0;
  if (function >= table->size || !type || table->data[function].func_type != type) wasm_trap(TRAP_INDIRECT_CALL);
  ((void (*)(void*, u32))table->data[function].func)(instance, argument);
}

// Whether `module_call` would find a function of its type there: what another core names is asked first.
u32 w2c_env_callable(struct core* core, u32 function) {
  const wasm_rt_funcref_table_t* table = &instance_of(core)->w2c_0;
  wasm_rt_func_type_t type = heddle_entry_type();
  return function < table->size && type && table->data[function].func_type == type;
}

_Noreturn void core_main(struct core* core) {
  w2c_heddle* instance = instance_of(core);
  core->loop_top = __builtin_frame_address(0);
  core->kernel_depth = 1;  // the loop is the kernel's
  // A handler's own page faults could not be served: what it writes is there before.
  for (u32 i = 0; i < REPORT_BYTES; i += 4096) ((volatile char*)core->report.bytes)[i] = 0;
  wasm2c_heddle_instantiate(instance, core);
  w2c_heddle_main(instance);
  machine_exit(0);
}
