// Inside of platform `pc`: bare metal x86-64. What its files give each other; the boundary itself is ../common/platform.h.
//
// Invariants
// 1. Sandboxed code runs with interrupts enabled; handlers run on IST stacks, acknowledge, set a bit and return.
// 2. Nothing is both writable and executable; address 0 up to the image is unmapped; text and read-only data have no
//    writable alias (the direct map leaves their pages out).
// 3. All that firmware, VMM, devices and bundles say is checked before it is used as an address, length or index.
#pragma once
#include "inline.h"
#include "../common/cores.h"

#define SMALL_PAGE 0x1000ull
#define LARGE_PAGE 0x200000ull
#define ROUND_UP(x, unit) (((x) + (unit) - 1) & ~((unit) - 1))
#define ROUND_DOWN(x, unit) ((x) & ~((unit) - 1))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// Interrupt handlers and what they call must leave the vector registers of the interrupted code alone.
#define INTERRUPT_CODE __attribute__((target("general-regs-only")))

// The error codes of runtime/errors.ts that this side returns.
enum { EPERM = -1, EIO = -5, ENOMEM = -12, EFAULT = -14, EBUSY = -16, ENODEV = -19, EINVAL = -22 };

enum pending { PENDING_TIMER = 1u << 28, PENDING_WAKE = 1u << 29, PENDING_SHUTDOWN = 1u << 30 };

// ---- cpu.c: descriptor tables, faults

struct cpu {
  struct core* core;      // at offset 0: gs:0
  struct cpu* self;       // gs:8
  u32 number;
  u32 apic_id;
  u64 gdt[5];
  u8 tss[104];
  u64 timer_deadline_ns;  // what the timer is armed for; INT64_MAX: nothing
  u32 timer_divider;      // what the timer's divider is set to; 0: not yet
  u32 state;              // smp.c
  u8* ist_tops[4];        // the stacks of its handlers
};
extern struct cpu cpus[CORES_MAX];  // number 0: the one that booted
static inline struct cpu* this_cpu(void) {
  struct cpu* cpu;
  __asm__ volatile("movq %%gs:8, %0" : "=r"(cpu));
  return cpu;
}
static inline struct core* current_core(void) {
  struct core* core;
  __asm__ volatile("movq %%gs:0, %0" : "=r"(core));
  return core;
}
bool cpu_prepare(struct cpu* cpu);  // the memory that `cpu_init` needs on another CPU than the first
void cpu_init(struct cpu* cpu);      // on the CPU itself
void interrupts_on(void);

// ---- port.h style access

