// Faults of services: what is reported, what ends, with which words. The same services on a Linux process and on a machine.
import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { buildService, root, runGuest, runProgram, type Ran } from "../toolchain/lib/images.ts";

/** EX_SOFTWARE; QEMU's isa-debug-exit gives 2 * 70 + 1. */
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
