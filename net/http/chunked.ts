// The chunked transfer coding (RFC 9112, 7.1), read from bytes as they come and kept nowhere: the caller is told which of
// them are content. Strict: CRLF only, hexadecimal sizes of at most 8 digits, extensions and trailers bounded in length.
//
//   SIZE --CR--> SIZE_LF --> DATA ... DATA_CR --> DATA_LF --> SIZE        size 0: TRAILER lines --> DONE
//     | ;  ^
//     v    | CR
//   EXTENSION

import { Char, hexDigit, isChar } from "./syntax";

export const enum Chunk {
  SIZE = 0,
  EXTENSION = 1,
  SIZE_LF = 2,
  DATA = 3,
  DATA_CR = 4,
  DATA_LF = 5,
  /** At the start of a trailer line, within one, after its CR; after the CR of the last, empty one. */
  TRAILER = 6,
  TRAILER_LINE = 7,
  TRAILER_LF = 8,
  END_LF = 9,
  DONE = 10,
}

/** Bytes of framing (extensions, trailers) that one body may have besides its sizes. */
const MAX_FRAMING_BYTES: u32 = 16384;

/** State of one body; embedded in whatever reads it. */
@unmanaged
export class ChunkedReader {
  state: u32;
  /** Digits seen of the size; then content bytes left of the chunk. */
  digits: u32;
  left: u32;
  framing: u32;
  /** Content bytes in all. */
  total: u64;

  init(): void {
    this.state = Chunk.SIZE;
    this.digits = 0;
    this.left = 0;
    this.framing = 0;
    this.total = 0;
  }


  @inline get done(): bool {
    return this.state == Chunk.DONE;
  }

  /**
   * Reads on; stops at the body's end. `content` bytes are only passed over.
   * @returns bytes used of `length`, or -1 when the body is malformed
   */
  read(at: usize, length: u32): i32 {
    let i: u32 = 0;
    while (i < length && this.state != Chunk.DONE) {
      if (this.state == Chunk.DATA) {
        const take = min(this.left, length - i);
        i += take;
        this.left -= take;
        this.total += take;
        if (this.left == 0) this.state = Chunk.DATA_CR;
      } else if (!this.step(load<u8>(at + i++))) {
        return -1;
      }
    }
    return <i32>i;
  }

  /** Takes one byte of framing; false when it has no place there. */
  private step(c: u32): bool {
    if (
      this.state != Chunk.SIZE &&
      this.state != Chunk.DATA_CR &&
      this.state != Chunk.DATA_LF &&
      ++this.framing > MAX_FRAMING_BYTES
    )
      return false;
    switch (this.state) {
      case Chunk.SIZE: {
        const digit = hexDigit(c);
        if (digit >= 0) {
          if (this.digits++ == 8) return false;
          this.left = (this.left << 4) | digit;
          return true;
        }
        if (this.digits == 0) return false;
        this.state = c == 0x0d ? Chunk.SIZE_LF : Chunk.EXTENSION;
        return c == 0x0d || c == 0x3b;
      }
      case Chunk.EXTENSION:
        if (c == 0x0d) this.state = Chunk.SIZE_LF;
        return c == 0x0d || isChar(c, Char.VALUE);
      case Chunk.SIZE_LF:
        this.digits = 0;
        this.state = this.left == 0 ? Chunk.TRAILER : Chunk.DATA;
        return c == 0x0a;
      case Chunk.DATA_CR:
        this.state = Chunk.DATA_LF;
        return c == 0x0d;
      case Chunk.DATA_LF:
        this.state = Chunk.SIZE;
        return c == 0x0a;
      case Chunk.TRAILER:
        this.state = c == 0x0d ? Chunk.END_LF : Chunk.TRAILER_LINE;
        return c == 0x0d || isChar(c, Char.TOKEN);
      case Chunk.TRAILER_LINE:
        if (c == 0x0d) this.state = Chunk.TRAILER_LF;
        return c == 0x0d || isChar(c, Char.VALUE);
      case Chunk.TRAILER_LF:
        this.state = Chunk.TRAILER;
        return c == 0x0a;
      default:
        this.state = Chunk.DONE;
        return c == 0x0a;
    }
  }
}
