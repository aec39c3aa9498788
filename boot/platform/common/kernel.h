// How deep the running code is in the kernel. boot/toolchain/kernel.ts puts calls of these around every call between service
// code and the kernel, so they are `static inline` and a handful of instructions.
//
//   0            the service's own code on a fiber: a trap ends that fiber and nothing else
//   1, 2, ...    in the kernel: a trap may have left anything half changed and is fatal
//   KERNEL_LEAF  in the allocator or in a platform function that the service called itself: fatal too, but for what these
//                refuse before they have changed anything (no memory, arguments out of range)
//
// Invariants
// 1. Each native stack has its own depth: stacks.c saves and restores it. The loop's is never 0.
// 2. From depth 0 the kernel is entered only with STACK_KERNEL_BYTES of stack left, so it never runs over the guard.
// 3. Every load and store of the kernel lies between the two changes of the depth: the asm statements are barriers.
#pragma once
#include "core.h"

#define KERNEL_LEAF 0x10000u

// There is no room on the fiber's stack for a call of the kernel.
_Noreturn void stack_exhausted(struct core* core);

static inline void kernel_check_stack(struct core* core) {
  u64 sp;
  __asm__("movq %%rsp, %0" : "=r"(sp));
  if (__builtin_expect(sp < core->stack_limit, 0) && core->kernel_depth == 0) stack_exhausted(core);
}

static inline void w2c_env_kernelEnter(struct core* core) {
  kernel_check_stack(core);
  __asm__ volatile("addl $1, %0" : "+m"(core->kernel_depth)::"memory", "cc");
}
static inline void w2c_env_kernelLeave(struct core* core) {
  __asm__ volatile("subl $1, %0" : "+m"(core->kernel_depth)::"memory", "cc");
}
static inline void w2c_env_leafEnter(struct core* core) {
  kernel_check_stack(core);
  __asm__ volatile("addl %1, %0" : "+m"(core->kernel_depth) : "i"(KERNEL_LEAF) : "memory", "cc");
}
static inline void w2c_env_leafLeave(struct core* core) {
  __asm__ volatile("subl %1, %0" : "+m"(core->kernel_depth) : "i"(KERNEL_LEAF) : "memory", "cc");
}
static inline u32 w2c_env_depthTake(struct core* core) {
  u32 depth = core->kernel_depth;
  __asm__ volatile("movl $0, %0" : "=m"(core->kernel_depth)::"memory");
  return depth;
}
static inline void w2c_env_depthGive(struct core* core, u32 depth) {
  __asm__ volatile("movl %1, %0" : "=m"(core->kernel_depth) : "r"(depth) : "memory");
}
