// Clocks and the halt. The monotonic clock is the TSC, scaled; its frequency comes from, in this order: QEMU's TCG (measured
// against the local APIC, exactly 1 GHz there), CPUID 15h, the hypervisor's leaf 40000010h, kvmclock, and else the PIT.
//
// Invariant of `wait`: between the last look at the pending word and HLT interrupts are off (STI takes effect after the next
// instruction), so that none is lost; with no deadline no timer is armed.
//
// The one timer serves the halt's deadline and, while the core is busy, the watchdog's ticks. A tick that is still to come when
// the core halts is left alone: it fires once more and is not renewed, so that a core which wakes often does not pay for the
// timer each time.
// clang: -Os
#include "../common/watchdog.h"
#include "pc.h"

enum { MSR_TSC = 0x10, MSR_TSC_DEADLINE = 0x6E0, MSR_KVM_SYSTEM_TIME = 0x4b564d01 };
enum { PIT_HZ = 1193182, NS_PER_SECOND = 1000000000, ORIGIN_BEFORE_ENTRY_NS = 1000000 };
static const u32 TCG_APIC_HZ = 1000000000;

struct pc_clock pc_clock;
extern u64 entry_tsc;
static u64 apic_hz;  // of the APIC's timer, undivided; 0: TSC-deadline is used
static u64 tsc_hz;

INTERRUPT_CODE static u64 tsc(void) {
  u32 low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (u64)high << 32 | low;
}
static u64 tsc_ordered(void) {
  __asm__ volatile("lfence" ::: "memory");
  return tsc();
}

u64 now_ns(void) { return w2c_env_clockMonotonic(NULL); }

void delay_ns(u64 ns) {
  for (u64 end = now_ns() + ns; now_ns() < end;) cpu_relax();
}

// TSC and APIC timer at one moment: the tightest of a few tries, because a VMM may stop us in between.
static void sample(u64* at_tsc, u32* at_apic) {
  u64 tightest = ~0ull;
  for (u32 i = 0; i < 5; i++) {
    u64 before = tsc_ordered();
    u32 left = apic_timer_left();
    u64 after = tsc_ordered();
    if (after - before >= tightest) continue;
    tightest = after - before;
    *at_tsc = before + tightest / 2;
    *at_apic = left;
  }
}

// ticks * hz / of in 128 bits; what does not fit is as good as for ever.
INTERRUPT_CODE static u64 ratio(u64 ticks, u64 hz, u64 of) {
  u64 low, high, rest;
  __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(ticks), "r"(hz));
  if (high >= of) return of ? ~0ull : 0;
  __asm__("divq %4" : "=a"(low), "=d"(rest) : "a"(low), "d"(high), "r"(of));
  return low;
}

static u64 tsc_hz_from_apic(u64 hz) {
  u64 begin, end;
  u32 first, last;
  apic_timer_count(0xFFFFFFFF, false);
  sample(&begin, &first);
  do
    last = apic_timer_left();
  while (first - last < hz / 1000);
  sample(&end, &last);
  apic_timer_count(0, false);
  return ratio(end - begin, hz, first - last);
}

// Counts down PIT channel 2 (gated by port 61h) and gives the ticks of TSC and APIC meanwhile; false without a PIT.
static bool pit_measure(u32 pit_ticks, u64* tsc_ticks, u64* apic_ticks) {
  u8 gate = in8(0x61);
  out8(0x61, (u8)((gate & ~2) | 1));
  out8(0x43, 0xB0);  // channel 2, both bytes, mode 0
  out8(0x42, (u8)pit_ticks);
  u64 begin, end, limit = tsc() + 40000000000ull;
  u32 first, last;
  apic_timer_count(0xFFFFFFFF, false);
  out8(0x42, (u8)(pit_ticks >> 8));
  begin = tsc_ordered();
  first = apic_timer_left();
  u32 polls = 0;
  while (!(in8(0x61) & 0x20) && tsc() < limit && polls < 10000000) polls++;
  end = tsc_ordered();
  last = apic_timer_left();
  apic_timer_count(0, false);
  out8(0x61, gate);
  *tsc_ticks = end - begin;
  *apic_ticks = first - last;
  return polls > 10 && polls < 10000000 && end < limit;
}

