// A JSON document in memory: a table of nodes over the bytes of the text, which must stay where they are.
//
//   node: kind | start | end | key | parent | next | first child     7 x u32 in one array; node 0 is the root's parent
//
// Invariants
// 1. Nodes stand in document order: a child's number is above its parent's, so loops over children end.
// 2. start..end are the bytes of the value's own text (a string with its quotes); `key` is the offset of the member name's
//    opening quote, or NO_KEY. Both lie within the text and were validated: well-formed tokens, valid UTF-8.
// 3. Number 0 is "no node": a node that is asked for and missing. Accessors accept it and say ABSENT.
// clang: -Oz

import { decodeString } from "./text";

export const enum JsonKind {
  ABSENT = 0,
  NULL,
  BOOLEAN,
  NUMBER,
  STRING,
  ARRAY,
  OBJECT,
}

const FIELDS: u32 = 7;
const NO_KEY: u32 = u32.MAX_VALUE;

export class JsonDocument {
  private nodes: Array<u32> = [];
  private count: u32 = 0;

  constructor(
    /** The text: `length_bytes` bytes at `text`. */
    readonly text: usize,
    readonly length_bytes: u32,
  ) {
    this.add(JsonKind.ABSENT, 0, NO_KEY, 0);
  }

  /** Number of the value that is the document, or 0 when it could not be parsed. */
  get root(): u32 {
    return this.count > 1 ? 1 : 0;
  }
  /** Nodes, the one for "no node" included. */
  get nodeCount(): u32 {
    return this.count;
  }

  /** For the parser: appends a node. */
  add(kind: JsonKind, start: u32, key: u32, parent: u32): u32 {
    const node = this.count++;
    this.nodes.push(kind);
    this.nodes.push(start);
    this.nodes.push(start);
    this.nodes.push(key);
    this.nodes.push(parent);
    this.nodes.push(0);
    this.nodes.push(0);
    return node;
  }
  /** For the parser: sets where a value ends, or which of its siblings follows, or its first child. */
  setEnd(node: u32, end: u32): void {
    this.nodes[node * FIELDS + 2] = end;
  }
  setNext(node: u32, next: u32): void {
    this.nodes[node * FIELDS + 5] = next;
  }
  setFirst(node: u32, child: u32): void {
    this.nodes[node * FIELDS + 6] = child;
  }

  kind(node: u32): JsonKind {
    return this.nodes[node * FIELDS];
  }
  isNumber(node: u32): bool {
    return this.kind(node) == JsonKind.NUMBER;
  }
  isObject(node: u32): bool {
    return this.kind(node) == JsonKind.OBJECT;
  }
  start(node: u32): u32 {
    return this.nodes[node * FIELDS + 1];
  }
  end(node: u32): u32 {
    return this.nodes[node * FIELDS + 2];
  }
  parent(node: u32): u32 {
    return this.nodes[node * FIELDS + 4];
  }
  /** The next element or member of the same parent, or 0. */
  next(node: u32): u32 {
    return this.nodes[node * FIELDS + 5];
  }
  /** The first element or member, or 0. */
  first(node: u32): u32 {
    return this.nodes[node * FIELDS + 6];
  }
  /** Elements or members. */
  size(node: u32): i32 {
    let n = 0;
    for (let child = this.first(node); child != 0; child = this.next(child)) n++;
    return n;
  }

  /** Byte offset of a member's name; of the value itself when it is no member. */
  keyStart(node: u32): u32 {
    const key = this.nodes[node * FIELDS + 3];
    return key == NO_KEY ? this.start(node) : key;
  }
  /** A member's name; empty for what is no member. */
  key(node: u32): string {
    const key = this.nodes[node * FIELDS + 3];
    return key == NO_KEY ? "" : decodeString(this.text + key);
  }
  /** The member of that name, or 0. */
  member(node: u32, key: string): u32 {
    if (this.kind(node) != JsonKind.OBJECT) return 0;
    for (let child = this.first(node); child != 0; child = this.next(child)) {
      if (this.key(child) == key) return child;
    }
    return 0;
  }

  /** The value of a STRING node. */
  string(node: u32): string {
    return decodeString(this.text + this.start(node));
  }
  /** The text of a NUMBER node (or any other) as it stands in the document. */
  source(node: u32): string {
    return String.UTF8.decodeUnsafe(this.text + this.start(node), this.end(node) - this.start(node));
  }
  /** The value of a BOOLEAN node. */
  boolean(node: u32): bool {
    return load<u8>(this.text + this.start(node)) == 0x74; // t
  }

  /** The JSON pointer of a node (RFC 6901); empty for the root. */
  pointer(node: u32): string {
    const parent = this.parent(node);
    if (parent == 0) return "";
    return this.pointer(parent) + "/" + this.step(node, parent);
  }

  private step(node: u32, parent: u32): string {
    if (this.kind(parent) == JsonKind.OBJECT) return escapePointer(this.key(node));
    let index = 0;
    for (let child = this.first(parent); child != 0 && child != node; child = this.next(child)) index++;
    return index.toString();
  }
}

/** RFC 6901, section 3: "~" and "/" in a reference token. */
function escapePointer(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}
