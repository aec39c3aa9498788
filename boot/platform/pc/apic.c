// Interrupt controllers: the local APIC (xAPIC by memory, x2APIC by MSR), the IOAPICs, and the old PICs, masked. Intel SDM
// volume 3, chapter 10; 82093AA data sheet. Interrupts go to the core that set them up, fixed, physical destination.
// clang: -Oz
#include "pc.h"

enum { MSR_APIC_BASE = 0x1B, APIC_ENABLE = 1 << 11, APIC_X2 = 1 << 10, MSR_X2APIC = 0x800 };
enum { REG_ID = 0x20, REG_TASK_PRIORITY = 0x80, REG_EOI = 0xB0, REG_SPURIOUS = 0xF0, REG_TIMER = 0x320, REG_LINT0 = 0x350,
  REG_LINT1 = 0x360, REG_ERROR = 0x370, REG_COMMAND = 0x300, REG_DESTINATION = 0x310, REG_INITIAL = 0x380, REG_CURRENT = 0x390, REG_DIVIDE = 0x3E0 };
enum { SEND_PENDING = 1 << 12, SEND_POLLS = 100000 };
enum { MASKED = 1 << 16, TIMER_DEADLINE = 2 << 17, DIVIDE_BY_1 = 0xB, DIVIDE_BY_128 = 0xA };
enum { IOAPIC_VERSION = 1, IOAPIC_TABLE = 0x10, PIN_LOW = 1 << 13, PIN_LEVEL = 1 << 15, DEFAULT_IOAPIC = 0xFEC00000 };

static bool x2;
static volatile u32* local;
static struct { volatile u32* registers; u32 base, pins; } ioapics[4];
static u32 ioapic_count;

INTERRUPT_CODE static u32 read(u32 reg) { return x2 ? (u32)msr_read(MSR_X2APIC + reg / 16) : local[reg / 4]; }
INTERRUPT_CODE static void write(u32 reg, u32 value) {
  if (x2)
    msr_write(MSR_X2APIC + reg / 16, value);
  else
    local[reg / 4] = value;
}

INTERRUPT_CODE void apic_eoi(void) { write(REG_EOI, 0); }
u32 apic_id(void) { return x2 ? read(REG_ID) : read(REG_ID) >> 24; }

void apic_timer_mode(bool deadline) { write(REG_TIMER, VECTOR_TIMER | (deadline ? TIMER_DEADLINE : 0)); }

INTERRUPT_CODE void apic_timer_count(u32 count, bool slow) {
  u32 wanted = slow ? DIVIDE_BY_128 : DIVIDE_BY_1;
  struct cpu* cpu = this_cpu();
  if (cpu->timer_divider != wanted) write(REG_DIVIDE, cpu->timer_divider = wanted);
  write(REG_INITIAL, count);
}
u32 apic_timer_left(void) { return read(REG_CURRENT); }

static u32 ioapic_read(volatile u32* registers, u32 index) {
  registers[0] = index;
  return registers[4];
}
INTERRUPT_CODE static void ioapic_write(volatile u32* registers, u32 index, u32 value) {
  registers[0] = index;
  registers[4] = value;
}

static void ioapic_add(u64 address, u32 base) {
  volatile u32* registers = map_device(address, 0x20);
  if (!registers || ioapic_count == COUNT(ioapics)) return;
  u32 version = ioapic_read(registers, IOAPIC_VERSION);
  if (version == 0xFFFFFFFF || version == 0) return;
  u32 pins = (version >> 16 & 0xFF) + 1;
  for (u32 i = 0; i < pins; i++) ioapic_write(registers, IOAPIC_TABLE + 2 * i, MASKED);
  ioapics[ioapic_count].registers = registers;
  ioapics[ioapic_count].base = base;
  ioapics[ioapic_count++].pins = pins;
}

static void pic_mask(void) {
  out8(0x21, 0xFF);
  out8(0xA1, 0xFF);
}

void apic_init_cpu(void) {
  u64 base = msr_read(MSR_APIC_BASE);
  msr_write(MSR_APIC_BASE, base | APIC_ENABLE);
  if (x2) msr_write(MSR_APIC_BASE, base | APIC_ENABLE | APIC_X2);
  write(REG_SPURIOUS, VECTOR_SPURIOUS | 0x100);
  write(REG_TASK_PRIORITY, 0);
  write(REG_LINT0, MASKED);
  write(REG_LINT1, MASKED);
  write(REG_ERROR, MASKED);
  write(REG_TIMER, VECTOR_TIMER);
}

void apic_init(void) {
  pic_mask();
  // x2APIC where the CPU has it: one instruction instead of a memory access that a VMM must decode.
  x2 = cpuid(1, 0).c >> 21 & 1;
  if (!x2) local = map_device(msr_read(MSR_APIC_BASE) & 0xFFFFFF000ull, SMALL_PAGE);
  apic_init_cpu();
  this_cpu()->apic_id = apic_id();
  if (acpi.ioapics == 0) ioapic_add(DEFAULT_IOAPIC, 0);
  for (u32 i = 0; i < acpi.ioapics; i++) ioapic_add(acpi.ioapic_address[i], acpi.ioapic_base[i]);
}

// Only from loops: the two registers of the xAPIC are written with interrupts as they are, and no handler sends.
void apic_send(u32 apic_id, u32 command) {
  if (x2) {
    __asm__ volatile("mfence" ::: "memory");  // unlike a memory access, the MSR write does not wait for earlier stores
    msr_write(MSR_X2APIC + REG_COMMAND / 16, (u64)apic_id << 32 | command);
    return;
  }
  if (apic_id > 0xFE) return;
  for (u32 polls = 0; read(REG_COMMAND) & SEND_PENDING && polls < SEND_POLLS; polls++) cpu_relax();
  write(REG_DESTINATION, apic_id << 24);
  write(REG_COMMAND, command);
}

bool ioapic_pin(u32 gsi, struct pin* pin) {
  for (u32 i = 0; i < ioapic_count; i++)
    if (gsi >= ioapics[i].base && gsi - ioapics[i].base < ioapics[i].pins) {
      *pin = (struct pin){(u8)i, (u8)(gsi - ioapics[i].base)};
      return true;
    }
  return false;
}

static u32 shadow[4][256];  // the low words, so that masking is one write

void ioapic_route(struct pin pin, u8 vector, bool level, bool low, bool masked) {
  volatile u32* registers = ioapics[pin.ioapic].registers;
  u32 word = vector | (level ? PIN_LEVEL : 0) | (low ? PIN_LOW : 0);
  shadow[pin.ioapic][pin.index] = word;
  ioapic_write(registers, IOAPIC_TABLE + 2 * pin.index + 1, this_cpu()->apic_id << 24);
  ioapic_write(registers, IOAPIC_TABLE + 2 * pin.index, word | (masked ? MASKED : 0));
}

// The index register is shared by the loop (unmask) and handlers (mask): the loop calls this with interrupts off.
INTERRUPT_CODE void ioapic_mask(struct pin pin, bool masked) {
  ioapic_write(ioapics[pin.ioapic].registers, IOAPIC_TABLE + 2 * pin.index,
               shadow[pin.ioapic][pin.index] | (masked ? MASKED : 0));
}
