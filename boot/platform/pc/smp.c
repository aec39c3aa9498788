// The other CPUs: how many there are, and their start by INIT and SIPI (Intel SDM volume 3, 8.4). The start is a sequence of
// short steps that core 0 takes from its loop, because the specification wants 10 ms between the first two messages.
//
//   coresStart     memory for one CPU (a step each) -> INIT to all -> 10 ms -> SIPI -> 200 us -> SIPI again -> done
//   the CPU        ap_begin (entry.S) -> pc_ap_start -> its own linear memory -> the module's main
//
// Which CPU takes which of the prepared stacks does not matter; which core it becomes follows from its APIC id.
// clang: -Oz
#include "pc.h"

enum { CPU_OFF, CPU_STARTING, CPU_RUNNING };
enum { LOOP_STACK_BYTES = 256 << 10, AP_PAGE = 0x8000 };
static const u64 NS_AFTER_INIT = 10000000, NS_AFTER_START = 200000, BYTES_FOR_A_CORE = 12ull << 20;

extern u8 ap_begin[], ap_end[];
u64 ap_root, ap_stacks[CORES_MAX];
u32 ap_stack_count, ap_taken;

static u64 not_before_ns;

void smp_find(void) {
  if (acpi.cpus == 0) mptable_read();
  u32 count = 1;
  cpus[0].state = CPU_RUNNING;
  for (u32 i = 0; i < acpi.cpus; i++)
    if (acpi.cpu_ids[i] != cpus[0].apic_id && count < CORES_MAX) {
      cpus[count].number = count;
      cpus[count++].apic_id = acpi.cpu_ids[i];
    }
  u64 enough = boot_info.ram_bytes / BYTES_FOR_A_CORE;
  if (enough < 1) enough = 1;
  if (count > enough) {
    print("heddle: %u of %u CPUs are used: each needs 12 MiB of memory\n", (u32)enough, count);
    count = (u32)enough;
  }
  core_count = count;
}

static void send_to_others(u32 command) {
  for (u32 i = 1; i < core_count; i++)
    if (__atomic_load_n(&cpus[i].state, __ATOMIC_ACQUIRE) == CPU_STARTING) apic_send(cpus[i].apic_id, command);
}

static bool prepare(struct cpu* cpu) {
  u8* stack = stack_map(LOOP_STACK_BYTES);
  if (!stack || !cpu_prepare(cpu)) return false;
  ap_stacks[ap_stack_count++] = (u64)stack;
  cpu->state = CPU_STARTING;
  return true;
}

u64 w2c_env_coresStart(struct core* core, u32 count) {
  static enum { PREPARE, INIT, START, START_AGAIN, DONE } step;
  static u32 next = 1;
  if (core->number != 0) return 0;
  switch (step) {
    case PREPARE:
      if (next < core_count && next < count) {
        if (prepare(&cpus[next])) next++;
        else print("heddle: no memory to start CPU %u and those behind it\n", next), next = CORES_MAX;
        return 1;
      }
      __asm__ volatile("movq %%cr3, %0" : "=r"(ap_root));
      for (u8 *to = direct(AP_PAGE), *from = ap_begin; from < ap_end;) *to++ = *from++;
      step = INIT;
      if (ap_stack_count == 0) step = DONE;
      return ap_stack_count ? 1 : 0;
    case INIT:
      send_to_others(IPI_INIT);
      step = START;
      return NS_AFTER_INIT;
    case START:
      not_before_ns = now_ns();
      send_to_others(IPI_START | AP_PAGE >> 12);
      step = START_AGAIN;
      return NS_AFTER_START;
    case START_AGAIN:
      send_to_others(IPI_START | AP_PAGE >> 12);  // ignored by those that run
      step = DONE;
      return 0;
    default: return 0;
  }
}

_Noreturn void core_stop(void) {
  for (;;) __asm__ volatile("cli; hlt");
}

static _Noreturn void give_up(const struct cpu* cpu, const char* what) {
  print("heddle: core %u: no memory for %s; it is not used\n", cpu->number, what);
  core_stop();
}

static struct cpu* cpu_of(u32 id) {
  for (u32 i = 1; i < core_count; i++)
    if (cpus[i].apic_id == id) return &cpus[i];
  return NULL;
}

// From entry.S: on a stack of its own, interrupts off, nothing else set up.
_Noreturn void pc_ap_start(void) {
  apic_init_cpu();
  struct cpu* cpu = cpu_of(apic_id());
  if (!cpu) core_stop();
  __atomic_store_n(&cpu->state, CPU_RUNNING, __ATOMIC_RELEASE);
  cpu_init(cpu);
  time_init_cpu(not_before_ns);
  struct core* core = core_create(cpu->number);
  if (!core || !content_map(core) || !published_map(core)) give_up(cpu, "its linear memory");
  cpu->core = core;
  interrupts_on();
  core_main(core);
}

void core_interrupt(struct core* core) { apic_send(cpus[core->number].apic_id, VECTOR_WAKE); }
