// A machine under QEMU over TAP, with Linux's own stack as the neighbour: ping, curl, a large file, for both drivers.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Machine as Kind, type Nic, qemuArguments } from "../../boot/cli/qemu.ts";
import { packUstar } from "../../boot/toolchain/ustar.ts";
import { Network } from "../interop/lib/network.ts";
import { elfImage, root } from "./lib/machine.ts";

const configuration = { interfaces: { eth0: { address: "10.9.0.2/24", gateway: "10.9.0.1" } } };
const big = Buffer.alloc(5_000_000);
for (let i = 0, x = 1; i < big.length; i++) big[i] = (x = (Math.imul(x, 1103515245) + 12345) >>> 0) >>> 16;
const sum = createHash("sha256").update(big).digest("hex");

let elf: string;
let folder: string;
before(async () => {
  elf = await elfImage("appliances/http-server", "http-server");
  folder = mkdtempSync(join(tmpdir(), "heddle-tap-"));
  const entries = [
    { name: "config.json", data: Buffer.from(JSON.stringify(configuration)) },
    { name: "www/big.bin", data: big },
    { name: "www/index.html", data: Buffer.from("over TAP") },
  ];
  writeFileSync(join(folder, "bundle"), packUstar(entries));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const machines: [Kind, Nic][] = [
  ["microvm", "virtio"],
  ["q35", "virtio"],
  ["q35", "e1000"],
];
for (const [machine, nic] of machines)
  test(`${machine}, ${nic}: ping, curl and 5 MB over TAP`, async () => {
    const network = await Network.create();
    try {
      await network.tap("t0", "10.9.0.1/24");
      const args = qemuArguments({
        ...{ machine, nic, boot: { kernel: elf, bundle: join(folder, "bundle") }, kvm: false, cpus: 1 },
        ...{ memory_bytes: 64 << 20, network: { taps: ["t0"] } },
      });
      const guest = network.start("qemu-system-x86_64", args);
      await guest.until(/serving http:\/\/10\.9\.0\.2:80\//, 20_000);
      assert.match(await network.must("ping", ["-c", "10", "-i", "0.02", "-W", "2", "10.9.0.2"]), /10 received/);
      assert.match(
        await network.must("ping", ["-c", "2", "-i", "0.02", "-s", "4000", "-W", "2", "10.9.0.2"]),
        /2 received/,
      );
      assert.equal(await network.must("curl", ["-s", "-m", "5", "http://10.9.0.2/"]), "over TAP");
      const file = join(folder, "download");
      await network.must("curl", ["-s", "-S", "-m", "30", "-o", file, "http://10.9.0.2/big.bin"]);
      assert.equal((await network.must("sha256sum", [file])).split(" ")[0], sum);
      assert.doesNotMatch(guest.output, /panic|error/);
    } finally {
      await network.close();
    }
  });

// Linux's TAP device sends a flow's frames to the queue that answered last: after a flow's first frame none is handed over.
for (const cpus of [2, 4])
  test(`q35 with ${cpus} CPUs and a queue pair for each: a flow's frames come to its core`, async () => {
    const network = await Network.create();
    const elf = await elfImage("tests/interop/services/cores", "tests/interop-cores");
    const bundle = join(folder, "config");
    writeFileSync(bundle, JSON.stringify(configuration));
    try {
      await network.tap("t0", "10.9.0.1/24", { queues: true });
      const args = qemuArguments({
        ...{ machine: "q35", nic: "virtio", boot: { kernel: elf, bundle }, kvm: false, cpus },
        ...{ memory_bytes: 128 << 20, network: { taps: ["t0"], queues: cpus } },
      });
      const guest = network.start("qemu-system-x86_64", args);
      await guest.until(new RegExp(`cores: ${cpus} of ${cpus} serve`), 20_000);
      const client = join(root, "tests/interop/lib/cores-client.ts");
      const peer = ["--import", "tsx", client, "10.9.0.2", "10.9.0.1"];
      const seen = JSON.parse(await network.must(process.execPath, peer, 60_000));
      assert.deepEqual(seen.again, seen.first);
      assert.equal(new Set(seen.first).size, cpus);
      assert.ok(seen.connected.every(Boolean) && seen.uploads.every(Boolean), JSON.stringify(seen));
      for (let core = 0; core < cpus; core++) {
        const counters = seen.after[core];
        assert.deepEqual([counters.drops, counters.refused, counters.broken], [0, 0, 0]);
        assert.ok(counters.in > 2 * counters.steeredIn, JSON.stringify(counters));
      }
      assert.doesNotMatch(guest.output, /panic|error/);
    } finally {
      await network.close();
    }
  });
