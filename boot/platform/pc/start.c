// What the loader hands over: PVH's `struct hvm_start_info` (Xen's public/arch-x86/hvm/start_info.h), read once and
// copied, because the memory that holds it is given away afterwards. Runs on the boot page tables: the first 4 GiB.
// clang: -Oz
#include "pc.h"

enum { START_MAGIC = 0x336ec578, MEMORY_RAM = 1 };

struct start_info {
  u32 magic, version, flags, modules;
  u64 module_list, command_line, rsdp;
  u64 memory_map;  // version 1 and later
  u32 memory_entries, reserved;
};
struct start_module { u64 address, size, command_line, reserved; };
struct memory_entry { u64 address, size; u32 type, reserved; };

struct boot_info boot_info;

// In entry.S, written by boot/image/elf.ts.
struct image_slot { u64 address, bytes; } __attribute__((packed, aligned(4)));
extern const volatile struct image_slot image_slot;
extern u8 image_end[];

static bool reachable(u64 address, u64 bytes) {
  return address != 0 && address < 1ull << 32 && bytes <= (1ull << 32) - address;
}

static void read_string(u64 address, char* out, size_t size) {
  size_t length = 0;
  while (length < size - 1 && reachable(address + length, 1) && *(char*)(address + length))
    out[length] = *(char*)(address + length), length++;
  out[length] = 0;
}

static void insert_ram(u64 start, u64 end) {
  if (start >= end || boot_info.ram_count == COUNT(boot_info.ram)) return;
  u32 at = boot_info.ram_count++;
  for (; at > 0 && boot_info.ram[at - 1].start > start; at--) boot_info.ram[at] = boot_info.ram[at - 1];
  boot_info.ram[at] = (struct range){start, end};
}

static void read_memory_map(const struct start_info* info) {
  const struct memory_entry* entries = (const struct memory_entry*)info->memory_map;
  u32 count = info->memory_entries < COUNT(boot_info.known) ? info->memory_entries : COUNT(boot_info.known);
  if (!reachable(info->memory_map, count * sizeof *entries)) return;
  for (u32 i = 0; i < count; i++) {
    u64 start = entries[i].address, end = start + entries[i].size;
    if (end < start || end > 1ull << 46) continue;
    boot_info.known[boot_info.known_count++] = (struct range){start, end};
    if (entries[i].type != MEMORY_RAM) continue;
    boot_info.ram_bytes += end - start;
    insert_ram(ROUND_UP(start, SMALL_PAGE), ROUND_DOWN(end, SMALL_PAGE));
  }
  // Overlaps would hand the same page out twice.
  for (u32 i = 1; i < boot_info.ram_count; i++)
    if (boot_info.ram[i].start < boot_info.ram[i - 1].end) {
      u64 end = boot_info.ram[i - 1].end;
      boot_info.ram[i].start = end < boot_info.ram[i].end ? end : boot_info.ram[i].end;
      if (boot_info.ram[i].end < end) boot_info.ram[i].start = boot_info.ram[i].end = end;
    }
}

static void read_module(const struct start_info* info) {
  if (info->modules == 0 || !reachable(info->module_list, sizeof(struct start_module))) return;
  const struct start_module* module = (const struct start_module*)info->module_list;
  u64 end = module->address + module->size;
  if (module->size == 0 || end < module->address) return;
  char label[32];
  read_string(module->command_line, label, sizeof label);
  const char* disk = "heddle.disk";
  u32 i = 0;
  while (disk[i] && label[i] == disk[i]) i++;
  bool from_disk = disk[i] == 0 && label[i] == 0;
  *(from_disk ? &boot_info.slot : &boot_info.module) = (struct range){module->address, end};
}

// Of an ELF image, which has been loaded with the bundle as a segment of it.
static void read_slot(void) {
  u64 start = image_slot.address, end = start + image_slot.bytes;
  if (start % SMALL_PAGE == 0 && start >= (u64)image_end && end > start) boot_info.slot = (struct range){start, end};
}

void start_read(u64 address) {
  const struct start_info* info = (const struct start_info*)address;
  if (!reachable(address, sizeof *info) || info->magic != START_MAGIC) {
    print("heddle: not entered as PVH (no start info); boot with QEMU's -kernel or the disk image\n");
    machine_exit(1);
  }
  read_string(info->command_line, boot_info.command_line, sizeof boot_info.command_line);
  boot_info.rsdp = info->rsdp;
  if (info->version >= 1) read_memory_map(info);
  read_slot();
  read_module(info);
  if (boot_info.ram_count == 0) {
    print("heddle: the loader gave no memory map (PVH start info version %u)\n", info->version);
    machine_exit(1);
  }
}

size_t command_line_value(const char* name, size_t* position, const char** value) {
  const char* line = boot_info.command_line;
  size_t at = *position;
  while (line[at]) {
    while (line[at] == ' ') at++;
    size_t matched = 0;
    while (name[matched] && line[at + matched] == name[matched]) matched++;
    size_t end = at;
    while (line[end] && line[end] != ' ') end++;
    if (name[matched] == 0 && end > at + matched) {
      *value = line + at + matched;
      *position = end;
      return end - at - matched;
    }
    at = end;
  }
  *position = at;
  return 0;
}
