// The collector: mark and sweep, in the place of AssemblyScript's library file `rt/tcms` (boot/toolchain/assemblyscript.ts
// puts it there), so its names and signatures are those that the compiler calls.
//
//   roots: globals (exact), pinned objects (exact), native stacks of fibers and the loop (conservative, 4 bytes at a time)
//   object: MM info | mark | gray link | rt id | rt size | payload      starts bitmap: a bit for each 16 bytes of the heap
//
// Invariants
// 1. `starts` has a bit for exactly the live managed objects of the heap; static objects are not in it and never freed.
// 2. An object is marked in this cycle when its `mark` is `epoch`. New objects are born marked: a cycle never frees them.
//    An array of references born while a cycle is marking is gray: `splice` and array literals fill it without `__link`.
// 3. A cycle: a new epoch; roots, then everything reachable from the gray list (`gray`), then the roots again, because
//    fibers have run meanwhile; then the sweep. `__link` marks what is stored while a cycle is marking (insertion barrier).
// 4. Collection runs only from the loop's stack (`__collect_step`, `__collect`), when every fiber is suspended and its
//    registers lie on its stack; never inside `__new`.
// 5. A conservative root holds the whole object that its value points into, from the header to one byte past the end.

import { BLOCK, BLOCK_OVERHEAD, OBJECT_OVERHEAD, OBJECT_MAXSIZE, TOTAL_OVERHEAD } from "./common";
import { TypeinfoFlags } from "../shared/typeinfo";
import { E_ALLOCATION_TOO_LARGE } from "../util/error";

// @ts-ignore: decorator
@external("env", "stackCount")
declare function stackCount(): i32;
// @ts-ignore: decorator
@external("env", "stackScan")
declare function stackScan(stack: i32, skip: i32, target: usize, capacity: i32, low: usize, high: usize): i32;


@unmanaged
class Object extends BLOCK {
  mark: u32;
  gray: Object | null;
  rtId: u32;
  rtSize: u32;
}

// @ts-ignore: decorator
@inline const PINNED: u32 = 0xffff_ffff;
// 1 MiB of heap for each chunk of the bitmap of starts; 2 GiB of heap at most.
// @ts-ignore: decorator
@inline const CHUNK_SHIFT: usize = 20;
// @ts-ignore: decorator
@inline const CHUNKS: usize = 2048;
// @ts-ignore: decorator
@inline const CHUNK_BITMAP_BYTES: usize = 1 << (CHUNK_SHIFT - 7);
// @ts-ignore: decorator
@inline const CANDIDATES: i32 = 1024;
// @ts-ignore: decorator
@inline const ARRAY_OF_REFERENCES: u32 = TypeinfoFlags.ARRAY | TypeinfoFlags.VALUE_MANAGED;

// @ts-ignore: decorator
@lazy let epoch: u32 = 1;
// @ts-ignore: decorator
@lazy let marking: bool = false;
// @ts-ignore: decorator
@lazy let grayList: Object | null = null;
// @ts-ignore: decorator
@lazy let pinned: u32 = 0;
// Bytes in managed objects, and after the last cycle.
// @ts-ignore: decorator
@lazy let total: usize = 0;
// @ts-ignore: decorator
@lazy let threshold: usize = 1 << 20;
// @ts-ignore: decorator
@lazy let cycles: u32 = 0;
// @ts-ignore: decorator
@lazy let sweepChunk: usize = CHUNKS;
// @ts-ignore: decorator
@lazy let firstChunk: usize = CHUNKS;
// @ts-ignore: decorator
@lazy let lastChunk: usize = 0;
// Offsets of the bitmaps, by chunk; 0 where no object ever began.
// @ts-ignore: decorator
@lazy const directory: usize = memory.data(2048 * 4, 16);
// @ts-ignore: decorator
@lazy const candidates: usize = memory.data(1024 * 4, 16);

// @ts-ignore: decorator
@inline
function sizeOf(obj: Object): usize {
  return BLOCK_OVERHEAD + (obj.mmInfo & ~3);
}

// @ts-ignore: decorator
@inline
function bitmapOf(address: usize): usize {
  return load<usize>(directory + ((address >> CHUNK_SHIFT) << 2));
}

function setStart(obj: Object): void {
  const at = changetype<usize>(obj) + BLOCK_OVERHEAD;
  let bitmap = bitmapOf(at);
  if (bitmap == 0) {
    bitmap = __alloc(CHUNK_BITMAP_BYTES);
    memory.fill(bitmap, 0, CHUNK_BITMAP_BYTES);
    const chunk = at >> CHUNK_SHIFT;
    store<usize>(directory + (chunk << 2), bitmap);
    if (chunk < firstChunk) firstChunk = chunk;
  }
  // The last chunk is the one where the last object ends: a pointer into the tail of a large one is looked for, too.
  const last = min<usize>((at + (obj.mmInfo & ~3)) >> CHUNK_SHIFT, CHUNKS - 1);
  if (last > lastChunk) lastChunk = last;
  const bit = (at >> 4) & 0xffff;
  const word = bitmap + ((bit >> 6) << 3);
  store<u64>(word, load<u64>(word) | ((<u64>1) << (bit & 63)));
}

