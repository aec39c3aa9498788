// The end of the machine, and the power button. Each way out is tried in turn, because which ones exist is the VMM's choice:
// QEMU's isa-debug-exit (for tests), ACPI S5, ACPI reset, the keyboard controller, a triple fault (which QEMU's -no-reboot
// turns into an exit).
// clang: -Oz
#include "pc.h"

enum { DEBUG_EXIT_PORT = 0x501, KEYBOARD_COMMAND = 0x64, KEYBOARD_RESET = 0xFE, RESET_CONTROL = 0xCF9 };
enum { SLEEP_ENABLE = 1 << 13, SLEEP_TYPE_SHIFT = 10, REDUCED_SLEEP_ENABLE = 1 << 5, REDUCED_TYPE_SHIFT = 2 };
enum { PM1_POWER_BUTTON = 1 << 8, SCI_ENABLE = 1 };
enum { SPACE_MEMORY = 0, SPACE_IO = 1 };

static struct pin sci_pin;
static volatile u8* sleep_register;  // mapped at boot: at the end there may be no memory for it
static volatile u8* reset_register;

static void write_register(u8 space, u64 address, volatile u8* mapped, u8 value) {
  if (space == SPACE_IO && address && address <= 0xFFFF) out8((u16)address, value);
  if (space == SPACE_MEMORY && mapped) *mapped = value;
}

static void power_off(void) {
  if (!acpi.power_off) return;
  u8 reduced = (u8)(acpi.sleep_a << REDUCED_TYPE_SHIFT | REDUCED_SLEEP_ENABLE);
  write_register(acpi.sleep_control.space, acpi.sleep_control.address, sleep_register, reduced);
  if (acpi.pm1a_control == 0 || acpi.pm1a_control > 0xFFFF) return;
  out16((u16)acpi.pm1a_control, (u16)(acpi.sleep_a << SLEEP_TYPE_SHIFT | SLEEP_ENABLE));
  if (acpi.pm1b_control && acpi.pm1b_control <= 0xFFFF)
    out16((u16)acpi.pm1b_control, (u16)(acpi.sleep_b << SLEEP_TYPE_SHIFT | SLEEP_ENABLE));
}

_Noreturn void machine_reset(void) {
  write_register(acpi.reset.space, acpi.reset.address, reset_register, acpi.reset.value);
  out8(RESET_CONTROL, 2);
  out8(RESET_CONTROL, 6);
  out8(KEYBOARD_COMMAND, KEYBOARD_RESET);
  struct __attribute__((packed)) { u16 limit; u64 base; } none = {0, 0};
  __asm__ volatile("lidt %0; ud2" ::"m"(none));
  for (;;) __asm__ volatile("cli; hlt");
}

_Noreturn void machine_exit(int status) {
  __asm__ volatile("cli");
  out8(DEBUG_EXIT_PORT, (u8)status);
  power_off();
  machine_reset();
}

void w2c_env_exit(struct core* core, u32 status) {
  (void)core;
  machine_exit((int)status);
}

void w2c_env_reboot(struct core* core) {
  (void)core;
  __asm__ volatile("cli");
  machine_reset();
}

void power_init(void) {
  if (acpi.sleep_control.space == SPACE_MEMORY && acpi.sleep_control.address)
    sleep_register = map_device(acpi.sleep_control.address, 1);
  if (acpi.reset.space == SPACE_MEMORY && acpi.reset.address) reset_register = map_device(acpi.reset.address, 1);
  u32 event = acpi.pm1a_event;
  if (!acpi.pm1a_control || !event || event > 0xFFF0 || acpi.pm1_event_length < 4 || acpi.sci > 15) return;
  u32 gsi = acpi.isa[acpi.sci].known ? acpi.isa[acpi.sci].gsi : acpi.sci;
  if (!ioapic_pin(gsi, &sci_pin)) return;
  if (!(in16((u16)acpi.pm1a_control) & SCI_ENABLE) && acpi.smi_command && acpi.smi_command <= 0xFFFF && acpi.acpi_enable)
    out8((u16)acpi.smi_command, acpi.acpi_enable);
  out16((u16)event, PM1_POWER_BUTTON);
  out16((u16)(event + acpi.pm1_event_length / 2), PM1_POWER_BUTTON);
  bool low = acpi.isa[acpi.sci].known && (acpi.isa[acpi.sci].flags & 3) == 3;
  ioapic_route(sci_pin, VECTOR_POWER, true, low, false);
}

INTERRUPT_CODE void power_interrupt(void) {
  out16((u16)acpi.pm1a_event, 0xFFFF);  // status bits are cleared by writing ones: the pin falls
  struct core* core = current_core();
  if (core) __atomic_fetch_or(&core->pending, PENDING_SHUTDOWN, __ATOMIC_RELEASE);
}
