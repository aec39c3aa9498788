// The access log: a line for each response in the common or combined form of the NCSA, or as JSON, made in one buffer and
// handed to the log without allocating. What peers say is escaped and cut: nobody outside can forge a line or fill the log
// with one.
// clang: -Oz

import { wallTime, logBytes, LogLevel } from "../../runtime";
import { formatAddress } from "../ip/address";
import { Writer } from "./bytes";
import { writeIsoDate, writeLogDate } from "./date";
import { fieldAt, fieldLength, findField } from "./field";
import { RequestHead } from "./head";

export const enum AccessFormat {
  COMMON = 0,
  COMBINED = 1,
  JSON = 2,
}

/** Bytes of a value that are shown. */
const TARGET_BYTES: u32 = 600;
const VALUE_BYTES: u32 = 250;
/** An escaped byte takes up to six. */
const LINE_BYTES: usize = 512 + 6 * (TARGET_BYTES + 5 * VALUE_BYTES);
const NS_PER_S: i64 = 1_000_000_000;

export class AccessLog {
  lines: u64 = 0;
  /** The line is made in two parts, around status and length, which are known last. */
  private readonly front: usize = heap.alloc(LINE_BYTES);
  private readonly back: usize = heap.alloc(LINE_BYTES);
  private frontLength: u32 = 0;
  private backLength: u32 = 0;
  private readonly w: Writer = changetype<Writer>(heap.alloc(offsetof<Writer>()));
  private readonly date: usize = heap.alloc(64);
  private dateLength: u32 = 0;
  private second: i64 = -1;
  private sourceHi: u64 = 0;
  private sourceLo: u64 = 0;
  private source: string = "";

  constructor(
    private readonly format: AccessFormat,
    private readonly console: bool,
  ) {}

  /** Notes a request; `head` null: it was none that could be read. `user` bytes are those of an accepted user. */
  begin(head: RequestHead | null, hi: u64, lo: u64): void {
    if (hi != this.sourceHi || lo != this.sourceLo || this.source.length == 0) {
      this.sourceHi = hi;
      this.sourceLo = lo;
      this.source = formatAddress(hi, lo);
    }
    const w = this.w;
    w.open(this.front);
    if (this.format == AccessFormat.JSON) this.beginJson(w, head);
    else this.beginText(w, head);
  }

  private beginText(w: Writer, head: RequestHead | null): void {
    w.ascii(this.source);
    w.ascii(" - - [");
    this.stamp(w);
    w.ascii('] "');
    if (head != null) this.value(w, head.line, min(head.lineLength, TARGET_BYTES));
    else w.ascii("-");
    w.ascii('" ');
    this.frontLength = w.length;
    w.open(this.back);
    if (this.format == AccessFormat.COMBINED) {
      this.field(w, head, "referer", ' "', '"');
      this.field(w, head, "user-agent", ' "', '"');
    }
    this.backLength = w.length;
  }

  private beginJson(w: Writer, head: RequestHead | null): void {
    w.ascii('{"time":"');
    this.stamp(w);
    w.ascii('","source":"');
    w.ascii(this.source);
    if (head != null) {
      w.ascii('","host":"');
      this.value(w, head.host, min(head.hostLength, VALUE_BYTES));
      w.ascii('","request":"');
      this.value(w, head.line, min(head.lineLength, TARGET_BYTES));
    }
    w.ascii('","status":');
    this.frontLength = w.length;
    w.open(this.back);
    this.field(w, head, "referer", ',"referer":"', '"');
    this.field(w, head, "user-agent", ',"agent":"', '"');
    w.ascii("}");
    this.backLength = w.length;
  }

  /** Logs the request that was noted last. */
  end(status: i32, bytes: u32): void {
    const w = this.w;
    w.open(this.front);
    w.at += this.frontLength;
    w.decimal(status);
    if (this.format == AccessFormat.JSON) w.ascii(',"bytes":');
    else w.ascii(" ");
    w.decimal(bytes);
    w.bytes(this.back, this.backLength);
    this.lines++;
    logBytes(LogLevel.INFO, w.start, w.length, this.console);
  }

  /** Keeps what was noted for a response that comes later; `restore` or `heap.free` gives it back. */
  save(): usize {
    const kept = heap.alloc(8 + this.frontLength + this.backLength);
    store<u32>(kept, this.frontLength);
    store<u32>(kept, this.backLength, 4);
    memory.copy(kept + 8, this.front, this.frontLength);
    memory.copy(kept + 8 + this.frontLength, this.back, this.backLength);
    return kept;
  }
  restore(kept: usize): void {
    this.frontLength = load<u32>(kept);
    this.backLength = load<u32>(kept, 4);
    memory.copy(this.front, kept + 8, this.frontLength);
    memory.copy(this.back, kept + 8 + this.frontLength, this.backLength);
    heap.free(kept);
  }

  private stamp(w: Writer): void {
    const second = wallTime() / NS_PER_S;
    if (second != this.second) {
      this.second = second;
      const at = w.at;
      if (second <= 0) w.ascii("-");
      else if (this.format == AccessFormat.JSON) writeIsoDate(w, second);
      else writeLogDate(w, second);
      this.dateLength = <u32>(w.at - at);
      memory.copy(this.date, at, this.dateLength);
    } else {
      w.bytes(this.date, this.dateLength);
    }
  }

  private field(w: Writer, head: RequestHead | null, name: string, before: string, after: string): void {
    w.ascii(before);
    if (head != null && findField(head, name)) this.value(w, fieldAt, min(fieldLength, VALUE_BYTES));
    else if (this.format != AccessFormat.JSON) w.ascii("-");
    w.ascii(after);
  }

  /** Printable ASCII stays; the rest, quotes and backslashes are escaped. */
  private value(w: Writer, at: usize, length: u32): void {
    const json = this.format == AccessFormat.JSON;
    for (let i: u32 = 0; i < length; i++) {
      const c = <u32>load<u8>(at + i);
      if (c - 0x20 < 0x5f && c != 0x22 && c != 0x5c) {
        store<u8>(w.at, c);
        w.at++;
      } else {
        w.ascii(json ? "\\u00" : "\\x");
        w.hexByte(c);
      }
    }
  }
}
