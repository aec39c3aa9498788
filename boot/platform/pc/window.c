// Pages that several linear memories have at the same offset: the channels of two cores, and what core 0 publishes to all.
// They appear once and stay (common/cores.h), so that no core ever has to tell another one to forget a translation.
// clang: -Oz
#include "pc.h"

bool window_share(struct core* writer, struct core* reader, u64 offset, u64 bytes) {
  u64 physical = frames_take(bytes, SMALL_PAGE);
  if (!physical) return false;
  u64* words = direct(physical);
  for (u64 i = 0; i < bytes / 8; i++) words[i] = 0;
  return map_pages((u64)writer->memory + offset, physical, bytes, MAP_WRITE) &&
         map_pages((u64)reader->memory + offset, physical, bytes, 0);
}

enum { PUBLISHED_PIECES = 64 };
static struct { u64 physical, bytes; } pieces[PUBLISHED_PIECES];
static u32 piece_count;
static u64 published_bytes;
static struct lock published_lock;

// Core 0 appends to what it publishes; each piece appears in all linear memories that there are, at the same place.
u32 w2c_env_publishedGrow(struct core* core, u32 wanted) {
  u64 bytes = ROUND_UP((u64)wanted, SMALL_PAGE);
  if (core->number != 0) return (u32)EPERM;
  if (bytes == 0 || published_bytes + bytes > LINEAR_WINDOW_END - LINEAR_PUBLISHED || piece_count == PUBLISHED_PIECES) return (u32)ENOMEM;
  if (frames_free_bytes() < bytes + LARGE_PAGE / 2) return (u32)ENOMEM;
  u64 physical = frames_take(bytes, SMALL_PAGE);
  if (!physical) return (u32)ENOMEM;
  u64* words = direct(physical);
  for (u64 i = 0; i < bytes / 8; i++) words[i] = 0;
  lock_take(&published_lock);
  u64 at = LINEAR_PUBLISHED + published_bytes;
  bool mapped = true;
  for (u32 i = 0; i < core_count && mapped; i++)
    if (core_table[i]) mapped = map_pages((u64)core_table[i]->memory + at, physical, bytes, i == 0 ? MAP_WRITE : 0);
  if (mapped) {
    pieces[piece_count].physical = physical;
    pieces[piece_count++].bytes = bytes;
    published_bytes += bytes;
  }
  lock_give(&published_lock);
  return mapped ? (u32)bytes : (u32)ENOMEM;
}

// What was published before this core existed, and the core's place among those that get what comes.
bool published_map(struct core* core) {
  lock_take(&published_lock);
  u64 at = LINEAR_PUBLISHED;
  bool mapped = true;
  for (u32 i = 0; i < piece_count && mapped; i++) {
    mapped = map_pages((u64)core->memory + at, pieces[i].physical, pieces[i].bytes, 0);
    at += pieces[i].bytes;
  }
  if (mapped) core_announce(core);
  lock_give(&published_lock);
  return mapped;
}
