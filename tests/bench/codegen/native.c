// The same work as main.ts in C: `native WORK ROUNDS`.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

enum { FRAMES = 64, FRAME_BYTES = 64, PAYLOAD_BYTES = 1460, BUCKETS = 1024, FLOWS = 512 };

static u8* buffer;
static struct flow { struct flow* next; u64 addresses, ports, packets; } *buckets[BUCKETS];

static u16 get16(const u8* at) { u16 v; memcpy(&v, at, 2); return v; }
static u32 get32(const u8* at) { u32 v; memcpy(&v, at, 4); return v; }
static u64 get64(const u8* at) { u64 v; memcpy(&v, at, 8); return v; }
static u16 be16(const u8* at) { return __builtin_bswap16(get16(at)); }
static u32 be32(const u8* at) { return __builtin_bswap32(get32(at)); }

__attribute__((noinline)) static u64 sum_bytes(const u8* at, u32 bytes) {
  u64 wide = 0, carries = 0;
  for (const u8* end = at + (bytes & ~31u); at < end; at += 32) {
    u64 a = get64(at), b = get64(at + 8), c = get64(at + 16), d = get64(at + 24);
    carries += (wide += a) < a;
    carries += (wide += b) < b;
    carries += (wide += c) < c;
    carries += (wide += d) < d;
  }
  u64 sum = (u32)wide + (wide >> 32) + carries;
  const u8* end = at + (bytes & 28);
  for (; at < end; at += 4) sum += get32(at);
  if (bytes & 2) sum += get16(at), at += 2;
  if (bytes & 1) sum += *at;
  return sum;
}
static u32 fold(u64 sum) {
  sum = (sum >> 32) + (u32)sum;
  sum = (sum >> 32) + (u32)sum;
  u32 s = (u32)(sum >> 16) + ((u32)sum & 0xffff);
  s = (s >> 16) + (s & 0xffff);
  return (s >> 16) + (s & 0xffff);
}

__attribute__((noinline)) static u64 parse(void) {
  u64 sum = 0;
  for (u32 i = 0; i < FRAMES; i++) {
    const u8* frame = buffer + i * FRAME_BYTES;
    if (get16(frame + 12) != 0x0008) continue;
    u32 first = frame[14], header = (first & 15) << 2, total = be16(frame + 16);
    if (first >> 4 != 4 || header < 20 || total < header + 20 || total > FRAME_BYTES - 14) continue;
    if ((get16(frame + 20) & 0xff3f) || frame[23] != 6) continue;
    const u8* tcp = frame + 14 + header;
    u32 offset = (u32)(tcp[12] >> 4) << 2;
    if (offset < 20 || header + offset > total) continue;
    sum += (u32)(be32(frame + 26) + be32(frame + 30) + frame[22]);
    sum += (u16)(be16(tcp) + be16(tcp + 2) + tcp[13]);
    sum ^= (u64)be32(tcp + 4) + be32(tcp + 8) + be16(tcp + 14);
    sum += total - header - offset;
  }
  return sum;
}

#define ROTL(x, n) ((x) << (n) | (x) >> (64 - (n)))
static u64 sip_hash(u64 k0, u64 k1, u64 a, u64 b, u64 c) {
  u64 v0 = 0x736f6d6570736575 ^ k0, v1 = 0x646f72616e646f6d ^ k1, v2 = 0x6c7967656e657261 ^ k0, v3 = 0x7465646279746573 ^ k1;
  for (int i = 0; i < 7; i++) {
    u64 m = i == 0 ? a : i == 1 ? b : i == 2 ? c : i == 3 ? (u64)24 << 56 : 0;
    if (i == 4) v2 ^= 0xff;
    v3 ^= m;
    v0 += v1, v1 = ROTL(v1, 13) ^ v0, v0 = ROTL(v0, 32);
    v2 += v3, v3 = ROTL(v3, 16) ^ v2;
    v0 += v3, v3 = ROTL(v3, 21) ^ v0;
    v2 += v1, v1 = ROTL(v1, 17) ^ v2, v2 = ROTL(v2, 32);
    v0 ^= m;
  }
  return v0 ^ v1 ^ v2 ^ v3;
}

static struct flow** bucket_of(u64 addresses, u64 ports) {
  return &buckets[sip_hash(1, 2, addresses, ports, 6) & (BUCKETS - 1)];
}
__attribute__((noinline)) static struct flow* find(u64 addresses, u64 ports) {
  struct flow* flow = *bucket_of(addresses, ports);
  while (flow && (flow->addresses != addresses || flow->ports != ports)) flow = flow->next;
  return flow;
}
static u64 addresses_of(u32 i) { return (u64)0x0a000002 << 32 | (0xc0a80000 + i * 7); }
static u64 ports_of(u32 i) { return (u64)(1024 + i * 13) << 16 | 80; }

__attribute__((noinline)) static u64 look_up(void) {
  u64 sum = 0;
  for (u32 i = 0; i < FLOWS; i++) {
    struct flow* flow = find(addresses_of(i), ports_of(i));
    if (flow) sum += ++flow->packets;
  }
  return sum;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  u32 rounds = (u32)strtoul(argv[2], NULL, 10);
  buffer = malloc(FRAMES * FRAME_BYTES + PAYLOAD_BYTES);
  for (u32 i = 0; i < FRAMES * FRAME_BYTES + PAYLOAD_BYTES; i++) buffer[i] = (u8)(i * 31 + (i >> 8));
  for (u32 i = 0; i < FRAMES; i++) {
    u8* frame = buffer + i * FRAME_BYTES;
    memcpy(frame + 12, "\x08\x00\x45", 3);
    memcpy(frame + 16, "\x00\x32", 2);
    memcpy(frame + 20, "\x00\x00", 2);
    frame[23] = 6;
    frame[46] = 0x50;
  }
  for (u32 i = 0; i < FLOWS; i++) {
    struct flow* flow = malloc(sizeof *flow);
    struct flow** bucket = bucket_of(addresses_of(i), ports_of(i));
    *flow = (struct flow){*bucket, addresses_of(i), ports_of(i), 0};
    *bucket = flow;
  }
  u64 result = 0;
  if (!strcmp(argv[1], "checksum")) {
    u8* payload = buffer + FRAMES * FRAME_BYTES;
    for (u32 i = 0; i < rounds; i++) payload[0] = (u8)i, result += fold(sum_bytes(payload, PAYLOAD_BYTES));
  } else if (!strcmp(argv[1], "parse")) {
    for (u32 i = 0; i < rounds; i++) buffer[22] = (u8)i, result += parse();
  } else {
    for (u32 i = 0; i < rounds; i++) result += look_up();
  }
  printf("result %llu\n", (unsigned long long)result);
}
