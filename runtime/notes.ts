// What a panic can tell besides its place: where the log's ring lies and the counters that are worth a look then. The platform
// reads it from outside (boot/platform/common/notes.c), in this layout, when nothing here can be called any more; what it has
// reported comes the other way, into the log.
// clang: -Oz

import { panicNotes, reportTake } from "./platform";

/** struct notes. */
@unmanaged
export class Notes {
  log: usize;
  log_bytes: u32;
  oldest: u64;
  next: u64;
  counters: Counter | null;
  private reserved: u32;
}

const NAME_BYTES: i32 = 24;

/** A number that goes up and that people can see in a panic's report: struct counter. */
@unmanaged
export class Counter {
  next: Counter | null;
  nameBytes: u32;
  value: u64;
  private name0: u64;
  private name1: u64;
  private name2: u64;
}

/** This core's notes; the platform knows them from the first use on. */
export const notes: Notes = makeNotes();

function makeNotes(): Notes {
  const made = changetype<Notes>(heap.alloc(offsetof<Notes>()));
  memory.fill(changetype<usize>(made), 0, offsetof<Notes>());
  panicNotes(changetype<usize>(made));
  return made;
}

/** A new counter; of the name 24 bytes are kept. For good: made once. */
export function counter(name: string): Counter {
  const made = changetype<Counter>(heap.alloc(offsetof<Counter>()));
  memory.fill(changetype<usize>(made), 0, offsetof<Counter>());
  made.nameBytes = min(name.length, NAME_BYTES);
  String.UTF8.encodeUnsafe(
    changetype<usize>(name),
    made.nameBytes,
    changetype<usize>(made) + offsetof<Counter>("name0"),
  );
  made.next = notes.counters;
  notes.counters = made;
  return made;
}

const PIECE_BYTES: u32 = 2048;


@lazy
const piece: usize = heap.alloc(PIECE_BYTES);

/**
 * Takes what the platform has reported of a core, and calls `line` for each line of it, without its end. A line that does
 * not fit in the piece comes in parts.
 */
export function takeReport(core: i32, line: (at: usize, bytes: u32) => void): void {
  let held: u32 = 0;
  while (true) {
    const taken = reportTake(core, piece + held, PIECE_BYTES - held);
    const end = held + taken;
    let begin: u32 = 0;
    for (let at = held; at < end; at++) {
      if (load<u8>(piece + at) != 0x0a) continue;
      if (at > begin) line(piece + begin, at - begin);
      begin = at + 1;
    }
    held = end - begin;
    if (held > 0 && (taken == 0 || held == PIECE_BYTES)) {
      line(piece + begin, held);
      held = 0;
    }
    if (taken == 0) return;
    memory.copy(piece, piece + begin, held);
  }
}