function clearStart(obj: Object): void {
  const at = changetype<usize>(obj) + BLOCK_OVERHEAD;
  const bit = (at >> 4) & 0xffff;
  const word = bitmapOf(at) + ((bit >> 6) << 3);
  store<u64>(word, load<u64>(word) & ~((<u64>1) << (bit & 63)));
}

// The object whose block holds `address`, or which ends right before it; null when there is none.
function objectAt(address: usize): Object | null {
  let chunk = address >> CHUNK_SHIFT;
  let bit = (address >> 4) & 0xffff;
  for (; chunk >= firstChunk; chunk--) {
    const bitmap = load<usize>(directory + (chunk << 2));
    if (bitmap != 0) {
      let word = bit >> 6;
      let bits = load<u64>(bitmap + (word << 3)) & (u64.MAX_VALUE >> (63 - (bit & 63)));
      for (;;) {
        if (bits != 0) {
          const start = (chunk << CHUNK_SHIFT) + (((word << 6) + (63 - <usize>clz(bits))) << 4);
          const obj = changetype<Object>(start - BLOCK_OVERHEAD);
          return address <= start - BLOCK_OVERHEAD + sizeOf(obj) ? obj : null;
        }
        if (word == 0) break;
        word--;
        bits = load<u64>(bitmap + (word << 3));
      }
    }
    bit = 0xffff;
  }
  return null;
}

function markObject(obj: Object): void {
  if (obj.mark == epoch || obj.mark == PINNED) return;
  obj.mark = epoch;
  obj.gray = grayList;
  grayList = obj;
}

// A value found on a stack: whatever object it points into, with its header, is alive. Blocks follow one another and begin
// 4 bytes before a multiple of 16, so such a value is the header of one block and one past the end of the one before.
function markCandidate(address: usize): void {
  const obj = objectAt(address);
  if (obj != null) markObject(obj);
  if ((address & 15) < 12) return;
  const next = objectAt(address + BLOCK_OVERHEAD);
  if (next != null) markObject(next);
}

function markRoots(): void {
  __visit_globals(0);
  if (pinned > 0) visitPinned();
  const low = (firstChunk << CHUNK_SHIFT) - BLOCK_OVERHEAD;
  const high = (lastChunk + 1) << CHUNK_SHIFT;
  if (firstChunk > lastChunk) return;
  const stacks = stackCount();
  for (let stack = 0; stack < stacks; stack++) {
    for (let skip = 0; ; skip += CANDIDATES) {
      const found = stackScan(stack, skip, candidates, CANDIDATES, low, high);
      for (let i = 0; i < found; i++) markCandidate(load<usize>(candidates + ((<usize>i) << 2)));
      if (found < CANDIDATES) break;
    }
  }
}

// Marks what gray objects refer to; false when the budget ended before the list.
function drainGray(budget: u32): bool {
  for (let obj = grayList; obj != null; obj = grayList) {
    if (budget-- == 0) return false;
    grayList = obj.gray;
    __visit_members(changetype<usize>(obj) + TOTAL_OVERHEAD, 0);
  }
  return true;
}

function visitPinned(): void {
  for (let chunk = firstChunk; chunk <= lastChunk; chunk++) {
    const bitmap = load<usize>(directory + (chunk << 2));
    if (bitmap == 0) continue;
    for (let word: usize = 0; word < CHUNK_BITMAP_BYTES; word += 8) {
      for (let bits = load<u64>(bitmap + word); bits != 0; bits &= bits - 1) {
        const start = (chunk << CHUNK_SHIFT) + (((word << 3) + <usize>ctz(bits)) << 4);
        const obj = changetype<Object>(start - BLOCK_OVERHEAD);
        if (obj.mark == PINNED) __visit_members(changetype<usize>(obj) + TOTAL_OVERHEAD, 0);
      }
    }
  }
}

// Frees what is not marked in one chunk of the heap.
function sweep(chunk: usize): void {
  const bitmap = load<usize>(directory + (chunk << 2));
  if (bitmap == 0) return;
  for (let word: usize = 0; word < CHUNK_BITMAP_BYTES; word += 8) {
    for (let bits = load<u64>(bitmap + word); bits != 0; bits &= bits - 1) {
      const start = (chunk << CHUNK_SHIFT) + (((word << 3) + <usize>ctz(bits)) << 4);
      const obj = changetype<Object>(start - BLOCK_OVERHEAD);
      if (obj.mark == epoch || obj.mark == PINNED) continue;
      clearStart(obj);
      total -= sizeOf(obj);
      if (isDefined(HEDDLE_GC_STRESS)) memory.fill(start + OBJECT_OVERHEAD, 0xa5, obj.rtSize);
      __free(start);
    }
  }
}

