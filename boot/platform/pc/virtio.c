// virtio's transports: PCI modern and legacy, MMIO version 2 and 1 (VIRTIO 1.2, chapter 4). The allow-list of what a driver
// reads and writes, and the queues, which only this side programs.
//
// Features. A driver may accept only what leaves the meaning of our descriptors alone: with a packed ring the device would
// take `next` for flags, indirect descriptors included, and read addresses that the driver wrote.
// clang: -Oz
#include "devices.h"

enum { FEATURES_MMIO_SELECT = 0x14, MMIO_DRIVER_FEATURES = 0x20, MMIO_DRIVER_SELECT = 0x24, MMIO_PAGE_SIZE = 0x28, MMIO_QUEUE = 0x30,
  MMIO_QUEUE_MAX = 0x34, MMIO_QUEUE_SIZE = 0x38, MMIO_QUEUE_ALIGN = 0x3C, MMIO_QUEUE_PFN = 0x40, MMIO_QUEUE_READY = 0x44,
  MMIO_NOTIFY = 0x50, MMIO_INTERRUPT_ACK = 0x64, MMIO_STATUS = 0x70, MMIO_DESCRIPTORS = 0x80, MMIO_AVAILABLE = 0x90, MMIO_USED = 0xA0 };
enum { PCI_DEVICE_SELECT = 0, PCI_DRIVER_SELECT = 8, PCI_DRIVER_FEATURES = 12, PCI_MSIX_CONFIG = 16, PCI_STATUS = 20, PCI_QUEUE = 22, PCI_QUEUE_SIZE = 24,
  PCI_QUEUE_VECTOR = 26, PCI_QUEUE_ENABLE = 28, PCI_QUEUE_NOTIFY = 30, PCI_DESCRIPTORS = 32, PCI_AVAILABLE = 40, PCI_USED = 48 };
enum { LEGACY_DRIVER_FEATURES = 4, LEGACY_PFN = 8, LEGACY_QUEUE_SIZE = 12, LEGACY_QUEUE = 14, LEGACY_NOTIFY = 16, LEGACY_STATUS = 18,
  LEGACY_ISR = 19, LEGACY_MSIX_CONFIG = 20, LEGACY_MSIX_QUEUE = 22, LEGACY_HEADER = 20 };
static const u64 RESET_LIMIT_NS = 100000000;
// Bits of the device kind (0 to 24, 50 to 63) and ANY_LAYOUT, EVENT_IDX, VERSION_1, ORDER_PLATFORM.
static const u32 FEATURES_ALLOWED[2] = {0x01FFFFFF | 1u << 27 | 1u << 29, 1u << 0 | 1u << 4 | 0xFFFC0000u};
enum { EVENT_INDEX_BIT = 29 };

struct rule { u16 offset; u8 width, read, write; };
static const struct rule modern_rules[] = {{0, 4, 1, 1}, {4, 4, 1, 0}, {8, 4, 1, 1}, {12, 4, 1, 1}, {18, 2, 1, 0}, {20, 1, 1, 1}, {21, 1, 1, 0}};
static const struct rule legacy_rules[] = {{0, 4, 1, 0}, {4, 4, 1, 1}, {18, 1, 1, 1}, {19, 1, 1, 0}};
static const struct rule mmio_rules[] = {{0x00, 4, 1, 0}, {0x04, 4, 1, 0}, {0x08, 4, 1, 0}, {0x0C, 4, 1, 0}, {0x10, 4, 1, 0}, {0x14, 4, 0, 1},
  {0x20, 4, 0, 1}, {0x24, 4, 0, 1}, {0x60, 4, 1, 0}, {0x64, 4, 0, 1}, {0x70, 4, 1, 1}, {0xFC, 4, 1, 0}};

static bool mmio(const struct device* d) { return d->transport == VIRTIO_MMIO || d->transport == VIRTIO_MMIO_LEGACY; }
static bool legacy_port(const struct device* d) { return d->transport == VIRTIO_PCI_LEGACY; }

