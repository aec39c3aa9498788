// The watchdog of a core: who holds it for too long is reported, ended, or the core's panic.
//
//   tick   tick   tick   tick   tick        a timer's interrupt (a signal when hosted), only while the core is busy
//   --|------|------|------|------|-->      `moves`: changes with each switch of stacks and each turn of the loop
//     moves  same   same   same   same      four intervals of the same: held for `report` at least
//
// Invariants
// 1. Counted are ticks, not time: a machine that its VMM did not run meanwhile has had one tick, so nobody is blamed for it.
// 2. A fiber is ended only as by any other trap: at depth 0 (kernel.h). Inside the kernel the next tick tries again.
// 3. Runs in interrupt handlers: no vector registers, no lock that the interrupted code may hold.
// clang: -Oz -mgeneral-regs-only
#include "platform.h"
#include "text.h"
#include "watchdog.h"

#define TICKS_A_REPORT 4
#define NS_PER_MS 1000000ull
#define INTERVAL_MIN_NS NS_PER_MS
#define NEVER ((u64)INT64_MAX)

static u32 ticks_of(u64 limit_ns, u64 interval_ns) {
  u64 ticks = (limit_ns + interval_ns - 1) / interval_ns;
  return ticks < 0xFFFFFFFF ? (u32)ticks : 0xFFFFFFFF;
}

void w2c_env_watchdog(struct core* core, u64 report_ns, u64 end_ns, u64 panic_ns) {
  u64 shortest = report_ns < end_ns ? report_ns : end_ns;
  if (panic_ns < shortest) shortest = panic_ns;
  // Half-made limits must not be seen by a tick: none comes while there is no interval.
  core->watch.interval_ns = 0;
  __asm__ volatile("" ::: "memory");
  u64 interval_ns = shortest / TICKS_A_REPORT > INTERVAL_MIN_NS ? shortest / TICKS_A_REPORT : INTERVAL_MIN_NS;
  core->watch.report = ticks_of(report_ns, interval_ns);
  core->watch.end = ticks_of(end_ns, interval_ns);
  core->watch.panic = ticks_of(panic_ns, interval_ns);
  core->watch.ticks = 0;
  __asm__ volatile("" ::: "memory");
  if (shortest < NEVER) core->watch.interval_ns = interval_ns;
  watchdog_arm(core);
}

u64 watchdog_tick(struct core* core, u64 pc, u64 frame) {
  struct watch* watch = &core->watch;
  if (watch->interval_ns == 0) return 0;
  if (watch->moves != core->moves) {
    watch->moves = core->moves;
    watch->ticks = 0;
    return 0;
  }
  if (watch->ticks != 0xFFFFFFFF) watch->ticks++;
  // The interrupted code may be writing: it is looked at again at the next tick.
  if (watch->ticks < watch->report && watch->ticks < watch->end && watch->ticks < watch->panic) return 0;
  if (!console_free()) return watch->ticks--, 0;
  u64 held_ms = watch->ticks * watch->interval_ns / NS_PER_MS;
  if (watch->ticks >= watch->panic) core_held(core, held_ms, pc, frame);
  if (watch->ticks >= watch->end && trap_ends_fiber(core, TRAP_WATCHDOG)) return trap_take(core, TRAP_WATCHDOG, held_ms, pc, frame);
  if (watch->ticks == watch->report) report_held(core, held_ms, pc, frame);
  return 0;
}
