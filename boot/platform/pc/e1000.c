// Intel 8254x, as QEMU, VirtualBox and bochs emulate it (82540EM; Intel's 8254x developer's manual, chapters 4, 13 and 14).
//
// Invariants. A receive descriptor has no length: the buffer size is in RCTL, which only this side writes, always 2,048. The
// device works through its descriptors in order, so they are posted in order; a slot that was never posted holds address 0
// and is never between head and tail.
// clang: -Oz
#include "devices.h"

enum { CTRL = 0x00, STATUS = 0x08, EEPROM_READ = 0x14, ADDRESS_LOW = 0x5400, ADDRESS_HIGH = 0x5404, ICR = 0xC0, IMS = 0xD0, IMC = 0xD8, RCTL = 0x100, TCTL = 0x400, TIPG = 0x410, RDBAL = 0x2800,
  RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818, TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818 };
enum { CTRL_RESET = 1 << 26, CTRL_WRITABLE = 1 << 0 | 1 << 5 | 1 << 6 };  // full duplex, speed detection, link up
enum { RCTL_ENABLE = 1 << 1, RCTL_ALL_GROUPS = 1 << 4, RCTL_BROADCAST = 1 << 15, RCTL_STRIP_CRC = 1 << 26 };  // size 2,048: BSIZE and BSEX are 0
enum { TCTL_ENABLE = 1 << 1, TCTL_PAD = 1 << 3, TCTL_COLLISIONS = 0x0F << 4 | 0x40 << 12, TIPG_IEEE = 0x0060200A };
enum { INTERRUPT_TX = 1 << 0, INTERRUPT_LINK = 1 << 2, INTERRUPT_RX_LOW = 1 << 4, INTERRUPT_OVERRUN = 1 << 6, INTERRUPT_RX = 1 << 7 };
enum { EEPROM_START = 1, EEPROM_DONE = 1 << 4, EEPROM_POLLS = 1000, ADDRESS_VALID = 1u << 31 };
enum { BUFFER_BYTES = 2048, TX_BYTES_MAX = 16288, TX_END = 1, TX_INSERT_CRC = 2, TX_REPORT = 8, DONE = 1 };
static const u64 RESET_LIMIT_NS = 100000000;

static u32 load(const struct device* d, u32 reg) { return *(volatile u32*)(d->registers + reg); }
static void store(const struct device* d, u32 reg, u32 value) { *(volatile u32*)(d->registers + reg) = value; }

// Registers besides CTRL (whose reset bits are refused): EERD, MDIC, ITR, checksum offload, multicast table, addresses, VLAN
// filter and the statistics; none of them tells the device where to read or write.
static bool known(u32 offset, bool write) {
  if (offset == CTRL || offset == 0x14 || offset == 0x20 || offset == 0xC4 || offset == 0x5000) return true;
  if (offset >= 0x5200 && offset < 0x5400) return true;
  if (offset >= 0x5400 && offset < 0x5480) return true;
  if (write) return false;
  return offset == STATUS || offset == ICR || (offset >= 0x4000 && offset < 0x4100);
}

s64 e1000_read(struct device* d, u32 region, u32 offset, u32 width) {
  if (region != REGION_TRANSPORT || width != 4 || offset % 4 || !known(offset, false)) return -1;
  return load(d, offset);
}

s32 e1000_write(struct device* d, u32 region, u32 offset, u32 width, u64 value) {
  if (region != REGION_TRANSPORT || width != 4 || offset % 4 || value >> 32 || !known(offset, true)) return EPERM;
  if (offset == CTRL && value & ~(u64)CTRL_WRITABLE) return EPERM;
  store(d, offset, (u32)value);
  return 0;
}

static bool eeprom_word(const struct device* d, u32 index, u32* word) {
  store(d, EEPROM_READ, index << 8 | EEPROM_START);
  for (u32 polls = 0; polls < EEPROM_POLLS; polls++) {
    u32 value = load(d, EEPROM_READ);
    if (value & EEPROM_DONE) return *word = value >> 16, true;
  }
  return false;
}

// The card takes its address from the EEPROM at reset; bochs' card does not.
static void load_address(const struct device* d) {
  u32 words[3];
  for (u32 i = 0; i < 3; i++)
    if (!eeprom_word(d, i, &words[i])) return;
  store(d, ADDRESS_LOW, words[0] | words[1] << 16);
  store(d, ADDRESS_HIGH, words[2] | ADDRESS_VALID);
}

bool e1000_reset(struct device* d) {
  store(d, IMC, 0xFFFFFFFF);
  store(d, RCTL, 0);
  store(d, TCTL, 0);
  store(d, CTRL, CTRL_RESET);
  delay_ns(1000);
  for (u64 limit = now_ns() + RESET_LIMIT_NS; load(d, CTRL) & CTRL_RESET; cpu_relax())
    if (now_ns() > limit) return false;
  store(d, IMC, 0xFFFFFFFF);
  load(d, ICR);
  load_address(d);
  return true;
}

void e1000_ring_start(struct device* d, struct ring* ring) {
  bool receive = ring->format == RING_E1000_RX;
  u32 base = receive ? RDBAL : TDBAL;
  store(d, base, (u32)ring->physical);
  store(d, base + 4, (u32)(ring->physical >> 32));
  store(d, base + 8, ring->entries * 16);
  store(d, base + (RDH - RDBAL), 0);
  store(d, base + (RDT - RDBAL), 0);
  if (receive) {
    store(d, RCTL, RCTL_ENABLE | RCTL_ALL_GROUPS | RCTL_BROADCAST | RCTL_STRIP_CRC);
  } else {
    store(d, TIPG, TIPG_IEEE);
    store(d, TCTL, TCTL_ENABLE | TCTL_PAD | TCTL_COLLISIONS);
  }
}

// Bounds of [buffer, buffer + length) were checked by ringPost.
u32 pc_post_e1000(struct ring* ring, u32 slot, u64 physical, u32 length, u32 flags) {
  if (slot != (ring->posted & (ring->entries - 1))) return (u32)EINVAL;
  struct { u64 address; u32 command, status; }* descriptor = (void*)&ring->descriptors[slot];
  if (descriptor->address && !(*(volatile u32*)&descriptor->status & DONE)) return (u32)EINVAL;
  if (ring->format == RING_E1000_RX) {
    if (length < BUFFER_BYTES) return (u32)EFAULT;
    descriptor->command = 0;
  } else {
    if (length == 0 || length > TX_BYTES_MAX || flags & POST_WRITE) return (u32)EINVAL;
    descriptor->command = length | (u32)(TX_REPORT | TX_INSERT_CRC | (flags & POST_END ? TX_END : 0)) << 24;
  }
  descriptor->address = physical;
  descriptor->status = 0;
  ring->posted++;
  return 0;
}

void e1000_flush(struct ring* ring) {
  ring->published = ring->posted;
  __asm__ volatile("sfence" ::: "memory");
  store(&devices[ring->device], ring->format == RING_E1000_RX ? RDT : TDT, ring->posted & (ring->entries - 1));
}

void e1000_arm(struct ring* ring, bool on) {
  u32 causes = ring->format == RING_E1000_RX ? INTERRUPT_RX | INTERRUPT_RX_LOW | INTERRUPT_OVERRUN | INTERRUPT_LINK : INTERRUPT_TX;
  store(&devices[ring->device], on ? IMS : IMC, causes);
}
