// WebAssembly's operations as C, in place of the prologue that wasm2c writes: loads and stores that the compiler can see
// through, calls through the function table, integer and float operations with wasm's traps.
//
// Safety argument. Every access is base + u32 + static offset: at least `base`, below `base + 8 GiB + 16`, all of which
// belongs to this core (mapped, or a guard that traps); so no bounds check is emitted. The instance lies INSTANCE_BELOW
// its linear memory, so the base is `instance + constant`: one register, never reloaded after a store. That holds only for
// the instance type, so this file is included after it is declared, once, by the generated code.
#pragma once
#include <math.h>
#include <string.h>

_Static_assert(sizeof(w2c_heddle) <= INSTANCE_BELOW, "the module has more globals than fit below its linear memory");

#define MEMORY_BASE(memory) ((u8*)(memory) - offsetof(w2c_heddle, w2c_memory) + INSTANCE_BELOW)

#define TRAP(x) (wasm_trap(TRAP_##x), 0)
#define TRAP_OOB TRAP_OUT_OF_BOUNDS
#define TRAP_INT_OVERFLOW TRAP_INTEGER_OVERFLOW
#define TRAP_DIV_BY_ZERO TRAP_DIVIDE_BY_ZERO
#define TRAP_CALL_INDIRECT TRAP_INDIRECT_CALL
#define UNREACHABLE TRAP(UNREACHABLE)
#define FUNC_PROLOGUE
#define FUNC_EPILOGUE
#define FUNC_TYPE_T(x) static const char* const x
#define WASM_RT_USE_SEGUE_FOR_THIS_MODULE 0

#define DEFINE_LOAD(name, stored, widened, result)                             \
  static inline result name##_default32(wasm_rt_memory_t* memory, u64 at) {    \
    typedef stored __attribute__((aligned(1), may_alias)) access;              \
    return (result)(widened)*(const access*)(MEMORY_BASE(memory) + at);        \
  }
#define DEFINE_STORE(name, stored, value_type)                                 \
  static inline void name##_default32(wasm_rt_memory_t* memory, u64 at, value_type value) { \
    typedef stored __attribute__((aligned(1), may_alias)) access;              \
    *(access*)(MEMORY_BASE(memory) + at) = (stored)value;                      \
  }

DEFINE_LOAD(i32_load, u32, u32, u32)
DEFINE_LOAD(i64_load, u64, u64, u64)
DEFINE_LOAD(f32_load, f32, f32, f32)
DEFINE_LOAD(f64_load, f64, f64, f64)
DEFINE_LOAD(i32_load8_s, s8, s32, u32)
DEFINE_LOAD(i64_load8_s, s8, s64, u64)
DEFINE_LOAD(i32_load8_u, u8, u32, u32)
DEFINE_LOAD(i64_load8_u, u8, u64, u64)
DEFINE_LOAD(i32_load16_s, s16, s32, u32)
DEFINE_LOAD(i64_load16_s, s16, s64, u64)
DEFINE_LOAD(i32_load16_u, u16, u32, u32)
DEFINE_LOAD(i64_load16_u, u16, u64, u64)
DEFINE_LOAD(i64_load32_s, s32, s64, u64)
DEFINE_LOAD(i64_load32_u, u32, u64, u64)
DEFINE_STORE(i32_store, u32, u32)
DEFINE_STORE(i64_store, u64, u64)
DEFINE_STORE(f32_store, f32, f32)
DEFINE_STORE(f64_store, f64, f64)
DEFINE_STORE(i32_store8, u8, u32)
DEFINE_STORE(i32_store16, u16, u32)
DEFINE_STORE(i64_store8, u8, u64)
DEFINE_STORE(i64_store16, u16, u64)
DEFINE_STORE(i64_store32, u32, u64)

// What follows is computed from this value and nothing derived from it before: boot/toolchain/roots.ts.
#define KEEP(x) __asm__ volatile("" : "+r"(x))

// memory.copy and memory.fill reach at most 8 GiB above the base: the guard takes what is out of bounds.
static inline void memory_fill(wasm_rt_memory_t* memory, u64 to, u32 value, u64 n) {
  memset(MEMORY_BASE(memory) + (u32)to, (int)value, (u32)n);
}
static inline void memory_copy(wasm_rt_memory_t* memory, const wasm_rt_memory_t* same, u64 to, u64 from, u64 n) {
  (void)same;
  memmove(MEMORY_BASE(memory) + (u32)to, MEMORY_BASE(memory) + (u32)from, (u32)n);
}

struct data_segment {
  const u8* data;
  u32 offset, size;
};
static inline void load_data(wasm_rt_memory_t* memory, const struct data_segment* segments, u32 count) {
  for (u32 i = 0; i < count; i++) memcpy(MEMORY_BASE(memory) + segments[i].offset, segments[i].data, segments[i].size);
}

