// Several cores on the hosted platform: a service that starts them, calls them, floods one with messages and has one forge
// its ring. It prints a line for each thing that must hold.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { build, type BuildOptions } from "../../boot/toolchain/index.ts";
import { root } from "../../boot/toolchain/process.ts";

async function image(variant?: BuildOptions["variant"], service = "cores"): Promise<string> {
  const name = variant ? `${service}-${Object.keys(variant).join("-")}` : service;
  const { linux } = await build({
    ...{ name, directory: join(root, "tests/runtime/services", service), platform: "linux", profile: "image", variant },
    ...{ outDirectory: join(root, "dist/tests", name), progress: () => {} },
  });
  return linux!;
}

function check(path: string, cpus: number, lines: number): void {
  const { status, stderr } = spawnSync(path, ["--cpus", String(cpus)], { encoding: "utf8", timeout: 60_000 });
  assert.equal(stderr.match(/^FAILED.*|^panic.*/gm), null, stderr);
  assert.equal(stderr.match(/^ok /gm)?.length, lines, stderr);
  assert.match(stderr, new RegExp(`${cpus} of ${cpus} cores are up`));
  assert.match(stderr, /^done$/m);
  assert.equal(status, 0);
}

for (const [cpus, lines] of [
  [1, 3],
  [2, 8],
  [4, 9],
  [64, 9],
] as const) {
  test(`${cpus} cores start, answer calls, lose no message and are not broken by a forged ring`, async () => {
    check(await image(), cpus, lines);
  });
}

function checkPackets(path: string): void {
  const { status, stderr } = spawnSync(path, ["--cpus", "14"], { encoding: "utf8", timeout: 60_000 });
  assert.equal(stderr.match(/^FAILED.*|^panic.*/gm), null, stderr);
  assert.equal(stderr.match(/^ok /gm)?.length, 20, stderr);
  assert.match(stderr, /^done$/m);
  assert.equal(status, 0);
}

test("packets go between cores and come home; what a core forges in its rings harms no other", async () => {
  checkPackets(await image(undefined, "core-packets"));
});

test("packets between cores with a collection and poison at each suspension", async () => {
  checkPackets(await image({ gcStress: true }, "core-packets"));
});

test("the same with a collection and poison at each suspension on 2 cores", async () => {
  check(await image({ gcStress: true }), 2, 8);
});

test("a number of cores that cannot be is refused in one line", async () => {
  const { status, stderr } = spawnSync(await image(), ["--cpus", "65"], { encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, /^heddle: --cpus 65: not a number of cores from 1 to 64\n$/);
});

test("with onPanic halt, a core that panics ends alone: the others answer, calls to it fail", async () => {
  const path = await image(undefined, "core-panic");
  const { status, stderr } = spawnSync(path, ["--cpus", "3"], { encoding: "utf8", timeout: 60_000 });
  assert.match(stderr, /^panic: asked for.*on core 1/m);
  assert.match(stderr, /^core 1 is dead\na call to it gives -(19|110)\nbefore 5, core 2 now 41\n/m, stderr);
  assert.equal(status, 0);
});
