// The device side of hosted rings: what QEMU does for a virtio-net device, as system calls on a link.
//
//   driver   ringPost -> available[] --ringFlush--> published     (inline.h)
//   device   published -> link_send / link_receive -> used ring -> driver (reads it in linear memory)
//
// Receive uses mergeable buffers when accepted: a frame fills as many posted chains as it needs (VIRTIO 1.2, 5.1.6.4).
// Invariants: a chain is walked at most GATHER_MAX steps; `used->index` is stored after the entries that it covers; an
// interrupt (a bit of the pending word) is raised once for each ringArm.
#include <string.h>
#include "host.h"

#define GATHER_MAX 256
#define ERROR_NODEV ((u32)-19)
#define ERROR_INVAL HOST_EINVAL
#define FORMAT_VIRTIO_SPLIT 1u
#define QUEUE_RECEIVE 0u

struct ring_used {
  u16 flags, index;
  struct { u32 id, length; } entries[RING_ENTRIES_MAX];
};

struct ring host_rings[HOST_RINGS];

// Lists for one frame; one more element than GATHER_MAX each for what link.c and receive() add.
static __thread struct iovec parts[GATHER_MAX + 3];
static __thread u64 capacity[GATHER_MAX];
// Catches the tail of a frame that is longer than what is posted, so that its true length is known.
static __thread u8 overflow[FRAME_MAX_BYTES];

static u16 head_at(const struct ring* ring, u16 index) { return ring->available[index & (ring->entries - 1)]; }

// Appends the chain at `slot` to parts; its bytes, or 0 when it does not fit.
static u64 gather(struct core* core, const struct ring* ring, u32 slot, int* count) {
  u64 bytes = 0;
  for (int n = *count; n < GATHER_MAX; slot = ring->descriptors[slot].next) {
    const struct ring_descriptor* descriptor = &ring->descriptors[slot];
    parts[n++] = (struct iovec){core_pointer(core, descriptor->offset), descriptor->length};
    bytes += descriptor->length;
    if (descriptor->more) continue;
    *count = n;
    return bytes;
  }
  return 0;
}

static void complete(struct ring* ring, u32 head, u32 length) {
  u16 at = ring->completed & (u16)(ring->entries - 1);
  ring->used->entries[at].id = head;
  ring->used->entries[at].length = length;
  ring->completed++;
}

static void publish(struct core* core, struct ring* ring) {
  __atomic_store_n(&ring->used->index, ring->completed, __ATOMIC_RELEASE);
  if (ring->armed && (s16)(ring->completed - ring->threshold) >= 0) {
    ring->armed = false;
    __atomic_fetch_or(&core->pending, 1u << ring->device, __ATOMIC_RELAXED);
  }
}

void ring_transmit(struct core* core, struct ring* ring) {
  struct link* link = ring->link;
  ring->blocked = false;
  while (ring->taken != ring->published) {
    u16 head = head_at(ring, ring->taken);
    int count = 0;
    enum link_result result = gather(core, ring, head, &count) ? link_send(link, parts, count) : LINK_LOST;
    if (result == LINK_AGAIN) {
      ring->blocked = true;
      break;
    }
    if (result == LINK_LOST) link->lost_refused++;
    ring->taken++;
    complete(ring, head, 0);
  }
  publish(core, ring);
}

// Longest frame with its header that the link may give now.
static u32 longest(const struct link* link) {
  bool large = link->accepted & (VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6);
  return NET_HEADER_BYTES + (large ? FRAME_MAX_BYTES : link->mtu_bytes + FRAME_HEADER_BYTES);
}

static void receive(struct core* core, struct ring* ring) {
  struct link* link = ring->link;
  bool mergeable = link->accepted & VIRTIO_NET_F_MRG_RXBUF;
  u32 wanted = longest(link);
  u16 before = ring->completed;
  for (u32 turn = 0; turn < ring->entries && ring->taken != ring->published && !link->gone; turn++) {
    int count = 0;
    u64 room = 0;
    u16 chains = 0;
    while (room < wanted && (u16)(ring->published - ring->taken) != chains && chains < GATHER_MAX) {
      u64 bytes = gather(core, ring, head_at(ring, ring->taken + chains), &count);
      if (!bytes) break;
      capacity[chains++] = bytes;
      room += bytes;
      if (!mergeable) break;
    }
    if (!chains || parts[0].iov_len < NET_HEADER_BYTES) {   // a chain that can hold no frame goes back empty
      complete(ring, head_at(ring, ring->taken++), 0);
      continue;
    }
    // Too little is posted for the longest frame: let the driver refill first, if it has something to take back.
    if (room < wanted && mergeable && ring->completed != before) break;
    if (room < wanted) parts[count++] = (struct iovec){overflow, sizeof overflow};
    struct net_header* header = parts[0].iov_base;
    u32 bytes;
    enum link_result result = link_receive(link, parts, count, room, &bytes);
    if (result == LINK_AGAIN) break;
    if (result == LINK_LOST) continue;
    u16 filled = 0;
    while (bytes) {
      u32 part = bytes < capacity[filled] ? bytes : (u32)capacity[filled];
      complete(ring, head_at(ring, ring->taken++), part);
      bytes -= part;
      filled++;
    }
    header->buffers = filled;
  }
  publish(core, ring);
}