static const struct rule* rule_for(const struct device* d, u32 offset, u32 width) {
  const struct rule* rules = mmio(d) ? mmio_rules : legacy_port(d) ? legacy_rules : modern_rules;
  u32 count = mmio(d) ? COUNT(mmio_rules) : legacy_port(d) ? COUNT(legacy_rules) : COUNT(modern_rules);
  for (u32 i = 0; i < count; i++)
    if (rules[i].offset == offset && rules[i].width == width) return &rules[i];
  return NULL;
}

static u32 load(volatile u8* base, u16 port, u32 offset, u32 width) {
  if (base) return width == 1 ? base[offset] : width == 2 ? *(volatile u16*)(base + offset) : *(volatile u32*)(base + offset);
  port = (u16)(port + offset);
  return width == 1 ? in8(port) : width == 2 ? in16(port) : in32(port);
}
static void store(struct device* d, u32 offset, u32 width, u32 value) {
  volatile u8* at = d->registers + offset;
  u16 port = (u16)(d->port + offset);
  if (!d->registers) {
    if (width == 1) out8(port, (u8)value);
    if (width == 2) out16(port, (u16)value);
    if (width == 4) out32(port, value);
  } else if (width == 1) {
    *at = (u8)value;
  } else if (width == 2) {
    *(volatile u16*)at = (u16)value;
  } else {
    *(volatile u32*)at = value;
  }
}
static void store64(struct device* d, u32 offset, u64 value) {
  store(d, offset, 4, (u32)value);
  store(d, offset + 4, 4, (u32)(value >> 32));
}

s64 virtio_read(struct device* d, u32 region, u32 offset, u32 width) {
  if (width != 1 && width != 2 && width != 4 && width != 8) return -1;
  if (region == REGION_TRANSPORT) {
    const struct rule* rule = rule_for(d, offset, width);
    return rule && rule->read ? load(d->registers, d->port, offset, width) : -1;
  }
  if (region == REGION_ISR && offset == 0 && width == 1) {
    if (d->msix) return -1;  // nothing to acknowledge
    if (legacy_port(d)) return in8((u16)(d->port + LEGACY_ISR));
    return d->isr ? *d->isr : -1;
  }
  if (region != REGION_CONFIG || offset >= d->config_bytes || width > d->config_bytes - offset || offset % width) return -1;
  u16 port = legacy_port(d) ? (u16)(d->port + LEGACY_HEADER + (d->msix ? 4 : 0)) : 0;
  u64 value = load(d->config, port, offset, width > 4 ? 4 : width);
  if (width == 8) value |= (u64)load(d->config, port, offset + 4, 4) << 32;
  return (s64)value;
}

// 0, or EPERM; 1: the write is a reset, which the caller carries out.
s32 virtio_write(struct device* d, u32 region, u32 offset, u32 width, u64 value) {
  const struct rule* rule = region == REGION_TRANSPORT ? rule_for(d, offset, width) : NULL;
  if (!rule || !rule->write || value >> (8 * width)) return EPERM;
  u32 status = mmio(d) ? MMIO_STATUS : legacy_port(d) ? LEGACY_STATUS : PCI_STATUS;
  u32 select = mmio(d) ? MMIO_DRIVER_SELECT : PCI_DRIVER_SELECT;
  u32 features = mmio(d) ? MMIO_DRIVER_FEATURES : legacy_port(d) ? LEGACY_DRIVER_FEATURES : PCI_DRIVER_FEATURES;
  if (offset == status && value == 0) return 1;
  if (!legacy_port(d) && offset == select) {
    if (value > 1) return EPERM;
    d->feature_select = (u32)value;
  }
  if (offset == features) {
    if (value & ~(u64)FEATURES_ALLOWED[d->feature_select]) return EPERM;
    d->features[d->feature_select] = (u32)value;
  }
  store(d, offset, width, (u32)value);
  return 0;
}

bool virtio_event_index(const struct device* d) { return d->features[0] >> EVENT_INDEX_BIT & 1; }

bool virtio_reset(struct device* d) {
  u32 status = mmio(d) ? MMIO_STATUS : legacy_port(d) ? LEGACY_STATUS : PCI_STATUS, width = mmio(d) ? 4 : 1;
  d->features[0] = d->features[1] = d->feature_select = 0;
  store(d, status, width, 0);
  for (u64 limit = now_ns() + RESET_LIMIT_NS; load(d->registers, d->port, status, width) != 0; cpu_relax())
    if (now_ns() > limit) return false;
  return true;
}

