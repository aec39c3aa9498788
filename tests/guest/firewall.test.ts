// The firewall's image under QEMU between two Linux hosts: on each machine and card it boots in 16 MiB and translates, and with two cores.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Machine as Kind, type Nic, qemuArguments } from "../../boot/cli/qemu.ts";
import { Network, sleep } from "../interop/lib/network.ts";
import { addHost } from "../interop/lib/three.ts";
import { elfImage } from "./lib/machine.ts";

const configuration = {
  interfaces: {
    eth0: { address: ["203.0.113.2/24", "2001:db8::2/64"] },
    eth1: { address: ["10.0.0.1/24", "2001:db8:10::1/64"] },
  },
  firewall: {
    nat: [{ type: "masquerade", to: "eth0" }],
    rules: [{ name: "lan-out", action: "accept", from: "eth1", to: "eth0" }],
  },
};

let elf: string;
let folder: string;
const data = randomBytes(5_000_000);
const hash = createHash("sha256").update(data).digest("hex");

before(async () => {
  elf = await elfImage("appliances/firewall", "firewall");
  folder = mkdtempSync(join(tmpdir(), "heddle-firewall-"));
  writeFileSync(join(folder, "config"), JSON.stringify(configuration));
  writeFileSync(join(folder, "data.bin"), data);
});
after(() => rmSync(folder, { recursive: true, force: true }));

test("the image has at most 500 KiB", () => assert.ok(statSync(elf).size <= 500 * 1024, `${statSync(elf).size} bytes`));

const machines: [Kind, Nic, number, number][] = [
  ["microvm", "virtio", 1, 16],
  ["q35", "e1000", 1, 16],
  ["q35", "e1000", 2, 64],
];
for (const [machine, nic, cpus, memory_MiB] of machines)
  test(`${machine}, ${nic}, ${cpus} core(s), ${memory_MiB} MiB: ping and 5 MB through masquerade, IPv6 routed, nothing from outside`, async () => {
    const network = await Network.create();
    try {
      const server = await addHost(network, "server", "w0", ["203.0.113.9/24", "2001:db8::9/64"], ["2001:db8::2"]);
      const inside = ["10.0.0.5/24", "2001:db8:10::5/64"];
      const client = await addHost(network, "client", "l0", inside, ["10.0.0.1", "2001:db8:10::1"]);
      const args = qemuArguments({
        ...{ machine, nic, boot: { kernel: elf, bundle: join(folder, "config") }, kvm: false, cpus },
        ...{ memory_bytes: memory_MiB << 20, network: { taps: ["w0", "l0"] } },
      });
      const guest = network.start("qemu-system-x86_64", args);
      await guest.until(/firewall: 1 rule between eth0, eth1/, 20_000);
      if (cpus > 1) await guest.until(new RegExp(`cores: ${cpus} of ${cpus} serve`), 20_000);
      server.start("python3", ["-u", "-m", "http.server", "-d", folder, "--bind", "::", "80"]);
      const ready = ["-s", "-o", "/dev/null", "-m", "1", "http://127.0.0.1/"];
      for (let i = 0; i < 100 && (await server.run("curl", ready)).status !== 0; i++) await sleep(50);
      assert.match(await client.must("ping", ["-c", "10", "-i", "0.02", "-W", "2", "203.0.113.9"]), /10 received/);
      assert.match(await client.must("ping", ["-c", "3", "-i", "0.02", "-W", "2", "2001:db8::9"]), /3 received/);
      for (const url of ["http://203.0.113.9/data.bin", "http://[2001:db8::9]/data.bin"]) {
        const sum = await client.must("sh", ["-c", `curl -sS -m 30 '${url}' | sha256sum`]);
        assert.equal(sum.split(" ")[0], hash, guest.output);
      }
      for (let i = 0; i < 16; i++)
        await client.must("curl", ["-sS", "-m", "10", "-o", "/dev/null", "http://203.0.113.9/"]);
      await server.must("ip", ["route", "add", "10.0.0.0/24", "via", "203.0.113.2"]);
      assert.equal((await server.run("ping", ["-c", "2", "-W", "1", "10.0.0.5"])).status, 1);
      assert.doesNotMatch(guest.output, /panic|error/);
    } finally {
      await network.close();
    }
  });
