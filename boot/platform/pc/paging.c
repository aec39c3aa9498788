// Virtual memory: the kernel's own page tables, one set for all cores.
//
//   0x0020_0000      image: text RX | read-only data R | data RW, each on large pages of its own; nothing below
//   linear memories  lower half, at random (content.c, core0.c)
//   direct map       upper half, at random: all of physical memory RW but for the pages of text and read-only data
//   stacks, devices  upper half, at random: 4 KiB pages; devices uncached
//
// An entry that is not present carries in its low bits why: LAZY (committed by the first touch), GUARD (below a stack),
// and in a free stack's guard the address of the next free one. The registers of a device are never lazily mapped.
// clang: -Oz
#include "pc.h"

enum { PRESENT = 1, WRITABLE = 2, WRITE_THROUGH = 8, UNCACHED = 16, LARGE = 0x80 };
enum { LAZY = 0x200, GUARD = 0x400 };  // software's bits, meaningful while PRESENT is clear
static const u64 NO_EXECUTE = 1ull << 63, ADDRESS = 0x000FFFFFFFFFF000ull, UPPER_HALF = 0xFFFF000000000000ull;

extern u8 image_begin[], text_end[], rodata_begin[], rodata_end[], data_begin[], image_end[];

u64 direct_base, direct_end;
static u64 root, device_next, stack_next;
static struct lock tables_lock, stacks_lock;
static u64 free_stacks[257];  // by pages: the guard's address of the first free one

bool direct_covers(u64 physical, u64 bytes) {
  return physical >= SMALL_PAGE && physical < direct_end && bytes <= direct_end - physical;
}

u64 image_physical(const void* address) { return (u64)address; }

// The entry for `virtual` at `level` (0: 4 KiB, 1: 2 MiB); NULL when a table is missing and not to be made, or a large
// page is in the way.
INTERRUPT_CODE static u64* entry_of(u64 virtual, u32 level, bool make) {
  u64* table = direct(root);
  for (u32 l = 3;; l--) {
    u64* entry = &table[virtual >> (12 + 9 * l) & 511];
    if (l == level) return entry;
    if (!(*entry & PRESENT)) {
      u64 frame = make ? frame_take() : 0;
      if (!frame) return NULL;
      *entry = frame | PRESENT | WRITABLE;
    } else if (*entry & LARGE) {
      return NULL;
    }
    table = direct(*entry & ADDRESS);
  }
}

INTERRUPT_CODE static void flush(u64 virtual) { __asm__ volatile("invlpg (%0)" ::"r"(virtual) : "memory"); }

static bool map(u64 virtual, u64 physical, u64 bytes, u64 flags) {
  lock_take(&tables_lock);
  bool mapped = true;
  while (bytes && mapped) {
    bool large = ((virtual | physical) & (LARGE_PAGE - 1)) == 0 && bytes >= LARGE_PAGE;
    u64* entry = entry_of(virtual, large, true);
    if ((mapped = entry != NULL)) {
      *entry = physical | flags | PRESENT | (large ? LARGE : 0);
      u64 step = large ? LARGE_PAGE : SMALL_PAGE;
      virtual += step, physical += step;
      bytes -= bytes < step ? bytes : step;
    }
  }
  lock_give(&tables_lock);
  return mapped;
}

bool map_pages(u64 virtual, u64 physical, u64 bytes, u32 flags) {
  return map(virtual, physical, bytes, NO_EXECUTE | (flags & MAP_WRITE ? WRITABLE : 0) |
                                           (flags & MAP_UNCACHED ? UNCACHED | WRITE_THROUGH : 0));
}

volatile void* map_device(u64 physical, u64 bytes) {
  u64 skew = physical & (SMALL_PAGE - 1), size = ROUND_UP(skew + bytes, SMALL_PAGE);
  u64 at = device_next;
  device_next += size + SMALL_PAGE;
  return map_pages(at, physical - skew, size, MAP_WRITE | MAP_UNCACHED) ? (volatile void*)(at + skew) : NULL;
}

bool map_lazily(u64 virtual, u64 bytes) {
  lock_take(&tables_lock);
  u64 *entry = NULL, end = virtual + bytes;
  for (; virtual < end; virtual += SMALL_PAGE) {
    bool next_table = (virtual & (LARGE_PAGE - 1)) == 0;
    entry = entry && !next_table ? entry + 1 : entry_of(virtual, 0, true);
    if (!entry) break;
    *entry = LAZY;
  }
  lock_give(&tables_lock);
  return virtual == end;
}

// Without the lock: a core touches only what is its own, and the tables above the entry stand.
INTERRUPT_CODE bool commit_page(u64 virtual) {
  u64* entry = entry_of(virtual, 0, false);
  if (!entry || *entry != LAZY) return false;
  u64 frame = frame_take();
  if (!frame) return false;
  *entry = frame | PRESENT | WRITABLE | NO_EXECUTE;
  return true;
}

