// Reads a stream for a message: bytes of its head into a buffer, then its content, whose end is known by a length, by chunks or
// by the stream's end. What follows the message stays for the next one.
//
// Invariant: bytes start..end of the buffer were received and not used.

import { Errno } from "../../runtime";
import { Stream } from "../socket/index";
import { Chunk, ChunkedReader } from "./chunked";

/** How a message's content ends. */
export const enum BodyKind {
  NONE = 0,
  LENGTH = 1,
  CHUNKED = 2,
  /** By the stream's end: only responses. */
  CLOSE = 3,
}

export class MessageReader {
  private readonly buffer: StaticArray<u8>;
  private start: u32 = 0;
  private end: u32 = 0;
  private kind: BodyKind = BodyKind.NONE;
  private left: u64 = 0;
  private readonly chunkState: StaticArray<u8> = new StaticArray<u8>(<i32>offsetof<ChunkedReader>());
  /** Content bytes read of this message. */
  total: u64 = 0;

  constructor(
    readonly stream: Stream,
    bytes: u32,
  ) {
    this.buffer = new StaticArray<u8>(bytes);
  }

  private get chunks(): ChunkedReader {
    return changetype<ChunkedReader>(changetype<usize>(this.chunkState));
  }
  get at(): usize {
    return changetype<usize>(this.buffer) + this.start;
  }
  get available(): u32 {
    return this.end - this.start;
  }
  /** Gives up bytes of the buffer. */
  skip(bytes: u32): void {
    this.start += bytes;
    if (this.start == this.end) {
      this.start = 0;
      this.end = 0;
    }
  }

  /** Receives more behind what is there. @returns bytes, 0 at the stream's end, ENOBUFS for a full buffer, or an error */
  more(deadline_ns: i64): i32 {
    const size = <u32>this.buffer.length;
    const base = changetype<usize>(this.buffer);
    if (this.start > 0) {
      memory.copy(base, base + this.start, this.end - this.start);
      this.end -= this.start;
      this.start = 0;
    }
    if (this.end == size) return Errno.ENOBUFS;
    const got = this.stream.read(base + this.end, size - this.end, deadline_ns);
    if (got > 0) this.end += got;
    return got;
  }

  /** Begins the content of a message whose head was skipped. */
  begin(kind: BodyKind, length: u64): void {
    this.kind = kind;
    this.left = length;
    this.total = 0;
    this.chunks.init();
    if (kind == BodyKind.LENGTH && length == 0) this.kind = BodyKind.NONE;
  }

  /** Whether all content was read. */
  get done(): bool {
    return this.kind == BodyKind.NONE;
  }

  /**
   * Reads content, waiting for the first byte.
   * @returns bytes; 0 at its end; EPROTO for malformed chunks, ECONNRESET when the stream ends before it does, ETIMEDOUT
   */
  read(to: usize, bytes: u32, deadline_ns: i64): i32 {
    while (this.kind != BodyKind.NONE) {
      if (this.available == 0) {
        const got = this.more(deadline_ns);
        if (got < 0) return got;
        if (got == 0) {
          if (this.kind != BodyKind.CLOSE) return Errno.ECONNRESET;
          this.kind = BodyKind.NONE;
          return 0;
        }
      }
      if (this.kind == BodyKind.CHUNKED && this.chunks.state != Chunk.DATA) {
        // Framing, byte by byte: where content begins is where the state says so.
        if (this.chunks.read(this.at, 1) < 0) return Errno.EPROTO;
        this.skip(1);
        if (this.chunks.done) this.kind = BodyKind.NONE;
        continue;
      }
      let take = min(bytes, this.available);
      if (this.kind == BodyKind.LENGTH) take = <u32>min<u64>(take, this.left);
      else if (this.kind == BodyKind.CHUNKED) take = min(take, this.chunks.left);
      memory.copy(to, this.at, take);
      if (this.kind == BodyKind.CHUNKED) this.chunks.read(this.at, take);
      this.skip(take);
      this.total += take;
      if (this.kind == BodyKind.LENGTH) {
        this.left -= take;
        if (this.left == 0) this.kind = BodyKind.NONE;
      }
      return <i32>take;
    }
    return 0;
  }
}
