// QEMU's fw_cfg device, its DMA interface (docs/specs/fw_cfg.txt): one file, looked up by name. Asked only under a
// hypervisor, because elsewhere the ports may be something else's.
// clang: -Oz
#include "pc.h"

enum { SELECTOR = 0x510, DATA = 0x511, DMA_HIGH = 0x514, DMA_LOW = 0x518 };
enum { KEY_SIGNATURE = 0, KEY_FEATURES = 1, KEY_DIRECTORY = 0x19, FEATURE_DMA = 2, FILES_MAX = 256 };
enum { CONTROL_ERROR = 1, CONTROL_READ = 2, CONTROL_SELECT = 8 };

struct request { u32 control, length; u64 address; };  // big-endian
struct file { u32 size; u16 select, reserved; char name[56]; };

static bool read_dma(u32 key, bool select, u64 physical, u32 length) {
  static volatile struct request request;
  request.address = __builtin_bswap64(physical);
  request.length = __builtin_bswap32(length);
  request.control = __builtin_bswap32(CONTROL_READ | (select ? CONTROL_SELECT | key << 16 : 0));
  u64 at = image_physical((void*)&request);
  __asm__ volatile("" ::: "memory");
  out32(DMA_HIGH, __builtin_bswap32((u32)(at >> 32)));
  out32(DMA_LOW, __builtin_bswap32((u32)at));
  for (u32 polls = 0; polls < 10000000; polls++) {
    u32 control = __builtin_bswap32(request.control);
    if (control & CONTROL_ERROR) return false;
    if (control == 0) return true;
    cpu_relax();
  }
  return false;
}

static u8 read_byte(u32 key, bool select) {
  if (select) out16(SELECTOR, (u16)key);
  return in8(DATA);
}

static bool present(void) {
  if (!under_hypervisor()) return false;
  const char* signature = "QEMU";
  for (u32 i = 0; i < 4; i++)
    if (read_byte(KEY_SIGNATURE, i == 0) != (u8)signature[i]) return false;
  return read_byte(KEY_FEATURES, true) & FEATURE_DMA;
}

bool fw_cfg_load(const char* name, u64* physical, u64* bytes, u64 bytes_max) {
  static struct file files[FILES_MAX];
  static u32 count;
  if (!present() || !read_dma(KEY_DIRECTORY, true, image_physical(&count), sizeof count)) return false;
  u32 files_there = __builtin_bswap32(count);
  if (files_there > FILES_MAX) files_there = FILES_MAX;
  if (!read_dma(0, false, image_physical(files), files_there * (u32)sizeof files[0])) return false;
  for (u32 i = 0; i < files_there; i++) {
    u32 same = 0;
    while (same < sizeof files[i].name - 1 && name[same] && files[i].name[same] == name[same]) same++;
    if (name[same] != 0 || files[i].name[same] != 0) continue;
    *bytes = __builtin_bswap32(files[i].size);
    if (*bytes == 0 || *bytes > bytes_max) return false;
    *physical = frames_take(ROUND_UP(*bytes, SMALL_PAGE), SMALL_PAGE);
    if (!*physical) {
      print("heddle: the bundle given by fw_cfg does not fit into memory\n");
      return false;
    }
    return read_dma((u32)(files[i].select >> 8 | (files[i].select & 0xFF) << 8), true, *physical, (u32)*bytes);
  }
  return false;
}
