// The runtime and fibers on the hosted platform: services that check themselves.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { build, type BuildOptions } from "../../boot/toolchain/index.ts";
import { root } from "../../boot/toolchain/process.ts";

async function runService(
  service: string,
  variant?: BuildOptions["variant"],
): Promise<{ status: number | null; output: string }> {
  const name = variant ? `${service}-${Object.keys(variant).join("-")}` : service;
  const { linux } = await build({
    name,
    directory: join(root, "tests/runtime/services", service),
    platform: "linux",
    profile: "image",
    variant,
    outDirectory: join(root, "dist/tests", name),
    progress: () => {},
  });
  const { status, stderr } = spawnSync(linux!, [], { encoding: "utf8", timeout: 120_000 });
  return { status, output: stderr };
}

test("every primitive of fibers/ does what it says", async () => {
  const { status, output } = await runService("fibers");
  assert.equal(output.match(/^FAILED.*/gm), null);
  assert.ok(output.match(/^ok /gm)!.length >= 21, output);
  assert.equal(status, 0);
});

test("a trap ends the fiber that it happened in, and nothing else", async () => {
  const { status, output } = await runService("ended-fibers");
  assert.equal(output.match(/^FAILED.*/gm), null);
  assert.equal(output.match(/^ok /gm)?.length, 60, output);
  assert.match(output, /^trap: abort: this always fails at main\.ts:\d+:3, on core 0, fiber 2$\n {2}at main\/aborts /m);
  assert.doesNotMatch(output, /^panic/m);
  assert.match(output, /^done$/m);
  assert.equal(status, 0);
});

test("graphs of 250 fibers stay whole with a collection and poison at each suspension", async () => {
  const { status, output } = await runService("collector", { gcStress: true });
  assert.equal(output, "all graphs whole\n");
  assert.equal(status, 0);
});

test("references moved between arrays while a cycle is marking are not lost", async () => {
  const { status, output } = await runService("incremental");
  assert.equal(output, "nothing lost\n");
  assert.equal(status, 0);
});

test("without the toolchain's part the same test loses a live array", async () => {
  const { status, output } = await runService("collector", { gcStress: true, withoutRoots: true });
  assert.match(output, /FAILED biased pointer/);
  assert.notEqual(status, 0);
});
