// The compact table of addresses and function names that every image carries for its backtraces.
//
// Written by boot/toolchain/symbols.ts after the link: a sequence of entries sorted by address,
//   address delta (LEB128), bytes shared with the previous name (1), bytes that follow (1), those bytes
// with deltas from the first function, whose absolute address stands in `symbol_base`. Reading it is linear: only a
// panic does. The tables of a link without symbols are empty.
#pragma once
#include "core.h"

extern const u64 symbol_base;
extern const u32 symbol_bytes;
extern const u8 symbol_table[];

// Name of the function that holds `address` and the distance from its start; 0 when no function does.
u32 symbol_find(u64 address, char* name, u32 size, u64* distance);
