// A request and its response as a service's handler sees them: strings for what is named, streams for content.
//
// Invariants
// 1. A response's head is sent once, with its first bytes or by `end`; what is set later is refused.
// 2. Content of HEAD, 204 and 304 is counted and not sent (RFC 9110, 6.4.1 and 9.3.2).

import { Errno, wallTime } from "../../runtime";
import { now } from "../../fibers";
import { Stream } from "../socket/index";
import { DateLine } from "./date";
import { fieldAt, fieldLength, findField, findNextField } from "./field";
import { HeadFlag, Method, RequestHead } from "./head";
import { MessageReader } from "./reader";
import { statusPhrase } from "./status";
import { Char, isChar } from "./syntax";

const date = new DateLine();

function text(at: usize, length: u32): string {
  return String.UTF8.decodeUnsafe(at, length);
}

export class Request {
  readonly method: string;
  /** When its connection was taken, monotonic ns. */
  opened_ns: i64 = 0;
  /** What stands behind "?", as it came. */
  readonly query: string;
  /** Why the body could not be read, a negative Errno; 0 so far. */
  error: i32 = 0;
  /** Names and values of the route's parameters, in turn. */
  readonly parameters: Array<string> = new Array<string>();
  private continueDue: bool;

  constructor(
    private readonly head: RequestHead,
    /** The bytes that the head points into. */
    protected readonly bytes: StaticArray<u8>,
    /** Decoded and normalised. */
    readonly path: string,
    private readonly reader: MessageReader,
    private readonly bodyBytes: u64,
    private readonly bodyTimeout_ns: i64,
  ) {
    let end: u32 = 0;
    while (load<u8>(head.line + end) != 0x20) end++;
    this.method = text(head.line, end);
    this.query = text(head.query, head.queryLength);
    this.continueDue = head.has(HeadFlag.EXPECT_CONTINUE);
  }

  /** The connection that it came on. */
  get stream(): Stream {
    return this.reader.stream;
  }

  /** A field's value, several joined by ", " (RFC 9110, 5.3); null when it is absent. @param name lower case */
  header(name: string): string | null {
    if (!findField(this.head, name)) return null;
    let value = text(fieldAt, fieldLength);
    while (findNextField(this.head, name)) value += ", " + text(fieldAt, fieldLength);
    return value;
  }

  /** What a part of the path is that the route names; empty when it names none so. */
  param(name: string): string {
    for (let i = 0; i < this.parameters.length; i += 2) if (this.parameters[i] == name) return this.parameters[i + 1];
    return "";
  }

  /**
   * Reads the body as it comes; asks a client that waits for 100 (Continue) to send it.
   * @returns bytes; 0 at its end; EMSGSIZE beyond the server's limit; EPROTO, ECONNRESET, ETIMEDOUT
   */
  read(to: usize, bytes: u32): i32 {
    if (this.error < 0) return this.error;
    if (this.continueDue && !this.reader.done) {
      this.continueDue = false;
      const sent = this.reader.stream.writeText("HTTP/1.1 100 Continue\r\n\r\n", now() + this.bodyTimeout_ns);
      if (sent < 0) return (this.error = sent);
    }
    let got = this.reader.read(to, bytes, now() + this.bodyTimeout_ns);
    if (this.reader.total > this.bodyBytes) got = Errno.EMSGSIZE;
    if (got < 0) this.error = got;
    return got;
  }

  /** The whole body as text; null with `error`. */
  text(): string | null {
    const piece = new StaticArray<u8>(4096);
    const at = changetype<usize>(piece);
    let bytes = new Array<u8>();
    let got = this.read(at, 4096);
    for (; got > 0; got = this.read(at, 4096)) for (let i = 0; i < got; i++) bytes.push(piece[i]);
    return got < 0 ? null : text(bytes.dataStart, bytes.length);
  }

  /** Whether the body was read, or there is none, so that another request can follow; a client that still waits for 100 sends none. */
  get finished(): bool {
    return this.reader.done;
  }
}

export class Response {
  status: i32 = 200;
  /** Why it could not be sent, a negative Errno; 0 so far. */
  error: i32 = 0;
  private fields: string = "";
  private hasType: bool = false;
  private started: bool = false;
  private ended: bool = false;
  private chunked: bool = false;
  private readonly noContent: bool;
  /** The connection ends after it. */
  close: bool;
  private readonly http10: bool;

