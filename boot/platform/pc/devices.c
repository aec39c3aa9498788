// Devices: the table, opening and resetting, interrupts. What a driver may read and write is in virtio.c and e1000.c.
// clang: -Oz
#include "devices.h"

struct device devices[DEVICES_MAX];
u32 device_count;

struct device* device_add(u8 kind, u8 transport) {
  if (device_count == DEVICES_MAX) return NULL;
  struct device* device = &devices[device_count++];
  device->kind = kind;
  device->transport = transport;
  return device;
}

void devices_find(void) {
  mmio_find();
  pci_find();
  for (u32 i = 0; i < device_count; i++)
    if (devices[i].kind == DEVICE_VIRTIO_RNG) entropy_read(&devices[i]);
}

static struct device* find(u32 dev) { return dev < device_count ? &devices[dev] : NULL; }
static struct device* find_open(struct core* core, u32 dev) {
  struct device* device = find(dev);
  return device && device->owner == core ? device : NULL;
}

static bool reset(struct device* device) {
  return device->transport == TRANSPORT_E1000 ? e1000_reset(device) : virtio_reset(device);
}

u32 w2c_env_devCount(struct core* core) {
  (void)core;
  return device_count;
}

u32 w2c_env_devKind(struct core* core, u32 dev) {
  (void)core;
  struct device* device = find(dev);
  return device ? device->kind : DEVICE_NONE;
}

u32 w2c_env_devOpen(struct core* core, u32 dev) {
  struct device* device = find(dev);
  struct core* nobody = NULL;
  if (!device) return (u32)ENODEV;
  if (device->ours || !__atomic_compare_exchange_n(&device->owner, &nobody, core, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
    return (u32)EBUSY;
  if (!reset(device)) {
    __atomic_store_n(&device->owner, NULL, __ATOMIC_RELEASE);
    return (u32)EIO;
  }
  pci_enable(device, true);
  for (u32 i = 0; i < device->pin_count; i++)
    ioapic_route(device->pins[i], (u8)(VECTOR_DEVICE + dev), device->level, false, false);
  return device->transport;
}

// Quiet by the device's own reset; a PCI device also loses its bus mastering. One that does neither could still write
// into buffers that are about to be used again: then the machine must not go on.
static void quiesce(struct core* core, u32 dev, struct device* device) {
  bool stopped = reset(device);
  pci_enable(device, false);
  rings_drop(dev);
  if (stopped || device->pci.present) return;
  print("heddle: device %u does not stop\n", dev);
  core->kernel_depth++;
  trap_report(core, TRAP_FAULT, dev, (u64)__builtin_return_address(0), *(u64*)__builtin_frame_address(0));
}

void w2c_env_devReset(struct core* core, u32 dev) {
  struct device* device = find_open(core, dev);
  if (!device || rings_shared(dev)) return;
  for (u32 i = 0; i < device->pin_count; i++)
    ioapic_route(device->pins[i], (u8)(VECTOR_DEVICE + dev), device->level, false, true);
  quiesce(core, dev, device);
  __atomic_store_n(&device->owner, NULL, __ATOMIC_RELEASE);
}

u64 w2c_env_regRead(struct core* core, u32 dev, u32 region, u32 offset, u32 width) {
  struct device* device = find_open(core, dev);
  if (!device) return (u64)-1;
  return (u64)(device->transport == TRANSPORT_E1000 ? e1000_read(device, region, offset, width)
                                                    : virtio_read(device, region, offset, width));
}

u32 w2c_env_regWrite(struct core* core, u32 dev, u32 region, u32 offset, u32 width, u64 value) {
  struct device* device = find_open(core, dev);
  if (!device) return (u32)ENODEV;
  if (device->transport == TRANSPORT_E1000) return (u32)e1000_write(device, region, offset, width, value);
  s32 result = virtio_write(device, region, offset, width, value);
  if (result != 1) return (u32)result;
  // Status 0 is a reset: the queues are gone with it.
  if (rings_shared(dev)) return (u32)EPERM;
  quiesce(core, dev, device);
  pci_enable(device, true);
  return 0;
}

u32 w2c_env_ringCreate(struct core* core, u32 dev, u32 queue, u32 format, u32 entries) {
  return find_open(core, dev) ? (u32)ring_create(core, dev, queue, format, entries, 0) : (u32)ENODEV;
}

// An interrupt finds its core by an entry of the MSI-X table of its own: without one there is nothing to reserve.
u32 w2c_env_ringReserve(struct core* core, u32 dev, u32 queue, u32 entries, u32 number) {
  struct device* device = find_open(core, dev);
  if (!device || device->transport != VIRTIO_PCI_MODERN || !device->msix || number >= device->msix_count) return (u32)ENODEV;
  if (number == 0 || number >= core_count || number == core->number || queue / 2 != number) return (u32)EINVAL;
  return (u32)ring_create(core, dev, queue, RING_VIRTIO_SPLIT, entries, number);
}

// The handler: a level-triggered pin stays masked until the driver has served the device.
INTERRUPT_CODE void device_interrupt(u32 dev) {
  if (dev >= device_count) return;
  struct device* device = &devices[dev];
  if (device->level)
    for (u32 i = 0; i < device->pin_count; i++) ioapic_mask(device->pins[i], true);
  struct core* core = current_core();
  if (core) __atomic_fetch_or(&core->pending, 1u << dev, __ATOMIC_RELEASE);
}

void w2c_env_irqUnmask(struct core* core, u32 dev) {
  struct device* device = find_open(core, dev);
  if (!device || !device->level) return;
  __asm__ volatile("cli" ::: "memory");
  for (u32 i = 0; i < device->pin_count; i++) ioapic_mask(device->pins[i], false);
  __asm__ volatile("sti" ::: "memory");
}
