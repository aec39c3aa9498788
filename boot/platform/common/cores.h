// Cores: who exists, what state each is in, how one wakes another, and the pages that two of them share.
//
//   core A, loop            core B, halted or busy
//   writes to its ring
//   coreWake(B)  -------->  bell |= 1 << A; pending |= WAKE; interrupt, if B waits
//                           pendingTake, bellTake: looks at the rings of those who rang
//
// Invariants
// 1. A core that waits has `waiting` set before its last look at `pending`; who wakes it sets `pending` before it looks at
//    `waiting`. So one of the two sees the other, and no wake-up is lost.
// 2. Shared pages are mapped once and stay: an entry only ever goes from absent to present, which no TLB remembers, so
//    that no other core has to flush anything.
// 3. Of the pages of a channel exactly one core can write each: what the other side reads there is the writer's word, to
//    be validated, and it cannot be changed by anybody else.
#pragma once
#include "core.h"

enum core_state { CORE_OFF, CORE_STARTING, CORE_UP, CORE_DEAD };
// What becomes of a core that panics; PANIC_END is the default before a configuration says something else.
enum panic_policy { PANIC_END, PANIC_HALT, PANIC_REBOOT, PANIC_RESTART_CORE };

// Cores that this machine uses, and each one's instance once it has one (its memory is mapped, its state is UP or DEAD).
extern u32 core_count;
extern struct core* core_table[CORES_MAX];

struct core* core_find(u32 number);  // NULL: there is none
// Makes the instance known to the others; its linear memory is laid out.
void core_announce(struct core* core);
// Sets bits of another core's pending word and interrupts its wait.
void core_raise(struct core* core, u32 bits);
// After the report of a panic: what the policy says. Never returns.
_Noreturn void core_panicked(struct core* core, int status);

// ---- what a platform gives

// Interrupts the wait of a core that was found waiting.
void core_interrupt(struct core* core);
// `bytes` of zeroed memory at the same offset of two linear memories: writable in `writer`, read-only in `reader`.
bool window_share(struct core* writer, struct core* reader, u64 offset, u64 bytes);
// Stops the calling core for good, without ending the machine.
_Noreturn void core_stop(void);
_Noreturn void machine_reset(void);
