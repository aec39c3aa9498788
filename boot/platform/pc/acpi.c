// What is needed of ACPI, without an AML interpreter: MADT (CPUs, IOAPICs, ISA overrides), FADT (power off, reset, power button)
// and, by pattern in the DSDT, the sleep type of \_S5 and QEMU's virtio-mmio devices (`LNRO0005` with a fixed _CRS).
// ACPI 6.4, chapters 5 and 20. Tables are firmware's: each length and checksum is checked, and all stay inside physical memory.
// clang: -Oz
#include "pc.h"

enum { TABLE_HEADER = 36, TABLE_BYTES_MAX = 1 << 20, TABLES_MAX = 64 };
enum { MADT_APIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_X2APIC = 9, CPU_ENABLED = 1 };
enum { SPACE_MEMORY = 0, SPACE_IO = 1 };
enum { AML_ZERO = 0, AML_ONE = 1, AML_NAME = 8, AML_BYTE = 0x0A, AML_STRING = 0x0D, AML_PACKAGE = 0x12 };
enum { RESOURCE_END = 0x79, RESOURCE_MEMORY_FIXED = 0x86, RESOURCE_INTERRUPT = 0x89 };

struct acpi acpi;

static u32 u32_at(const u8* p) { return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24; }
static u64 u64_at(const u8* p) { return u32_at(p) | (u64)u32_at(p + 4) << 32; }

static bool sums_to_zero(const u8* data, u32 bytes) {
  u8 sum = 0;
  for (u32 i = 0; i < bytes; i++) sum = (u8)(sum + data[i]);
  return sum == 0;
}

static bool same(const u8* data, const char* text, u32 bytes) {
  for (u32 i = 0; i < bytes; i++)
    if (data[i] != (u8)text[i]) return false;
  return true;
}

// A table that is whole, or NULL.
static const u8* table_at(u64 physical, u32* bytes) {
  if (!direct_covers(physical, TABLE_HEADER)) return NULL;
  const u8* table = direct(physical);
  *bytes = u32_at(table + 4);
  if (*bytes < TABLE_HEADER || *bytes > TABLE_BYTES_MAX || !direct_covers(physical, *bytes)) return NULL;
  return sums_to_zero(table, *bytes) ? table : NULL;
}

static const u8* rsdp_at(u64 physical) {
  if (!direct_covers(physical, 36)) return NULL;
  const u8* rsdp = direct(physical);
  return same(rsdp, "RSD PTR ", 8) && sums_to_zero(rsdp, 20) ? rsdp : NULL;
}

static const u8* find_rsdp(void) {
  const u8* rsdp = boot_info.rsdp ? rsdp_at(boot_info.rsdp) : NULL;
  // Where a BIOS puts it: the first KiB of the EBDA, whose segment stands at 40Eh, and the BIOS area.
  u64 ebda = (u64) * (volatile u16*)direct(0x40E) << 4;
  for (u64 at = ebda; !rsdp && at >= 0x80000 && at < ebda + 1024; at += 16) rsdp = rsdp_at(at);
  for (u64 at = 0xE0000; !rsdp && at < 0x100000; at += 16) rsdp = rsdp_at(at);
  return rsdp;
}

void acpi_add_cpu(u32 apic_id) {
  for (u32 i = 0; i < acpi.cpus; i++)
    if (acpi.cpu_ids[i] == apic_id) return;
  if (acpi.cpus < COUNT(acpi.cpu_ids)) acpi.cpu_ids[acpi.cpus++] = apic_id;
}

static void read_madt(const u8* table, u32 bytes) {
  for (u32 at = 44; at + 2 <= bytes;) {
    const u8* entry = table + at;
    u32 length = entry[1];
    if (length < 2 || at + length > bytes) return;
    if (entry[0] == MADT_IOAPIC && length >= 12 && acpi.ioapics < COUNT(acpi.ioapic_address)) {
      acpi.ioapic_address[acpi.ioapics] = u32_at(entry + 4);
      acpi.ioapic_base[acpi.ioapics++] = u32_at(entry + 8);
    } else if (entry[0] == MADT_OVERRIDE && length >= 10 && entry[3] < COUNT(acpi.isa)) {
      acpi.isa[entry[3]].gsi = u32_at(entry + 4);
      acpi.isa[entry[3]].flags = (u16)(entry[8] | entry[9] << 8);
      acpi.isa[entry[3]].known = true;
    } else if (entry[0] == MADT_APIC && length >= 8 && entry[4] & CPU_ENABLED) {
      acpi_add_cpu(entry[3]);
    } else if (entry[0] == MADT_X2APIC && length >= 16 && entry[8] & CPU_ENABLED) {
      acpi_add_cpu(u32_at(entry + 4));
    }
    at += length;
  }
}

