// Several CPUs under QEMU: found by ACPI (q35, pc) or by the MultiProcessor table (microvm without ACPI), started by INIT
// and SIPI, each with an instance of its own. The service prints a line for each thing that must hold.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { qemuArguments, stopStatus, type Machine } from "../../boot/cli/qemu.ts";
import { elfImage } from "./lib/machine.ts";

async function run(machine: Machine, cpus: number, memory_mib: number): Promise<{ status: number; console: string }> {
  const kernel = await elfImage("tests/runtime/services/cores", "tests/cores");
  const args = qemuArguments({
    ...{ machine, nic: "virtio", boot: { kernel }, kvm: false, cpus, memory_bytes: memory_mib << 20 },
    network: { forwards: [] },
  });
  const { status, stdout } = spawnSync("qemu-system-x86_64", args, { encoding: "utf8", timeout: 120_000 });
  return { status: stopStatus(status ?? -1, ""), console: stdout };
}

for (const [machine, cpus, memory_mib, lines] of [
  ["microvm", 2, 64, 8],
  ["microvm", 4, 128, 9],
  ["q35", 1, 64, 3],
  ["q35", 2, 64, 8],
  ["q35", 4, 128, 9],
  ["pc", 2, 64, 8],
  ["q35", 64, 1024, 9],
] as const) {
  test(`${machine} with ${cpus} CPUs: all start, answer calls, lose no message`, async () => {
    const { status, console } = await run(machine, cpus, memory_mib);
    assert.equal(console.match(/^FAILED.*|^panic.*/gm), null, console);
    assert.equal(console.match(/^ok /gm)?.length, lines, console);
    assert.match(console, new RegExp(`${cpus} of ${cpus} cores are up`));
    assert.equal(status, 0);
  });
}

test("a machine with too little memory for its CPUs uses fewer of them and says so", async () => {
  const { console } = await run("q35", 4, 32);
  assert.match(console, /heddle: 2 of 4 CPUs are used: each needs 12 MiB of memory/);
  assert.match(console, /2 of 2 cores are up/);
});