// Function references: the table lies outside linear memory; index and type are checked at each call. A type is a string
// of 32 bytes, one object for each type of the module, so equal types are equal pointers.
#define CHECK_CALL_INDIRECT(table, ft, x) \
  (LIKELY((x) < (table).size && (table).data[x].func_type == (ft)) || TRAP(CALL_INDIRECT))
#define DO_CALL_INDIRECT(table, t, x, ...) ((t)(table).data[x].func)(__VA_ARGS__)
#define CALL_INDIRECT(table, t, ft, x, ...) (CHECK_CALL_INDIRECT(table, ft, x), DO_CALL_INDIRECT(table, t, x, __VA_ARGS__))

typedef enum { RefFunc, RefNull, GlobalGet } wasm_elem_segment_expr_type_t;
typedef struct {
  wasm_elem_segment_expr_type_t expr_type;
  wasm_rt_func_type_t type;
  wasm_rt_function_ptr_t func;
  wasm_rt_tailcallee_t func_tailcallee;
  size_t module_offset;
} wasm_elem_segment_expr_t;

static inline void funcref_table_init(wasm_rt_funcref_table_t* table, const wasm_elem_segment_expr_t* from, u32 from_size,
                                      u64 to, u32 first, u32 n, void* instance) {
  if ((u64)first + n > from_size || to + n > table->size) TRAP(OOB);
  for (u32 i = 0; i < n; i++) {
    table->data[to + i] = (wasm_rt_funcref_t){from[first + i].type, from[first + i].func, instance};
  }
}

#define I32_CLZ(x) ((x) ? __builtin_clz(x) : 32)
#define I64_CLZ(x) ((x) ? __builtin_clzll(x) : 64)
#define I32_CTZ(x) ((x) ? __builtin_ctz(x) : 32)
#define I64_CTZ(x) ((x) ? __builtin_ctzll(x) : 64)
#define I32_POPCNT(x) (__builtin_popcount(x))
#define I64_POPCNT(x) (__builtin_popcountll(x))
#define ROTL(x, y, mask) (((x) << ((y) & (mask))) | ((x) >> (((mask) - (y) + 1) & (mask))))
#define ROTR(x, y, mask) (((x) >> ((y) & (mask))) | ((x) << (((mask) - (y) + 1) & (mask))))
#define I32_ROTL(x, y) ROTL(x, y, 31)
#define I64_ROTL(x, y) ROTL(x, y, 63)
#define I32_ROTR(x, y) ROTR(x, y, 31)
#define I64_ROTR(x, y) ROTR(x, y, 63)

#define DIV_S(ut, min, x, y) \
  (UNLIKELY((y) == 0) ? TRAP(DIV_BY_ZERO) : UNLIKELY((x) == (min) && (y) == -1) ? TRAP(INT_OVERFLOW) : (ut)((x) / (y)))
#define REM_S(ut, min, x, y) \
  (UNLIKELY((y) == 0) ? TRAP(DIV_BY_ZERO) : UNLIKELY((x) == (min) && (y) == -1) ? 0 : (ut)((x) % (y)))
#define I32_DIV_S(x, y) DIV_S(u32, INT32_MIN, (s32)(x), (s32)(y))
#define I64_DIV_S(x, y) DIV_S(u64, INT64_MIN, (s64)(x), (s64)(y))
#define I32_REM_S(x, y) REM_S(u32, INT32_MIN, (s32)(x), (s32)(y))
#define I64_REM_S(x, y) REM_S(u64, INT64_MIN, (s64)(x), (s64)(y))
#define DIV_U(x, y) (UNLIKELY((y) == 0) ? TRAP(DIV_BY_ZERO) : (x) / (y))
#define REM_U(x, y) (UNLIKELY((y) == 0) ? TRAP(DIV_BY_ZERO) : (x) % (y))

#define DEFINE_REINTERPRET(name, from, to) \
  static inline to name(from x) {          \
    to result;                             \
    memcpy(&result, &x, sizeof result);    \
    return result;                         \
  }
DEFINE_REINTERPRET(f32_reinterpret_i32, u32, f32)
DEFINE_REINTERPRET(i32_reinterpret_f32, f32, u32)
DEFINE_REINTERPRET(f64_reinterpret_i64, u64, f64)
DEFINE_REINTERPRET(i64_reinterpret_f64, f64, u64)

