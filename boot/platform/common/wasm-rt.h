// What the C that wasm2c writes needs before its own declarations, in place of wabt's runtime (whose header npm does not
// ship). wasm-ops.h has what it needs after them. See boot/toolchain/generated-c.ts.
#pragma once
#include "core.h"

typedef double f64;

typedef struct { u64 pages; } wasm_rt_memory_t;  // its address gives the base of the memory, its content the size
typedef const char* wasm_rt_func_type_t;
typedef void (*wasm_rt_function_ptr_t)(void);
typedef struct { void (*fn)(void); } wasm_rt_tailcallee_t;
typedef struct { wasm_rt_func_type_t func_type; wasm_rt_function_ptr_t func; void* module_instance; } wasm_rt_funcref_t;
typedef struct { wasm_rt_funcref_t* data; u32 size; } wasm_rt_funcref_table_t;
enum { WASM_RT_I32, WASM_RT_I64, WASM_RT_F32, WASM_RT_F64, WASM_RT_FUNCREF, WASM_RT_EXTERNREF };

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

_Noreturn void wasm_trap(enum trap reason);
u32 wasm_rt_grow_memory(wasm_rt_memory_t* memory, u32 pages);
void wasm_rt_allocate_memory(wasm_rt_memory_t* memory, u32 pages, u32 max_pages, bool is64, u32 page_size);
void wasm_rt_free_memory(wasm_rt_memory_t* memory);
void wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t* table, u32 size, u32 max);
void wasm_rt_free_funcref_table(wasm_rt_funcref_table_t* table);
static inline bool wasm_rt_is_initialized(void) { return true; }