  constructor(
    private readonly stream: Stream,
    head: RequestHead | null,
    private readonly timeout_ns: i64,
  ) {
    this.noContent = head != null && head.method == Method.HEAD;
    this.close = head == null || head.has(HeadFlag.CLOSE);
    this.http10 = head != null && head.has(HeadFlag.HTTP10);
  }

  /** Whether `end` was called, or what ends it. */
  get done(): bool {
    return this.ended;
  }

  /** Adds a field. @returns false for what is no field, for framing, which is the server's, and when the head was sent */
  set(name: string, value: string): bool {
    const lower = name.toLowerCase();
    if (this.started || lower == "content-length" || lower == "transfer-encoding" || lower == "connection")
      return false;
    if (!isField(name, value)) return false;
    this.fields += name + ": " + value + "\r\n";
    if (lower == "content-type") this.hasType = true;
    return true;
  }

  private get bodiless(): bool {
    return this.noContent || this.status == 204 || this.status == 304;
  }

  private begin(length: i64): void {
    this.started = true;
    let head = "HTTP/1.1 " + this.status.toString() + " " + statusPhrase(this.status) + "\r\n" + this.fields;
    if (this.status != 204 && this.status != 304) {
      if (length >= 0) head += "Content-Length: " + length.toString() + "\r\n";
      else if (this.http10) this.close = true;
      else {
        this.chunked = true;
        head += "Transfer-Encoding: chunked\r\n";
      }
    }
    if (this.close) head += "Connection: close\r\n";
    else if (this.http10) head += "Connection: keep-alive\r\n";
    date.refresh(wallTime());
    head += text(date.at, date.length);
    const bytes = String.UTF8.encode(head + "\r\n");
    this.put(changetype<usize>(bytes), bytes.byteLength);
  }

  private put(from: usize, bytes: u32): void {
    if (this.error < 0) return;
    const sent = this.stream.write(from, bytes, now() + this.timeout_ns);
    if (sent != <i32>bytes) this.error = sent < 0 ? sent : Errno.ETIMEDOUT;
  }

  /** Sends a whole response. */
  send(from: usize, bytes: u32): void {
    if (this.started) return;
    this.begin(bytes);
    if (!this.bodiless) this.put(from, bytes);
    this.ended = true;
  }

  /** Sends a text, by default as text/plain. */
  text(content: string, type: string = "text/plain; charset=utf-8"): void {
    if (!this.hasType) this.set("Content-Type", type);
    const bytes = String.UTF8.encode(content);
    this.send(changetype<usize>(bytes), bytes.byteLength);
  }

  /** Sends a part of a response whose length is not known yet; `end` follows. @returns bytes, or why it failed */
  write(from: usize, bytes: u32): i32 {
    if (this.ended) return Errno.EINVAL;
    if (!this.started) this.begin(-1);
    if (bytes > 0 && !this.bodiless) {
      if (this.chunked) {
        const size = String.UTF8.encode(bytes.toString(16) + "\r\n");
        this.put(changetype<usize>(size), size.byteLength);
      }
      this.put(from, bytes);
      if (this.chunked) this.crlf();
    }
    return this.error < 0 ? this.error : <i32>bytes;
  }
  writeText(content: string): i32 {
    const bytes = String.UTF8.encode(content);
    return this.write(changetype<usize>(bytes), bytes.byteLength);
  }

  /** Ends a response of parts; one that has none gets the length 0. */
  end(): void {
    if (this.ended) return;
    if (!this.started) this.begin(0);
    else if (this.chunked && !this.bodiless) {
      const last = String.UTF8.encode("0\r\n\r\n");
      this.put(changetype<usize>(last), last.byteLength);
    }
    this.ended = true;
  }

  private crlf(): void {
    const bytes = String.UTF8.encode("\r\n");
    this.put(changetype<usize>(bytes), 2);
  }
}

/** Whether this is a field that cannot end its line (RFC 9110, 5.1 and 5.5). */
export function isField(name: string, value: string): bool {
  const a = String.UTF8.encode(name);
  if (a.byteLength == 0) return false;
  for (let i = 0; i < a.byteLength; i++) if (!isChar(load<u8>(changetype<usize>(a) + i), Char.TOKEN)) return false;
  const b = String.UTF8.encode(value);
  for (let i = 0; i < b.byteLength; i++) if (!isChar(load<u8>(changetype<usize>(b) + i), Char.VALUE)) return false;
  return true;
}
