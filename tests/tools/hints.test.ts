// What people type wrong in AssemblyScript gets a line that says what to write instead; asc itself compiles each snippet.
import assert from "node:assert/strict";
import { test } from "node:test";
import { addHints } from "../../boot/toolchain/hints.ts";

async function diagnose(source: string): Promise<string> {
  const asc = await import("assemblyscript/asc");
  let printed = "";
  const stream = { write: (chunk: string | Uint8Array) => ((printed += chunk.toString()), true) };
  await asc.main(["main.ts", "--outFile", "main.wasm", "--runtime", "stub", "--noColors"], {
    stdout: stream as never,
    stderr: stream as never,
    readFile: (name: string) => (name === "main.ts" ? source : null),
    writeFile: () => {},
    listFiles: () => [],
  });
  return printed;
}

const cases: [what: string, source: string, hint: RegExp][] = [
  [
    "a closure",
    "export function main(): void { let n = 1; const f = (x: i32): i32 => x + n; f(2); }",
    /class with one method/,
  ],
  [
    "`this` in an arrow function",
    "class A { n: i32 = 1; go(): void { run(() => { this.n++; }); } } function run(f: () => void): void { f(); }" +
      "export function main(): void { new A().go(); }",
    /does not capture `this`/,
  ],
  ["any", "export function f(x: any): void {}", /generic/],
  ["unknown", "export function f(): void { let x: unknown; }", /generic/],
  ["try/catch", "export function f(): void { try { f(); } catch (e) {} }", /negative error code/],
  ["a union type", "export function f(x: string | i32): void {}", /`T \| null`/],
  ["a nullable number", "export let x: i32 | null = null;", /cannot occur/],
  ["undefined", "export function f(): void { let x: string = undefined; }", /`null`/],
  [
    "an unchecked null",
    "class A { b: A | null = null; } export function f(): void { new A().b.b = null; }",
    /may be null/,
  ],
  ["an async function", "export async function f(): void {}", /spawn\(/],
  ["a promise", "export function f(): Promise<void> { return f(); }", /spawn\(/],
  ["setTimeout", "export function f(): void { setTimeout(f, 1); }", /sleep\(/],
  ["destructuring", "export function f(): void { const [a, b] = [1, 2]; }", /destructuring/],
  ["a generator", "export function* f(): i32 { yield 1; }", /Channel/],
  ["for of", "export function f(): void { for (const x of [1, 2]) {} }", /loop by index/],
  ["a missing type", "export function f(x) {}", /need a type/],
  ["a tuple", "export function f(): void { let t: [i32, string]; }", /class with a field/],
  ["an object type", "export function f(): void { let t: { a: i32 }; }", /class with these fields/],
  ["an object literal", "export function f(): void { let t = { a: 1 }; }", /needs a class/],
  ["an optional property", "interface P { y?: i32 }", /default value/],
  ["spread", "export function f(): void { const a = [1]; const b = [...a]; }", /concat/],
  ["optional chaining", "export function f(): void { const a = ''; a?.length; }", /\?\./],
  ["nullish coalescing", "export function f(): void { const a = ''; const b = a ?? ''; }", /\?\?/],
  ["a regular expression", "export function f(): void { const r = /a/; }", /indexOf/],
  ["JSON of Node", "export function f(): void { JSON.stringify(1); }", /not Node/],
  ["a module of Node", 'import * as fs from "node:fs"; export function f(): void { fs.x(); }', /relative path/],
  ["delete", "export function f(): void { const m = new Map<string, i32>(); delete m.size; }", /map\.delete/],
  ["a float into a byte", "export function f(): void { let c: u8 = 3.5; }", /as u8/],
  ["text as a number", 'export function f(): void { let c: i32 = "1"; }', /i32\.parse/],
  ["a number as text", "export function f(): void { let c: i32 = 1; let s: string = c; }", /toString/],
];

for (const [what, source, expected] of cases) {
  test(`${what} is reported with what to write instead`, async () => {
    const printed = await diagnose(source);
    assert.match(printed, /^ERROR (AS|TS)\d+: /m, "asc refuses it");
    const hint = addHints(printed)
      .split("\n")
      .filter((line) => /^ {3}hint: /.test(line))
      .join("\n");
    assert.match(hint, expected, printed);
  });
}

test("asc's own text stays as it is, and a hint comes once", async () => {
  const printed = await diagnose(
    "export function f(x: any): void { const y: any = x; }\nexport function g(x: any): void {}",
  );
  const hinted = addHints(printed);
  assert.equal(hinted.match(/hint: /g)?.length, 1);
  assert.equal(hinted.replace(/\n {3}hint: .*/g, ""), printed);
});

test("what needs no hint gets none", async () => {
  const printed = await diagnose("export function f(): void { g(); }");
  assert.match(printed, /Cannot find name 'g'/);
  assert.equal(addHints(printed), printed);
});