INTERRUPT_CODE bool is_stack_guard(u64 virtual) {
  u64* entry = entry_of(virtual, 0, false);
  return entry && (*entry & (PRESENT | GUARD)) == GUARD;
}

// ---- stacks: a guard page, then the stack's; sizes up to 1 MiB

u8* stack_map(size_t size) {
  u64 pages = ROUND_UP(size, SMALL_PAGE) / SMALL_PAGE;
  if (pages == 0 || pages >= COUNT(free_stacks)) return NULL;
  lock_take(&stacks_lock);
  u64 guard = free_stacks[pages];
  if (guard) {
    u64 next = *entry_of(guard, 0, false) & ADDRESS;
    free_stacks[pages] = next ? next | UPPER_HALF : 0;
  } else {
    guard = stack_next;
    stack_next += (pages + 1) * SMALL_PAGE;
  }
  lock_give(&stacks_lock);
  if (!map_lazily(guard, (pages + 1) * SMALL_PAGE)) return NULL;
  *entry_of(guard, 0, false) = GUARD;
  u64 top = guard + (pages + 1) * SMALL_PAGE;
  return commit_page(top - SMALL_PAGE) ? (u8*)top : NULL;
}

void stack_unmap(u8* top, size_t size) {
  u64 pages = ROUND_UP(size, SMALL_PAGE) / SMALL_PAGE, guard = (u64)top - (pages + 1) * SMALL_PAGE;
  for (u64 at = guard + SMALL_PAGE; at < (u64)top; at += SMALL_PAGE) {
    u64* entry = entry_of(at, 0, false);
    u64 old = *entry;
    *entry = GUARD;
    flush(at);
    if (old & PRESENT) frame_give(old & ADDRESS);
  }
  lock_take(&stacks_lock);
  *entry_of(guard, 0, false) = (free_stacks[pages] & ADDRESS) | GUARD;
  free_stacks[pages] = guard;
  lock_give(&stacks_lock);
}

// ---- the heap of a core

static void zero(u64* words, u64 bytes) {
  for (u64* end = words + bytes / 8; words < end; words += 8)
    words[0] = words[1] = words[2] = words[3] = words[4] = words[5] = words[6] = words[7] = 0;
}

bool heap_map(struct core* core, u64 end) {
  while (core->heap_mapped < end) {
    u64 virtual = (u64)core->memory + core->heap_mapped;
    u64 physical = frames_take(LARGE_PAGE, LARGE_PAGE);
    if (physical) {
      zero(direct(physical), LARGE_PAGE);
      if (!map_pages(virtual, physical, LARGE_PAGE, MAP_WRITE)) return false;
    } else {
      // A machine too small or too fragmented for large pages: single ones, and some left for stacks and tables.
      if (frames_free_bytes() < LARGE_PAGE + LARGE_PAGE / 4) return false;
      for (u64 at = 0; at < LARGE_PAGE; at += SMALL_PAGE) {
        u64 frame = frame_take();
        if (!frame || !map_pages(virtual + at, frame, SMALL_PAGE, MAP_WRITE)) return false;
      }
    }
    core->heap_mapped += LARGE_PAGE;
  }
  return true;
}

// ---- the change from the boot tables

void paging_init(void) {
  root = frame_take();
  u64 top = 0;
  for (u32 i = 0; i < boot_info.known_count; i++)
    if (boot_info.known[i].end < 0xC0000000ull && boot_info.known[i].end > top) top = boot_info.known[i].end;
  u64 ram_top = boot_info.ram[boot_info.ram_count - 1].end;
  if (ram_top > top) top = ram_top;
  top = ROUND_UP(top, LARGE_PAGE);

  // Boot tables are still in use: `direct` adds nothing. The new base is put in place with the new tables.
  u64 base = 0xFFFF800000000000ull + (random_u64() & 0x1FFF) * (1ull << 30);
  stack_next = 0xFFFFA00000000000ull + (random_u64() & 0xFFFFFFF) * SMALL_PAGE * 16;
  device_next = 0xFFFFC00000000000ull + (random_u64() & 0xFFFFFFF) * SMALL_PAGE;

  u64 text = (u64)image_begin, rodata = (u64)rodata_begin, data = (u64)data_begin;
  map(text, text, ROUND_UP((u64)text_end - text, LARGE_PAGE), 0);
  map(rodata, rodata, ROUND_UP((u64)rodata_end - rodata, LARGE_PAGE), NO_EXECUTE);
  map(data, data, ROUND_UP((u64)image_end - data, LARGE_PAGE), WRITABLE | NO_EXECUTE);
  for (u64 at = 0; at < top; at += LARGE_PAGE) {
    bool hole = at >= 0xC0000000ull && at < 1ull << 32 && ram_top > 1ull << 32;
    bool image = at >= text && at < data;
    if (!hole && !image) map(base + at, at, LARGE_PAGE, WRITABLE | NO_EXECUTE);
  }
  __asm__ volatile("movq %0, %%cr3" ::"r"(root) : "memory");
  direct_base = base;
  direct_end = top;
}
