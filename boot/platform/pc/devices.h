// The table of devices and what a kind of transport provides. A driver names a device by its index; all registers that
// hold addresses, lengths or queue sizes are written only here (virtio.c, e1000.c, ring.c).
#pragma once
#include "pc.h"

enum device_kind { DEVICE_NONE, DEVICE_VIRTIO_NET, DEVICE_E1000, DEVICE_VIRTIO_RNG };
enum transport { TRANSPORT_NONE, VIRTIO_PCI_MODERN, VIRTIO_PCI_LEGACY, VIRTIO_MMIO, VIRTIO_MMIO_LEGACY, TRANSPORT_HOST, TRANSPORT_E1000 };
enum region { REGION_TRANSPORT, REGION_CONFIG, REGION_ISR };

#define DEVICES_MAX 24
#define PINS_MAX 3

struct device {
  u8 kind, transport;
  bool ours;               // the platform uses it itself
  struct core* owner;      // the core that opened it; NULL: nobody did; atomic
  struct pci { bool present; u8 bus, slot, function; } pci;
  volatile u8* registers;  // MMIO page, modern common configuration, e1000's BAR; NULL: I/O ports
  volatile u8* config;     // device-specific configuration (memory)
  volatile u8* isr;
  volatile u8* notify;
  u32 notify_bytes, notify_multiplier, config_bytes;
  u16 port;                // legacy PCI: the I/O BAR
  bool msix;
  volatile u32* msix_entries;
  u32 msix_count;
  u8 pin_count;
  struct pin pins[PINS_MAX];
  bool level;
  u32 feature_select;
  u32 features[2];         // what the driver accepted
};

extern struct device devices[DEVICES_MAX];
extern u32 device_count;

void devices_find(void);
struct device* device_add(u8 kind, u8 transport);
void mmio_find(void);
void pci_find(void);
void pci_enable(struct device* device, bool on);
bool virtio_reset(struct device* device);
s64 virtio_read(struct device* device, u32 region, u32 offset, u32 width);
s32 virtio_write(struct device* device, u32 region, u32 offset, u32 width, u64 value);
u32 virtio_queue_size(struct device* device, u32 queue);
bool virtio_queue_start(struct device* device, u32 queue, struct ring* ring, u64 available, u64 used, u32 vector);
void virtio_notify(struct device* device, struct ring* ring);
bool virtio_event_index(const struct device* device);
bool e1000_reset(struct device* device);
s64 e1000_read(struct device* device, u32 region, u32 offset, u32 width);
s32 e1000_write(struct device* device, u32 region, u32 offset, u32 width, u64 value);
void e1000_ring_start(struct device* device, struct ring* ring);
void e1000_flush(struct ring* ring);
void e1000_arm(struct ring* ring, bool on);
s32 ring_create(struct core* core, u32 device, u32 queue, u32 format, u32 entries, u32 number);
bool rings_shared(u32 device);
void msix_route(struct device* device, u32 entry, u32 apic_id);
void rings_drop(u32 device);
void entropy_read(struct device* device);
