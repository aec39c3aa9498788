// PCI: configuration mechanism 1, bus 0 (bridges are not crossed: virtual machines put their cards there). BARs that firmware
// left empty get addresses; MSI-X where a device has it, else its INTx pin. PCI 3.0, chapter 6; VIRTIO 1.2, 4.1.
// clang: -Oz
#include "devices.h"

enum { ADDRESS = 0xCF8, DATA = 0xCFC };
enum { REG_ID = 0, REG_COMMAND = 4, REG_CLASS = 8, REG_HEADER = 14, REG_BAR0 = 0x10, REG_CAPABILITIES = 0x34, REG_LINE = 0x3C };
enum { COMMAND_IO = 1, COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_NO_INTX = 0x400, STATUS_CAPABILITIES = 0x10 };
enum { CAPABILITY_VENDOR = 9, CAPABILITY_MSIX = 0x11, CAPABILITIES_MAX = 48 };
enum { VIRTIO_COMMON = 1, VIRTIO_NOTIFY = 2, VIRTIO_ISR = 3, VIRTIO_DEVICE = 4, COMMON_BYTES = 56, CONFIG_BYTES_MAX = 4096 };
enum { VENDOR_VIRTIO = 0x1AF4, VENDOR_INTEL = 0x8086, PIIX3 = 0x7000, ICH9 = 0x2918 };
enum { MSIX_ENABLE = 0x8000, MSIX_FUNCTION_MASK = 0x4000, APIC_WINDOW = 0xFEE00000u };
enum { ELCR = 0x4D0 };
static const u64 HOLE_START = 0xE0000000ull, HOLE_END = 0xFEB00000ull;

struct bar { u64 address, bytes; bool io; };

static u64 next_memory = 0;
static u16 next_port = 0xC000;

static u32 at(struct pci p, u32 reg) { return 0x80000000u | (u32)p.bus << 16 | (u32)p.slot << 11 | (u32)p.function << 8 | (reg & 0xFC); }
static u32 read32(struct pci p, u32 reg) {
  out32(ADDRESS, at(p, reg));
  return in32(DATA);
}
static u16 read16(struct pci p, u32 reg) { return (u16)(read32(p, reg) >> 8 * (reg & 2)); }
static u8 read8(struct pci p, u32 reg) { return (u8)(read32(p, reg) >> 8 * (reg & 3)); }
static void write32(struct pci p, u32 reg, u32 value) {
  out32(ADDRESS, at(p, reg));
  out32(DATA, value);
}
static void write16(struct pci p, u32 reg, u16 value) {
  out32(ADDRESS, at(p, reg));
  out16((u16)(DATA + (reg & 2)), value);
}
static void write8(struct pci p, u32 reg, u8 value) {
  out32(ADDRESS, at(p, reg));
  out8((u16)(DATA + (reg & 3)), value);
}

// ---- BARs

static bool clashes(u64 start, u64 bytes) {
  for (u32 i = 0; i < boot_info.known_count; i++)
    if (start < boot_info.known[i].end && start + bytes > boot_info.known[i].start) return true;
  return false;
}

// Above every BAR that firmware placed, so that none is hit; found out before the first address is given.
static void note_placed(struct pci p) {
  u32 bars = (read8(p, REG_HEADER) & 0x7F) == 0 ? 6 : 2;
  for (u32 i = 0; i < bars; i++) {
    u32 value = read32(p, REG_BAR0 + 4 * i);
    u32 address = value & (value & 1 ? ~3u : ~15u);
    // The size is not asked for: 1 MiB beyond the highest base, or 256 ports, is beyond the small cards' BARs.
    if (value & 1 && address >= next_port && address < 0xFF00) next_port = (u16)(address + 0x100);
    if (!(value & 1) && address >= HOLE_START && address < HOLE_END && address + 0x100000ull > next_memory)
      next_memory = address + 0x100000ull;
    if ((value & 7) == 4) i++;
  }
}

static struct bar place(struct pci p, u32 index) {
  struct bar bar = {0, 0, false};
  u32 reg = REG_BAR0 + 4 * index, value = read32(p, reg), high = 0;
  bar.io = value & 1;
  bool wide = !bar.io && (value & 6) == 4 && index < 5;
  write32(p, reg, 0xFFFFFFFF);
  u32 mask = read32(p, reg) & (bar.io ? ~3u : ~15u);
  write32(p, reg, value);
  if (wide) high = read32(p, reg + 4);
  if (mask == 0) return bar;
  if (bar.io) mask |= 0xFFFF0000;
  bar.bytes = (u64)(u32)~mask + 1;
  bar.address = (value & (bar.io ? ~3u : ~15u)) | (u64)high << 32;
  if (bar.address) return bar;
  if (bar.io) {
    bar.address = ROUND_UP(next_port, bar.bytes);
    next_port = (u16)(bar.address + bar.bytes);
  } else {
    if (next_memory < HOLE_START) next_memory = HOLE_START;
    u64 start = ROUND_UP(next_memory, bar.bytes);
    while (start < HOLE_END && clashes(start, bar.bytes)) start += bar.bytes > 0x100000 ? bar.bytes : 0x100000;
    if (start + bar.bytes > HOLE_END) return (struct bar){0, 0, false};
    next_memory = start + bar.bytes;
    bar.address = start;
  }
  write32(p, reg, (u32)bar.address | (value & 15));
  if (wide) write32(p, reg + 4, 0);
  return bar;
}

