// JSON as RFC 8259 has it and nothing more: no comments, no trailing commas, no duplicate names, nothing after the value,
// valid UTF-8 and no lone surrogates. The text is hostile: depth, size and number of values are bounded, the parser does
// not recurse deeper than MAX_DEPTH, and never looks beyond the text.
//
// Mistakes that leave no doubt how to go on (a duplicate name, a bad escape, a comma too many) are collected; the first
// that does ends the parse. A document with any problem must not be used.
// clang: -Oz

import { JsonDocument, JsonKind } from "./document";
import { Problems } from "./problems";
import { hex4, quote, unescape, utf8Length } from "./text";

export const MAX_DEPTH: u32 = 32;
export const MAX_TEXT_BYTES: u32 = 4 << 20;
export const MAX_NAME_BYTES: u32 = 1024;
export const MAX_NODES: u32 = 200_000;

/** Parses `length_bytes` bytes at `text`; what is wrong is added to `problems`. The bytes must stay as they are. */
export function parseJson(text: usize, length_bytes: u32, problems: Problems): JsonDocument {
  const document = new JsonDocument(text, length_bytes);
  if (length_bytes > MAX_TEXT_BYTES) {
    problems.add(0, "", "the document has " + length_bytes.toString() + " bytes; at most 4 MiB are accepted");
    return document;
  }
  new Parser(document, problems).run();
  return document;
}

class Parser {
  private at: u32 = 0;
  private end: u32;
  private text: usize;
  private failed: bool = false;

  constructor(
    private document: JsonDocument,
    private problems: Problems,
  ) {
    this.text = document.text;
    this.end = document.length_bytes;
  }

  run(): void {
    this.space();
    if (this.at == this.end) return this.fail(0, "the document is empty: write at least {}");
    this.value(0, u32.MAX_VALUE, 0);
    if (this.failed) return;
    this.space();
    if (this.at < this.end) this.fail(0, "text after the end of the document");
  }

  /** The byte at the read position, or 0 at the end (a NUL is not valid anywhere in JSON, so the two need no telling apart). */
  @inline private peek(): u32 {
    return this.at < this.end ? <u32>load<u8>(this.text + this.at) : 0;
  }

