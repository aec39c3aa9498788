// The hot functions of the boundary on platform `pc`, as the generated code includes them. Contracts: runtime/platform.ts.
//
// Safety argument of ringPost. A device writes where a descriptor says, so a descriptor only ever gets an address made
// here: an offset checked against the core's slice of the pool (for writing) or against the pool and the content (for
// reading) plus that window's fixed distance to physical memory. Flags are masked to NEXT and WRITE: an indirect
// descriptor would be a list of addresses that the driver wrote. A slot is not written again before the device has used its
// chain: reading it meanwhile, the device could pair the address of one descriptor with the length of the other. So that
// chains share no slot, each is posted in the order of its links.
#pragma once
#define CLOCK_INLINE
#include "../common/platform.h"
#include "../common/kernel.h"

#define PC_RINGS 64
#define PC_RING_ENTRIES 1024
#define PC_WINDOWS 3

enum { POST_NEXT = 1, POST_WRITE = 2, POST_END = 4, POST_NEXT_SHIFT = 16 };
enum ring_format { RING_NONE = 0, RING_VIRTIO_SPLIT = 1, RING_E1000_RX = 2, RING_E1000_TX = 3 };

struct pc_clock { u64 tsc_base, multiplier; };
extern struct pc_clock pc_clock;

struct virtio_descriptor { u64 address; u32 length; u16 flags, next; };
struct virtio_available { u16 flags, index, ring[]; };
struct virtio_used { u16 flags, index; struct { u32 id, length; } ring[]; };

struct ring {
  struct core* core;  // its owner; NULL: no ring, or one that is reserved; atomic
  u32 format, entries;
  struct virtio_descriptor* descriptors;  // e1000: its descriptors, 16 bytes each as well
  struct virtio_available* available;
  volatile struct virtio_used* used;
  u32 head, next;      // of the chain being posted: its first slot, and the one that must follow
  bool open;           // a chain is being posted
  u16 posted;          // what `available->index` becomes; e1000: the next slot in order
  u16 published;       // what the device was told
  u16 taken_back;      // of the used ring, what `owned` knows
  // cold
  bool event_index;
  u32 device, queue;
  volatile u16* notify;  // modern PCI; 32 bits wide on MMIO
  u64 physical, bytes;   // of the memory behind it
  u64 completions, completion_bytes;  // where in that memory, and what is mapped of it
  u32 reserved;          // number of the core that may take it, 0: nobody; atomic
  bool owned[PC_RING_ENTRIES];  // virtio: slots posted that the device has not used yet
};
extern struct ring pc_rings[PC_RINGS];

// What devices may read, as offsets and their distance to physical memory; window 0 is the pool.
struct pc_window { u64 low, high, to_physical; };
extern struct pc_window pc_windows[PC_WINDOWS];
// The slice of the pool that belongs to a core.
struct pc_slice { u64 low, high; };
extern struct pc_slice pc_slices[];

void pc_take_back(struct ring* ring);
u32 pc_post_e1000(struct ring* ring, u32 slot, u64 physical, u32 length, u32 flags);

static inline u32 w2c_env_pendingTake(struct core* core) {
  core->moves++;
  return core->pending == 0 ? 0 : __atomic_exchange_n(&core->pending, 0, __ATOMIC_ACQ_REL);
}

static inline void w2c_env_acquire(struct core* core) {
  (void)core;
  __asm__ volatile("" ::: "memory");
}

static inline u64 w2c_env_clockMonotonic(struct core* core) {
  (void)core;
  u32 low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  u64 ticks = ((u64)high << 32 | low) - pc_clock.tsc_base;
  return (u64)(((unsigned __int128)ticks * pc_clock.multiplier) >> 32);
}

static inline u32 w2c_env_ringPost(struct core* core, u32 ring, u32 slot, u32 buffer, u32 length, u32 flags) {
  enum { FAULT = (u32)-14, INVALID = (u32)-22 };
  if (ring >= PC_RINGS) return INVALID;
  struct ring* r = &pc_rings[ring];
  u32 next = flags >> POST_NEXT_SHIFT;
  if (r->core != core || slot >= r->entries || next >= r->entries) return INVALID;
  u64 end = (u64)buffer + length;
  const struct pc_window* window = &pc_windows[0];
  if (flags & POST_WRITE || r->format == RING_E1000_RX) {
    const struct pc_slice* slice = &pc_slices[core->number];
    if (buffer < slice->low || end > slice->high) return FAULT;
  } else {
    while (buffer < window->low || end > window->high)
      if (++window == pc_windows + PC_WINDOWS) return FAULT;
  }
  if (r->format != RING_VIRTIO_SPLIT) return pc_post_e1000(r, slot, buffer + window->to_physical, length, flags);
  if (r->open && slot != r->next) return INVALID;
  if (r->owned[slot]) {
    pc_take_back(r);
    if (r->owned[slot]) return INVALID;
  }
  r->owned[slot] = true;
  r->descriptors[slot] = (struct virtio_descriptor){
      buffer + window->to_physical, length, (u16)(flags & (POST_NEXT | POST_WRITE)), (u16)next};
  if (!r->open) r->head = slot;
  r->open = (flags & POST_NEXT) != 0;
  r->next = next;
  if (!r->open) r->available->ring[r->posted++ & (r->entries - 1)] = (u16)r->head;
  return 0;
}

static inline void w2c_env_ringPoll(struct core* core, u32 ring) {
  (void)core, (void)ring;
}
