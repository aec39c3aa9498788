// Physical memory: free ranges, ascending and disjoint, cut from their ends; and a list of free pages of 4 KiB, linked
// through the direct map. Small pieces come first from ranges that hold no aligned large page, so that large pages last.
// clang: -Oz
#include "pc.h"

static struct range ranges[64];
static u32 range_count;
static u64 free_frames;  // list of single pages; 0 ends it
static u64 free_frame_count;
static struct lock lock;

// A #PF on a lazily backed stack takes a frame: were it to come while the lock is held, it would wait for itself. So the
// page below is touched first; nothing under the lock needs more than a page of stack.
INTERRUPT_CODE static inline void take(void) {
  volatile u8 probe[1];
  *(volatile u8*)((u64)probe - 2048);
  lock_take(&lock);
}

INTERRUPT_CODE void lock_take(struct lock* l) {
  while (__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE)) cpu_relax();
}

void frames_init(void) {
  for (u32 i = 0; i < boot_info.ram_count; i++)
    if (boot_info.ram[i].start < boot_info.ram[i].end) ranges[range_count++] = boot_info.ram[i];
}

INTERRUPT_CODE static void split(u32 i, u64 start, u64 end) {
  struct range r = ranges[i];
  ranges[i].end = start;
  if (end == r.end) return;
  if (start == r.start) {
    ranges[i] = (struct range){end, r.end};
  } else if (range_count < COUNT(ranges)) {
    for (u32 k = range_count++; k > i + 1; k--) ranges[k] = ranges[k - 1];
    ranges[i + 1] = (struct range){end, r.end};
  }  // else the rest is lost, never given out twice
}

void frames_exclude(u64 start, u64 end) {
  start = ROUND_DOWN(start, SMALL_PAGE);
  end = ROUND_UP(end, SMALL_PAGE);
  for (u32 i = 0; i < range_count; i++) {
    u64 low = start > ranges[i].start ? start : ranges[i].start, high = end < ranges[i].end ? end : ranges[i].end;
    if (low < high) split(i, low, high);
  }
}

INTERRUPT_CODE static bool holds(struct range r, u64 bytes, u64 align) {
  return ROUND_UP(r.start, align) + bytes <= r.end;
}

INTERRUPT_CODE static u64 take_range(u64 bytes, u64 align) {
  for (u32 pass = 0; pass < 2; pass++)
    for (u32 i = 0; i < range_count; i++) {
      if (!holds(ranges[i], bytes, align)) continue;
      if (pass == 0 && align < LARGE_PAGE && holds(ranges[i], LARGE_PAGE, LARGE_PAGE)) {
        // What lies before the first large page is small change too.
        if (ROUND_UP(ROUND_UP(ranges[i].start, align) + bytes, 1) > ROUND_UP(ranges[i].start, LARGE_PAGE)) continue;
      }
      u64 at = ROUND_UP(ranges[i].start, align);
      split(i, at, at + bytes);
      return at;
    }
  return 0;
}

u64 frames_take(u64 bytes, u64 align) {
  take();
  u64 at = take_range(bytes, align);
  lock_give(&lock);
  return at;
}

INTERRUPT_CODE u64 frame_take(void) {
  take();
  u64 frame = free_frames;
  if (frame) {
    free_frames = *(u64*)direct(frame);
    free_frame_count--;
  } else {
    frame = take_range(SMALL_PAGE, SMALL_PAGE);
  }
  lock_give(&lock);
  if (frame) {
    u64* words = direct(frame);
    for (u32 i = 0; i < SMALL_PAGE / 8; i++) words[i] = 0;
  }
  return frame;
}

void frame_give(u64 frame) {
  take();
  *(u64*)direct(frame) = free_frames;
  free_frames = frame;
  free_frame_count++;
  lock_give(&lock);
}

u64 frames_free_bytes(void) {
  u64 bytes = free_frame_count * SMALL_PAGE;
  for (u32 i = 0; i < range_count; i++) bytes += ranges[i].end - ranges[i].start;
  return bytes;
}
