// The unit tests' platform in V8 has every function that runtime/platform.ts declares, and no other.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

test("the platform of the unit tests provides what runtime/platform.ts declares", async () => {
  const path = "../unit/platform.js";
  const { platformImports } = (await import(path)) as { platformImports: (memory: () => unknown) => object };
  const source = readFileSync(new URL("../../runtime/platform.ts", import.meta.url), "utf8");
  const declared = [...source.matchAll(/@external\("env", "(\w+)"\)/g)].map((match) => match[1]);
  assert.ok(declared.length > 20);
  assert.deepEqual(Object.keys(platformImports(() => null)).sort(), declared.sort());
});