static inline void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out16(u16 port, u16 value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out32(u16 port, u32 value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static inline u8 in8(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u16 in16(u16 port) { u16 v; __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u32 in32(u16 port) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u64 msr_read(u32 msr) {
  u32 low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
  return (u64)high << 32 | low;
}
static inline void msr_write(u32 msr, u64 value) {
  __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
struct cpuid { u32 a, b, c, d; };
static inline struct cpuid cpuid(u32 leaf, u32 subleaf) {
  struct cpuid r;
  __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
  return r;
}
// Leaves beyond the maximum return the highest one's values, so that each is asked for through this.
static inline struct cpuid cpuid_checked(u32 leaf) {
  if (cpuid(leaf & 0xC0000000u, 0).a < leaf) return (struct cpuid){0, 0, 0, 0};
  return cpuid(leaf, 0);
}
static inline bool under_hypervisor(void) { return cpuid(1, 0).c >> 31; }
static inline void cpu_relax(void) { __asm__ volatile("pause" ::: "memory"); }

struct lock { u32 held; };
void lock_take(struct lock* lock);
static inline void lock_give(struct lock* lock) { __atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE); }

// ---- console.c

void console_init(void);
// %s, %u (u32), %x (u64, hexadecimal), %c
void print(const char* format, ...);

// ---- start.c: what the boot loader handed over, copied

struct range { u64 start, end; };
struct boot_info {
  char command_line[1024];
  struct range ram[32];  // usable, page-aligned, ascending
  u32 ram_count;
  struct range known[64];  // all the memory map's entries, of any type
  u32 known_count;
  u64 ram_bytes;
  struct range module;  // the bundle that was given at boot; empty when there is none
  struct range slot;  // the one in the image, disk or ELF; empty when there is none
  u64 rsdp;
};
extern struct boot_info boot_info;
void start_read(u64 start_info);
// The value of `name=` in the command line from *position on; its length, 0 when there is none (left).
size_t command_line_value(const char* name, size_t* position, const char** value);

// ---- frames.c: physical memory

void frames_init(void);
void frames_exclude(u64 start, u64 end);
// `bytes` (a multiple of 4 KiB) of contiguous physical memory aligned to `align`; 0 when there is none. Not zeroed.
u64 frames_take(u64 bytes, u64 align);
INTERRUPT_CODE u64 frame_take(void);  // one page of 4 KiB, zeroed
void frame_give(u64 frame);
u64 frames_free_bytes(void);

// ---- paging.c: virtual memory

enum map_flags { MAP_WRITE = 1, MAP_UNCACHED = 2 };
void paging_init(void);
extern u64 direct_base, direct_end;  // physical memory as a whole, but for the image's text and read-only data
static inline void* direct(u64 physical) { return (void*)(direct_base + physical); }
// True when [physical, physical + bytes) can be read through `direct`.
bool direct_covers(u64 physical, u64 bytes);
bool map_pages(u64 virtual, u64 physical, u64 bytes, u32 flags);
// Pages that appear, zeroed, when they are first touched.
bool map_lazily(u64 virtual, u64 bytes);
// A device's registers: uncached, not executable; NULL when there is no memory for page tables.
volatile void* map_device(u64 physical, u64 bytes);
INTERRUPT_CODE bool commit_page(u64 virtual);
INTERRUPT_CODE bool is_stack_guard(u64 virtual);
u64 image_physical(const void* address);

// ---- machine.c, acpi.c, apic.c, time.c, random.c, wall.c

extern struct acpi {
  u64 ioapic_address[4];
  u32 ioapic_base[4];
  u32 ioapics;
  struct { u32 gsi; u16 flags; bool known; } isa[16];
  u32 pm1a_control, pm1b_control, pm1a_event, smi_command;
  u8 acpi_enable, sleep_a, sleep_b, century, pm1_event_length;
  u16 sci;
  bool power_off;
  struct { u8 space; u64 address; u8 value; } reset, sleep_control;
  struct virtio_mmio { u64 address; u32 bytes, gsi; } mmio[32];
  u32 mmio_count;
  u32 cpu_ids[CORES_MAX];  // APIC ids of the CPUs that can be used, the one that booted among them
  u32 cpus;
} acpi;
void acpi_read(void);
void acpi_add_cpu(u32 apic_id);
void mptable_read(void);  // the CPUs, where ACPI names none
void power_init(void);

void apic_init(void);
void apic_init_cpu(void);  // the part that each CPU has
enum { IPI_INIT = 0x4500, IPI_START = 0x4600 };
void apic_send(u32 apic_id, u32 command);  // a vector, or one of these
INTERRUPT_CODE void apic_eoi(void);
INTERRUPT_CODE void apic_timer_count(u32 count, bool slow);  // one-shot; slow: a tick is 128 of the others
u32 apic_timer_left(void);
void apic_timer_mode(bool deadline);  // TSC-deadline, or one-shot
u32 apic_id(void);
struct pin { u8 ioapic, index; };
bool ioapic_pin(u32 gsi, struct pin* pin);
void ioapic_route(struct pin pin, u8 vector, bool level, bool low, bool masked);
INTERRUPT_CODE void ioapic_mask(struct pin pin, bool masked);

enum { VECTOR_DEVICE = 0x30, VECTOR_TIMER = 0x50, VECTOR_POWER = 0x51, VECTOR_WAKE = 0x52, VECTOR_SPURIOUS = 0xFF };
INTERRUPT_CODE void device_interrupt(u32 device);
INTERRUPT_CODE void power_interrupt(void);

void time_init(void);
INTERRUPT_CODE bool timer_fired(void);  // its interrupt: renews the watchdog's tick; false while the core halts
void time_init_cpu(u64 not_before_ns);  // another CPU's timer, and its TSC where that was behind
u64 now_ns(void);
u64 time_entered_ns(void);
void delay_ns(u64 ns);
void wall_init(void);

void random_early(void);
void random_seed(const void* data, size_t length, bool strong);
void random_ready(void);
u64 random_u64(void);
bool random_strong(void);  // a source that cannot be guessed went in

// ---- smp.c: the other CPUs

void smp_find(void);  // how many there are; after acpi_read and apic_init
// core0.c: the linear memory of core `number`, laid out; NULL when there is no memory.
struct core* core_create(u32 number);
bool published_map(struct core* core);  // window.c; announces the core

// ---- content.c: the bundle and the embedded files

void content_init(struct core* core);
bool content_map(struct core* core);  // the same for another core
bool fw_cfg_load(const char* name, u64* physical, u64* bytes, u64 bytes_max);
