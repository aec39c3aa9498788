// The layer check catches what it is there for; the check of the repository itself is part of `npm run lint`.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { checkLayers, importsOf, judge } from "./layers.ts";

const faces = new Set(["runtime/json", "net/http"]);
const verdict = (from: string, specifier: string) => judge(from, specifier, (folder) => faces.has(folder));

test("imports that go down, by a public face, are allowed", () => {
  assert.equal(verdict("appliances/http-server/main.ts", "../../net"), undefined);
  assert.equal(verdict("appliances/http-server/main.ts", "heddle/net"), undefined);
  assert.equal(verdict("appliances/http-server/main.ts", "../../net/http"), undefined);
  assert.equal(verdict("appliances/http-server/main.ts", "../management"), undefined);
  assert.equal(verdict("net/tcp/input.ts", "../../runtime"), undefined);
  assert.equal(verdict("net/tcp/input.ts", "../ip/address"), undefined);
  assert.equal(verdict("net/socket/tcp.ts", "../../fibers"), undefined);
  assert.equal(verdict("runtime/config/values.ts", "../json/document"), undefined);
});

test("imports that go up are refused", () => {
  assert.match(verdict("runtime/loop/loop.ts", "../../net")!, /not net/);
  assert.match(verdict("fibers/index.ts", "../appliances/http-server/main")!, /not appliances/);
  assert.match(verdict("net/tcp/input.ts", "heddle/appliances")!, /not appliances/);
});

test("imports that reach past a public face are refused", () => {
  assert.match(verdict("net/tcp/input.ts", "../../runtime/memory/packet")!, /public face/);
  assert.match(verdict("appliances/x/main.ts", "../../net/http/parser")!, /public face/);
  assert.match(verdict("appliances/x/main.ts", "../../net/tcp")!, /public face/);
});

test("below the sockets nothing knows fibers", () => {
  assert.match(verdict("net/tcp/input.ts", "../../fibers")!, /may not know fibers/);
  assert.match(verdict("net/ip/ip.ts", "heddle/fibers")!, /may not know fibers/);
});

test("appliances do not import each other, and nothing imports tools or packages", () => {
  assert.match(verdict("appliances/firewall/main.ts", "../http-server/main")!, /each other/);
  assert.match(verdict("net/index.ts", "../boot/toolchain")!, /outside the house/);
  assert.match(verdict("net/index.ts", "node:fs")!, /neither/);
});

test("imports are found where they stand, re-exports too, comments and strings not", () => {
  const source = '// import "a";\nimport {\n  x,\n} from "./b";\nexport * from "./c";\nconst s = \'import "./d"\';\n';
  assert.deepEqual(importsOf(source), [
    { specifier: "./b", line: 2 },
    { specifier: "./c", line: 5 },
  ]);
});

test("a bad import in a tree is reported with file and line", () => {
  const root = mkdtempSync(join(tmpdir(), "heddle-layers-"));
  try {
    for (const [file, text] of [
      ["runtime/index.ts", "export const a = 1;\n"],
      ["net/index.ts", 'import { a } from "../runtime";\n'],
      ["runtime/loop/bad.ts", '\nimport { b } from "../../net";\n'],
    ]) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), text);
    }
    const found = checkLayers(root);
    assert.equal(found.length, 1);
    assert.equal(found[0].file, "runtime/loop/bad.ts");
    assert.equal(found[0].line, 2);
  } finally {
    rmSync(root, { recursive: true });
  }
});
