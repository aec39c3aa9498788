// What the library and its glue want of the machine: pages, entropy, the time. The platforms give it in their own ways.
#if !__STDC_HOSTED__
#include "pc.h"  // before the C library's headers, whose macros have the names of its constants
#endif
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include "tls.h"

time_t tls_time(time_t* to);
int tls_gettimeofday(struct timeval* to, void* zone);
int tls_getentropy(void* to, size_t bytes);

void tls_say(const char* text) { console_write(text, strlen(text)); }

// The time of day is what the sandbox says at each connection: a time server's word, or the machine's clock. 0: unknown, and
// then no certificate is valid.
static s64 wall_offset_s[CORES_MAX];
static bool wall_known[CORES_MAX];

void tls_set_wall(u64 now_s) {
  u32 core = this_core()->number;
  wall_known[core] = now_s != 0;
  wall_offset_s[core] = (s64)(now_s - tls_monotonic_s());
}

u64 tls_wall_s(void) {
  u32 core = this_core()->number;
  return wall_known[core] ? tls_monotonic_s() + (u64)wall_offset_s[core] : 0;
}

// The library asks these for the validity of certificates and the age of sessions.
time_t tls_time(time_t* to) {
  time_t now = (time_t)tls_wall_s();
  if (to) *to = now;
  return now;
}
int tls_gettimeofday(struct timeval* to, void* zone) {
  (void)zone;
  *to = (struct timeval){tls_time(NULL), 0};
  return 0;
}

u64 tls_monotonic_s(void) { return w2c_env_clockMonotonic(this_core()) / 1000000000ull; }

#if __STDC_HOSTED__
#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>

void* tls_pages(size_t bytes) {
  void* pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? NULL : pages;
}

int tls_getentropy(void* to, size_t bytes) {
  u8* at = to;
  while (bytes) {
    ssize_t got = getrandom(at, bytes, 0);
    if (got < 0 && errno != EINTR) return -1;
    if (got > 0) at += got, bytes -= (size_t)got;
  }
  return 0;
}

#else

void* tls_pages(size_t bytes) {
  u64 physical = frames_take(bytes, SMALL_PAGE);
  if (!physical) return NULL;
  void* pages = direct(physical);
  memset(pages, 0, bytes);
  return pages;
}

// Fails rather than gives what could be guessed: the library then refuses every handshake.
int tls_getentropy(void* to, size_t bytes) {
  u8* at = to;
  if (!random_strong()) return -1;
  while (bytes) {
    u64 word = random_u64();
    size_t part = bytes < sizeof word ? bytes : sizeof word;
    memcpy(at, &word, part);
    at += part;
    bytes -= part;
  }
  return 0;
}
#endif