static bool signature_is(u32 leaf, const char* text) {
  struct cpuid id = cpuid(leaf, 0);
  u32 words[3] = {id.b, id.c, id.d};
  for (u32 i = 0; i < 12; i++)
    if ((char)(words[i / 4] >> 8 * (i % 4)) != text[i]) return false;
  return true;
}

static u64 tsc_hz_from_cpuid(void) {
  struct cpuid crystal = cpuid_checked(0x15);
  if (crystal.a && crystal.b && crystal.c) return ratio(crystal.c, crystal.b, crystal.a);
  return 0;
}

static u64 tsc_hz_from_hypervisor(void) {
  if (!under_hypervisor()) return 0;
  u32 last = cpuid(0x40000000, 0).a;
  if (last >= 0x40000010 && last < 0x40010000) {
    u64 khz = cpuid(0x40000010, 0).a;
    if (khz) return khz * 1000;
  }
  if (last < 0x40000001 || !signature_is(0x40000000, "KVMKVMKVM\0\0\0") || !(cpuid(0x40000001, 0).a >> 3 & 1)) return 0;
  // kvmclock (Linux Documentation/virt/kvm/x86/msr.rst): ns = (ticks << shift) * multiplier >> 32.
  static volatile struct { u32 version, pad; u64 stamp, system_time; u32 multiplier; s8 shift; u8 flags, pad2[2]; } page
      __attribute__((aligned(64)));
  msr_write(MSR_KVM_SYSTEM_TIME, (u64)&page | 1);
  u32 multiplier = page.multiplier;
  s8 shift = page.shift;
  msr_write(MSR_KVM_SYSTEM_TIME, 0);
  if (multiplier == 0 || shift > 31 || shift < -31) return 0;
  u64 hz = ((u64)NS_PER_SECOND << 32) / multiplier;
  return shift < 0 ? hz << -shift : hz >> shift;
}

static bool tcg(void) { return under_hypervisor() && signature_is(0x40000000, "TCGTCGTCGTCG"); }

static void find_frequencies(bool need_apic) {
  if (tcg()) {
    apic_hz = TCG_APIC_HZ;
    tsc_hz = tsc_hz_from_apic(apic_hz);
    return;
  }
  tsc_hz = tsc_hz_from_cpuid();
  if (!tsc_hz) tsc_hz = tsc_hz_from_hypervisor();
  // A CPU that is emulated may repeat the CPUID of another: without a hypervisor's word it is measured (10 ms), and the
  // exact figure of CPUID is taken when it agrees within 1 %.
  if (tsc_hz && !need_apic && under_hypervisor()) return;
  u64 tsc_ticks, apic_ticks;
  if (!pit_measure(PIT_HZ / 100, &tsc_ticks, &apic_ticks)) return;
  u64 measured = ratio(tsc_ticks, PIT_HZ, PIT_HZ / 100);
  apic_hz = ratio(apic_ticks, PIT_HZ, PIT_HZ / 100);
  if (tsc_hz < measured - measured / 100 || tsc_hz > measured + measured / 100) tsc_hz = measured;
}

void time_init(void) {
  bool deadline = cpuid(1, 0).c >> 24 & 1;
  find_frequencies(!deadline);
  if (tsc_hz < 1000000) {
    print("heddle: no clock: the TSC's frequency is unknown (no CPUID 15h, no hypervisor, no PIT)\n");
    machine_exit(1);
  }
  pc_clock.multiplier = ratio(1ull << 32, NS_PER_SECOND, tsc_hz);
  pc_clock.tsc_base = entry_tsc - ratio(ORIGIN_BEFORE_ENTRY_NS, tsc_hz, NS_PER_SECOND);
  if (deadline) {
    apic_hz = 0;
    apic_timer_mode(true);
    __asm__ volatile("mfence" ::: "memory");
  } else if (apic_hz == 0) {
    // Known TSC, unknown timer: against the clock that now runs.
    apic_timer_count(0xFFFFFFFF, false);
    u64 begin = now_ns();
    u32 first = apic_timer_left();
    delay_ns(1000000);
    u32 last = apic_timer_left();
    apic_hz = ratio(first - last, NS_PER_SECOND, now_ns() - begin);
    apic_timer_count(0, false);
  }
}

