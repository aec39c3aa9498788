// Descriptor rings: memory outside of linear memory that only the platform writes; the device's part of it (virtio's used
// ring, all of an e1000's descriptors) is mapped read-only for the driver. Posting is in inline.h, where it is hot.
//
//   descriptors | available | (next page) used      as a legacy device wants it, so that all transports share one layout
//
// A ring's memory stays with its slot and is taken again when the same queue is created anew.
// clang: -Os
#include <string.h>
#include "devices.h"

enum { ENTRIES_MIN = 8, ENTRIES_MAX = PC_RING_ENTRIES };
static const u64 COMPLETIONS_STRIDE = 0x10000;

struct ring pc_rings[PC_RINGS];

static struct ring* slot_for(u32 dev, u32 queue, u64 bytes) {
  struct ring *empty = NULL, *former = NULL;
  for (u32 i = 0; i < PC_RINGS; i++) {
    struct ring* ring = &pc_rings[i];
    if (ring->bytes && ring->device == dev && ring->queue == queue) {
      if (ring->core || ring->reserved) return NULL;  // the queue has one
      if (ring->bytes == bytes) former = ring;
      continue;
    }
    if (!ring->bytes && !empty) empty = ring;
  }
  if (former) return former;
  if (!empty) return NULL;
  empty->physical = frames_take(bytes, SMALL_PAGE);
  if (!empty->physical) return NULL;
  empty->bytes = bytes;
  empty->device = dev;
  empty->queue = queue;
  return empty;
}

static u64 completions_at(const struct core* core, const struct ring* ring) {
  return (u64)core->memory + LINEAR_RINGS + (u64)(ring - pc_rings) * COMPLETIONS_STRIDE;
}

// `number`: of the core for which it is reserved, or 0.
s32 ring_create(struct core* core, u32 dev, u32 queue, u32 format, u32 entries, u32 number) {
  struct device* device = &devices[dev];
  bool virtio = device->transport != TRANSPORT_E1000;
  if (entries < ENTRIES_MIN || entries > ENTRIES_MAX || entries & (entries - 1)) return EINVAL;
  if (virtio != (format == RING_VIRTIO_SPLIT) || format < RING_VIRTIO_SPLIT || format > RING_E1000_TX) return EINVAL;
  if (!virtio && queue != format - RING_E1000_RX) return ENODEV;
  if (virtio) {
    u32 size = virtio_queue_size(device, queue);
    if (size == 0 || size & (size - 1)) return ENODEV;
    // A legacy PCI device's queue has the size that it has.
    if (device->transport == VIRTIO_PCI_LEGACY) entries = size <= ENTRIES_MAX ? size : 0;
    if (entries > size) entries = size;
    if (entries < 2) return ENODEV;
  }
  u64 available = 16ull * entries, completions = virtio ? ROUND_UP(available + 6 + 2 * entries, SMALL_PAGE) : 0;
  u64 completion_bytes = ROUND_UP(virtio ? 6 + 8 * entries : available, SMALL_PAGE);
  struct ring* ring = slot_for(dev, queue, completions + completion_bytes);
  if (!ring) return ENOMEM;
  u8* memory = direct(ring->physical);
  memset(memory, 0, ring->bytes);
  u32 index = (u32)(ring - pc_rings);
  if (!number && !map_pages(completions_at(core, ring), ring->physical + completions, completion_bytes, 0)) return ENOMEM;
  ring->completions = completions;
  ring->completion_bytes = completion_bytes;
  ring->format = format;
  ring->entries = entries;
  ring->descriptors = (struct virtio_descriptor*)memory;
  ring->available = (struct virtio_available*)(memory + available);
  ring->used = (volatile struct virtio_used*)(memory + completions);
  ring->open = false;
  ring->posted = ring->published = ring->taken_back = 0;
  memset(ring->owned, 0, sizeof ring->owned);
  ring->notify = NULL;
  ring->event_index = virtio && virtio_event_index(device);
  if (virtio && !virtio_queue_start(device, queue, ring, ring->physical + available, ring->physical + completions, number)) return EIO;
  if (!virtio) e1000_ring_start(device, ring);
  if (number) {
    __atomic_store_n(&ring->reserved, number, __ATOMIC_RELEASE);
    return 0;
  }
  ring->core = core;
  return (s32)index;
}

