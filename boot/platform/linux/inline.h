// The platform functions that vanish into the generated code, on Linux. Contracts: runtime/platform.ts.
//
// A hosted device is a virtio-net device whose device side is this process (ring.c): the driver posts descriptors and
// reads the used ring as it does on bare metal. Only the used ring is visible to it (mapped read-only at LINEAR_RINGS), so
// descriptors and the available ring keep the shape that suits the device side.
//
// Invariants of `struct ring`, whatever the sandbox passes:
//   - every descriptor lies in memory that this device may read or write; checked here, once, when it is posted
//   - taken <= published <= posted <= taken + entries, modulo 2^16
//   - `next` of a descriptor is a slot of the ring; a chain may still loop, so the device side bounds its walk
#pragma once
#include "../common/platform.h"
#include "../common/kernel.h"

#define HOST_DEVICES 24            // as many as the pending word has bits for
#define HOST_RINGS (2 * HOST_DEVICES * CORES_MAX)  // for each core, device and direction
#define RING_ENTRIES_MAX 1024

#define POST_NEXT 1u
#define POST_WRITE 2u
#define POST_NEXT_SHIFT 16
#define HOST_EPERM ((u32)-1)
#define HOST_ENOMEM ((u32)-12)
#define HOST_EFAULT ((u32)-14)
#define HOST_EINVAL ((u32)-22)

struct ring_descriptor {
  u32 offset;
  u32 length;
  u16 next;
  bool more;
};

struct ring_used;

struct link;

struct ring {
  struct core* owner;              // NULL: the ring does not exist, or is reserved; atomic
  struct core* reserved;           // who may take it
  struct link* link;               // its queue
  u32 device;
  u32 entries;
  bool writes;                     // a receive ring: its buffers are written
  bool armed;
  bool blocked;                    // the kernel had no room for the next frame
  bool chain_open;
  u16 chain_head;
  u16 posted;                      // chains given by ringPost,
  u16 published;                   //   of these visible to the device since ringFlush,
  u16 taken;                       //   of these used up
  u16 completed;                   // the used ring's index
  u16 threshold;
  u32 write_low, write_high;       // the core's slice of the pool
  struct ring_used* used;          // native, writable mapping
  u32 used_offset;                 // the same pages in linear memory, read-only
  u16 available[RING_ENTRIES_MAX];
  struct ring_descriptor descriptors[RING_ENTRIES_MAX];
};

extern struct ring host_rings[HOST_RINGS];
extern u32 host_pool_end;          // offset behind the pool
extern u32 host_content_bytes;     // of the content region, from LINEAR_CONTENT
extern __thread bool host_polled;  // devices and signals were looked at since the last pendingTake

static inline struct ring* host_ring(struct core* core, u32 id) {
  return id < HOST_RINGS && host_rings[id].owner == core ? &host_rings[id] : (struct ring*)0;
}

void w2c_env_ringPoll(struct core*, u32 ring);
void host_poll_busy(struct core*);

static inline void w2c_env_acquire(struct core* core) {
  (void)core;
  __asm__ volatile("" ::: "memory");
}

// No interrupt reaches a process by itself: a loop that never waits has to look at its devices here.
static inline u32 w2c_env_pendingTake(struct core* core) {
  core->moves++;
  if (!host_polled) host_poll_busy(core);
  host_polled = false;
  return __atomic_exchange_n(&core->pending, 0, __ATOMIC_ACQUIRE);
}

static inline u32 w2c_env_ringPost(struct core* core, u32 id, u32 slot, u32 offset, u32 length, u32 flags) {
  struct ring* ring = host_ring(core, id);
  u32 next = flags >> POST_NEXT_SHIFT;
  bool more = flags & POST_NEXT;
  bool write = flags & POST_WRITE;
  if (!ring || slot >= ring->entries || (more && next >= ring->entries) || write != ring->writes) return HOST_EINVAL;
  if ((u16)(ring->posted - ring->taken) >= ring->entries) return HOST_EINVAL;
  if (write ? !core_range(offset, length, ring->write_low, ring->write_high)
            : !core_range(offset, length, LINEAR_POOL, host_pool_end) &&
                  !core_range(offset, length, LINEAR_CONTENT, LINEAR_CONTENT + (u64)host_content_bytes))
    return HOST_EFAULT;
  ring->descriptors[slot] = (struct ring_descriptor){offset, length, (u16)next, more};
  if (!ring->chain_open) ring->chain_head = (u16)slot;
  ring->chain_open = more;
  if (!more) ring->available[ring->posted++ & (ring->entries - 1)] = ring->chain_head;
  return 0;
}
