// A service that tries everything that a driver must not do, on each kind of device, counts what was not refused, and ends
// with that as its status.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { qemuArguments, stopStatus, type Machine as Kind, type Nic } from "../../boot/cli/qemu.ts";
import { elfImage } from "./lib/machine.ts";

const machines: [Kind, Nic, number][] = [
  ["microvm", "virtio", 1],
  ["q35", "virtio", 1],
  ["q35", "virtio", 2],
  ["q35", "e1000", 1],
  ["pc", "e1000", 2],
];
for (const [machine, nic, cpus] of machines)
  test(`${machine}, ${nic}, ${cpus} CPUs: the platform refuses each of them`, async () => {
    const kernel = await elfImage("tests/guest/forbidden-writes", "tests/forbidden-writes");
    const args = qemuArguments({
      ...{ machine, nic, boot: { kernel }, kvm: false, cpus, memory_bytes: 64 << 20, network: { forwards: [] } },
    });
    const { status, stdout } = spawnSync("qemu-system-x86_64", args, { encoding: "utf8", timeout: 60_000 });
    assert.match(stdout, /forbidden-writes: \d{2,} attempts on [1-9]\d* devices, 0 wrong/, stdout);
    assert.equal(stopStatus(status ?? -1, ""), 0, stdout);
  });
