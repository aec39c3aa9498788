// What sandboxed code does wrong ends it with a line that says what, and a backtrace with AssemblyScript names: the same on a
// Linux process and on a machine.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { buildService, runGuest, runProgram, temporaryFolder, type Ran } from "./lib/images.ts";

const traps: [trap: string, line: RegExp, culprit: string][] = [
  ["abort", /^panic: abort: this always fails at main\.ts:\d+:\d+, on core 0/m, "main/aborts"],
  ["null", /^panic: memory access out of bounds: address 0x0 \(a null reference\)/m, "main/readsNull"],
  ["read-far", /^panic: memory access out of bounds: address 0xfffffff0,/m, "main/readsFar"],
  ["write-far", /^panic: memory access out of bounds: address 0x17ffffff7,/m, "main/writesFar"],
  ["fill-far", /^panic: memory access out of bounds: address 0xf[0-9a-f]{7},/m, "main/fillsFar"],
  ["divide", /^panic: division by zero,/m, "main/divides"],
  ["overflow", /^panic: integer overflow in a division or conversion,/m, "main/overflows"],
  ["stack", /^panic: native stack overflow,/m, "main/recurses"],
  ["call-type", /^panic: call through a function reference of the wrong type, or none,/m, "main/calls"],
  ["call-range", /^panic: call through a function reference of the wrong type, or none,/m, "main/callsNothing"],
  ["unreachable", /^panic: unreachable code was reached,/m, "main/reachesUnreachable"],
];
/** EX_SOFTWARE; QEMU's isa-debug-exit gives 2 * 70 + 1. */
const HOSTED_STATUS = 70;
const GUEST_STATUS = 141;

let images: { elf?: string; linux?: string } = {};
before(async () => {
  images = await buildService("traps", "both");
});

function check({ status, output }: Ran, expected: number, trap: string, line: RegExp, culprit: string): void {
  assert.match(output, new RegExp(`^trap ${trap}$`, "m"));
  assert.match(output, line);
  assert.equal(output.match(/^panic: /gm)?.length, 1, output);
  const named = output.split("\n").filter((text) => new RegExp(`^  at ${culprit} \\+0x[0-9a-f]+$`).test(text));
  assert.ok(named.length >= 3, `the backtrace does not name ${culprit}:\n${output}`);
  assert.doesNotMatch(output, /survived/);
  assert.equal(status, expected, output);
}

for (const [trap, line, culprit] of traps) {
  test(`hosted: ${trap}`, async (t) => {
    const config = join(temporaryFolder(t), "config.json");
    writeFileSync(config, JSON.stringify({ trap }));
    check(await runProgram(images.linux!, ["--config", config], 10_000), HOSTED_STATUS, trap, line, culprit);
  });
  test(`microvm: ${trap}`, async (t) => {
    const config = join(temporaryFolder(t), "config.json");
    writeFileSync(config, JSON.stringify({ trap }));
    check(await runGuest(images.elf!, ["-initrd", config]), GUEST_STATUS, trap, line, culprit);
  });
}

test("abort names the line and column of the assertion", async (t) => {
  const config = join(temporaryFolder(t), "config.json");
  writeFileSync(config, JSON.stringify({ trap: "abort" }));
  const { output } = await runProgram(images.linux!, ["--config", config], 10_000);
  const source = readFileSync(new URL("services/traps/main.ts", import.meta.url), "utf8").split("\n");
  const line = source.findIndex((text) => text.includes("this always fails")) + 1;
  assert.ok(line > 0);
  assert.match(output, new RegExp(` at main\\.ts:${line}:3, `));
});

test("a service that does nothing wrong ends with its own status", async (t) => {
  const config = join(temporaryFolder(t), "config.json");
  writeFileSync(config, JSON.stringify({ trap: "none" }));
  const { status, output } = await runProgram(images.linux!, ["--config", config], 10_000);
  assert.match(output, /^survived: 0$/m);
  assert.equal(status, 3);
});

test("gdb stops at an AssemblyScript function and shows who called it, by name", async (t) => {
  const config = join(temporaryFolder(t), "config.json");
  writeFileSync(config, JSON.stringify({ trap: "divide" }));
  const { output } = await runProgram(
    "gdb",
    [
      ...["-nx", "-batch", "-iex", "set debuginfod enabled off"],
      ...["-ex", "break w2c_heddle_main0x2Fdivides", "-ex", "run", "-ex", "backtrace 3"],
      ...["--args", images.linux!, "--config", config],
    ],
    60_000,
  );
  assert.match(output, /^Breakpoint 1, .*w2c_heddle_main0x2Fdivides/m);
  assert.match(output, /^#1 .*w2c_heddle_main0x2F(main|divides)/m);
});
