// virtio-mmio devices: named on the kernel command line (`virtio_mmio.device=512@0xfeb00e00:12`, QEMU's microvm without ACPI,
// Firecracker) or found in the DSDT. Order: QEMU's microvm gives its first device the highest address, so they are taken from
// there downwards; Firecracker (pages of 4 KiB, not of 512 bytes) counts upwards.
// clang: -Oz
#include "devices.h"

enum { MAGIC = 0x74726976, REG_MAGIC = 0, REG_VERSION = 4, REG_DEVICE = 8, REG_CONFIG = 0x100 };
enum { VIRTIO_ID_NET = 1, VIRTIO_ID_RNG = 4 };

static u64 number(const char* text, size_t length, size_t* at) {
  u64 value = 0;
  u32 base = 10;
  if (*at + 2 < length && text[*at] == '0' && (text[*at + 1] | 32) == 'x') base = 16, *at += 2;
  for (; *at < length; (*at)++) {
    char c = text[*at];
    u32 digit = c >= '0' && c <= '9' ? (u32)(c - '0') : (c | 32) >= 'a' && (c | 32) <= 'f' ? (u32)((c | 32) - 'a' + 10) : 99;
    if (digit >= base) break;
    value = value * base + digit;
  }
  return value;
}

// size[K|M]@address:irq
static bool parse(const char* text, size_t length, struct virtio_mmio* out) {
  size_t at = 0;
  u64 bytes = number(text, length, &at);
  if (at < length && (text[at] | 32) == 'k') bytes <<= 10, at++;
  if (at < length && (text[at] | 32) == 'm') bytes <<= 20, at++;
  if (at == length || text[at++] != '@') return false;
  u64 address = number(text, length, &at);
  if (at == length || text[at++] != ':') return false;
  u64 irq = number(text, length, &at);
  if (bytes < 0x200 || bytes > 1 << 20 || irq > 255) return false;
  *out = (struct virtio_mmio){address, (u32)bytes, (u32)irq};
  return true;
}

static bool is_memory(u64 address, u64 bytes) {
  for (u32 i = 0; i < boot_info.ram_count; i++)
    if (address < boot_info.ram[i].end && address + bytes > boot_info.ram[i].start) return true;
  return false;
}

static void probe(const struct virtio_mmio* found) {
  // A register page inside RAM would make a device of the kernel's memory.
  if (found->address % 4 || found->address + found->bytes < found->address || is_memory(found->address, found->bytes)) return;
  volatile u8* registers = map_device(found->address, found->bytes);
  if (!registers || *(volatile u32*)(registers + REG_MAGIC) != MAGIC) return;
  u32 version = *(volatile u32*)(registers + REG_VERSION), id = *(volatile u32*)(registers + REG_DEVICE);
  if ((version != 1 && version != 2) || (id != VIRTIO_ID_NET && id != VIRTIO_ID_RNG)) return;
  struct device* device = device_add(id == VIRTIO_ID_NET ? DEVICE_VIRTIO_NET : DEVICE_VIRTIO_RNG,
                                     version == 2 ? VIRTIO_MMIO : VIRTIO_MMIO_LEGACY);
  if (!device) return;
  device->registers = registers;
  device->config = registers + REG_CONFIG;
  device->config_bytes = found->bytes - REG_CONFIG;
  if (ioapic_pin(found->gsi, &device->pins[0])) device->pin_count = 1;
}

void mmio_find(void) {
  struct virtio_mmio found[COUNT(acpi.mmio)];
  u32 count = 0;
  const char* value;
  size_t position = 0, length;
  while (count < COUNT(found) && (length = command_line_value("virtio_mmio.device=", &position, &value)))
    if (parse(value, length, &found[count])) count++;
  if (count == 0)
    for (; count < acpi.mmio_count; count++) found[count] = acpi.mmio[count];
  // QEMU lists all its transports downwards or upwards, used or not; Firecracker only those that exist, upwards.
  bool ascending = count > 1 && found[0].address < found[1].address, qemu = count > 1;
  for (u32 i = 0; i < count && qemu; i++) qemu = found[i].bytes == 0x200;
  for (u32 i = 0; i < count; i++) probe(&found[ascending && qemu ? count - 1 - i : i]);
}
