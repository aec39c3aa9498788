// What is wrong with a document, collected so that a person sees every mistake at once: each with its JSON pointer
// (RFC 6901), line and column. The number that is kept is bounded: a hostile document cannot fill memory with complaints.
// clang: -Oz

/** Problems that are kept; later ones are only counted. */
export const MAX_PROBLEMS: i32 = 100;

export class Problem {
  constructor(
    /** Byte offset in the document at which it was found. */
    public offset: u32,
    /** JSON pointer of the value concerned; empty for the whole document. */
    public pointer: string,
    /** What is wrong and what to do. */
    public message: string,
  ) {}
}

export class Problems {
  list: Array<Problem> = [];
  /** Found in all, kept or not. */
  count: i32 = 0;

  /** Whether further problems are only counted: their text need not be made. */
  get full(): bool {
    return this.list.length >= MAX_PROBLEMS;
  }

  add(offset: u32, pointer: string, message: string): void {
    this.count++;
    if (!this.full) this.list.push(new Problem(offset, pointer, message));
  }

  /** Lines "name:line:column: pointer: message" in the order of the document; `text` is the document they speak about. */
  render(name: string, text: usize, length_bytes: u32): Array<string> {
    const sorted = this.list.slice(0);
    sorted.sort((a, b) => (a.offset < b.offset ? -1 : a.offset > b.offset ? 1 : 0));
    const lines = new Array<string>();
    let at: u32 = 0;
    let line = 1;
    let column = 1;
    for (let i = 0; i < sorted.length; i++) {
      const problem = sorted[i];
      const end = min(problem.offset, length_bytes);
      for (; at < end; at++) {
        const byte = load<u8>(text + at);
        if (byte == 0x0a) {
          line++;
          column = 1;
        } else if ((byte & 0xc0) != 0x80) {
          column++; // a continuation byte of UTF-8 is part of the character before it
        }
      }
      const where = problem.pointer.length > 0 ? problem.pointer + ": " : "";
      lines.push(name + ":" + line.toString() + ":" + column.toString() + ": " + where + problem.message);
    }
    if (this.count > sorted.length) lines.push(name + ": and " + (this.count - sorted.length).toString() + " more");
    return lines;
  }
}