static struct bar bars_of(struct pci p, u32 index, struct bar bars[6]) {
  if (index >= 6) return (struct bar){0, 0, false};
  if (bars[index].bytes == 0) bars[index] = place(p, index);
  return bars[index];
}

static volatile u8* map_part(struct pci p, struct bar bars[6], u32 index, u32 offset, u32 bytes) {
  struct bar bar = bars_of(p, index, bars);
  if (bar.io || bytes == 0 || offset > bar.bytes || bytes > bar.bytes - offset) return NULL;
  for (u32 i = 0; i < boot_info.ram_count; i++)
    if (bar.address < boot_info.ram[i].end && bar.address + bar.bytes > boot_info.ram[i].start) return NULL;
  return map_device(bar.address + offset, bytes);
}

// ---- interrupts

// MSI-X: entry 0 of the table to this core, the others stay masked until a core takes queues. All have the device's vector:
// it is the core that tells them apart.
static bool msix_init(struct device* device, u32 capability, struct bar bars[6], u8 vector) {
  struct pci p = device->pci;
  u16 control = read16(p, capability + 2);
  u32 table = read32(p, capability + 4);
  volatile u32* entries = (volatile u32*)map_part(p, bars, table & 7, table & ~7u, ((control & 0x7FFu) + 1) * 16);
  if (!entries) return false;
  write16(p, capability + 2, (u16)(control | MSIX_ENABLE | MSIX_FUNCTION_MASK));
  entries[0] = APIC_WINDOW | this_cpu()->apic_id << 12;
  entries[1] = 0;
  entries[2] = vector;
  entries[3] = 0;
  write16(p, capability + 2, (u16)((control | MSIX_ENABLE) & ~MSIX_FUNCTION_MASK));
  device->msix_entries = entries;
  device->msix_count = (control & 0x7FFu) + 1;
  return true;
}

// The address and vector are complete before the mask goes. Again for the second ring of a pair: the same words.
void msix_route(struct device* device, u32 entry, u32 apic_id) {
  if (!device->msix_entries || entry == 0 || entry >= device->msix_count) return;
  volatile u32* at = device->msix_entries + 4 * entry;
  at[0] = APIC_WINDOW | apic_id << 12;
  at[1] = 0;
  at[2] = device->msix_entries[2];
  at[3] = 0;
}

// The PIRQ routers of QEMU's machines, when no firmware has programmed them: A-D (E-H) to IRQ 10 and 11, level-triggered.
static void route_pirqs(void) {
  static const u8 irqs[4] = {10, 10, 11, 11};
  static const struct pci piix = {true, 0, 1, 0}, ich = {true, 0, 31, 0};
  if (read32(piix, REG_ID) == (VENDOR_INTEL | (u32)PIIX3 << 16))
    for (u32 i = 0; i < 4; i++) write8(piix, 0x60 + i, irqs[i]);
  else if (read32(ich, REG_ID) == (VENDOR_INTEL | (u32)ICH9 << 16))
    for (u32 i = 0; i < 4; i++) write8(ich, 0x60 + i, irqs[i]), write8(ich, 0x68 + i, irqs[i]);
  else
    return;
  out8(ELCR + 1, in8(ELCR + 1) | 0x0C);
}

// Which IOAPIC pin a card's INTx drives stands in AML (_PRT), which nobody here reads. So all pins that it can be share the
// device's vector: the ISA interrupt of the line register, and pins 16-19 and 20-23 in the order in which slots are wired
// (bridges of QEMU and VirtualBox). A pin that is not wired never fires.
static void intx_init(struct device* device) {
  struct pci p = device->pci;
  u8 line = read8(p, REG_LINE), pin = read8(p, REG_LINE + 1);
  if (pin == 0 || pin > 4) return;
  if (line == 0 || line > 15) {
    route_pirqs();
    static const u8 piix_irqs[4] = {10, 10, 11, 11};
    line = piix_irqs[(p.slot + pin - 2) & 3];
  }
  u32 gsis[PINS_MAX] = {acpi.isa[line].known ? acpi.isa[line].gsi : line, 16 + ((p.slot + pin - 1) & 3), 20 + ((p.slot + pin - 1) & 3)};
  for (u32 i = 0; i < PINS_MAX; i++)
    if (ioapic_pin(gsis[i], &device->pins[device->pin_count])) device->pin_count++;
  device->level = true;
}

void pci_enable(struct device* device, bool on) {
  struct pci p = device->pci;
  if (!p.present) return;
  u32 command = COMMAND_IO | COMMAND_MEMORY | (on ? COMMAND_MASTER : 0) | (device->msix || !on ? COMMAND_NO_INTX : 0);
  write16(p, REG_COMMAND, (u16)command);
}

