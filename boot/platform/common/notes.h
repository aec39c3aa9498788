// Reports: what a panic adds (notes.c), and what of them is kept for the log.
#pragma once
#include "cores.h"
#include "text.h"
#include "wasm-rt.h"

#define PENDING_REPORT (1u << 27)

// The last lines of the log and the counters, on the console.
void notes_print(struct core* core);
// Text of the sandbox's: printable or replaced.
void text_foreign(struct text* text, const char* bytes, u32 length);
// Keeps a piece of a report for the core's log.
void report_keep(struct core* core, const char* bytes, u32 length);
