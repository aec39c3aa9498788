// The bundle given at boot and the files embedded at build time: found, sealed (secrets/ taken out, common/bundle.c) while
// only this side can see them, then mapped read-only at LINEAR_CONTENT.
// clang: -Oz
#include "../common/bundle.h"
#include "content.h"

enum { SOURCE_NONE = 0, SOURCE_MODULE = 1, SOURCE_FW_CFG = 2, SOURCE_IMAGE = 3, SOURCE_EMBEDDED = 4 };
static const u64 BUNDLE_BYTES_MAX = LINEAR_CONTENT_END - LINEAR_CONTENT - (64ull << 20);

extern u8 heddle_embedded_start[] __attribute__((weak)), heddle_embedded_end[] __attribute__((weak));  // boot/toolchain

struct content content;

// The pages of [physical, physical + bytes), seen by the sandbox at `offset`; the last page's tail must hold nothing else.
static bool expose(struct core* core, u32 window, u64 offset, u64 physical, u64 bytes) {
  u64 size = ROUND_UP(bytes, SMALL_PAGE);
  if (!map_pages((u64)core->memory + offset, physical, size, 0)) return false;
  pc_windows[window] = (struct pc_window){offset, offset + bytes, physical - offset};
  return true;
}

bool content_map(struct core* core) {
  for (u32 i = 1; i < PC_WINDOWS; i++) {
    struct pc_window w = pc_windows[i];
    u64 size = ROUND_UP(w.high - w.low, SMALL_PAGE);
    if (w.high && !map_pages((u64)core->memory + w.low, w.low + w.to_physical, size, 0)) return false;
  }
  return true;
}

static bool take_loaded(struct range loaded, u64* physical, u64* bytes) {
  *physical = loaded.start;
  *bytes = loaded.end - loaded.start;
  if (!direct_covers(*physical, ROUND_UP(*bytes, SMALL_PAGE)) || *bytes > BUNDLE_BYTES_MAX) {
    print("heddle: the bundle that was loaded lies outside memory or is too large: ignored\n");
    return false;
  }
  if (*physical % SMALL_PAGE == 0) return true;
  // Its first page holds somebody else's bytes too: into pages of its own.
  u64 copy = frames_take(ROUND_UP(*bytes, SMALL_PAGE), SMALL_PAGE);
  if (!copy) return false;
  memcpy(direct(copy), direct(*physical), *bytes);
  memset(direct(*physical), 0, *bytes);
  *physical = copy;
  return true;
}

static bool find_bundle(u64* physical, u64* bytes) {
  content.bundle_source = SOURCE_MODULE;
  if (boot_info.module.end) return take_loaded(boot_info.module, physical, bytes);
  content.bundle_source = SOURCE_FW_CFG;
  if (fw_cfg_load("opt/heddle/config", physical, bytes, BUNDLE_BYTES_MAX)) return true;
  content.bundle_source = SOURCE_IMAGE;
  return boot_info.slot.end && take_loaded(boot_info.slot, physical, bytes);
}

void content_init(struct core* core) {
  u64 physical = 0, bytes = 0, next = LINEAR_CONTENT;
  if (find_bundle(&physical, &bytes)) {
    u8* data = direct(physical);
    memset(data + bytes, 0, ROUND_UP(bytes, SMALL_PAGE) - bytes);
    if (!bundle_seal(data, bytes)) print("heddle: the bundle is damaged, or its secrets are too many: see the configuration's errors\n");
    if (expose(core, 1, next, physical, bytes)) {
      content.bundle_address = next;
      content.bundle_bytes = bytes;
      next += ROUND_UP(bytes, LARGE_PAGE);
    }
  }
  u64 embedded = (u64)(heddle_embedded_end - heddle_embedded_start);
  if (embedded && expose(core, 2, next, image_physical(heddle_embedded_start), embedded)) {
    content.embedded_address = next;
    content.embedded_bytes = embedded;
  }
  if (!content.bundle_bytes) content.bundle_source = embedded ? SOURCE_EMBEDDED : SOURCE_NONE;
}
