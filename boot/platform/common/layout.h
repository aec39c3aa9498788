// Where things lie around and inside a core's linear memory; the same on every platform.
//
//   base - 2 MiB    struct core (core.h), function table    native, invisible to sandboxed code: its addresses are
//   base - 64 KiB   the module's instance (globals)         unsigned, so nothing below `base` can be formed
//   base            linear memory: 4 GiB of offsets, see runtime/platform.ts
//   base + 4 GiB    guard: index + static offset + 16 bytes may reach 8 GiB; bases are at least 12 GiB apart
#pragma once

#define CORE_BELOW        0x200000ull
#define INSTANCE_BELOW    0x10000ull
#define MEMORY_SPAN       0x100000000ull
#define MEMORY_RESERVE    0x300000000ull

// A fiber's stack: the kernel's part is at its low end, so that a call into it always finds room (kernel.h).
#define STACK_KERNEL_BYTES 0x4000ull

#define LINEAR_NULL_BYTES 0x00200000ull
#define LINEAR_HEAP       0x00200000ull
#define LINEAR_HEAP_END   0x80000000ull
#define LINEAR_POOL       0x80000000ull
#define LINEAR_POOL_END   0xC0000000ull
#define LINEAR_RINGS      0xC0000000ull
#define LINEAR_RINGS_END  0xD0000000ull
#define LINEAR_WINDOW     0xD0000000ull
#define LINEAR_WINDOW_END 0xE0000000ull
// The window: a channel's pages for each ordered pair of cores, then what core 0 publishes to all.
#define CORES_MAX         64
#define CHANNEL_BYTES     0x8000ull
#define LINEAR_PUBLISHED  0xD8000000ull
_Static_assert(LINEAR_WINDOW + CORES_MAX * CORES_MAX * CHANNEL_BYTES <= LINEAR_PUBLISHED, "channels");
#define LINEAR_CONTENT    0xE0000000ull
#define LINEAR_CONTENT_END 0x100000000ull
