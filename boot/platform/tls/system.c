// What the library and its glue want of the machine: pages, entropy, the time. The platforms give it in their own ways.
#if !__STDC_HOSTED__
#include "pc.h"  // before the C library's headers, whose macros have the names of its constants
#endif
#include <string.h>
#include "tls.h"

int tls_getentropy(void* to, size_t bytes);

void tls_say(const char* text) { console_write(text, strlen(text)); }

u64 tls_monotonic_s(void) { return w2c_env_clockMonotonic(this_core()) / 1000000000ull; }

#if __STDC_HOSTED__
#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

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

u64 tls_wall_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (u64)now.tv_sec;
}
#else
#include <sys/time.h>

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

u64 tls_wall_s(void) { return w2c_env_clockWall(this_core()) / 1000000000ull; }

// The library asks these for the validity of certificates and the age of sessions.
time_t time(time_t* to) {
  time_t now = (time_t)tls_wall_s();
  if (to) *to = now;
  return now;
}
int gettimeofday(struct timeval* restrict to, void* restrict zone) {
  (void)zone;
  u64 now_ns = w2c_env_clockWall(this_core());
  to->tv_sec = (time_t)(now_ns / 1000000000ull);
  to->tv_usec = (suseconds_t)(now_ns / 1000 % 1000000);
  return 0;
}
#endif
