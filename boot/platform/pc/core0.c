// From the entry to `main`: the order in which the platform comes up, core 0's linear memory, and what `info` says.
// clang: -Oz
#include "content.h"
#include "devices.h"

enum { LOOP_STACK_BYTES = 256 << 10, IMAGE_LOW = 0x100000 };
enum info { INFO_CORE, INFO_CORES, INFO_POOL_ADDRESS, INFO_POOL_BYTES, INFO_SLICE_ADDRESS, INFO_SLICE_BYTES, INFO_HEAP_LIMIT,
  INFO_BUNDLE_ADDRESS, INFO_BUNDLE_BYTES, INFO_BUNDLE_SOURCE, INFO_EMBEDDED_ADDRESS, INFO_EMBEDDED_BYTES, INFO_MEMORY_BYTES,
  INFO_ENTERED_NS, INFO_HOSTED };
static const u64 POOL_MAX = 256ull << 20;
static const u64 LINEAR_SPACE = 1ull << 40, LINEAR_SPACE_END = 91ull << 40;  // of the lower half

static u32 heap_limit_pages;

struct pc_window pc_windows[PC_WINDOWS];
struct pc_slice pc_slices[CORES_MAX];

extern u8 image_begin[], image_end[];
_Noreturn void run_on_stack(u8* top, void (*function)(struct core*), struct core* core);

struct core* this_core(void) { return current_core(); }

static _Noreturn void too_small(const char* what) {
  print("heddle: the machine has too little memory for %s (%u KiB in all)\n", what, (u32)(boot_info.ram_bytes >> 10));
  machine_exit(1);
}

// The pool: contiguous, so that one distance leads from offsets to physical addresses; a quarter of the memory, in equal
// slices for the cores.
static void pool_init(void) {
  u64 bytes = ROUND_DOWN(boot_info.ram_bytes / 4, LARGE_PAGE), physical = 0;
  if (bytes > POOL_MAX) bytes = POOL_MAX;
  if (bytes < LARGE_PAGE) bytes = LARGE_PAGE;
  while (bytes && !(physical = frames_take(bytes, LARGE_PAGE))) bytes -= LARGE_PAGE;
  if (!physical) too_small("the packet pool");
  pc_windows[0] = (struct pc_window){LINEAR_POOL, LINEAR_POOL + bytes, physical - LINEAR_POOL};
  u64 slice = ROUND_DOWN(bytes / core_count, SMALL_PAGE);
  for (u32 i = 0; i < core_count; i++) pc_slices[i] = (struct pc_slice){LINEAR_POOL + i * slice, LINEAR_POOL + (i + 1) * slice};
}

// Apart by more than the reach of an access: each within a part of the address space of its own.
static u64 linear_base(u32 number) {
  u64 part = (LINEAR_SPACE_END - LINEAR_SPACE) / core_count, room = part - MEMORY_RESERVE - CORE_BELOW;
  return ROUND_DOWN(LINEAR_SPACE + number * part + CORE_BELOW + random_u64() % room, LARGE_PAGE);
}

struct core* core_create(u32 number) {
  u64 memory = linear_base(number);
  struct core* core = (struct core*)(memory - CORE_BELOW);
  if (!map_lazily((u64)core, CORE_BELOW)) return NULL;
  core->memory = (u8*)memory;
  core->number = number;
  core->heap_mapped = LINEAR_HEAP;
  core->heap_limit_pages = heap_limit_pages;
  const struct pc_window* pool = &pc_windows[0];
  if (!map_pages(memory + LINEAR_POOL, pool->low + pool->to_physical, pool->high - pool->low, MAP_WRITE)) return NULL;
  return core;
}

static void main_on_loop_stack(struct core* core) {
  interrupts_on();
  core_main(core);
}

void pc_start(u64 start_info) {
  console_init();
  start_read(start_info);
  frames_init();
  frames_exclude(0, IMAGE_LOW);
  frames_exclude((u64)image_begin, (u64)image_end);
  frames_exclude(boot_info.module.start, boot_info.module.end);
  frames_exclude(boot_info.slot.start, boot_info.slot.end);
  random_early();
  paging_init();
  cpu_init(&cpus[0]);
  acpi_read();
  apic_init();
  time_init();
  power_init();
  smp_find();
  pool_init();
  struct core* core = core_create(0);
  if (!core) too_small("page tables");
  content_init(core);
  devices_find();
  random_ready();
  wall_init();
  // What is left is for the heaps, but for a reserve for stacks and page tables.
  u64 left = frames_free_bytes() / core_count, limit = LINEAR_HEAP + ROUND_DOWN(left - left / 8, LARGE_PAGE);
  core->heap_limit_pages = heap_limit_pages = (u32)((limit < LINEAR_HEAP_END ? limit : LINEAR_HEAP_END) >> 16);
  u8* top = stack_map(LOOP_STACK_BYTES);
  if (!top) too_small("the first stack");
  cpus[0].core = core;
  core_announce(core);
  run_on_stack(top, main_on_loop_stack, core);
}

bool memory_writable(const struct core* core, u32 offset, u32 length) {
  return core_range(offset, length, LINEAR_HEAP, core->heap_mapped) || core_range(offset, length, LINEAR_POOL, pc_windows[0].high);
}

bool memory_readable(const struct core* core, u32 offset, u32 length) {
  return memory_writable(core, offset, length) ||
         (pc_windows[1].high && core_range(offset, length, pc_windows[1].low, pc_windows[1].high)) ||
         (pc_windows[2].high && core_range(offset, length, pc_windows[2].low, pc_windows[2].high));
}

void w2c_env_consoleWrite(struct core* core, u32 data, u32 length) {
  if (!memory_readable(core, data, length)) trap_report(core, TRAP_PLATFORM, data, (u64)__builtin_return_address(0), *(u64*)__builtin_frame_address(0));
  console_write((const char*)core_pointer(core, data), length);
}

u64 w2c_env_info(struct core* core, u32 key) {
  switch (key) {
    case INFO_CORE: return core->number;
    case INFO_CORES: return core_count;
    case INFO_POOL_ADDRESS: return LINEAR_POOL;
    case INFO_POOL_BYTES: return pc_windows[0].high - pc_windows[0].low;
    case INFO_SLICE_ADDRESS: return pc_slices[core->number].low;
    case INFO_SLICE_BYTES: return pc_slices[core->number].high - pc_slices[core->number].low;
    case INFO_HEAP_LIMIT: return (u64)core->heap_limit_pages << 16;
    case INFO_BUNDLE_ADDRESS: return content.bundle_address;
    case INFO_BUNDLE_BYTES: return content.bundle_bytes;
    case INFO_BUNDLE_SOURCE: return content.bundle_source;
    case INFO_EMBEDDED_ADDRESS: return content.embedded_address;
    case INFO_EMBEDDED_BYTES: return content.embedded_bytes;
    case INFO_MEMORY_BYTES: return boot_info.ram_bytes;
    case INFO_ENTERED_NS: return time_entered_ns();
    default: return 0;
  }
}
