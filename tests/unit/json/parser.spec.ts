// The JSON parser: what RFC 8259 allows is read, everything else is refused at the right place, whatever the text.

import { JsonDocument, JsonKind, JsonWriter, parseJson, Problems } from "../../../runtime/json";

let text: ArrayBuffer = new ArrayBuffer(0);

/** Parses and returns the problems as lines; the document is left in `parsed`. */
let parsed: JsonDocument | null = null;
function problemsOf(source: string): string {
  return problemsOfBytes(String.UTF8.encode(source));
}
function problemsOfBytes(bytes: ArrayBuffer): string {
  text = bytes;
  const problems = new Problems();
  parsed = parseJson(changetype<usize>(text), text.byteLength, problems);
  return problems.render("c", changetype<usize>(text), text.byteLength).join("\n");
}
function documentOf(source: string): JsonDocument {
  expect(problemsOf(source)).toBe("");
  return parsed!;
}
function bytes(values: StaticArray<u8>): ArrayBuffer {
  const buffer = new ArrayBuffer(values.length);
  memory.copy(changetype<usize>(buffer), changetype<usize>(values), values.length);
  return buffer;
}

// Text, and the line that must come.
const refused: string[][] = [
  ["", "c:1:1: the document is empty: write at least {}"],
  [" \n ", "c:2:2: the document is empty: write at least {}"],
  ["{} x", "c:1:4: text after the end of the document"],
  ["{}{}", "c:1:3: text after the end of the document"],
  ["{", "c:1:2: the text ends where a member's name in double quotes is expected"],
  ["[1", 'c:1:3: the text ends where a comma or "]" is expected'],
  ["[1 2]", 'c:1:4: "2" where a comma or "]" is expected'],
  ["[,]", 'c:1:2: "," where a value is expected'],
  ["[1,,2]", 'c:1:4: "," where a value is expected'],
  ['{"a" 1}', 'c:1:6: "1" where a colon is expected'],
  ["{'a': 1}", "c:1:2: \"'\" where a member's name in double quotes is expected"],
  ["{a: 1}", 'c:1:2: "a" where a member\'s name in double quotes is expected'],
  ['{"a": 1;}', 'c:1:8: ";" where a comma or "}" is expected'],
  ["[01]", "c:1:3: a number with a leading zero"],
  ["[-]", 'c:1:3: "]" where a digit is expected'],
  ["[1.]", 'c:1:4: "]" where a digit is expected'],
  ["[.5]", 'c:1:2: "." where a value is expected'],
  ["[1e]", 'c:1:4: "]" where a digit is expected'],
  ["[1e+]", 'c:1:5: "]" where a digit is expected'],
  ["[+1]", 'c:1:2: "+" where a value is expected'],
  ["[NaN]", 'c:1:2: "N" where a value is expected'],
  ["[True]", 'c:1:2: "T" where a value is expected'],
  ["[truex]", 'c:1:6: "x" where a comma or "]" is expected'],
  ["[tru", 'c:1:2: "t" where a value is expected'],
  ["// x\n{}", 'c:1:1: "/" where a value is expected'],
  ["\ufeff{}", 'c:1:1: "\ufeff" where a value is expected'],
  ['["abc', "c:1:6: /0: the text ends within a string"],
  ['["abc\\', "c:1:6: /0: the text ends within a string"],
  ['["a\nb"]', "c:1:4: /0: a line break within a string: is its closing quote missing?"],
  ['["a\tb"]', "c:1:4: /0: a control character within a string: write it as \\u0009"],
  ['["\u001f"]', "c:1:3: /0: a control character within a string: write it as \\u001f"],
  ['["\\x41"]', 'c:1:3: /0: an unknown escape; allowed are \\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four digits'],
  ['["\\u12g4"]', "c:1:3: /0: \\u without four hexadecimal digits"],
  ['["\\u12', "c:1:3: /0: \\u without four hexadecimal digits"],
  ['["\\ud800"]', "c:1:3: /0: half of a surrogate pair"],
  ['["\\ud800\\u0041"]', "c:1:3: /0: half of a surrogate pair"],
  ['["\\udc00\\ud800"]', "c:1:3: /0: half of a surrogate pair\nc:1:9: /0: half of a surrogate pair"],
];

describe("values", () => {
  it("reads each kind of value", () => {
    const d = documentOf(' { "a" : [ 1 , -0.5e+3 , "x" , true , false , null , { } , [ ] ] } ');
    const list = d.member(d.root, "a");
    expect(d.size(list)).toBe(8);
    let node = d.first(list);
    expect(d.source(node)).toBe("1");
    node = d.next(node);
    expect(d.source(node)).toBe("-0.5e+3");
    node = d.next(node);
    expect(d.string(node)).toBe("x");
    node = d.next(node);
    expect(d.boolean(node)).toBe(true);
    node = d.next(node);
    expect(d.boolean(node)).toBe(false);
    node = d.next(node);
    expect(d.kind(node)).toBe(JsonKind.NULL);
    node = d.next(node);
    expect(d.kind(node)).toBe(JsonKind.OBJECT);
    node = d.next(node);
    expect(d.kind(node)).toBe(JsonKind.ARRAY);
    expect(d.pointer(node)).toBe("/a/7");
    expect(d.next(node)).toBe(0);
  });
  it("accepts a scalar as the whole document", () => {
    expect(documentOf("0").source(1)).toBe("0");
    expect(documentOf('"\\u00e9"').string(1)).toBe("\u00e9");
  });
  it("decodes escapes, pairs and UTF-8", () => {
    const d = documentOf('["\\"\\\\\\/\\b\\f\\n\\r\\t", "\\uD83D\\uDE00", "\u00e4\u20ac\ud83d\ude00", "a\\u0000b"]');
    let node = d.first(d.root);
    expect(d.string(node)).toBe('"\\/\b\f\n\r\t');
    node = d.next(node);
    expect(d.string(node)).toBe("\ud83d\ude00");
    node = d.next(node);
    expect(d.string(node)).toBe("\u00e4\u20ac\ud83d\ude00");
    node = d.next(node);
    expect(d.string(node).length).toBe(3);
  });
  it("escapes names in pointers as RFC 6901 says", () => {
    const d = documentOf('{"a/b": {"m~n": [0]}}');
    expect(d.pointer(d.first(d.first(d.first(d.root))))).toBe("/a~1b/m~0n/0");
  });
  it("finds names written with escapes", () => {
    const d = documentOf('{"\\u0061bc": 1}');
    expect(d.member(d.root, "abc")).not.toBe(0);
    expect(d.member(d.root, "abd")).toBe(0);
  });
});