// \_S5 is `Name (_S5, Package () { a, b, ... })`; a and b are what PM1a and PM1b take as sleep type.
static void find_sleep_type(const u8* aml, u32 bytes) {
  for (u32 at = 0; at + 6 <= bytes; at++) {
    if (!same(aml + at, "_S5_", 4) || aml[at + 4] != AML_PACKAGE) continue;
    u32 p = at + 5;
    p += (aml[p] >> 6) + 1 + 1;  // the package's length, its number of elements
    u8 values[2] = {0, 0};
    for (u32 i = 0; i < 2; i++) {
      if (p >= bytes) return;
      if (aml[p] == AML_BYTE && p + 1 < bytes)
        values[i] = aml[p + 1], p += 2;
      else if (aml[p] == AML_ZERO || aml[p] == AML_ONE)
        values[i] = aml[p], p += 1;
      else
        return;
    }
    acpi.sleep_a = values[0] & 7;
    acpi.sleep_b = values[1] & 7;
    acpi.power_off = true;
    return;
  }
}

static u32 next_name(const u8* aml, u32 at, u32 end, const char* name) {
  for (; at + 5 <= end; at++)
    if (aml[at] == AML_NAME && same(aml + at + 1, name, 4)) return at;
  return end;
}

// One device: from its _HID to the next one; within it the two resources, found by their descriptors' fixed shape.
static void read_mmio_device(const u8* aml, u32 at, u32 end) {
  struct virtio_mmio device = {0, 0, 0};
  bool interrupt = false;
  for (; at + 12 <= end && aml[at] != RESOURCE_END; at++) {
    if (aml[at] == RESOURCE_MEMORY_FIXED && aml[at + 1] == 9 && aml[at + 2] == 0) {
      device.address = u32_at(aml + at + 4);
      device.bytes = u32_at(aml + at + 8);
      at += 11;
    } else if (aml[at] == RESOURCE_INTERRUPT && aml[at + 1] == 6 && aml[at + 2] == 0 && aml[at + 4] == 1 && at + 9 <= end) {
      device.gsi = u32_at(aml + at + 5);
      interrupt = true;
      at += 8;
    }
  }
  if (device.address && device.bytes >= 0x200 && interrupt && acpi.mmio_count < COUNT(acpi.mmio))
    acpi.mmio[acpi.mmio_count++] = device;
}

static void find_mmio_devices(const u8* aml, u32 bytes) {
  for (u32 at = next_name(aml, 0, bytes, "_HID"); at < bytes;) {
    u32 end = next_name(aml, at + 1, bytes, "_HID");
    u32 resources = next_name(aml, at, end, "_CRS");
    if (at + 15 <= end && aml[at + 5] == AML_STRING && same(aml + at + 6, "LNRO0005", 9) && resources < end)
      read_mmio_device(aml, resources + 5, end);
    at = end;
  }
}

static void read_fadt(const u8* table, u32 bytes) {
  if (bytes < 116) return;
  acpi.sci = (u16)(table[46] | table[47] << 8);
  acpi.smi_command = u32_at(table + 48);
  acpi.acpi_enable = table[52];
  acpi.pm1a_event = u32_at(table + 56);
  acpi.pm1a_control = u32_at(table + 64);
  acpi.pm1b_control = u32_at(table + 68);
  acpi.pm1_event_length = table[88];
  acpi.century = table[108];
  bool reset_supported = u32_at(table + 112) >> 10 & 1;
  if (bytes >= 129 && reset_supported) {
    acpi.reset.space = table[116];
    acpi.reset.address = u64_at(table + 120);
    acpi.reset.value = table[128];
  }
  u64 dsdt = bytes >= 148 && u64_at(table + 140) ? u64_at(table + 140) : u32_at(table + 40);
  u32 length;
  const u8* code = table_at(dsdt, &length);
  if (!code) return;
  find_sleep_type(code + TABLE_HEADER, length - TABLE_HEADER);
  find_mmio_devices(code + TABLE_HEADER, length - TABLE_HEADER);
  // Hardware-reduced ACPI (microvm) has no PM1 block but one sleep control register.
  if (bytes >= 256 && u32_at(table + 112) >> 20 & 1) {
    acpi.sleep_control.space = table[244];
    acpi.sleep_control.address = u64_at(table + 248);
  }
}

void acpi_read(void) {
  const u8* rsdp = find_rsdp();
  if (!rsdp) return;
  bool wide = rsdp[15] >= 2 && sums_to_zero(rsdp, 36) && u64_at(rsdp + 24);
  u32 bytes, width = wide ? 8 : 4;
  const u8* root = table_at(wide ? u64_at(rsdp + 24) : u32_at(rsdp + 16), &bytes);
  if (!root) return;
  for (u32 at = TABLE_HEADER, count = 0; at + width <= bytes && count < TABLES_MAX; at += width, count++) {
    u32 length;
    const u8* table = table_at(wide ? u64_at(root + at) : u32_at(root + at), &length);
    if (!table) continue;
    if (same(table, "APIC", 4)) read_madt(table, length);
    if (same(table, "FACP", 4)) read_fadt(table, length);
  }
}
