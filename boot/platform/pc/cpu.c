// Descriptor tables, exceptions and the dispatch of interrupts. Intel SDM volume 3, chapter 6.
//
// A fault inside the core's linear memory is the sandbox's (out of bounds), one in a guard page a stack that ran over, one
// on a lazily backed page is served; anything else is the kernel's own end, with all registers on the console.
// clang: -Oz
#include "../common/watchdog.h"
#include "pc.h"

enum { CODE = 8, DATA = 16, TSS = 24, INTERRUPT_GATE = 0x8E };
enum { IST_INTERRUPT = 1, IST_EXCEPTION = 2, IST_DOUBLE_FAULT = 3, IST_NMI = 4 };
enum { IST_STACK_BYTES = 16384 };
enum { DIVIDE = 0, NMI = 2, UNDEFINED = 6, DOUBLE_FAULT = 8, PAGE_FAULT = 14, MACHINE_CHECK = 18 };
enum { FIRST_INTERRUPT = 0x30, LAST_INTERRUPT = 0x52 };
enum { FAULT_PRESENT = 1, FLAG_DIRECTION = 1 << 10, CR4_OSXSAVE = 1 << 18, CR4_SMEP = 1 << 20, CR4_PGE = 1 << 7, MSR_GS_BASE = 0xC0000101u };

struct frame {
  u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
  u64 vector, error, rip, cs, flags, rsp, ss;
};
struct gate { u16 low; u16 selector; u8 ist, type; u16 middle; u32 high, reserved; };

struct cpu cpus[CORES_MAX];
static struct gate idt[256];
static u8 stacks[4][IST_STACK_BYTES] __attribute__((aligned(16)));  // of the first CPU
static const char* const names[] = {"divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "undefined instruction",
  "no FPU", "double fault", "9", "invalid TSS", "segment not present", "stack segment", "general protection", "page fault",
  "15", "x87", "alignment", "machine check", "SIMD", "virtualization", "control protection"};

extern u8 exception_entries[], interrupt_entries[], spurious_entry[];

static void set_gate(u32 vector, u64 entry, u8 ist) {
  idt[vector] = (struct gate){(u16)entry, CODE, ist, INTERRUPT_GATE, (u16)(entry >> 16), (u32)(entry >> 32), 0};
}

static void vector_extensions(void) {
  struct cpuid features = cpuid(1, 0);
  u64 cr4;
  __asm__("movq %%cr4, %0" : "=r"(cr4));
  if (features.c >> 26 & 1) cr4 |= CR4_OSXSAVE;
  if (cpuid(0, 0).a >= 7 && cpuid(7, 0).b >> 7 & 1) cr4 |= CR4_SMEP;
  __asm__ volatile("movq %0, %%cr4" ::"r"(cr4));
  if (!(cr4 & CR4_OSXSAVE)) return;
  u32 avx512 = 0xE0, state = 3 | (features.c >> 28 & 1 ? 4 : 0) | avx512;  // x87, SSE, AVX, AVX-512's three parts
  state &= cpuid(13, 0).a;
  if ((state & avx512) != avx512 || !(state & 4)) state &= ~avx512;
  __asm__ volatile("xsetbv" ::"c"(0), "a"(state), "d"(0));
}

static void set_gates(void) {
  for (u32 i = 0; i < 32; i++)
    set_gate(i, (u64)exception_entries + 16 * i,
             i == DOUBLE_FAULT ? IST_DOUBLE_FAULT : i == NMI || i == MACHINE_CHECK ? IST_NMI : IST_EXCEPTION);
  for (u32 i = FIRST_INTERRUPT; i <= LAST_INTERRUPT; i++)
    set_gate(i, (u64)interrupt_entries + 16 * (i - FIRST_INTERRUPT), IST_INTERRUPT);
  for (u32 i = LAST_INTERRUPT + 1; i < 256; i++) set_gate(i, (u64)spurious_entry, IST_INTERRUPT);
}

bool cpu_prepare(struct cpu* cpu) {
  for (u32 i = 0; i < 4; i++) {
    if (!cpu->ist_tops[i] && !(cpu->ist_tops[i] = stack_map(IST_STACK_BYTES))) return false;
    // A handler's stack cannot wait for its own page fault.
    for (u64 at = (u64)cpu->ist_tops[i] - IST_STACK_BYTES; at < (u64)cpu->ist_tops[i] - SMALL_PAGE; at += SMALL_PAGE)
      if (!commit_page(at)) return false;
  }
  return true;
}

