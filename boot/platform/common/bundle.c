// clang: -Oz
#include "bundle.h"
#include <string.h>

#define BLOCK_BYTES 512u
#define SECRETS_MAX 64u
#define SECRETS_BYTES 0x10000u

// Field offsets and widths of a ustar header.
enum { NAME = 0, NAME_BYTES = 100, SIZE = 124, SIZE_BYTES = 12, SUM = 148, SUM_BYTES = 8, TYPE = 156, MAGIC = 257, PREFIX = 345,
       PREFIX_BYTES = 155 };

static struct bundle_secret secrets[SECRETS_MAX];
static u32 secret_count;
static u8 secret_bytes[SECRETS_BYTES];
static u32 secret_bytes_used;

// Octal digits with leading blanks, ended by a blank, a NUL or the field. False for anything else (also base 256).
static bool octal(const u8* field, u32 width, u64* value) {
  u32 i = 0;
  *value = 0;
  while (i < width && field[i] == ' ') i++;
  u32 first = i;
  for (; i < width && field[i] >= '0' && field[i] <= '7'; i++) *value = *value * 8 + (u64)(field[i] - '0');
  if (i == first) return false;
  for (; i < width; i++)
    if (field[i] != ' ' && field[i] != 0) return false;
  return true;
}

static bool sum_matches(const u8* header) {
  u64 stated, sum = 0;
  if (!octal(header + SUM, SUM_BYTES, &stated)) return false;
  for (u32 i = 0; i < BLOCK_BYTES; i++) sum += i >= SUM && i < SUM + SUM_BYTES ? (u8)' ' : header[i];
  return sum == stated;
}

static u32 append(char* path, u32 at, const u8* field, u32 width) {
  for (u32 i = 0; i < width && field[i]; i++) path[at++] = (char)field[i];
  return at;
}

static u32 length_of(const char* text) {
  u32 length = 0;
  while (text[length]) length++;
  return length;
}

// The part of a member's path below secrets/, or NULL when it lies elsewhere. "." and empty components do not count.
static const char* below_secrets(char* path, const u8* header) {
  u32 length = 0;
  if (header[PREFIX]) {
    length = append(path, 0, header + PREFIX, PREFIX_BYTES);
    path[length++] = '/';
  }
  path[append(path, length, header + NAME, NAME_BYTES)] = 0;
  const char* at = path;
  while (*at == '/' || (at[0] == '.' && at[1] == '/')) at++;
  for (const char* prefix = "secrets/"; *prefix; prefix++)
    if (*at++ != *prefix) return 0;
  while (*at == '/' || (at[0] == '.' && at[1] == '/')) at++;
  return at;
}

static bool keep_secret(const char* name, const u8* data, u64 length) {
  if (secret_count == SECRETS_MAX || length > SECRETS_BYTES - secret_bytes_used || length_of(name) >= sizeof secrets[0].name)
    return false;
  struct bundle_secret* secret = &secrets[secret_count++];
  memcpy(secret->name, name, length_of(name) + 1);
  secret->data = secret_bytes + secret_bytes_used;
  secret->length = (u32)length;
  memcpy(secret_bytes + secret_bytes_used, data, length);
  secret_bytes_used += (u32)length;
  return true;
}

bool bundle_seal(u8* bytes, u64 length) {
  if (length < BLOCK_BYTES || memcmp(bytes + MAGIC, "ustar", 5) != 0) return true;
  bool kept = true;
  char path[PREFIX_BYTES + 1 + NAME_BYTES + 1];
  for (u64 at = 0; length - at >= BLOCK_BYTES;) {
    const u8* header = bytes + at;
    u64 size;
    bool end = header[NAME] == 0;
    bool valid = !end && memcmp(header + MAGIC, "ustar", 5) == 0 && sum_matches(header) && octal(header + SIZE, SIZE_BYTES, &size) &&
                 size <= length - at - BLOCK_BYTES;
    if (!valid) {
      memset(bytes + at, 0, length - at);
      return end && kept;
    }
    u64 next = at + BLOCK_BYTES + ((size + BLOCK_BYTES - 1) & ~(u64)(BLOCK_BYTES - 1));
    if (next > length) next = length;
    const char* name = below_secrets(path, header);
    if (name) {
      if (size) kept &= keep_secret(name, header + BLOCK_BYTES, size);
      memset(bytes + at + BLOCK_BYTES, 0, next - at - BLOCK_BYTES);
    }
    at = next;
  }
  return kept;
}

const struct bundle_secret* bundle_secret(const char* name) {
  for (u32 i = secret_count; i-- > 0;)
    if (length_of(name) == length_of(secrets[i].name) && memcmp(secrets[i].name, name, length_of(name)) == 0) return &secrets[i];
  return 0;
}
