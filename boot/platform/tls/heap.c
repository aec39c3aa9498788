// The library's heap: for each core free lists by size, filled from pages that are never given back, so that the peak is
// what it costs and churn costs nothing. A block goes home to the core that it came from, whoever frees it.
//
//   [ header: class, owner, size asked for | bytes ... ]     classes: 32, 48, 64, ... 4 a doubling, up to 1 MiB
//
// Invariants: a block is in exactly one free list or in use; a heap's lists are changed under its lock. Freed memory is not
// wiped here: the library wipes what was secret before it frees.
#include <string.h>
#include "tls.h"

#define CLASSES 64u
#define SLAB_BYTES 0x40000u
#define BLOCK_MAX 0x100000u

void* tls_calloc(size_t count, size_t bytes);
void* tls_realloc(void* block, size_t bytes);

struct header {
  u32 class;
  u32 owner;
  u64 bytes;
};
_Static_assert(sizeof(struct header) == 16, "blocks are aligned to 16 bytes");

struct free_block { struct free_block* next; };

static struct heap {
  u32 locked;
  u8 *slab, *slab_end;
  u64 used, taken;
  struct free_block* lists[CLASSES];
} heaps[CORES_MAX];

static void lock(struct heap* heap) {
  while (__atomic_exchange_n(&heap->locked, 1, __ATOMIC_ACQUIRE)) __builtin_ia32_pause();
}
static void unlock(struct heap* heap) { __atomic_store_n(&heap->locked, 0, __ATOMIC_RELEASE); }

// Four classes for each doubling from 32 on: class 4k + j holds (4 + j) * 8 << k bytes, header included.
static u64 bytes_of(u32 class) { return (u64)(4 + class % 4) * 8 << class / 4; }

static u32 class_of(u64 bytes) {
  if (bytes <= 32) return 0;
  u32 doubling = 63 - (u32)__builtin_clzll(bytes - 1);  // 2^doubling < bytes <= 2^(doubling + 1)
  u32 quarter = (u32)((bytes - 1) >> (doubling - 2)) & 3;
  return (doubling - 5) * 4 + quarter + 1;
}

static void* take(struct heap* heap, u32 class) {
  struct free_block* block = heap->lists[class];
  u64 bytes = (bytes_of(class) + 15) & ~15ull;
  if (block) {
    heap->lists[class] = block->next;
    return block;
  }
  if (bytes > SLAB_BYTES / 8) {
    heap->taken += (bytes + 4095) & ~4095ull;
    return tls_pages((bytes + 4095) & ~4095ull);
  }
  if ((u64)(heap->slab_end - heap->slab) < bytes) {
    u8* slab = tls_pages(SLAB_BYTES);
    if (!slab) return NULL;
    heap->taken += SLAB_BYTES;
    heap->slab = slab;
    heap->slab_end = slab + SLAB_BYTES;
  }
  block = (struct free_block*)heap->slab;
  heap->slab += bytes;
  return block;
}

void* tls_malloc(size_t bytes) {
  if (bytes > BLOCK_MAX - sizeof(struct header)) return NULL;
  struct core* core = this_core();
  u32 owner = core ? core->number : 0;
  struct heap* heap = &heaps[owner];
  u32 class = class_of(bytes + sizeof(struct header));
  lock(heap);
  struct header* header = take(heap, class);
  if (header) heap->used += bytes_of(class);
  unlock(heap);
  if (!header) return NULL;
  *header = (struct header){class, owner, bytes};
  return header + 1;
}

void tls_free(void* block) {
  if (!block) return;
  struct header* header = (struct header*)block - 1;
  u32 class = header->class;
  struct heap* heap = &heaps[header->owner];
  struct free_block* entry = (struct free_block*)header;
  lock(heap);
  entry->next = heap->lists[class];
  heap->lists[class] = entry;
  heap->used -= bytes_of(class);
  unlock(heap);
}

void* tls_calloc(size_t count, size_t bytes) {
  size_t total;
  if (__builtin_mul_overflow(count, bytes, &total)) return NULL;
  void* block = tls_malloc(total);
  if (block) memset(block, 0, total);
  return block;
}

void* tls_realloc(void* block, size_t bytes) {
  if (!block) return tls_malloc(bytes);
  struct header* header = (struct header*)block - 1;
  if (bytes + sizeof(struct header) <= bytes_of(header->class)) {
    header->bytes = bytes;
    return block;
  }
  void* larger = tls_malloc(bytes);
  if (!larger) return NULL;
  memcpy(larger, block, header->bytes);
  tls_free(block);
  return larger;
}

u64 tls_heap_bytes(u32 number, u32 what) {
  struct heap* heap = &heaps[number];
  return what == 0 ? heap->used : heap->taken;
}
