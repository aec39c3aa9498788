// Text for the console from places where nothing can be relied on: a fixed buffer, no allocation, no format strings.
#pragma once
#include "core.h"

struct text {
  char bytes[512];
  u32 length;
  struct core* core;  // whose log keeps it; NULL: nobody's
};

static inline void text_begin(struct text* text, struct core* core) { text->length = 0, text->core = core; }
void text_string(struct text* text, const char* string);
void text_bytes(struct text* text, const char* bytes, u32 length);
void text_hex(struct text* text, u64 value);
void text_decimal(struct text* text, u64 value);
// Writes the text to the console and empties it.
void text_flush(struct text* text);
