// What the platform shows the sandbox of bundle and embedded files; offsets in linear memory.
#pragma once
#include <string.h>
#include "pc.h"

struct content {
  u64 bundle_address, bundle_bytes, embedded_address, embedded_bytes;
  u32 bundle_source;  // BundleSource of runtime/platform.ts
};
extern struct content content;
