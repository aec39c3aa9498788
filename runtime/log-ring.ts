// The last lines of the log, in a ring of bytes whose size the configuration chooses.
//
//   ring:  | record | record | ...  | record | end marker | record | ...        a record never wraps
//   record: text bytes u32 | level u32 | number u64 | monotonic time i64 | text, padded to 8
//
// Invariants
// 1. Positions are counted in bytes since the start and only grow; position modulo size is the place. `oldest` and `next`
//    enclose whole records, `next - oldest` is at most the size.
// 2. Numbers count lines from 0 without gaps: a reader that was overtaken sees by the number how many it has missed, also
//    across a change of the size.
// clang: -Oz

import { notes } from "./notes";

/** Bytes of a record before its text. */
const HEADER: u32 = 24;
/** In place of the text's length: the rest of the ring up to its end is unused. */
const END: u32 = u32.MAX_VALUE;
const DEFAULT_BYTES: u32 = 64 << 10;

let bytes: u32 = 0;
let base: usize = 0;
let oldest: u64 = 0;
let next: u64 = 0;
let count: u64 = 0;

/** A panic shows the last lines: it must find them. */
function note(): void {
  notes.log = base;
  notes.log_bytes = bytes;
  notes.oldest = oldest;
  notes.next = next;
}

/** Lines logged so far: the number of the next one. */
export function ringCount(): u64 {
  return count;
}

/** Appends a line; the oldest give way. */
export function ringAppend(level: u32, time_ns: i64, text: usize, length: u32): void {
  if (base == 0) resizeLogRing(DEFAULT_BYTES);
  put(level, count++, time_ns, text, length);
  note();
}

/** Changes the size, in bytes (4 KiB and more); the newest lines that fit stay. */
export function resizeLogRing(size: u32): void {
  size = (max<u32>(size, 4096) + 7) & ~7;
  if (size == bytes) return;
  const oldBase = base;
  const oldBytes = bytes;
  const from = oldest;
  const to = next;
  base = heap.alloc(size);
  bytes = size;
  // The positions go on growing, at a multiple of the new size.
  next = ((to + size - 1) / size) * size;
  oldest = next;
  note();
  if (oldBase == 0) return;
  let at = from;
  while (at < to) {
    const record = oldBase + <usize>(at % oldBytes);
    const length = load<u32>(record);
    if (length == END) {
      at += oldBytes - (at % oldBytes);
      continue;
    }
    put(load<u32>(record, 4), load<u64>(record, 8), load<i64>(record, 16), record + HEADER, length);
    at += recordBytes(length);
  }
  note();
  heap.free(oldBase);
}


@inline
function recordBytes(length: u32): u32 {
  return (HEADER + length + 7) & ~7;
}

function put(level: u32, number: u64, time_ns: i64, text: usize, length: u32): void {
  length = min(length, bytes - HEADER - 8);
  const need = recordBytes(length);
  const left = bytes - <u32>(next % bytes);
  if (left < need) {
    free(left);
    // Room for the marker is always there: records and the size are multiples of 8.
    store<u32>(base + <usize>(next % bytes), END);
    next += left;
  }
  free(need);
  const record = base + <usize>(next % bytes);
  store<u32>(record, length);
  store<u32>(record, level, 4);
  store<u64>(record, number, 8);
  store<i64>(record, time_ns, 16);
  memory.copy(record + HEADER, text, length);
  next += need;
}

/** Gives up the oldest records until `need` bytes after `next` are free. */
function free(need: u32): void {
  while (next + need - oldest > bytes) {
    const length = load<u32>(base + <usize>(oldest % bytes));
    oldest += length == END ? bytes - (oldest % bytes) : recordBytes(length);
  }
}

/** Reads the ring line by line, at its own pace. */
export class LogReader {
  private position: u64 = 0;
  private wanted: u64 = 0;
  /** The line that `read` gave. */
  level: u32 = 0;
  time_ns: i64 = 0;
  text: string = "";
  /** Lines that were overwritten before they could be read, in all. */
  missed: u64 = 0;

  /** Starts behind the newest line instead of at the oldest one. */
  skipAll(): void {
    this.wanted = count;
    this.position = next;
  }

  /** Takes the next line; false when there is none yet. */
  read(): bool {
    if (this.position < oldest) this.position = oldest;
    while (this.position < next) {
      const record = base + <usize>(this.position % bytes);
      const length = load<u32>(record);
      if (length == END) {
        this.position += bytes - (this.position % bytes);
        continue;
      }
      this.position += recordBytes(length);
      const number = load<u64>(record, 8);
      if (number < this.wanted) continue;
      this.missed += number - this.wanted;
      this.wanted = number + 1;
      this.level = load<u32>(record, 4);
      this.time_ns = load<i64>(record, 16);
      this.text = String.UTF8.decodeUnsafe(record + HEADER, length);
      return true;
    }
    return false;
  }
}
