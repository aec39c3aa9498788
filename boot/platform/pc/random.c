// Random bytes: a ChaCha20 generator (RFC 8439, 2.3) with fast key erasure, keyed from RDSEED or RDRAND, a virtio-rng device,
// and the jitter of the TSC, all of them mixed. Where neither the CPU nor a device gives entropy the jitter has to do, and the
// console says so: weak data is never returned silently.
// clang: -Oz
#include <string.h>
#include "pc.h"

enum { BLOCK_BYTES = 64, KEY_BYTES = 32, JITTER_ROUNDS = 4096 };

static u32 key[8];
static bool strong_source;
static struct lock lock;

static u32 rotate(u32 x, u32 n) { return x << n | x >> (32 - n); }

static void quarter(u32* s, u32 a, u32 b, u32 c, u32 d) {
  s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 16);
  s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 12);
  s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 8);
  s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 7);
}

// Keys leave no copy on a stack: sandboxed code can have its stacks scanned.
static void wipe(void* data, size_t length) {
  memset(data, 0, length);
  __asm__ volatile("" ::"r"(data) : "memory");
}

static void block(const u32 with[8], u32 counter, u32 out[16]) {
  u32 start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (u32 i = 0; i < 8; i++) start[4 + i] = with[i];
  start[12] = counter;
  for (u32 i = 0; i < 16; i++) out[i] = start[i];
  for (u32 i = 0; i < 10; i++) {
    for (u32 k = 0; k < 4; k++) quarter(out, k, 4 + k, 8 + k, 12 + k);
    for (u32 k = 0; k < 4; k++) quarter(out, k, 4 + (k + 1) % 4, 8 + (k + 2) % 4, 12 + (k + 3) % 4);
  }
  for (u32 i = 0; i < 16; i++) out[i] += start[i];
  wipe(start, sizeof start);
}

// Mixes in up to 32 bytes at a time: the new key is a block of the old key XOR the data.
void random_seed(const void* data, size_t length, bool strong) {
  const u8* bytes = data;
  lock_take(&lock);
  for (size_t at = 0; at < length; at += KEY_BYTES) {
    for (u32 i = 0; i < KEY_BYTES && at + i < length; i++) key[i / 4] ^= (u32)bytes[at + i] << 8 * (i % 4);
    u32 out[16];
    block(key, 0xFFFFFFFF, out);
    for (u32 i = 0; i < 8; i++) key[i] = out[i];
  }
  strong_source |= strong;
  lock_give(&lock);
}

static void fill(u8* out, size_t length) {
  lock_take(&lock);
  u32 words[16];
  block(key, 0, words);
  u32 working[8];
  for (u32 i = 0; i < 8; i++) working[i] = words[8 + i], key[i] = words[i];  // what was given cannot be computed back
  for (u32 counter = 1; length; counter++) {
    block(working, counter, words);
    for (u32 i = 0; i < BLOCK_BYTES && length; i++, length--) *out++ = (u8)(words[i / 4] >> 8 * (i % 4));
  }
  wipe(words, sizeof words);
  wipe(working, sizeof working);
  lock_give(&lock);
}

u64 random_u64(void) {
  u64 value;
  fill((u8*)&value, sizeof value);
  return value;
}

bool random_strong(void) { return strong_source; }

static bool cpu_random(u64* value, bool seed) {
  for (u32 tries = 0; tries < 32; tries++) {
    u8 ok;
    if (seed)
      __asm__ volatile("rdseed %0; setc %1" : "=r"(*value), "=q"(ok)::"cc");
    else
      __asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=q"(ok)::"cc");
    if (ok) return true;
    cpu_relax();
  }
  return false;
}

static u64 tsc(void) {
  u32 low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (u64)high << 32 | low;
}

// Early: what the CPU has, enough for the random bases.
void random_early(void) {
  bool rdseed = cpuid(0, 0).a >= 7 && cpuid(7, 0).b >> 18 & 1, rdrand = cpuid(1, 0).c >> 30 & 1;
  u64 words[9] = {0};
  bool all = rdseed || rdrand;
  for (u32 i = 0; i < 8 && all; i++) {
    all = rdseed && cpu_random(&words[i], true);
    if (!all) all = rdrand && cpu_random(&words[i], false);
    // A CPU whose generator is broken gives constants (as some did after suspend): not counted.
    if (i > 0 && words[i] == words[i - 1]) all = false;
  }
  words[8] = tsc();
  random_seed(words, sizeof words, all);
}

// Late, after the devices: with nothing strong so far, the jitter of memory and TSC, and a warning.
void random_ready(void) {
  u64 jitter[4] = {tsc(), 0, 0, 0};
  random_seed(jitter, sizeof jitter, false);
  if (strong_source) return;
  for (u32 i = 0; i < JITTER_ROUNDS; i++) {
    u64 before = tsc();
    in8(0x80);  // a bus cycle: its duration is not the CPU's alone
    jitter[i % 4] = rotate((u32)jitter[i % 4], 7) ^ (tsc() - before) ^ jitter[(i + 1) % 4] << 3;
    if (i % 4 == 3) random_seed(jitter, sizeof jitter, false);
  }
  print("heddle: WEAK RANDOMNESS: no RDRAND, no RDSEED, no virtio-rng; keys made on this machine may be guessed\n");
}

void w2c_env_random(struct core* core, u32 data, u32 length) {
  if (!memory_writable(core, data, length))
    trap_report(core, TRAP_PLATFORM, data, (u64)__builtin_return_address(0), (u64)__builtin_frame_address(0));
  fill(core_pointer(core, data), length);
}