// The size that the device wants; 0: no such queue, or it is already in use.
u32 virtio_queue_size(struct device* d, u32 queue) {
  if (queue > 0xFFFF) return 0;
  if (mmio(d)) {
    store(d, MMIO_QUEUE, 4, queue);
    u32 used = d->transport == VIRTIO_MMIO ? MMIO_QUEUE_READY : MMIO_QUEUE_PFN;
    return load(d->registers, 0, used, 4) ? 0 : load(d->registers, 0, MMIO_QUEUE_MAX, 4);
  }
  if (legacy_port(d)) {
    store(d, LEGACY_QUEUE, 2, queue);
    return load(NULL, d->port, LEGACY_PFN, 4) ? 0 : load(NULL, d->port, LEGACY_QUEUE_SIZE, 2);
  }
  if (queue >= load(d->registers, 0, 18, 2)) return 0;
  store(d, PCI_QUEUE, 2, queue);
  return load(d->registers, 0, PCI_QUEUE_ENABLE, 2) ? 0 : load(d->registers, 0, PCI_QUEUE_SIZE, 2);
}

// MSI-X: entry 0 for the configuration and the owner's queues, another one for those of each further core. Read back, as
// 4.1.5.1.2 asks.
static bool set_vectors(struct device* d, u32 entry) {
  u32 config = legacy_port(d) ? LEGACY_MSIX_CONFIG : PCI_MSIX_CONFIG, queue = legacy_port(d) ? LEGACY_MSIX_QUEUE : PCI_QUEUE_VECTOR;
  store(d, config, 2, 0);
  store(d, queue, 2, entry);
  return load(d->registers, d->port, config, 2) == 0 && load(d->registers, d->port, queue, 2) == entry;
}

bool virtio_queue_start(struct device* d, u32 queue, struct ring* ring, u64 available, u64 used, u32 vector) {
  if (d->transport == VIRTIO_MMIO_LEGACY) {
    store(d, MMIO_PAGE_SIZE, 4, SMALL_PAGE);
    store(d, MMIO_QUEUE, 4, queue);
    store(d, MMIO_QUEUE_SIZE, 4, ring->entries);
    store(d, MMIO_QUEUE_ALIGN, 4, SMALL_PAGE);
    store(d, MMIO_QUEUE_PFN, 4, (u32)(ring->physical / SMALL_PAGE));
  } else if (d->transport == VIRTIO_MMIO) {
    store(d, MMIO_QUEUE, 4, queue);
    store(d, MMIO_QUEUE_SIZE, 4, ring->entries);
    store64(d, MMIO_DESCRIPTORS, ring->physical);
    store64(d, MMIO_AVAILABLE, available);
    store64(d, MMIO_USED, used);
    store(d, MMIO_QUEUE_READY, 4, 1);
  } else if (legacy_port(d)) {
    store(d, LEGACY_QUEUE, 2, queue);
    if (d->msix && !set_vectors(d, vector)) return false;
    store(d, LEGACY_PFN, 4, (u32)(ring->physical / SMALL_PAGE));
  } else {
    store(d, PCI_QUEUE, 2, queue);
    u64 at = (u64)load(d->registers, 0, PCI_QUEUE_NOTIFY, 2) * d->notify_multiplier;
    if (at + 2 > d->notify_bytes) return false;
    ring->notify = (volatile u16*)(d->notify + at);
    if (d->msix && !set_vectors(d, vector)) return false;
    store(d, PCI_QUEUE_SIZE, 2, ring->entries);
    store64(d, PCI_DESCRIPTORS, ring->physical);
    store64(d, PCI_AVAILABLE, available);
    store64(d, PCI_USED, used);
    store(d, PCI_QUEUE_ENABLE, 2, 1);
  }
  return true;
}

void virtio_notify(struct device* d, struct ring* ring) {
  if (ring->notify)
    *ring->notify = (u16)ring->queue;
  else if (legacy_port(d))
    out16((u16)(d->port + LEGACY_NOTIFY), (u16)ring->queue);
  else
    store(d, MMIO_NOTIFY, 4, ring->queue);
}
