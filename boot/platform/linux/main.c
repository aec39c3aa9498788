// A hosted image: start, facts, console, clocks, end. The order of the start matters: everything that needs a file or a
// privilege comes before confine_drop_privileges, everything that needs another system call before confine_system_calls.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "../common/wasm-rt.h"
#include "host.h"

// Keys of runtime/platform.ts, Info.
enum info {
  INFO_CORE, INFO_CORES, INFO_POOL_ADDRESS, INFO_POOL_BYTES, INFO_POOL_SLICE_ADDRESS, INFO_POOL_SLICE_BYTES, INFO_HEAP_LIMIT,
  INFO_BUNDLE_ADDRESS, INFO_BUNDLE_BYTES, INFO_BUNDLE_SOURCE, INFO_EMBEDDED_ADDRESS, INFO_EMBEDDED_BYTES, INFO_MEMORY_BYTES,
  INFO_ENTERED_NS, INFO_HOSTED,
};
#define BUNDLE_NONE 0
#define BUNDLE_FILE 5
#define EXIT_REBOOT 75  // EX_TEMPFAIL: whoever started the process may start it again

struct core* host_core;

__thread struct core* host_self;

struct core* this_core(void) { return host_self; }

u64 host_entered_ns;

void console_write(const char* text, size_t length) {
  while (length) {
    ssize_t written = write(STDERR_FILENO, text, length);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text += written;
    length -= (size_t)written;
  }
}

void w2c_env_consoleWrite(struct core* core, u32 data, u32 length) {
  if (!memory_readable(core, data, length)) wasm_trap(TRAP_PLATFORM);
  console_write((const char*)core_pointer(core, data), length);
}

_Noreturn void machine_reset(void) {
  fputs("heddle: restart asked for; a hosted image ends instead (status 75)\n", stderr);
  machine_exit(EXIT_REBOOT);
}

_Noreturn void machine_exit(int status) {
  for (u32 i = 0; i < host_link_count; i++) {
    struct link* link = &host_links[i];
    for (u32 k = 1; k < link->pairs; k++) {
      link->lost_long += link->more[k]->lost_long;
      link->lost_offload += link->more[k]->lost_offload;
      link->lost_refused += link->more[k]->lost_refused;
    }
    if (link->lost_long | link->lost_offload | link->lost_refused)
      fprintf(stderr, "heddle: %s lost %llu frames too long for what was posted, %llu not segmented, %llu that the kernel refused\n",
              link->name, (unsigned long long)link->lost_long, (unsigned long long)link->lost_offload,
              (unsigned long long)link->lost_refused);
  }
  _exit(status);
}

u64 w2c_env_info(struct core* core, u32 key) {
  u32 slice_low, slice_high;
  memory_slice(core, &slice_low, &slice_high);
  switch (key) {
    case INFO_CORE: return core->number;
    case INFO_CORES: return core_count;
    case INFO_POOL_ADDRESS: return LINEAR_POOL;
    case INFO_POOL_BYTES: return host_pool_end - LINEAR_POOL;
    case INFO_POOL_SLICE_ADDRESS: return slice_low;
    case INFO_POOL_SLICE_BYTES: return slice_high - slice_low;
    case INFO_HEAP_LIMIT: return (u64)core->heap_limit_pages << 16;
    case INFO_BUNDLE_ADDRESS: return host_bundle_bytes ? LINEAR_CONTENT : 0;
    case INFO_BUNDLE_BYTES: return host_bundle_bytes;
    case INFO_BUNDLE_SOURCE: return host_bundle_bytes ? BUNDLE_FILE : BUNDLE_NONE;
    case INFO_EMBEDDED_ADDRESS: return host_embedded_offset;
    case INFO_EMBEDDED_BYTES: return host_embedded_bytes;
    case INFO_MEMORY_BYTES: return host_memory_bytes;
    case INFO_ENTERED_NS: return host_entered_ns;
    case INFO_HOSTED: return 1;
    default: return 0;
  }
}

u64 w2c_env_clockMonotonic(struct core* core) {
  (void)core;
  return host_now_ns();
}

u64 w2c_env_clockWall(struct core* core) {
  (void)core;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (u64)now.tv_sec * 1000000000ull + (u64)now.tv_nsec;
}

void w2c_env_random(struct core* core, u32 data, u32 length) {
  if (!memory_writable(core, data, length)) wasm_trap(TRAP_PLATFORM);
  for (u32 done = 0; done < length;) {
    ssize_t got = getrandom(core_pointer(core, data + done), length - done, 0);
    if (got < 0 && errno != EINTR) wasm_trap(TRAP_PLATFORM);
    if (got > 0) done += (u32)got;
  }
}

void w2c_env_exit(struct core* core, u32 status) {
  (void)core;
  machine_exit((int)status);
}

void w2c_env_reboot(struct core* core) {
  (void)core;
  machine_reset();
}

int main(int argc, char** argv) {
  struct options options;
  host_entered_ns = host_now_ns();
  options_parse(argc, argv, &options);
  core_count = options.cpus;
  memory_init(&options);
  for (u32 i = 0; i < core_count; i++) wait_init(memory_create(i));
  host_core = host_self = core_table[0];
  for (u32 i = 0; i < host_link_count; i++) {
    host_links[i].wanted = core_count;
    link_open(&host_links[i]);
  }
  faults_install();
  watchdog_thread();
  signals_install();
  confine_drop_privileges();
  threads_create();
  if (options.seccomp) confine_system_calls();
  wait_thread();
  core_main(host_core);
}
