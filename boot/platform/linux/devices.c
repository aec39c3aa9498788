// Devices as a driver sees them: every link is a virtio-net device with Transport.HOST. Its registers:
//   TRANSPORT 0, 8 bytes, read: features offered        TRANSPORT 8, 8 bytes, read and write: features accepted
//   CONFIG 0..5: hardware address; 6, 2 bytes: status (1, link up); 10, 2 bytes: MTU (VIRTIO 1.2, 5.1.4)
// All that can make the kernel write is the rings' (ring.c); no register here holds an address or a length.
#include <string.h>
#include "host.h"

#define KIND_VIRTIO_NET 1u
#define TRANSPORT_HOST 5u
#define REGION_TRANSPORT 0u
#define REGION_CONFIG 1u
#define OFFERED 0u
#define ACCEPTED 8u
#define ERROR_PERM ((u32)-1)
#define ERROR_BUSY ((u32)-16)
#define ERROR_NODEV ((u32)-19)
#define NOTHING (~0ull)

static struct link* find_open(const struct core* core, u32 device) {
  return device < host_link_count && host_links[device].owner == core ? &host_links[device] : NULL;
}

u32 w2c_env_devCount(struct core* core) {
  (void)core;
  return host_link_count;
}

u32 w2c_env_devKind(struct core* core, u32 device) {
  (void)core;
  return device < host_link_count ? KIND_VIRTIO_NET : 0;
}

void w2c_env_devReset(struct core* core, u32 device) {
  struct link* link = find_open(core, device);
  if (!link || ring_shared(device)) return;
  ring_reset_device(device);
  link_accept(link, 0);
  __atomic_store_n(&link->owner, NULL, __ATOMIC_RELEASE);
}

u32 w2c_env_devOpen(struct core* core, u32 device) {
  struct core* nobody = NULL;
  if (device >= host_link_count) return ERROR_NODEV;
  w2c_env_devReset(core, device);
  if (!__atomic_compare_exchange_n(&host_links[device].owner, &nobody, core, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
    return ERROR_BUSY;
  return TRANSPORT_HOST;
}

u64 w2c_env_regRead(struct core* core, u32 device, u32 region, u32 offset, u32 width) {
  (void)core;
  if (device >= host_link_count || (width != 1 && width != 2 && width != 4 && width != 8)) return NOTHING;
  const struct link* link = &host_links[device];
  if (region == REGION_TRANSPORT) {
    if (width != 8) return NOTHING;
    return offset == OFFERED ? link->offered : offset == ACCEPTED ? link->accepted : NOTHING;
  }
  struct { u8 mac[6]; u16 status, pairs, mtu; } config = {.status = link->gone ? 0 : 1, .pairs = (u16)link->pairs, .mtu = (u16)link->mtu_bytes};
  memcpy(config.mac, link->mac, 6);
  if (region != REGION_CONFIG || offset > sizeof config || width > sizeof config - offset) return NOTHING;
  u64 value = 0;
  memcpy(&value, (const u8*)&config + offset, width);
  return value;
}

u32 w2c_env_regWrite(struct core* core, u32 device, u32 region, u32 offset, u32 width, u64 value) {
  if (!find_open(core, device)) return ERROR_NODEV;
  if (region != REGION_TRANSPORT || offset != ACCEPTED || width != 8) return ERROR_PERM;
  return link_accept(&host_links[device], value) ? 0 : HOST_EINVAL;
}

void w2c_env_irqUnmask(struct core* core, u32 device) {
  (void)core;
  (void)device;
}