u32 w2c_env_ringTake(struct core* core, u32 dev, u32 queue) {
  for (u32 i = 0; i < PC_RINGS; i++) {
    struct ring* ring = &pc_rings[i];
    u32 us = core->number;
    if (!ring->bytes || ring->device != dev || ring->queue != queue || us == 0) continue;
    if (!__atomic_compare_exchange_n(&ring->reserved, &us, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
    u64 physical = ring->physical + ring->completions;
    if (!map_pages(completions_at(core, ring), physical, ring->completion_bytes, 0)) return (u32)ENOMEM;
    msix_route(&devices[dev], core->number, cpus[core->number].apic_id);
    __atomic_store_n(&ring->core, core, __ATOMIC_RELEASE);
    return i;
  }
  return (u32)ENODEV;
}

// Whether another core than the device's owner has a ring of it.
bool rings_shared(u32 dev) {
  for (u32 i = 0; i < PC_RINGS; i++) {
    struct core* core = __atomic_load_n(&pc_rings[i].core, __ATOMIC_ACQUIRE);
    if (pc_rings[i].bytes && pc_rings[i].device == dev && core && core != devices[dev].owner) return true;
  }
  return false;
}

void rings_drop(u32 dev) {
  for (u32 i = 0; i < PC_RINGS; i++)
    if (pc_rings[i].bytes && pc_rings[i].device == dev) pc_rings[i].core = NULL, pc_rings[i].reserved = 0;
}

// Frees the slots of the chains that the device has used since the last time. What it says is checked all the same.
void pc_take_back(struct ring* ring) {
  u16 used = ring->used->index;
  __asm__ volatile("" ::: "memory");
  for (; ring->taken_back != used; ring->taken_back++) {
    u32 slot = ring->used->ring[ring->taken_back & (ring->entries - 1)].id;
    for (u32 step = 0; step < ring->entries && slot < ring->entries; step++) {
      ring->owned[slot] = false;
      if (!(ring->descriptors[slot].flags & POST_NEXT)) break;
      slot = ring->descriptors[slot].next;
    }
  }
}

static struct ring* find(struct core* core, u32 ring) {
  return ring < PC_RINGS && pc_rings[ring].core == core ? &pc_rings[ring] : NULL;
}

u32 w2c_env_ringEntries(struct core* core, u32 ring) {
  struct ring* r = find(core, ring);
  return r ? r->entries : (u32)EINVAL;
}

u32 w2c_env_ringCompletions(struct core* core, u32 ring) {
  return find(core, ring) ? (u32)(LINEAR_RINGS + ring * COMPLETIONS_STRIDE) : 0;
}

// VIRTIO 1.2, 2.7.13: descriptors, then the index, then, after a full fence, the device's wish to be told.
void w2c_env_ringFlush(struct core* core, u32 ring) {
  struct ring* r = find(core, ring);
  if (!r || r->posted == r->published) return;
  if (r->format != RING_VIRTIO_SPLIT) {
    e1000_flush(r);
    return;
  }
  u16 before = r->published, after = r->posted;
  __asm__ volatile("" ::: "memory");
  *(volatile u16*)&r->available->index = after;
  r->published = after;
  __asm__ volatile("mfence" ::: "memory");
  bool wanted;
  if (r->event_index) {
    u16 event = *(volatile u16*)&r->used->ring[r->entries];  // avail_event
    wanted = (u16)(after - event - 1) < (u16)(after - before);
  } else {
    wanted = !(r->used->flags & 1);
  }
  if (wanted) virtio_notify(&devices[r->device], r);
}

void w2c_env_ringArm(struct core* core, u32 ring, u32 index, u32 on) {
  struct ring* r = find(core, ring);
  if (!r) return;
  if (r->format != RING_VIRTIO_SPLIT) {
    e1000_arm(r, on);
    return;
  }
  // Off: a threshold half the index space away.
  if (r->event_index)
    *(volatile u16*)&r->available->ring[r->entries] = (u16)(on ? index : index + 0x8000);  // used_event
  else
    *(volatile u16*)&r->available->flags = on ? 0 : 1;
  __asm__ volatile("mfence" ::: "memory");
}