  private space(): void {
    for (; this.at < this.end; this.at++) {
      const c = load<u8>(this.text + this.at);
      if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) return;
    }
  }

  /** Reports a mistake after which the rest cannot be understood. */
  private fail(parent: u32, message: string): void {
    this.problems.add(this.at, this.document.pointer(parent), message);
    this.failed = true;
  }
  /** Reports a mistake after which parsing goes on. */
  private report(offset: u32, node: u32, message: string): void {
    // Finding an element's index takes time: not for a million mistakes that nobody will read.
    this.problems.add(offset, this.problems.full ? "" : this.document.pointer(node), message);
  }

  /** Parses a value; returns its node, or 0 after a failure. */
  private value(parent: u32, key: u32, depth: u32): u32 {
    const document = this.document;
    if (document.nodeCount > MAX_NODES) {
      this.fail(parent, "more than " + MAX_NODES.toString() + " values");
      return 0;
    }
    const start = this.at;
    const c = this.peek();
    let node: u32;
    if (c == 0x7b || c == 0x5b) {
      if (depth == MAX_DEPTH) {
        this.fail(parent, "nested deeper than " + MAX_DEPTH.toString() + " levels");
        return 0;
      }
      node = document.add(c == 0x7b ? JsonKind.OBJECT : JsonKind.ARRAY, start, key, parent);
      this.at++;
      this.children(node, c == 0x7b, depth + 1);
    } else if (c == 0x22) {
      node = document.add(JsonKind.STRING, start, key, parent);
      this.string(node);
    } else if (c == 0x2d || c - 0x30 < 10) {
      node = document.add(JsonKind.NUMBER, start, key, parent);
      this.number(parent);
    } else if (this.word("true") || this.word("false")) {
      node = document.add(JsonKind.BOOLEAN, start, key, parent);
    } else if (this.word("null")) {
      node = document.add(JsonKind.NULL, start, key, parent);
    } else {
      this.fail(parent, this.describe() + " where a value is expected");
      return 0;
    }
    if (this.failed) return 0;
    document.setEnd(node, this.at);
    return node;
  }

  /** Parses members or elements up to the closing bracket. */
  private children(node: u32, object: bool, depth: u32): void {
    const document = this.document;
    const close: u32 = object ? 0x7d : 0x5d;
    const names = new Set<string>();
    let last: u32 = 0;
    this.space();
    if (this.peek() == close) {
      this.at++;
      return;
    }
    for (;;) {
      let key = u32.MAX_VALUE;
      if (object) {
        key = this.at;
        if (this.peek() != 0x22)
          return this.fail(node, this.describe() + " where a member's name in double quotes is expected");
        this.string(node);
        if (this.failed) return;
        if (this.at - key > MAX_NAME_BYTES)
          return this.fail(node, "a member's name longer than " + MAX_NAME_BYTES.toString() + " bytes");
        this.space();
        if (this.peek() != 0x3a) return this.fail(node, this.describe() + " where a colon is expected");
        this.at++;
        this.space();
      }
      const child = this.value(node, key, depth);
      if (this.failed) return;
      if (last == 0) document.setFirst(node, child);
      else document.setNext(last, child);
      last = child;
      if (object) {
        const name = document.key(child);
        if (names.has(name)) this.report(key, child, quote(name) + " stands twice in the same object");
        else names.add(name);
      }
      this.space();
      const c = this.peek();
      if (c == close) {
        this.at++;
        return;
      }
      if (c != 0x2c) {
        return this.fail(node, this.describe() + " where a comma or " + (object ? '"}"' : '"]"') + " is expected");
      }
      const comma = this.at++;
      this.space();
      if (this.peek() == close) {
        this.report(comma, node, "a comma before the closing bracket");
        this.at++;
        return;
      }
    }
  }

  /** Parses a string token; `node` is what its mistakes are reported at. */
  private string(node: u32): void {
    const text = this.text;
    const end = this.end;
    this.at++;
    for (;;) {
      if (this.at >= end) return this.fail(node, "the text ends within a string");
      const c = <u32>load<u8>(text + this.at);
      if (c == 0x22) {
        this.at++;
        return;
      }
      if (c == 0x5c) {
        this.escape(node);
        if (this.failed) return;
      } else if (c < 0x20) {
        if (c == 0x0a || c == 0x0d)
          return this.fail(node, "a line break within a string: is its closing quote missing?");
        this.report(
          this.at,
          node,
          "a control character within a string: write it as \\u00" + (c < 16 ? "0" : "1") + (c & 15).toString(16),
        );
        this.at++;
      } else {
        const n = utf8Length(text + this.at, end - this.at);
        if (n == 0) this.report(this.at, node, "bytes that are not UTF-8");
        this.at += max(n, 1);
      }
    }
  }

  private escape(node: u32): void {
    const left = this.end - this.at;
    if (left < 2) return this.fail(node, "the text ends within a string");
    const at = this.text + this.at;
    const c = <u32>load<u8>(at, 1);
    if (c != 0x75) {
      if (unescape(c) < 0)
        return this.fail(
          node,
          'an unknown escape; allowed are \\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four digits',
        );
      this.at += 2;
      return;
    }
    const unit = left >= 6 ? hex4(at + 2) : -1;
    if (unit < 0) return this.fail(node, "\\u without four hexadecimal digits");
    if ((unit & 0xf800) != 0xd800) {
      this.at += 6;
      return;
    }
    const pair = left >= 12 && load<u8>(at, 6) == 0x5c && load<u8>(at, 7) == 0x75 ? hex4(at + 8) : -1;
    if (unit < 0xdc00 && (pair & 0xfc00) == 0xdc00) {
      this.at += 12;
      return;
    }
    this.report(this.at, node, "half of a surrogate pair");
    this.at += 6;
  }

  /** number = [ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ e [ sign ] 1*digit ] */
  private number(parent: u32): void {
    if (this.peek() == 0x2d) this.at++;
    if (this.peek() == 0x30) {
      this.at++;
      if (this.peek() - 0x30 < 10) return this.fail(parent, "a number with a leading zero");
    } else if (!this.digits()) {
      return this.fail(parent, this.describe() + " where a digit is expected");
    }
    if (this.peek() == 0x2e) {
      this.at++;
      if (!this.digits()) return this.fail(parent, this.describe() + " where a digit is expected");
    }
    if ((this.peek() | 0x20) == 0x65) {
      this.at++;
      const sign = this.peek();
      if (sign == 0x2b || sign == 0x2d) this.at++;
      if (!this.digits()) return this.fail(parent, this.describe() + " where a digit is expected");
    }
  }

  private digits(): bool {
    const start = this.at;
    while (this.peek() - 0x30 < 10) this.at++;
    return this.at > start;
  }

  private word(word: string): bool {
    const n = <u32>word.length;
    if (this.end - this.at < n) return false;
    for (let i: u32 = 0; i < n; i++) {
      if (<i32>load<u8>(this.text + this.at + i) != word.charCodeAt(i)) return false;
    }
    this.at += n;
    return true;
  }

  /** What stands at the read position, for a message. */
  private describe(): string {
    if (this.at >= this.end) return "the text ends";
    const n = utf8Length(this.text + this.at, this.end - this.at);
    if (n == 0) return "a byte that is not UTF-8";
    return quote(String.UTF8.decodeUnsafe(this.text + this.at, n));
  }
}
