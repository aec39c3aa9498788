// C that cannot be right is found before it is compiled: npm's wasm2c can exit 0 with garbage inside. Each damage is done to
// what wasm2c really wrote for a small module.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { findGarbage, replacePrologue } from "../../boot/toolchain/generated-c.ts";
import { runPackage } from "../../boot/toolchain/process.ts";

const MODULE = `(module
  (memory 1)
  (table 2 funcref)
  (elem (i32.const 0) $double $main)
  (func $double (param i32) (result i32) local.get 0 i32.const 2 i32.mul)
  (func $main (export "main") (drop (call $double (i32.load (i32.const 8))))
    (block $out (loop $again (br_if $out (i32.eqz (i32.load (i32.const 4)))) (br $again)))))
`;

let folder = "";
let good = "";
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "heddle-wasm2c-"));
  writeFileSync(join(folder, "heddle.wat"), MODULE);
  await runPackage("wabt/bin/wat2wasm", ["--debug-names", "heddle.wat", "-o", "heddle.wasm"], { cwd: folder });
  await runPackage("wabt/bin/wasm2c", ["heddle.wasm", "-o", "heddle.c", "-n", "heddle"], { cwd: folder });
  good = readFileSync(join(folder, "heddle.c"), "latin1");
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** The text with one change, which must be one. */
function changed(from: string | RegExp, to: string): string {
  const text = good.replace(from, () => to);
  assert.notEqual(text, good, `${from} is not in what wasm2c wrote`);
  return text;
}

const definition = () => /^u32 w2c_heddle_double(?:_0)?\(w2c_heddle\* instance[\s\S]*?^\}\n/m.exec(good)![0];

test("what wasm2c writes is found good, and gets our prologue", () => {
  assert.equal(findGarbage(good), undefined);
  const replaced = replacePrologue(good);
  assert.match(replaced, /#include "wasm-ops\.h"/);
  assert.doesNotMatch(replaced, /FORCE_READ/);
});

const damages: [what: string, damage: () => string, message: RegExp][] = [
  [
    "a byte that is not ASCII",
    () => changed("w2c_heddle_main", "w2c_h\u00e4ddle_main"),
    /^line \d+ holds the character 228$/,
  ],
  ["a zero byte", () => `${good.slice(0, 500)}\0${good.slice(500)}`, /^line \d+ holds the character 0$/],
  ["a function that is missing", () => changed(definition(), ""), /w2c_heddle_double\S* is defined 0 times/],
  ["a function that is there twice", () => changed(definition(), definition() + definition()), /is defined 2 times/],
  [
    "a file cut in the middle of a function",
    () => good.slice(0, good.indexOf("\n", good.length - 200) + 1),
    /does not end with a function|is missing|defined 0/,
  ],
  [
    "a file cut behind a function",
    () => good.slice(0, good.lastIndexOf("\n}\n", good.length - 10) + 3),
    /w2c_heddle_main\S* is defined 0 times/,
  ],
  ["the closing lines missing", () => good.trimEnd().replace(/\}$/, ""), /does not end with a function/],
  ["a brace too many", () => `${good}}\n`, /braces do not match/],
  ["the first lines missing", () => good.slice(good.indexOf("\n") + 1), /first line is missing/],
  ["nothing", () => "", /first line is missing/],
  [
    "the look-up of types missing",
    () => good.replaceAll("wasm2c_heddle_get_func_type", "wasm2c_heddle_get_nothing"),
    /get_func_type is missing/,
  ],
];

for (const [what, damage, message] of damages) {
  test(`found: ${what}`, () => {
    const found = findGarbage(damage());
    assert.match(String(found), message);
    assert.notEqual(found, undefined);
    assert.throws(() => replacePrologue(damage()), { message: /wasm2c wrote C that cannot be right.*report/ });
  });
}
