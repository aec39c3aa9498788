// What the C that wasm2c writes needs from its surroundings, in place of wabt's runtime (whose header npm does not ship).
// The toolchain replaces the prologue of the generated file by `#include "wasm-rt.h"`; see boot/toolchain/generated-c.ts.
//
// Safety argument. Every access is base + u32 + static offset: at least `base`, below `base + 8 GiB + 16`, all of which
// belongs to this core (mapped, or a guard that traps); so no bounds check is emitted. The instance lies INSTANCE_BELOW
// its linear memory, so the base is `instance + constant` and never has to be reloaded after a store.
#pragma once
#include "core.h"

typedef struct { u8 unused; } wasm_rt_memory_t;  // its address gives the base; its size is core->heap_pages
typedef const char* wasm_rt_func_type_t;
typedef void (*wasm_rt_function_ptr_t)(void);
typedef struct { wasm_rt_func_type_t func_type; wasm_rt_function_ptr_t func; void* module_instance; } wasm_rt_funcref_t;
typedef struct { wasm_rt_funcref_t* data; u32 size; } wasm_rt_funcref_table_t;
typedef struct { wasm_rt_function_ptr_t fn; } wasm_rt_tailcallee_t;

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

_Noreturn void wasm_trap(enum trap reason);
#define TRAP(x) (wasm_trap(WASM_RT_TRAP_##x), 0)
#define WASM_RT_TRAP_OOB TRAP_OUT_OF_BOUNDS
#define WASM_RT_TRAP_INT_OVERFLOW TRAP_INTEGER_OVERFLOW
#define WASM_RT_TRAP_DIV_BY_ZERO TRAP_DIVIDE_BY_ZERO
#define WASM_RT_TRAP_INVALID_CONVERSION TRAP_INVALID_CONVERSION
#define WASM_RT_TRAP_UNREACHABLE TRAP_UNREACHABLE
#define WASM_RT_TRAP_CALL_INDIRECT TRAP_INDIRECT_CALL
#define UNREACHABLE TRAP(UNREACHABLE)
#define FUNC_PROLOGUE
#define FUNC_EPILOGUE
#define WASM_RT_USE_SEGUE_FOR_THIS_MODULE 0
#define FUNC_TYPE_T(x) static const char* const x