// ---- functions

static u32 next_capability(struct pci p, u32 from) { return read8(p, from ? from + 1 : REG_CAPABILITIES) & 0xFC; }

static void read_virtio_capability(struct device* d, u32 c, struct bar bars[6]) {
  struct pci p = d->pci;
  if (read8(p, c + 2) < 16) return;
  u32 type = read8(p, c + 3), bar = read8(p, c + 4), offset = read32(p, c + 8), bytes = read32(p, c + 12);
  if (type == VIRTIO_COMMON && !d->registers && bytes >= COMMON_BYTES) d->registers = map_part(p, bars, bar, offset, COMMON_BYTES);
  if (type == VIRTIO_ISR && !d->isr) d->isr = map_part(p, bars, bar, offset, 1);
  if (type == VIRTIO_NOTIFY && !d->notify) {
    d->notify_bytes = bytes < 0x10000 ? bytes : 0x10000;
    d->notify_multiplier = read32(p, c + 16);
    d->notify = map_part(p, bars, bar, offset, d->notify_bytes);
  }
  if (type == VIRTIO_DEVICE && !d->config) {
    d->config_bytes = bytes < CONFIG_BYTES_MAX ? bytes : CONFIG_BYTES_MAX;
    d->config = map_part(p, bars, bar, offset, d->config_bytes);
    if (!d->config) d->config_bytes = 0;
  }
}

static u8 kind_of(u32 id) {
  switch (id) {
    case VENDOR_VIRTIO | 0x1000 << 16: case VENDOR_VIRTIO | 0x1041 << 16: return DEVICE_VIRTIO_NET;
    case VENDOR_VIRTIO | 0x1005 << 16: case VENDOR_VIRTIO | 0x1044 << 16: return DEVICE_VIRTIO_RNG;
    case VENDOR_INTEL | 0x100E << 16: case VENDOR_INTEL | 0x100F << 16: case VENDOR_INTEL | 0x1004 << 16: return DEVICE_E1000;
    default: return DEVICE_NONE;
  }
}

static void add(struct pci p, u32 id) {
  struct bar bars[6] = {{0, 0, false}};
  struct device d = {.kind = kind_of(id), .pci = p};
  write16(p, REG_COMMAND, COMMAND_NO_INTX);  // quiet and deaf while its BARs are sized
  u32 msix = 0;
  if (read16(p, 6) & STATUS_CAPABILITIES) {
    u32 c = next_capability(p, 0);
    for (u32 count = 0; c >= 0x40 && count < CAPABILITIES_MAX; c = next_capability(p, c), count++) {
      if (read8(p, c) == CAPABILITY_MSIX && !msix) msix = c;
      if (read8(p, c) == CAPABILITY_VENDOR && d.kind != DEVICE_E1000) read_virtio_capability(&d, c, bars);
    }
  }
  if (d.kind == DEVICE_E1000) {
    d.transport = TRANSPORT_E1000;
    d.registers = map_part(p, bars, 0, 0, 0x20000);
    if (!d.registers) return;
  } else if (d.registers && d.notify && d.isr) {
    d.transport = VIRTIO_PCI_MODERN;
  } else {
    struct bar bar = bars_of(p, 0, bars);
    if (!bar.io || bar.bytes < 32 || bar.address > 0xFFFF) return;
    d.transport = VIRTIO_PCI_LEGACY;
    d.registers = NULL;
    d.config = NULL;
    d.port = (u16)bar.address;
    d.config_bytes = (u32)bar.bytes - 24;
  }
  struct device* device = device_add(d.kind, d.transport);
  if (!device) return;
  *device = d;
  u8 vector = (u8)(VECTOR_DEVICE + (device - devices));
  // Its memory must answer before the MSI-X table in it can be written.
  write16(p, REG_COMMAND, COMMAND_IO | COMMAND_MEMORY | COMMAND_NO_INTX);
  device->msix = msix && d.kind != DEVICE_E1000 && msix_init(device, msix, bars, vector);
  if (!device->msix) intx_init(device);
}

void pci_find(void) {
  out32(ADDRESS, 0x80000000u);
  if (in32(ADDRESS) != 0x80000000u) return;
  static struct { struct pci p; u32 id; } found[DEVICES_MAX];
  u32 count = 0;
  for (u32 slot = 0; slot < 32; slot++)
    for (u32 function = 0; function < 8; function++) {
      struct pci p = {true, 0, (u8)slot, (u8)function};
      u32 id = read32(p, REG_ID);
      if (id == 0xFFFFFFFF || id == 0) {
        if (function == 0) break;
        continue;
      }
      note_placed(p);
      if (kind_of(id) && count < DEVICES_MAX) {
        found[count].p = p;
        found[count++].id = id;
      }
      if (function == 0 && !(read8(p, REG_HEADER) & 0x80)) break;
    }
  for (u32 i = 0; i < count; i++) add(found[i].p, found[i].id);
}