// @ts-ignore: decorator
@global @unsafe
export function __new(size: usize, id: i32): usize {
  if (size > OBJECT_MAXSIZE) throw new Error(E_ALLOCATION_TOO_LARGE);
  const obj = changetype<Object>(__alloc(OBJECT_OVERHEAD + size) - BLOCK_OVERHEAD);
  obj.rtId = id;
  obj.rtSize = <u32>size;
  obj.mark = epoch;
  obj.gray = null;
  if (marking && (__typeinfo(id) & ARRAY_OF_REFERENCES) == ARRAY_OF_REFERENCES) {
    obj.gray = grayList;
    grayList = obj;
  }
  setStart(obj);
  total += sizeOf(obj);
  const ptr = changetype<usize>(obj) + TOTAL_OVERHEAD;
  memory.fill(ptr, 0, size);
  return ptr;
}

// @ts-ignore: decorator
@global @unsafe
export function __renew(oldPtr: usize, size: usize): usize {
  const oldObj = changetype<Object>(oldPtr - TOTAL_OVERHEAD);
  const oldSize = oldObj.rtSize;
  if (size <= (oldObj.mmInfo & ~3) - OBJECT_OVERHEAD && oldPtr >= __heap_base) {
    if (size > oldSize) memory.fill(oldPtr + oldSize, 0, size - oldSize);
    oldObj.rtSize = <u32>size;
    return oldPtr;
  }
  // The old one may still be referred to from a stack: it is left to the collector.
  const newPtr = __new(size, oldObj.rtId);
  memory.copy(newPtr, oldPtr, min<usize>(size, oldSize));
  // Born marked, with members that only the old one may have kept.
  if (marking) __visit_members(newPtr, 0);
  return newPtr;
}

// @ts-ignore: decorator
@global @unsafe
export function __link(parentPtr: usize, childPtr: usize, expectMultiple: bool): void {
  if (marking && childPtr != 0) markObject(changetype<Object>(childPtr - TOTAL_OVERHEAD));
}

// @ts-ignore: decorator
@global @unsafe
export function __visit(ptr: usize, cookie: i32): void {
  if (ptr != 0) markObject(changetype<Object>(ptr - TOTAL_OVERHEAD));
}

// @ts-ignore: decorator
@global @unsafe
export function __pin(ptr: usize): usize {
  // A static object is never freed, so there is nothing to pin; marked for good, its members would not be visited.
  if (ptr >= __heap_base) {
    const obj = changetype<Object>(ptr - TOTAL_OVERHEAD);
    if (marking) markObject(obj);
    if (obj.mark != PINNED) pinned++;
    // A gray object that becomes pinned stays on the gray list: its members are still visited.
    obj.mark = PINNED;
  }
  return ptr;
}

// @ts-ignore: decorator
@global @unsafe
export function __unpin(ptr: usize): void {
  if (ptr == 0) return;
  const obj = changetype<Object>(ptr - TOTAL_OVERHEAD);
  if (obj.mark != PINNED) return;
  pinned--;
  obj.mark = epoch;
  if (marking) __visit_members(ptr, 0);
}

/** Whether a cycle runs or enough was allocated since the last one for a new one. */
// @ts-ignore: decorator
@global
export function __collect_due(): bool {
  return marking || sweepChunk < CHUNKS || total >= threshold;
}

/** A part of a cycle: at most about `budget` objects marked or one MiB of heap swept. True when the cycle has ended. */
// @ts-ignore: decorator
@global
export function __collect_step(budget: u32): bool {
  if (sweepChunk < CHUNKS) {
    sweep(sweepChunk);
    if (++sweepChunk <= lastChunk) return false;
    sweepChunk = CHUNKS;
    cycles++;
    threshold = max<usize>(1 << 20, total * 2);
    return true;
  }
  if (!marking) {
    marking = true;
    if (++epoch == PINNED) epoch = 1;
    markRoots();
    return false;
  }
  if (!drainGray(budget)) return false;
  markRoots();
  drainGray(u32.MAX_VALUE);
  marking = false;
  sweepChunk = firstChunk <= lastChunk ? firstChunk : CHUNKS;
  if (sweepChunk == CHUNKS) {
    threshold = 1 << 20;
    return true;
  }
  return false;
}

// @ts-ignore: decorator
@global @unsafe
export function __collect(): void {
  // A cycle under way may have marked what has died since: end it, then do a whole one.
  if (marking || sweepChunk < CHUNKS) while (!__collect_step(u32.MAX_VALUE)) {}
  while (!__collect_step(u32.MAX_VALUE)) {}
}

/** Bytes in managed objects, and cycles so far. */
// @ts-ignore: decorator
@global
export function __collect_bytes(): usize {
  return total;
}
// @ts-ignore: decorator
@global
export function __collect_cycles(): u32 {
  return cycles;
}