void cpu_init(struct cpu* cpu) {
  cpu->self = cpu;
  for (u32 i = 0; i < 4; i++) {
    u64 top = cpu->ist_tops[i] ? (u64)cpu->ist_tops[i] : (u64)stacks[i] + sizeof stacks[i];
    for (u32 byte = 0; byte < 8; byte++) cpu->tss[36 + 8 * i + byte] = (u8)(top >> 8 * byte);
  }
  cpu->tss[102] = sizeof cpu->tss;  // no I/O permission map
  u64 tss = (u64)cpu->tss;
  cpu->gdt[1] = 0x00AF9B000000FFFFull;
  cpu->gdt[2] = 0x00CF93000000FFFFull;
  cpu->gdt[3] = (sizeof cpu->tss - 1) | (tss & 0xFFFFFF) << 16 | 0x89ull << 40 | (tss >> 24 & 0xFF) << 56;
  cpu->gdt[4] = tss >> 32;
  cpu->timer_deadline_ns = INT64_MAX;

  if (cpu->number == 0) set_gates();  // one table for all
  struct __attribute__((packed)) { u16 limit; u64 base; } gdtr = {sizeof cpu->gdt - 1, (u64)cpu->gdt},
                                                        idtr = {sizeof idt - 1, (u64)idt};
  __asm__ volatile("lgdt %0; lidt %1; ltr %w2" ::"m"(gdtr), "m"(idtr), "r"(TSS) : "memory");
  msr_write(MSR_GS_BASE, (u64)cpu);
  vector_extensions();
}

void interrupts_on(void) { __asm__ volatile("sti" ::: "memory"); }

static void print_registers(const struct frame* f, u64 address) {
  print("\npanic: %s at %x, error %x, address %x\n", f->vector < COUNT(names) ? names[f->vector] : "exception", f->rip, f->error,
        address);
  print("rax %x rbx %x rcx %x rdx %x\n", f->rax, f->rbx, f->rcx, f->rdx);
  print("rsi %x rdi %x rbp %x rsp %x\n", f->rsi, f->rdi, f->rbp, f->rsp);
  print("r8 %x r9 %x r10 %x r11 %x\n", f->r8, f->r9, f->r10, f->r11);
  print("r12 %x r13 %x r14 %x r15 %x flags %x\n", f->r12, f->r13, f->r14, f->r15, f->flags);
}

// What the fault is, as a trap of sandboxed code; false when it is none.
static bool trap_of(struct core* core, const struct frame* f, u64 address, enum trap* reason, u64* detail) {
  u64 memory = (u64)core->memory;
  *detail = 0;
  if (f->vector == DIVIDE) return *reason = TRAP_DIVIDE_BY_ZERO, true;
  if (f->vector == UNDEFINED) return *reason = TRAP_UNREACHABLE, true;
  if (f->vector != PAGE_FAULT) return false;
  if (address >= memory && address < memory + MEMORY_RESERVE) {
    *detail = address - memory;
    return *reason = TRAP_OUT_OF_BOUNDS, true;
  }
  return *reason = TRAP_STACK_OVERFLOW, is_stack_guard(address);
}

// Off the handler's path: may use any register. Returns only where a fiber ends: to the loop's stack, as if the fiber had
// switched to it.
static __attribute__((noinline)) void fault(struct frame* f, u64 address) {
  static u32 depth;
  struct core* core = current_core();
  if (depth++ > 0) {
    print("\npanic: %s at %x inside a panic, address %x\n", f->vector < COUNT(names) ? names[f->vector] : "exception", f->rip, address);
    machine_exit(1);
  }
  enum trap reason;
  u64 detail;
  if (core && trap_of(core, f, address, &reason, &detail)) {
    f->rdi = f->rsp = trap_take(core, reason, detail, f->rip, f->rbp);
    f->rip = (u64)stack_resume;
    f->flags &= ~(u64)FLAG_DIRECTION;
    depth--;
    return;
  }
  print_registers(f, address);
  if (core) trap_take(core, TRAP_FAULT, f->vector, f->rip, f->rbp);
  machine_exit(1);
}

INTERRUPT_CODE static void mark(u32 bits) {
  struct core* core = current_core();
  if (core) __atomic_fetch_or(&core->pending, bits, __ATOMIC_RELEASE);
}

// While the core halts, `wait` looks at the clock itself; while it is busy, a tick of the watchdog.
INTERRUPT_CODE static void timer_interrupt(struct frame* f) {
  struct core* core = current_core();
  bool busy = timer_fired();
  apic_eoi();
  u64 loop = core && busy ? watchdog_tick(core, f->rip, f->rbp) : 0;
  if (!loop) return;
  f->rdi = f->rsp = loop;
  f->rip = (u64)stack_resume;
  f->flags &= ~(u64)FLAG_DIRECTION;
}

INTERRUPT_CODE void interrupt_entry(struct frame* f) {
  if (f->vector >= FIRST_INTERRUPT) {
    if (f->vector == VECTOR_TIMER) {
      timer_interrupt(f);
      return;
    } else if (f->vector == VECTOR_WAKE) {
      mark(PENDING_WAKE);
    } else if (f->vector == VECTOR_POWER) {
      power_interrupt();
    } else {
      device_interrupt((u32)f->vector - VECTOR_DEVICE);
    }
    apic_eoi();
    return;
  }
  u64 address = 0;
  if (f->vector == PAGE_FAULT) {
    __asm__ volatile("movq %%cr2, %0" : "=r"(address));
    if (!(f->error & FAULT_PRESENT) && commit_page(ROUND_DOWN(address, SMALL_PAGE))) return;
  }
  fault(f, address);
}
