// Several CPUs under QEMU: found by ACPI (q35, pc) or by the MultiProcessor table (microvm without ACPI), started by INIT
// and SIPI, each with an instance of its own. The service prints a line for each thing that must hold.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { qemuArguments, stopStatus, type Machine as Kind } from "../../boot/cli/qemu.ts";
import { elfImage, Machine } from "./lib/machine.ts";

async function run(machine: Kind, cpus: number, memory_mib: number): Promise<{ status: number; console: string }> {
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

// What `curl` gets, one connection after the other; the log's counters say which core had them.
for (const [machine, cpus, memory_mib, nic] of [
  ["microvm", 2, 64, "virtio"],
  ["q35", 2, 64, "virtio"],
  ["q35", 4, 128, "e1000"],
  ["microvm", 4, 128, "virtio"],
] as const) {
  test(`the HTTP server on ${cpus} CPUs of ${machine} behind one ${nic} card: every core serves`, async () => {
    const elf = await elfImage("appliances/http-server", "http-server");
    const guest = await Machine.qemu({
      ...{ elf, machine, nic, memory_bytes: memory_mib << 20, more: ["-smp", String(cpus)] },
      bundle: JSON.stringify({ log: { level: "debug" } }),
    });
    try {
      await guest.until(new RegExp(`cores: ${cpus} of ${cpus} serve`));
      await guest.until(/serving http/);
      for (let i = 0; i < 20 * cpus; i++) assert.equal((await guest.fetch()).status, 200);
      await guest.until(new RegExp(`(?:http: connections[^]*){${cpus}}`), 20_000);
      const requests = [...guest.console.matchAll(/http: connections \d+, refused 0,[^\n]*? requests (\d+)/g)];
      assert.equal(requests.length, cpus, guest.console);
      const counts = requests.map((match) => Number(match[1]));
      assert.equal(
        counts.reduce((sum, count) => sum + count),
        20 * cpus,
      );
      assert.ok(
        counts.every((count) => count > 0),
        String(counts),
      );
    } finally {
      await guest.close();
    }
  });
}

test("the HTTP server on 2 CPUs of bochs, an emulator of its own kind: both serve", async () => {
  const elf = await elfImage("appliances/http-server", "http-server");
  const guest = await Machine.bochs({ elf }, "corei7_haswell_4770", 2);
  try {
    await guest.until(/cores: 2 of 2 serve/, 60_000);
    await guest.until(/serving http/, 60_000);
    for (let i = 0; i < 10; i++) assert.equal((await guest.fetch()).status, 200);
  } finally {
    await guest.close();
  }
});

test("two idle CPUs get no interrupt at all, neither timer nor wake-up", async () => {
  const elf = await elfImage("tests/guest/services/cores-idle", "tests/cores-idle");
  const folder = mkdtempSync(join(tmpdir(), "heddle-idle-"));
  const log = join(folder, "interrupts");
  const machine = await Machine.qemu({ elf, machine: "q35", more: ["-smp", "2", "-d", "int", "-D", log] });
  try {
    await machine.until(/^idle/m);
    const interrupts = () => readFileSync(log, "latin1").match(/Servicing hardware INT=/g)?.length ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 300));
    const before = interrupts();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    // The start itself needed some: so the log does see them.
    assert.ok(before >= 2, `${before} interrupts until then`);
    assert.equal(interrupts() - before, 0);
  } finally {
    await machine.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
