// Faults of services: what is reported, what ends, with which words. The same services on a Linux process and on a machine.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test, type TestContext } from "node:test";
import { buildService, root, runGuest, runProgram, temporaryFolder, type Ran } from "../toolchain/lib/images.ts";

/** EX_SOFTWARE; QEMU's isa-debug-exit gives 2 * 70 + 1. */
const DONE = { hosted: 0, microvm: 1 };
const PANIC = { hosted: 70, microvm: 141 };

function onBoth(service: string, title: string, check: (ran: Ran, panicStatus: number) => void): void {
  describe(service, () => {
    let images: { elf?: string; linux?: string } = {};
    before(async () => {
      const directory = join(root, "tests/runtime/services", service);
      images = await buildService(`faults-${service}`, "both", { directory });
    });
    test(`hosted: ${title}`, async () => check(await runProgram(images.linux!, [], 60_000), PANIC.hosted));
    test(`microvm: ${title}`, async () => check(await runGuest(images.elf!), PANIC.microvm));
  });
}

/** The lines from the one that begins with `first` to the end of its backtrace. */
function report(output: string, first: string): string {
  const at = output.indexOf(`\n${first}`);
  assert.ok(at >= 0, `${first}\n${output}`);
  return /^.*(\n {2}at .*)*/.exec(output.slice(at + 1))![0];
}

onBoth(
  "watchdog",
  "who holds the core is reported, ended or the end, and nobody else",
  ({ status, output }, panicStatus) => {
    const polite = output.slice(output.indexOf("polite"), output.indexOf("rude"));
    assert.equal(polite, "polite\n", "fibers that yield, or sleep, are left alone");
    const held = report(output, "watchdog: the core is held: ");
    assert.match(held, /^watchdog: the core is held: (5\d|6\d) ms, on core 0, fiber \d+\n/);
    assert.match(held, /\n {2}at main\/holds /);
    assert.equal(output.match(/^held to its end$/gm)?.length, 2, "reported, it goes on");
    const ended = report(output, "trap: held the core for too long: 1");
    assert.match(ended, /: 1[0-2]\d ms, on core 0, fiber \d+\n {2}at main\/spins /);
    assert.match(output, /^trap: held the core for too long: \d+ ms, .*\n( {2}at .*\n)*? {2}at main\/logsForEver /m);
    assert.equal(output.match(/^ended: true$/gm)?.length, 2, output);
    const off = output.slice(output.lastIndexOf("ended: true"), output.indexOf("off: 0"));
    assert.equal(off, "ended: true\nheld to its end\n");
    const panic = report(output, "panic: ");
    assert.match(
      panic,
      /^panic: held the core for too long: 2\d\d ms, on core 0, fiber 1 \(main\)\n {2}at main\/main /,
    );
    assert.equal(status, panicStatus);
  },
);

describe("reports", () => {
  let images: { elf?: string; linux?: string } = {};
  before(async () => {
    images = await buildService("faults-reports", "both", { directory: join(root, "tests/runtime/services/reports") });
  });
  for (const platform of ["hosted", "microvm"] as const) {
    const run = (t: TestContext, which: string, limit_ms: number): Promise<Ran> => {
      const config = join(temporaryFolder(t), "config.json");
      writeFileSync(config, JSON.stringify({ case: which }));
      return platform === "hosted"
        ? runProgram(images.linux!, ["--config", config], limit_ms)
        : runGuest(images.elf!, ["-initrd", config], 64, limit_ms);
    };

    test(`${platform}: fibers that wait for each other are a deadlock, reported once with each one's backtrace`, async (t) => {
      const { output } = await run(t, "deadlock", 3000);
      assert.equal(
        output.match(/deadlock: nothing can ever wake the fibers that wait, 3 in all$/gm)?.length,
        1,
        output,
      );
      for (const [fiber, where] of [
        ["1 \\(main\\)", "fibers/index/Fiber#join"],
        ["2", "main/waitsForA"],
        ["3", "main/waitsForB"],
      ])
        assert.match(output, new RegExp(`^fiber ${fiber}, suspended\\n( {2}at .*\\n)*? {2}at ${where} `, "m"));
    });

    test(`${platform}: a call that blocks outside a fiber is a panic that names it`, async (t) => {
      const { status, output } = await run(t, "outside", 10_000);
      const panic = report(output, "panic: ");
      assert.match(panic, /^panic: a call that blocks was made outside a fiber, on core 0, the event loop\n/);
      assert.match(panic, /\n {2}at main\/blocksOnTheLoop /);
      assert.equal(status, PANIC[platform]);
    });

    test(`${platform}: a panic shows the last lines of the log and the counters`, async (t) => {
      const { status, output } = await run(t, "panic", 10_000);
      assert.match(
        report(output, "panic: "),
        /^panic: abort: on purpose at main\.ts:\d+:\d+, on core 0, fiber 1 \(main\)\n {2}at main\/main /,
      );
      const lines = /\nthe last lines of the log, .*:\n((?: {2}.*\n)*)counters:\n((?: {2}.*\n)*)/.exec(output);
      assert.ok(lines, output);
      const said = lines[1]!.trimEnd().split("\n");
      assert.equal(said.length, 10);
      assert.match(said[0]!, /^ {2}\d+\.\d{3} line 11$/);
      assert.match(said[9]!, /^ {2}\d+\.\d{3} the very last\?$/);
      assert.match(lines[2]!, /^ {2}loop turns [1-9]\d*$/m);
      assert.match(lines[2]!, /^ {2}heap, KiB [1-9]\d*$/m);
      assert.equal(status, PANIC[platform]);
    });

    test(`${platform}: what a trap reports is in the log's ring too`, async (t) => {
      const { status, output } = await run(t, "kept", 10_000);
      assert.match(output, /^kept 1 1$/m);
      assert.equal(status, DONE[platform]);
    });
  }
});