// Floats are for statistics and for services; nothing on a hot path uses them. NaN payloads are not canonicalised (the
// specification leaves them open), so the plain builtins do.
#define FMIN(x, y) ((x) != (x) || (y) != (y) ? __builtin_nan("") : (x) == 0 && (y) == 0 ? (__builtin_signbit(x) ? (x) : (y)) : (x) < (y) ? (x) : (y))
#define FMAX(x, y) ((x) != (x) || (y) != (y) ? __builtin_nan("") : (x) == 0 && (y) == 0 ? (__builtin_signbit(x) ? (y) : (x)) : (x) > (y) ? (x) : (y))
#define wasm_floor(x) __builtin_floor(x)
#define wasm_floorf(x) __builtin_floorf(x)
#define wasm_ceil(x) __builtin_ceil(x)
#define wasm_ceilf(x) __builtin_ceilf(x)
#define wasm_trunc(x) __builtin_trunc(x)
#define wasm_truncf(x) __builtin_truncf(x)
#define wasm_nearbyint(x) __builtin_nearbyint(x)
#define wasm_nearbyintf(x) __builtin_nearbyintf(x)
#define wasm_fabs(x) __builtin_fabs(x)
#define wasm_fabsf(x) __builtin_fabsf(x)
#define wasm_sqrt(x) __builtin_sqrt(x)
#define wasm_sqrtf(x) __builtin_sqrtf(x)

#define TRUNC_S(ut, st, ft, min, minop, max, x) \
  (UNLIKELY((x) != (x)) ? TRAP(INVALID_CONVERSION) : UNLIKELY(!((x) minop (min) && (x) < (max))) ? TRAP(INT_OVERFLOW) : (ut)(st)(x))
#define I32_TRUNC_S_F32(x) TRUNC_S(u32, s32, f32, (f32)INT32_MIN, >=, 2147483648.f, x)
#define I64_TRUNC_S_F32(x) TRUNC_S(u64, s64, f32, (f32)INT64_MIN, >=, 9223372036854775808.f, x)
#define I32_TRUNC_S_F64(x) TRUNC_S(u32, s32, f64, -2147483649., >, 2147483648., x)
#define I64_TRUNC_S_F64(x) TRUNC_S(u64, s64, f64, (f64)INT64_MIN, >=, 9223372036854775808., x)
#define TRUNC_U(ut, ft, max, x) \
  (UNLIKELY((x) != (x)) ? TRAP(INVALID_CONVERSION) : UNLIKELY(!((x) > (ft)-1 && (x) < (max))) ? TRAP(INT_OVERFLOW) : (ut)(x))
#define I32_TRUNC_U_F32(x) TRUNC_U(u32, f32, 4294967296.f, x)
#define I64_TRUNC_U_F32(x) TRUNC_U(u64, f32, 18446744073709551616.f, x)
#define I32_TRUNC_U_F64(x) TRUNC_U(u32, f64, 4294967296., x)
#define I64_TRUNC_U_F64(x) TRUNC_U(u64, f64, 18446744073709551616., x)
#define TRUNC_SAT_S(ut, st, ft, min, smin, minop, max, smax, x) \
  (UNLIKELY((x) != (x)) ? 0 : UNLIKELY(!((x) minop (min))) ? (ut)(smin) : UNLIKELY(!((x) < (max))) ? (ut)(smax) : (ut)(st)(x))
#define I32_TRUNC_SAT_S_F32(x) TRUNC_SAT_S(u32, s32, f32, (f32)INT32_MIN, INT32_MIN, >=, 2147483648.f, INT32_MAX, x)
#define I64_TRUNC_SAT_S_F32(x) TRUNC_SAT_S(u64, s64, f32, (f32)INT64_MIN, INT64_MIN, >=, 9223372036854775808.f, INT64_MAX, x)
#define I32_TRUNC_SAT_S_F64(x) TRUNC_SAT_S(u32, s32, f64, -2147483649., INT32_MIN, >, 2147483648., INT32_MAX, x)
#define I64_TRUNC_SAT_S_F64(x) TRUNC_SAT_S(u64, s64, f64, (f64)INT64_MIN, INT64_MIN, >=, 9223372036854775808., INT64_MAX, x)
#define TRUNC_SAT_U(ut, ft, max, smax, x) \
  (UNLIKELY((x) != (x)) ? 0 : UNLIKELY(!((x) > (ft)-1)) ? 0 : UNLIKELY(!((x) < (max))) ? (smax) : (ut)(x))
#define I32_TRUNC_SAT_U_F32(x) TRUNC_SAT_U(u32, f32, 4294967296.f, UINT32_MAX, x)
#define I64_TRUNC_SAT_U_F32(x) TRUNC_SAT_U(u64, f32, 18446744073709551616.f, UINT64_MAX, x)
#define I32_TRUNC_SAT_U_F64(x) TRUNC_SAT_U(u32, f64, 4294967296., UINT32_MAX, x)
#define I64_TRUNC_SAT_U_F64(x) TRUNC_SAT_U(u64, f64, 18446744073709551616., UINT64_MAX, x)
