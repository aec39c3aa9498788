// The watchdog's parts: watchdog.c counts, trap.c reports, a platform gives the timer.
#pragma once
#include "core.h"

// A tick of the timer at (pc, frame) while the core is busy. 0: go on; otherwise the fiber has been ended, and the result is what
// `stack_resume` continues with.
u64 watchdog_tick(struct core* core, u64 pc, u64 frame);

// ---- trap.c

bool trap_ends_fiber(struct core* core, enum trap reason);
void report_held(struct core* core, u64 held_ms, u64 pc, u64 frame);
_Noreturn void core_held(struct core* core, u64 held_ms, u64 pc, u64 frame);

// ---- what a platform gives

// The core is busy: ticks from now on, one each `core->watch.interval_ns`; 0: none.
void watchdog_arm(struct core* core);
// Whether `console_write` would not wait for the code that was interrupted.
bool console_free(void);
