// The four functions that a freestanding compiler may call. `rep movsb` is fast on processors with ERMS; under TCG, which
// counts and copies byte by byte although it advertises ERMS, 16 bytes a step are faster, and elsewhere they are no slower
// for the sizes of packets. So: overlapping 16-byte moves, no `rep`.
#if !__STDC_HOSTED__
#include <emmintrin.h>
#include "core.h"

void* memcpy(void* restrict to, const void* restrict from, size_t n);
void* memmove(void* to, const void* from, size_t n);
void* memset(void* to, int value, size_t n);
int memcmp(const void* a, const void* b, size_t n);

typedef u64 unaligned64 __attribute__((aligned(1), may_alias));
typedef u32 unaligned32 __attribute__((aligned(1), may_alias));
typedef u16 unaligned16 __attribute__((aligned(1), may_alias));

static inline __m128i get(const u8* p) { return _mm_loadu_si128((const __m128i*)p); }
static inline void put(u8* p, __m128i v) { _mm_storeu_si128((__m128i*)p, v); }

// All loads come before the stores, so that the areas may overlap.
static inline void small(u8* to, const u8* from, size_t n) {
  if (n >= 16) {
    __m128i first = get(from), last = get(from + n - 16);
    put(to, first);
    put(to + n - 16, last);
  } else if (n >= 8) {
    u64 first = *(const unaligned64*)from, last = *(const unaligned64*)(from + n - 8);
    *(unaligned64*)to = first;
    *(unaligned64*)(to + n - 8) = last;
  } else if (n >= 4) {
    u32 first = *(const unaligned32*)from, last = *(const unaligned32*)(from + n - 4);
    *(unaligned32*)to = first;
    *(unaligned32*)(to + n - 4) = last;
  } else if (n >= 2) {
    u16 first = *(const unaligned16*)from, last = *(const unaligned16*)(from + n - 2);
    *(unaligned16*)to = first;
    *(unaligned16*)(to + n - 2) = last;
  } else if (n) {
    *to = *from;
  }
}

void* memmove(void* to_, const void* from_, size_t n) {
  u8* to = to_;
  const u8* from = from_;
  if (n <= 32) {
    small(to, from, n);
  } else if ((u64)(to - from) >= n) {  // ascending is safe: `to` is below `from` or behind its end
    __m128i last = get(from + n - 16);
    u8* end = to + n - 16;
    while (to < end) {
      put(to, get(from));
      to += 16;
      from += 16;
    }
    put(end, last);
  } else {
    __m128i first = get(from);
    size_t at = n;
    while (at > 16) {
      at -= 16;
      put(to + at, get(from + at));
    }
    put(to, first);
  }
  return to_;
}

void* memcpy(void* restrict to, const void* restrict from, size_t n) { return memmove(to, from, n); }

void* memset(void* to_, int value, size_t n) {
  u8* to = to_;
  if (n >= 16) {
    __m128i v = _mm_set1_epi8((char)value);
    u8* end = to + n - 16;
    for (u8* p = to; p < end; p += 16) put(p, v);
    put(end, v);
  } else {
    for (size_t i = 0; i < n; i++) ((volatile u8*)to)[i] = (u8)value;
  }
  return to_;
}

int memcmp(const void* a_, const void* b_, size_t n) {
  const u8 *a = a_, *b = b_;
  for (size_t i = 0; i < n; i++) {
    if (a[i] != b[i]) return a[i] - b[i];
  }
  return 0;
}
#endif