static struct ring* ring_of(u32 pair, u32 device, u32 direction) {
  return &host_rings[(pair * HOST_DEVICES + device) * 2 + direction];
}

static u32 make(struct core* core, u32 device, u32 queue, u32 entries, u32 pair, struct core* reserved) {
  if (device >= host_link_count || host_links[device].owner != core) return ERROR_NODEV;
  struct link* link = &host_links[device];
  if (queue / 2 != pair || pair >= link->pairs) return ERROR_INVAL;
  if (entries < 8 || entries > RING_ENTRIES_MAX || (entries & (entries - 1))) return ERROR_INVAL;
  struct ring* ring = ring_of(pair, device, queue % 2);
  u32 id = (u32)(ring - host_rings);
  if (ring->owner || ring->reserved) return ERROR_INVAL;
  u32 bytes_each;
  u8* native = memory_rings(&bytes_each);
  *ring = (struct ring){
      .owner = reserved ? NULL : core,
      .reserved = reserved,
      .link = pair ? link->more[pair] : link,
      .device = device,
      .entries = entries,
      .writes = queue % 2 == QUEUE_RECEIVE,
      .used = (struct ring_used*)(native + (u64)id * bytes_each),
      .used_offset = (u32)(LINEAR_RINGS + (u64)id * bytes_each),
  };
  memory_slice(reserved ? reserved : core, &ring->write_low, &ring->write_high);
  memset(ring->used, 0, bytes_each);
  return id;
}

u32 w2c_env_ringCreate(struct core* core, u32 device, u32 queue, u32 format, u32 entries) {
  return format == FORMAT_VIRTIO_SPLIT ? make(core, device, queue, entries, 0, NULL) : ERROR_INVAL;
}

u32 w2c_env_ringReserve(struct core* core, u32 device, u32 queue, u32 entries, u32 number) {
  if (number == 0 || number >= core_count || number == core->number) return ERROR_INVAL;
  u32 id = make(core, device, queue, entries, number, core_table[number]);
  return (s32)id < 0 ? id : 0;
}

// The queue is attached with its second ring, so that frames come only when both are there.
u32 w2c_env_ringTake(struct core* core, u32 device, u32 queue) {
  if (device >= host_link_count || core->number == 0 || queue / 2 != core->number) return ERROR_NODEV;
  struct ring* ring = ring_of(core->number, device, queue % 2);
  struct core* us = core;
  if (!__atomic_compare_exchange_n(&ring->reserved, &us, NULL, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return ERROR_NODEV;
  __atomic_store_n(&ring->owner, core, __ATOMIC_RELEASE);
  if (ring_of(core->number, device, !(queue % 2))->owner == core && !link_attach(ring->link)) return ERROR_NODEV;
  return (u32)(ring - host_rings);
}

bool ring_shared(u32 device) {
  for (u32 pair = 1; pair < core_count; pair++)
    for (u32 direction = 0; direction < 2; direction++)
      if (__atomic_load_n(&ring_of(pair, device, direction)->owner, __ATOMIC_ACQUIRE)) return true;
  return false;
}

u32 w2c_env_ringEntries(struct core* core, u32 id) {
  struct ring* ring = host_ring(core, id);
  return ring ? ring->entries : 0;
}

u32 w2c_env_ringCompletions(struct core* core, u32 id) {
  struct ring* ring = host_ring(core, id);
  return ring ? ring->used_offset : 0;
}

void w2c_env_ringFlush(struct core* core, u32 id) {
  struct ring* ring = host_ring(core, id);
  if (!ring) return;
  ring->published = ring->posted;
  if (!ring->writes) ring_transmit(core, ring);
}

void w2c_env_ringPoll(struct core* core, u32 id) {
  struct ring* ring = host_ring(core, id);
  if (!ring) return;
  if (ring->writes) receive(core, ring);
  else if (ring->blocked) ring_transmit(core, ring);
}

void w2c_env_ringArm(struct core* core, u32 id, u32 index, u32 on) {
  struct ring* ring = host_ring(core, id);
  if (!ring) return;
  ring->armed = on;
  ring->threshold = (u16)(index + 1);  // the index behind the completion waited for
  if (on) publish(core, ring);
}

void ring_reset_device(u32 device) {
  for (u32 pair = 0; pair < core_count; pair++)
    for (u32 direction = 0; direction < 2; direction++) {
      struct ring* ring = ring_of(pair, device, direction);
      ring->owner = ring->reserved = NULL;
    }
}
