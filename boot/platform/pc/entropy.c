// virtio-rng at boot (VIRTIO 1.2, 5.4): one request of 64 bytes, polled for a bounded time, then the device is reset for
// good. Used by the platform itself: what sandboxed code can see of a key's seed is nothing.
// clang: -Oz
#include <string.h>
#include "devices.h"

enum { STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8, SEED_BYTES = 64, QUEUE_ENTRIES = 8 };
static const u64 WAIT_LIMIT_NS = 5000000;

static u32 status_register(const struct device* d) {
  return d->transport == VIRTIO_PCI_MODERN ? 20 : d->transport == VIRTIO_PCI_LEGACY ? 18 : 0x70;
}

static bool set_status(struct device* d, u32 status) {
  u32 width = d->transport == VIRTIO_PCI_MODERN || d->transport == VIRTIO_PCI_LEGACY ? 1 : 4;
  return virtio_write(d, REGION_TRANSPORT, status_register(d), width, status) == 0;
}

// Accepts VERSION_1 alone, where there is such a thing.
static void negotiate(struct device* d) {
  set_status(d, STATUS_ACKNOWLEDGE);
  set_status(d, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
  if (d->transport == VIRTIO_PCI_LEGACY || d->transport == VIRTIO_MMIO_LEGACY) return;
  bool pci = d->transport == VIRTIO_PCI_MODERN;
  for (u32 word = 0; word < 2; word++) {
    virtio_write(d, REGION_TRANSPORT, pci ? 8 : 0x24, 4, word);
    virtio_write(d, REGION_TRANSPORT, pci ? 12 : 0x20, 4, word);  // bit 32: VERSION_1
  }
  set_status(d, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
}

void entropy_read(struct device* d) {
  d->ours = true;
  u64 page = frame_take();
  if (!page || !virtio_reset(d)) return;
  pci_enable(d, true);
  negotiate(d);
  u32 size = virtio_queue_size(d, 0);
  if (d->transport != VIRTIO_PCI_LEGACY && size > QUEUE_ENTRIES) size = QUEUE_ENTRIES;
  u64 available = 16ull * size, used = ROUND_UP(available + 6 + 2 * size, SMALL_PAGE), bytes = used + ROUND_UP(6 + 8 * size, SMALL_PAGE);
  u64 memory = size && !(size & (size - 1)) && size <= 1024 ? frames_take(bytes, SMALL_PAGE) : 0;
  if (!memory) return;
  u8* at = direct(memory);
  memset(at, 0, bytes);
  struct ring ring = {.entries = size, .physical = memory, .queue = 0};
  volatile struct virtio_used* done = (volatile struct virtio_used*)(at + used);
  volatile struct virtio_available* ready = (volatile struct virtio_available*)(at + available);
  if (virtio_queue_start(d, 0, &ring, memory + available, memory + used, 0)) {
    *(struct virtio_descriptor*)at = (struct virtio_descriptor){page, SEED_BYTES, POST_WRITE, 0};
    ready->flags = 1;  // no interrupt
    set_status(d, STATUS_ACKNOWLEDGE | STATUS_DRIVER | (d->features[1] ? STATUS_FEATURES_OK : 0) | STATUS_DRIVER_OK);
    __asm__ volatile("" ::: "memory");
    ready->index = 1;
    __asm__ volatile("mfence" ::: "memory");
    virtio_notify(d, &ring);
    for (u64 limit = now_ns() + WAIT_LIMIT_NS; done->index == 0 && now_ns() < limit;) cpu_relax();
    u32 length = done->index == 1 ? done->ring[0].length : 0;
    if (length > SEED_BYTES) length = SEED_BYTES;
    if (length) random_seed(direct(page), length, length >= 32);
  }
  bool stopped = virtio_reset(d);
  pci_enable(d, false);
  // One that goes on writing must not find somebody else's memory there: its page and ring are never used again.
  if (!stopped && !d->pci.present) return;
  memset(direct(page), 0, SMALL_PAGE);
  frame_give(page);
  for (u64 i = 0; i < bytes; i += SMALL_PAGE) frame_give(memory + i);
}
