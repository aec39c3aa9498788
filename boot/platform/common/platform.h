// The boundary as C sees it: the functions of runtime/platform.ts, in its order; contracts stand there. A platform gives
// those marked inline as `static inline` in its own inline.h, which the generated code includes, and the others in C.
#pragma once
#include "core.h"

void w2c_env_consoleWrite(struct core*, u32 data, u32 length);
void w2c_env_exit(struct core*, u32 status);
void w2c_env_reboot(struct core*);
void w2c_env_panic(struct core*, u32 message, u32 length);
void w2c_env_backtrace(struct core*);
void w2c_env_fibersReport(struct core*);
void w2c_env_panicNotes(struct core*, u32 notes);
u32 w2c_env_reportTake(struct core*, u32 number, u32 target, u32 capacity);
void w2c_env_abort(struct core*, u32 message, u32 file, u32 line, u32 column);  // asc's; strings are UTF-16 objects

u64 w2c_env_info(struct core*, u32 key);

#ifndef CLOCK_INLINE  // pc: a few instructions, in its inline.h
u64 w2c_env_clockMonotonic(struct core*);
#endif
u64 w2c_env_clockWall(struct core*);
void w2c_env_random(struct core*, u32 data, u32 length);

// inline: pendingTake (an atomic exchange), acquire (a compiler barrier)
void w2c_env_wait(struct core*, u64 deadline_ns);

u64 w2c_env_coresStart(struct core*, u32 count);
u32 w2c_env_coreState(struct core*, u32 core);
void w2c_env_coreWake(struct core*, u32 core);
u64 w2c_env_bellTake(struct core*);
u32 w2c_env_channelOpen(struct core*, u32 peer);
u32 w2c_env_publishedGrow(struct core*, u32 bytes);
u32 w2c_env_callable(struct core*, u32 function);
u32 w2c_env_panicPolicy(struct core*, u32 policy);

u32 w2c_env_devCount(struct core*);
u32 w2c_env_devKind(struct core*, u32 dev);
u32 w2c_env_devOpen(struct core*, u32 dev);
u64 w2c_env_regRead(struct core*, u32 dev, u32 region, u32 offset, u32 width);
u32 w2c_env_regWrite(struct core*, u32 dev, u32 region, u32 offset, u32 width, u64 value);
u32 w2c_env_ringCreate(struct core*, u32 dev, u32 queue, u32 format, u32 entries);
u32 w2c_env_ringReserve(struct core*, u32 dev, u32 queue, u32 entries, u32 number);
u32 w2c_env_ringTake(struct core*, u32 dev, u32 queue);
u32 w2c_env_ringEntries(struct core*, u32 ring);
u32 w2c_env_ringCompletions(struct core*, u32 ring);
// inline: ringPost
void w2c_env_ringFlush(struct core*, u32 ring);
// ringPoll: inline and empty on pc
void w2c_env_ringArm(struct core*, u32 ring, u32 index, u32 on);
void w2c_env_devReset(struct core*, u32 dev);
void w2c_env_irqUnmask(struct core*, u32 dev);

u32 w2c_env_stackCreate(struct core*, u32 size, u32 entry, u32 arg, u32 label);
void w2c_env_stackFree(struct core*, u32 stack);
void w2c_env_stackSwitch(struct core*, u32 stack);
u32 w2c_env_stackCount(struct core*);
u32 w2c_env_trapTaken(struct core*);
void w2c_env_watchdog(struct core*, u64 report_ns, u64 end_ns, u64 panic_ns);
void w2c_env_outOfMemory(struct core*);
u32 w2c_env_stackScan(struct core*, u32 stack, u32 skip, u32 target, u32 capacity, u32 low, u32 high);

// Linked into images whose module calls them: boot/platform/tls/.
u32 w2c_env_tlsContext(struct core*, u32 policy, u32 client);
u32 w2c_env_tlsCertificate(struct core*, u32 context, u32 pem, u32 pem_length, u32 key, u32 key_length);
u64 w2c_env_tlsCertificateFact(struct core*, u32 context, u32 index, u32 fact);
u32 w2c_env_tlsStaple(struct core*, u32 context, u32 index, u32 der, u32 length);
u32 w2c_env_tlsTrust(struct core*, u32 context, u32 pem, u32 pem_length, u32 required);
u32 w2c_env_tlsProtocols(struct core*, u32 context, u32 list, u32 length);
u32 w2c_env_tlsTicketSecret(struct core*, u32 name, u32 length);
u32 w2c_env_tlsOpen(struct core*, u32 context, u32 name, u32 name_length, u64 wall_s);
void w2c_env_tlsFree(struct core*, u32 connection);
u32 w2c_env_tlsStep(struct core*, u32 connection, u32 operation, u32 io);
u32 w2c_env_tlsFact(struct core*, u32 connection, u32 fact);
u64 w2c_env_tlsMemory(struct core*, u32 what);

// ---- what common/ needs from a platform, besides

// Whether native code may read, or write, these bytes of the linear memory on the sandbox's behalf.
bool memory_readable(const struct core* core, u32 offset, u32 length);
bool memory_writable(const struct core* core, u32 offset, u32 length);

// The core that runs this code.
struct core* this_core(void);
// Writes to the console without a core, also from a panic.
void console_write(const char* text, size_t length);
// Backs [core->heap_mapped, end) of the heap with zeroed memory; false when there is none.
bool heap_map(struct core* core, u64 end);
// A native stack of `size` bytes (rounded up to pages) with an unmapped page below; the highest address, or NULL.
u8* stack_map(size_t size);
void stack_unmap(u8* top, size_t size);
// Ends the machine after a panic or an orderly exit.
_Noreturn void machine_exit(int status);

// ---- what common/ gives to a platform

// Runs the module on this core: instantiates it and calls its exported `main`. core->memory, heap_limit_pages and number are set;
// the struct, the instance and the function table are zeroed memory at their places (layout.h).
_Noreturn void core_main(struct core* core);
// What a trap with this reason at (pc, frame) ends. A fiber: it is reported, and the result is what `stack_resume` continues
// with, the loop's stack. Anything else does not return. `detail`: the faulting offset, if any.
u64 trap_take(struct core* core, enum trap reason, u64 detail, u64 pc, u64 frame);
// The same where C code itself found out, on the stack that trapped.
_Noreturn void trap_report(struct core* core, enum trap reason, u64 detail, u64 pc, u64 frame);
// Frames from (pc, frame) on, as far as they lie in [low, high).
void print_backtrace(u64 pc, u64 frame);

// stacks.c: gives the running stack up for ever and makes the loop's the running one; the loop's saved stack pointer.
u64 stack_abandon(struct core* core);
// Where a stack's frames can lie.
void stack_bounds(struct core* core, u32 stack, u64* low, u64* high);
// Where a suspended fiber goes on; false for a stack that is not suspended or has not run yet.
struct suspended { u64 pc, frame, low, high; };
bool stack_suspended(struct core* core, u32 stack, struct suspended* suspended);
// Its label: what `stackCreate` was given; 0 for the loop's stack.
u32 stack_label(struct core* core, u32 stack);
// switch.S: continues with a stack that stack_switch has left. For handlers that rewrite a frame: entered by a jump with the
// stack pointer as its argument.
_Noreturn void stack_resume(u64 sp);