describe("mistakes", () => {
  it("are reported with line and column, in order, all of them", () => {
    const lines = problemsOf('{\n  "a": 1,\n  "a": 2,\n  "\u00e4": ["\\udc00", ],\n}').split("\n");
    expect(lines.length).toBe(4);
    expect(lines[0]).toBe('c:3:3: /a: "a" stands twice in the same object');
    expect(lines[1]).toBe("c:4:10: /\u00e4/0: half of a surrogate pair");
    expect(lines[2]).toBe("c:4:17: /\u00e4: a comma before the closing bracket");
    expect(lines[3]).toBe("c:4:20: a comma before the closing bracket");
  });
  it("names escaped twice are the same name", () => {
    expect(problemsOf('{"a": 1, "\\u0061": 2}')).toBe('c:1:10: /a: "a" stands twice in the same object');
  });
  it("end what is not JSON, at the right place", () => {
    for (let i = 0; i < refused.length; i++) expect(problemsOf(refused[i][0])).toBe(refused[i][1], refused[i][0]);
  });

  it("of encoding are reported: continuation alone, overlong, surrogate, above U+10FFFF, cut off", () => {
    const bad: StaticArray<u8>[] = [
      [0x80],
      [0xc0, 0x80],
      [0xe0, 0x80, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf0, 0x80, 0x80, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xf5, 0x80, 0x80, 0x80],
      [0xe2, 0x82],
    ];
    for (let i = 0; i < bad.length; i++) {
      const source = bytes(bad[i]);
      const whole = new ArrayBuffer(source.byteLength + 4);
      const at = changetype<usize>(whole);
      store<u16>(at, 0x225b);
      memory.copy(at + 2, changetype<usize>(source), source.byteLength);
      store<u16>(at + 2 + source.byteLength, 0x5d22);
      expect(problemsOfBytes(whole).startsWith("c:1:3: /0: bytes that are not UTF-8")).toBe(true, i.toString());
    }
  });
});

describe("limits", () => {
  it("32 levels are read, 33 are refused", () => {
    expect(problemsOf("[".repeat(32) + "]".repeat(32))).toBe("");
    expect(problemsOf("[".repeat(33) + "]".repeat(33)).includes("nested deeper than 32 levels")).toBe(true);
    expect(problemsOf("[".repeat(100000)).includes("nested deeper than 32 levels")).toBe(true);
  });
  it("the number of values is bounded", () => {
    expect(problemsOf("[" + "0,".repeat(200000) + "0]").includes("more than 200000 values")).toBe(true);
  });
  it("a name is at most 1 KiB", () => {
    expect(problemsOf('{"' + "a".repeat(2000) + '": 0}').includes("a member's name longer than 1024 bytes")).toBe(true);
  });
  it("of a thousand mistakes a hundred are kept and all are counted", () => {
    const lines = problemsOf("[" + '"\\ud800",'.repeat(1000) + "0]").split("\n");
    expect(lines.length).toBe(101);
    expect(lines[100]).toBe("c: and 900 more");
  });
  it("every text cut off anywhere is refused without looking beyond its end", () => {
    const whole = String.UTF8.encode('{"a": [1.5e3, "\\ud83d\\ude00\u20ac", true, null, {"b": "\\n"}]}');
    for (let n = 0; n < whole.byteLength; n++) {
      // What follows the cut would complete the token: reading it would show.
      const problems = new Problems();
      parseJson(changetype<usize>(whole), n, problems);
      expect(problems.count).toBeGreaterThan(0, n.toString());
      for (let i = 0; i < problems.list.length; i++) expect(problems.list[i].offset).toBeLessThanOrEqual(n);
    }
  });
});

describe("the writer", () => {
  it("writes what the parser reads", () => {
    const json = new JsonWriter();
    json.object().key("a\n").array().integer(-1).string('q"\\\u007f\ud800').boolean(true).null().end();
    json.key("b").object().end().key("c").array().object().key("d").integer(2).end().array().end().end().end();
    expect(json.toString()).toBe('{"a\\n":[-1,"q\\"\\\\\\u007f\\ud800",true,null],"b":{},"c":[{"d":2},[]]}');
    expect(problemsOf(json.toString())).toBe("c:1:24: /a\n/1: half of a surrogate pair");
  });
});
