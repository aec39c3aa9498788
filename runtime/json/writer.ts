// Writes JSON: the values of one document in order, commas and quoting by the writer, nesting by the caller.
//
//   const json = new JsonWriter();
//   json.object().key("name").string("eth0").key("mtu").integer(1500).end();
//   json.toString()  // {"name":"eth0","mtu":1500}
// clang: -Oz

import { encodeString } from "./text";

export class JsonWriter {
  private pieces: Array<string> = [];
  private closers: Array<string> = [];
  private comma: bool = false;

  object(): JsonWriter {
    return this.open("{", "}");
  }
  array(): JsonWriter {
    return this.open("[", "]");
  }
  /** Closes the innermost object or array. */
  end(): JsonWriter {
    this.pieces.push(this.closers.pop());
    this.comma = true;
    return this;
  }
  /** A member's name; its value comes next. */
  key(name: string): JsonWriter {
    this.value(encodeString(name) + ":");
    this.comma = false;
    return this;
  }
  string(text: string): JsonWriter {
    return this.value(encodeString(text));
  }
  integer(number: i64): JsonWriter {
    return this.value(number.toString());
  }
  boolean(value: bool): JsonWriter {
    return this.value(value ? "true" : "false");
  }
  null(): JsonWriter {
    return this.value("null");
  }
  toString(): string {
    return this.pieces.join("");
  }

  private open(opener: string, closer: string): JsonWriter {
    this.value(opener);
    this.comma = false;
    this.closers.push(closer);
    return this;
  }
  private value(text: string): JsonWriter {
    if (this.comma) this.pieces.push(",");
    this.pieces.push(text);
    this.comma = true;
    return this;
  }
}
