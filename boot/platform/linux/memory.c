// Memory of the hosted image: the layout of common/layout.h in one reservation, heap, native stacks, content.
//
// The reservation is PROT_NONE and costs only address space; what is used is made accessible piece by piece. Its place is
// the kernel's choice (ASLR). The bundle is read, not mapped: a file that somebody shortens or edits later must neither
// raise SIGBUS nor change content that was already checked.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../common/bundle.h"
#include "host.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102  // Linux 6.13
#endif

#define PAGE_BYTES 4096ull
#define STEP_BYTES 0x200000ull
#define RESERVE_BYTES (CORE_BELOW + MEMORY_RESERVE)

// The used ring of one ring: flags, idx, entries of 8 bytes, avail_event (VIRTIO 1.2, 2.7.8), on pages of its own.
#define USED_BYTES 12288u
_Static_assert(USED_BYTES >= 4 + 8 * RING_ENTRIES_MAX + 2, "used ring");
_Static_assert(HOST_RINGS * USED_BYTES <= LINEAR_RINGS_END - LINEAR_RINGS, "ring region");

u32 host_pool_end, host_content_bytes;
u64 host_memory_bytes;
u32 host_bundle_bytes, host_embedded_offset, host_embedded_bytes;
static u8* rings_native;
static int rings_fd, pool_fd, content_fd, channels_fd, published_fd;
static u64 content_end;
static u32 heap_limit_pages;

// The bundle embedded when the image was built (boot/toolchain).
extern const u8 heddle_embedded_start[] __attribute__((weak));
extern const u8 heddle_embedded_end[] __attribute__((weak));

static u64 round_up(u64 value, u64 step) { return (value + step - 1) & ~(step - 1); }

static void make_accessible(u8* start, u64 length) {
  if (mprotect(start, length, PROT_READ | PROT_WRITE))
    fail("no memory (%llu MiB): %s; try a smaller --memory", (unsigned long long)(length >> 20), strerror(errno));
}

// Memory that several linear memories map; it costs what is touched.
static int shared(const char* name, u64 length) {
  int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, (off_t)length)) fail("no memory for %s: %s", name, strerror(errno));
  return fd;
}

static bool map_shared(struct core* core, u64 offset, int fd, u64 at, u64 length, int rights) {
  return length == 0 || mmap(core->memory + offset, length, rights, MAP_SHARED | MAP_FIXED, fd, (off_t)at) != MAP_FAILED;
}

u8* memory_rings(u32* bytes_each) {
  *bytes_each = USED_BYTES;
  return rings_native;
}

// Reads the bundle to `to`, which is accessible for its size afterwards.
static u64 read_bundle(const char* path, u8* to, u64 room) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status)) fail("%s: %s", path, strerror(errno));
  if (S_ISDIR(status.st_mode)) fail("%s: is a directory; pack it: tar --format=ustar -C %s -cf bundle.tar .", path, path);
  u64 length = 0, accessible = 0;
  for (;;) {
    if (length == accessible) {
      if (accessible + STEP_BYTES > room) fail("%s: larger than %llu MiB", path, (unsigned long long)(room >> 20));
      make_accessible(to + accessible, STEP_BYTES);
      accessible += STEP_BYTES;
    }
    ssize_t got = read(fd, to + length, accessible - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("%s: %s", path, strerror(errno));
    if (!got) break;
    length += (u64)got;
  }
  close(fd);
  if (!length) fail("%s: is empty", path);
  return length;
}

static void create_content(struct core* core, const char* config) {
  u8* content = core->memory + LINEAR_CONTENT;
  content_fd = shared("heddle-content", LINEAR_CONTENT_END - LINEAR_CONTENT);
  if (!map_shared(core, LINEAR_CONTENT, content_fd, 0, LINEAR_CONTENT_END - LINEAR_CONTENT, PROT_NONE)) fail("no addresses for content");
  u64 room = LINEAR_CONTENT_END - LINEAR_CONTENT;
  u64 end = 0;
  if (config) {
    u64 length = read_bundle(config, content, room);
    if (!bundle_seal(content, length)) fail("%s: the archive is damaged, or has more than 64 files or 64 KiB below secrets/", config);
    host_bundle_bytes = (u32)length;
    end = round_up(length, STEP_BYTES);
  }
  u64 embedded = (u64)(heddle_embedded_end - heddle_embedded_start);
  if (embedded) {
    if (end + round_up(embedded, PAGE_BYTES) > room) fail("%s: no room for the image's own files beside it", config);
    host_embedded_offset = (u32)(LINEAR_CONTENT + end);
    host_embedded_bytes = (u32)embedded;
    make_accessible(content + end, round_up(embedded, PAGE_BYTES));
    memcpy(content + end, heddle_embedded_start, embedded);
    if (!bundle_seal(content + end, embedded)) fail("the files embedded in this image are damaged; build it again");
    end += round_up(embedded, PAGE_BYTES);
  }
  if (end && mprotect(content, end, PROT_READ)) fail("cannot protect content: %s", strerror(errno));
  host_content_bytes = (u32)end;
  content_end = end;
}

static const char* config_path;

