// Reads one object of a configuration by the rules of CONFIG.md: every key that is asked for is known, every other is an
// error with what is allowed and, for a misspelt one, what was probably meant. Reading goes on after a mistake with the
// default, so that all mistakes are reported together; whoever uses the values looks at the problems first.
// clang: -Oz

import { JsonDocument, JsonKind } from "../json/document";
import { Problems } from "../json/problems";
import { quote } from "../json/text";
import { closest } from "./closest";
import { INVALID, parseDuration, parseSize } from "./values";

/** A document and where its mistakes go: what all sections of a configuration share. */
export class ConfigSource {
  constructor(
    readonly document: JsonDocument,
    readonly problems: Problems,
  ) {}

  /** Adds a mistake at a value. */
  fail(node: u32, message: string): void {
    this.problems.add(this.document.start(node), this.document.pointer(node), message);
  }
  /** Adds "SHOWN is not WANTED" at a value. */
  wrong(node: u32, wanted: string): void {
    this.fail(node, this.shown(node) + " is not " + wanted);
  }
  /** A value for a message. */
  shown(node: u32): string {
    const kind = this.document.kind(node);
    if (kind == JsonKind.OBJECT) return "an object";
    if (kind == JsonKind.ARRAY) return "a list";
    if (kind == JsonKind.STRING) return quote(this.document.string(node));
    const source = this.document.source(node);
    return source.length > 64 ? source.substring(0, 64) + "..." : source;
  }

  /** The text of a string value; null and a mistake when it is something else. */
  text(node: u32, wanted: string): string | null {
    if (this.document.kind(node) == JsonKind.STRING) return this.document.string(node);
    this.wrong(node, wanted);
    return null;
  }
  /** A whole number from `low` to `high`; INVALID and a mistake when it is something else. */
  integer(node: u32, low: i64, high: i64, wanted: string): i64 {
    if (this.document.kind(node) == JsonKind.NUMBER && this.document.end(node) - this.document.start(node) < 19) {
      const source = this.document.source(node);
      if (!source.includes(".") && !source.includes("e") && !source.includes("E")) {
        const value = I64.parseInt(source, 10);
        if (value >= low && value <= high) return value;
      }
    }
    this.wrong(node, wanted);
    return INVALID;
  }
  /** The elements of a list, or the value itself: where a list is expected, a single element may stand for it. */
  list(node: u32): Array<u32> {
    const nodes = new Array<u32>();
    if (this.document.kind(node) != JsonKind.ARRAY) {
      nodes.push(node);
      return nodes;
    }
    for (let child = this.document.first(node); child != 0; child = this.document.next(child)) nodes.push(child);
    return nodes;
  }
}

export class Section {
  private known: Array<string> = ["description"];
  private later: Array<string> = [];
  readonly document: JsonDocument;

  constructor(
    readonly source: ConfigSource,
    /** The object, or 0 for one that is not there: all keys are absent then. */
    readonly node: u32,
  ) {
    this.document = source.document;
    if (node != 0 && this.document.kind(node) != JsonKind.OBJECT) source.wrong(node, "an object");
    const description = this.document.member(node, "description");
    if (description != 0) source.text(description, "a text");
  }

  /** The value of a key, or 0 when it is absent; makes the key known. */
  get(key: string): u32 {
    if (!this.known.includes(key)) this.known.push(key);
    return this.document.member(this.node, key);
  }
  /** Whether a key is there; makes it known too, so that what is read only when it is there is allowed when it is not. */
  has(key: string): bool {
    return this.get(key) != 0;
  }
  /** Keys of the vocabulary that this image does not implement: an error that says so, never silently ignored. */
  notYet(keys: Array<string>): void {
    this.later = this.later.concat(keys);
  }

  /** The object under a key; one without keys when it is absent. */
  section(key: string): Section {
    return new Section(this.source, this.get(key));
  }
  /** The elements of a list under a key, in which a single element may stand for it; none when it is absent. */
  list(key: string): Array<u32> {
    const node = this.get(key);
    return node == 0 ? new Array<u32>() : this.source.list(node);
  }
  text(key: string, absent: string, wanted: string): string {
    const node = this.get(key);
    if (node == 0) return absent;
    const text = this.source.text(node, wanted);
    return text == null ? absent : text;
  }
  flag(key: string, absent: bool): bool {
    const node = this.get(key);
    if (node == 0) return absent;
    if (this.document.kind(node) == JsonKind.BOOLEAN) return this.document.boolean(node);
    this.source.wrong(node, "true or false");
    return absent;
  }
  /** Number of the value among `choices`. */
  choice(key: string, choices: Array<string>, absent: i32): i32 {
    const node = this.get(key);
    if (node == 0) return absent;
    const wanted = "one of " + choices.map<string>((choice) => quote(choice)).join(", ");
    const text = this.source.text(node, wanted);
    if (text == null) return absent;
    const index = choices.indexOf(text);
    if (index >= 0) return index;
    const meant = closest(text, choices);
    this.source.wrong(node, wanted + (meant.length > 0 ? "; did you mean " + quote(meant) + "?" : ""));
    return absent;
  }
  count(key: string, absent: i64, low: i64, high: i64): i64 {
    const node = this.get(key);
    if (node == 0) return absent;
    const value = this.source.integer(
      node,
      low,
      high,
      "a whole number from " + low.toString() + " to " + high.toString(),
    );
    return value == INVALID ? absent : value;
  }
  /** ns. The bounds are given as texts, for the message; `or`: what else the caller takes. */
  duration(key: string, absent: string, low: string, high: string, or: string = ""): i64 {
    const node = this.get(key);
    if (node == 0) return parseDuration(absent);
    const wanted = 'a duration from "' + low + '" to "' + high + '", such as "500ms" or "2h4m"' + or;
    const text = this.source.text(node, wanted);
    const value = text == null ? INVALID : parseDuration(text);
    if (value >= parseDuration(low) && value <= parseDuration(high)) return value;
    if (text != null) this.source.wrong(node, wanted);
    return parseDuration(absent);
  }
  /** Bytes. The bounds are given as texts, for the message. */
  size(key: string, absent: string, low: string, high: string): i64 {
    const node = this.get(key);
    if (node == 0) return parseSize(absent);
    const wanted = 'a size from "' + low + '" to "' + high + '", such as "16KiB"';
    const text = this.source.text(node, wanted);
    const value = text == null ? INVALID : parseSize(text);
    if (value >= parseSize(low) && value <= parseSize(high)) return value;
    if (text != null) this.source.wrong(node, wanted);
    return parseSize(absent);
  }

  /** Reports the keys that nobody asked for. Last, when all others were read. */
  finish(): void {
    const document = this.document;
    if (document.kind(this.node) != JsonKind.OBJECT) return;
    for (let child = document.first(this.node); child != 0; child = document.next(child)) {
      const key = document.key(child);
      if (this.known.includes(key)) continue;
      let message = "unknown key; allowed here: " + this.known.slice(0).sort().join(", ");
      if (this.later.includes(key)) {
        message = "is not in this version of the image";
      } else {
        const meant = closest(key, this.known);
        if (meant.length > 0)
          message =
            "unknown key; did you mean " + quote(meant) + "? Allowed here: " + this.known.slice(0).sort().join(", ");
      }
      this.source.problems.add(document.keyStart(child), document.pointer(child), message);
    }
  }
}