void time_init_cpu(u64 not_before_ns) {
  // The clock may not go back from one core to the next. Where firmware or VMM left this TSC behind, it is put to what the
  // first core's showed when it started this one: late by at most the time that the start took.
  if (now_ns() < not_before_ns) msr_write(MSR_TSC, pc_clock.tsc_base + ratio(not_before_ns, tsc_hz, NS_PER_SECOND));
  if (apic_hz == 0) {
    apic_timer_mode(true);
    __asm__ volatile("mfence" ::: "memory");
  }
}

u64 time_entered_ns(void) { return ORIGIN_BEFORE_ENTRY_NS; }

static void timer_off(struct cpu* cpu) {
  if (cpu->timer_deadline_ns == INT64_MAX) return;
  cpu->timer_deadline_ns = INT64_MAX;
  if (apic_hz)
    apic_timer_count(0, false);
  else
    msr_write(MSR_TSC_DEADLINE, 0);
}

INTERRUPT_CODE static void timer_on(struct cpu* cpu, u64 deadline_ns, u64 now) {
  if (cpu->timer_deadline_ns == deadline_ns) return;
  cpu->timer_deadline_ns = deadline_ns;
  u64 left = deadline_ns - now;
  if (!apic_hz) {
    u64 ticks = ratio(left > 1ull << 53 ? 1ull << 53 : left, tsc_hz, NS_PER_SECOND);
    msr_write(MSR_TSC_DEADLINE, tsc() + ticks + 1);
    return;
  }
  // Rounded up: firing early would mean halting twice. What the counter cannot hold is waited for in parts.
  if (left > 500000000000ull) left = 500000000000ull, cpu->timer_deadline_ns = now + left;
  u64 ticks = ratio(left, apic_hz, NS_PER_SECOND) + 1;
  bool slow = ticks > 0xFFFFFFFF;
  if (slow) ticks = ticks / 128 + 1;
  apic_timer_count(ticks > 0xFFFFFFFF ? 0xFFFFFFFF : (u32)ticks, slow);
}

INTERRUPT_CODE static void tick_on(struct cpu* cpu, const struct core* core) {
  u64 now = now_ns();
  if (core->watch.interval_ns && cpu->timer_deadline_ns > now + core->watch.interval_ns)
    timer_on(cpu, now + core->watch.interval_ns, now);
}

INTERRUPT_CODE bool timer_fired(void) {
  struct cpu* cpu = this_cpu();
  cpu->timer_deadline_ns = INT64_MAX;
  if (!cpu->core || __atomic_load_n(&cpu->core->waiting, __ATOMIC_RELAXED)) return false;
  tick_on(cpu, cpu->core);
  return true;
}

void watchdog_arm(struct core* core) {
  u64 flags;
  __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
  struct cpu* cpu = this_cpu();
  if (core->watch.interval_ns == 0) timer_off(cpu);
  tick_on(cpu, core);
  __asm__ volatile("pushq %0; popfq" ::"r"(flags) : "memory", "cc");
}

void w2c_env_wait(struct core* core, u64 deadline_ns) {
  struct cpu* cpu = this_cpu();
  for (;;) {
    __asm__ volatile("cli" ::: "memory");
    __atomic_store_n(&core->waiting, 1, __ATOMIC_SEQ_CST);  // before the look at `pending`: common/cores.h
    u64 now = now_ns();
    if (__atomic_load_n(&core->pending, __ATOMIC_ACQUIRE) || (s64)deadline_ns <= (s64)now) break;
    if (deadline_ns < cpu->timer_deadline_ns || cpu->timer_deadline_ns > now + core->watch.interval_ns) {
      if (deadline_ns == INT64_MAX)
        timer_off(cpu);
      else
        timer_on(cpu, deadline_ns, now);
    }
    __asm__ volatile("sti; hlt" ::: "memory");
  }
  __atomic_store_n(&core->waiting, 0, __ATOMIC_RELAXED);
  tick_on(cpu, core);
  __asm__ volatile("sti" ::: "memory");
}