void memory_init(const struct options* options) {
  config_path = options->config;
  host_memory_bytes = options->memory_bytes;
  u64 pool = options->memory_bytes / 4 & ~(STEP_BYTES - 1);
  host_pool_end = (u32)(LINEAR_POOL + pool);
  u64 heap_end = LINEAR_HEAP + ((options->memory_bytes - pool) / core_count & ~(STEP_BYTES - 1));
  if (heap_end > LINEAR_HEAP_END) heap_end = LINEAR_HEAP_END;
  heap_limit_pages = (u32)(heap_end >> 16);
  u64 rings = (u64)HOST_RINGS * USED_BYTES;
  pool_fd = shared("heddle-pool", pool);
  rings_fd = shared("heddle-rings", rings);
  rings_native = mmap(NULL, rings, PROT_READ | PROT_WRITE, MAP_SHARED, rings_fd, 0);
  if (rings_native == MAP_FAILED) fail("no memory for rings: %s", strerror(errno));
  if (core_count == 1) return;
  channels_fd = shared("heddle-channels", LINEAR_PUBLISHED - LINEAR_WINDOW);
  published_fd = shared("heddle-published", LINEAR_WINDOW_END - LINEAR_PUBLISHED);
}

struct core* memory_create(u32 number) {
  u8* reserved = mmap(NULL, RESERVE_BYTES + STEP_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED)
    fail("cannot reserve %llu GiB of addresses: %s; is `ulimit -v` set?", (unsigned long long)(RESERVE_BYTES >> 30), strerror(errno));
  u8* below = (u8*)round_up((u64)reserved, STEP_BYTES);
  make_accessible(below, CORE_BELOW);
  struct core* core = (struct core*)below;
  core->memory = below + CORE_BELOW;
  core->number = number;
  core->heap_limit_pages = heap_limit_pages;
  bool mapped = map_shared(core, LINEAR_POOL, pool_fd, 0, host_pool_end - LINEAR_POOL, PROT_READ | PROT_WRITE) &&
                map_shared(core, LINEAR_RINGS, rings_fd, 0, (u64)HOST_RINGS * USED_BYTES, PROT_READ);
  if (mapped && core_count > 1)
    mapped = map_shared(core, LINEAR_PUBLISHED, published_fd, 0, LINEAR_WINDOW_END - LINEAR_PUBLISHED,
                        number == 0 ? PROT_READ | PROT_WRITE : PROT_READ);
  if (number == 0) create_content(core, config_path);
  else mapped = mapped && map_shared(core, LINEAR_CONTENT, content_fd, 0, content_end, PROT_READ);
  if (!mapped) fail("no memory for core %u: %s", number, strerror(errno));
  core_table[number] = core;
  if (number == 0) core->state = CORE_UP;
  return core;
}

void memory_slice(const struct core* core, u32* low, u32* high) {
  u32 bytes = (u32)((host_pool_end - LINEAR_POOL) / core_count & ~(PAGE_BYTES - 1));
  *low = (u32)(LINEAR_POOL + core->number * bytes);
  *high = *low + bytes;
}

bool window_share(struct core* writer, struct core* reader, u64 offset, u64 bytes) {
  u64 at = offset - LINEAR_WINDOW;
  return map_shared(writer, offset, channels_fd, at, bytes, PROT_READ | PROT_WRITE) &&
         map_shared(reader, offset, channels_fd, at, bytes, PROT_READ);
}

u32 w2c_env_publishedGrow(struct core* core, u32 wanted) {
  static u64 given;
  u64 bytes = round_up(wanted, PAGE_BYTES);
  if (core->number != 0) return HOST_EPERM;
  u64 limit = core_count > 1 ? host_memory_bytes / 16 : 0;
  if (bytes == 0 || given + bytes > limit || given + bytes > LINEAR_WINDOW_END - LINEAR_PUBLISHED) return HOST_ENOMEM;
  given += bytes;
  return (u32)bytes;
}

bool memory_is_linear(const struct core* core, u64 address) {
  return address >= (u64)core->memory && address - (u64)core->memory < MEMORY_RESERVE;
}

bool memory_writable(const struct core* core, u32 offset, u32 length) {
  return core_range(offset, length, LINEAR_HEAP, core->heap_mapped) || core_range(offset, length, LINEAR_POOL, host_pool_end);
}

bool memory_readable(const struct core* core, u32 offset, u32 length) {
  return memory_writable(core, offset, length) ||
         core_range(offset, length, LINEAR_CONTENT, LINEAR_CONTENT + (u64)host_content_bytes);
}

bool heap_map(struct core* core, u64 end) {
  if (end <= core->heap_mapped) return true;
  u64 to = round_up(end, STEP_BYTES);
  if (to > LINEAR_HEAP_END) return false;
  u64 from = core->heap_mapped < LINEAR_HEAP ? LINEAR_HEAP : core->heap_mapped;
  if (to > from && mprotect(core->memory + from, to - from, PROT_READ | PROT_WRITE)) return false;
  core->heap_mapped = to;
  return true;
}

// Guards by madvise leave stacks in one mapping; by mprotect each costs two of vm.max_map_count.
u8* stack_map(size_t size) {
  size = round_up(size, PAGE_BYTES);
  u8* low = mmap(NULL, size + PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (low == MAP_FAILED) return NULL;
  if (madvise(low, PAGE_BYTES, MADV_GUARD_INSTALL) && mprotect(low, PAGE_BYTES, PROT_NONE)) {
    munmap(low, size + PAGE_BYTES);
    return NULL;
  }
  return low + PAGE_BYTES + size;
}

void stack_unmap(u8* top, size_t size) {
  size = round_up(size, PAGE_BYTES);
  munmap(top - size - PAGE_BYTES, size + PAGE_BYTES);
}
