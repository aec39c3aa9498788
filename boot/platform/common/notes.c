// What a panic says besides the place: the last lines of the log and the counters. They lie in linear memory
// (runtime/notes.ts, runtime/log-ring.ts), and the kernel may be what is broken: every offset and length is checked, every walk
// bounded.
// clang: -Oz -mgeneral-regs-only
#include "notes.h"
#include "platform.h"

#define LINES 10
#define LINE_BYTES 200u
#define COUNTERS 64
#define LOG_END 0xFFFFFFFFu
#define NS_PER_MS 1000000ull

// As runtime/notes.ts lays them out.
struct notes { u32 log, log_bytes; u64 oldest, next; u32 counters, reserved; };
struct counter { u32 next, name_bytes; u64 value; char name[24]; };
struct record { u32 bytes, level; u64 number, time_ns; };

static const void* at(struct core* core, u32 offset, u32 bytes) {
  return core_range(offset, bytes, LINEAR_HEAP, core->heap_mapped) ? core_pointer(core, offset) : NULL;
}

void text_foreign(struct text* text, const char* bytes, u32 length) {
  for (u32 i = 0; i < length; i++) {
    char c = bytes[i] >= 32 && bytes[i] < 127 ? bytes[i] : '?';
    text_bytes(text, &c, 1);
  }
}

// Positions of the last lines, oldest first; how many.
static u32 last_lines(struct core* core, const struct notes* notes, u32 lines[LINES]) {
  u32 count = 0, size = notes->log_bytes;
  u64 position = notes->oldest, end = notes->next;
  if (size < 4096 || size % 8 || !at(core, notes->log, size) || position % 8 || end < position || end - position > size) return 0;
  while (position < end) {
    u32 place = (u32)(position % size);
    const struct record* record = at(core, notes->log + place, 4);
    if (record->bytes == LOG_END) {
      position += size - place;
      continue;
    }
    if (size - place < sizeof *record || record->bytes > size - place - sizeof *record) return count;
    lines[count++ % LINES] = place;
    position += (sizeof *record + record->bytes + 7) & ~7ull;
  }
  return count;
}

static void log_line(struct text* text, const struct record* record) {
  u64 ms = record->time_ns / NS_PER_MS;
  text_string(text, "  ");
  text_decimal(text, ms / 1000);
  text_string(text, ".");
  for (u32 unit = 100; unit; unit /= 10) text_decimal(text, ms % 1000 / unit % 10);
  text_string(text, " ");
  text_foreign(text, (const char*)(record + 1), record->bytes < LINE_BYTES ? record->bytes : LINE_BYTES);
  text_string(text, "\n");
}

static void text_counter(struct text* text, const char* name, u32 bytes, u64 value) {
  text_string(text, "  ");
  text_foreign(text, name, bytes);
  text_string(text, " ");
  text_decimal(text, value);
  text_string(text, "\n");
}

void notes_print(struct core* core) {
  struct text text;
  text.length = 0;
  text.core = NULL;  // the log has it
  const struct notes* notes = core->notes ? at(core, core->notes, sizeof *notes) : NULL;
  if (notes) {
    u32 lines[LINES], count = last_lines(core, notes, lines);
    if (count) text_string(&text, "the last lines of the log, seconds on the monotonic clock:\n");
    for (u32 i = count > LINES ? count - LINES : 0; i < count; i++)
      log_line(&text, (const struct record*)core_pointer(core, notes->log + lines[i % LINES]));
  }
  text_string(&text, "counters:\n");
  text_counter(&text, "heap, KiB", 9, (core->heap_mapped - LINEAR_HEAP) >> 10);
  text_counter(&text, "moves", 5, core->moves);
  u32 offset = notes ? notes->counters : 0;
  const struct counter* counter;
  for (u32 i = 0; i < COUNTERS && offset && (counter = at(core, offset, sizeof *counter)); i++, offset = counter->next)
    text_counter(&text, counter->name, counter->name_bytes < sizeof counter->name ? counter->name_bytes : sizeof counter->name, counter->value);
  text_flush(&text);
}

void w2c_env_panicNotes(struct core* core, u32 notes) { core->notes = notes; }

void report_keep(struct core* core, const char* bytes, u32 length) {
  struct report* report = &core->report;
  for (u32 i = 0; i < length; i++) report->bytes[report->written++ % REPORT_BYTES] = bytes[i];
  __atomic_fetch_or(&core->pending, PENDING_REPORT, __ATOMIC_RELEASE);
}

u32 w2c_env_reportTake(struct core* core, u32 number, u32 target, u32 capacity) {
  struct core* from = core_find(number);
  if (!memory_writable(core, target, capacity)) wasm_trap(TRAP_PLATFORM);
  if (!from || (from != core && __atomic_load_n(&from->state, __ATOMIC_ACQUIRE) != CORE_DEAD)) return 0;
  struct report* report = &from->report;
  u32 written = report->written, taken = report->taken;
  if (written - taken > REPORT_BYTES) taken = written - REPORT_BYTES;  // the oldest were overwritten
  u32 count = 0;
  u8* out = core_pointer(core, target);
  while (count < capacity && taken != written) out[count++] = (u8)report->bytes[taken++ % REPORT_BYTES];
  report->taken = taken;
  return count;
}
