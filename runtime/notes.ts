// What a panic can tell besides its place: where the log's ring lies and the counters that are worth a look then. The platform
// reads it from outside (boot/platform/common/notes.c), in this layout, when nothing here can be called any more; what it has
// reported comes the other way, into the log.

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

const PIECE_BYTES: i32 = 2048;
const piece: usize = heap.alloc(PIECE_BYTES);

/** Takes what the platform has reported of a core; what is left of an unfinished line is cut off. Calls `line` for each. */
export function takeReport(core: i32, line: (text: string) => void): void {
  let rest = "";
  for (let taken = reportTake(core, piece, PIECE_BYTES); taken > 0; taken = reportTake(core, piece, PIECE_BYTES)) {
    const lines = (rest + String.UTF8.decodeUnsafe(piece, taken)).split("\n");
    rest = lines.pop();
    for (let i = 0; i < lines.length; i++) if (lines[i].length > 0) line(lines[i]);
  }
  if (rest.length > 0) line(rest);
}
