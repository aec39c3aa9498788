// The HTTP server appliance on every machine that we say it runs on: it boots, gets an address by DHCP from the emulator's
// network and serves the embedded page; then what only a whole machine shows.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { packUstar } from "../../boot/toolchain/ustar.ts";
import { elfImage, Machine, type Options, root } from "./lib/machine.ts";

let elf: string;
const page = readFileSync(join(root, "appliances/http-server/www/index.html"), "latin1");

before(async () => {
  elf = await elfImage("appliances/http-server", "http-server");
});

async function serves(machine: Machine, limit_ms?: number): Promise<void> {
  try {
    await machine.until(/serving http:\/\/10\.0\.2\.15:80\//, limit_ms);
    const answer = await machine.fetch();
    assert.equal(answer.status, 200);
    assert.equal(answer.body, page);
    assert.match(String(answer.headers.etag), /^"[0-9a-f]{16}"$/);
    const again = await machine.fetch("/index.html", { "If-None-Match": String(answer.headers.etag) });
    assert.equal(again.status, 304);
  } finally {
    await machine.close();
  }
}

describe("boots, gets an address by DHCP and serves", () => {
  const machines: [string, Omit<Options, "elf">][] = [
    ["microvm, virtio-mmio, 16 MiB", { memory_bytes: 16 << 20 }],
    ["q35 by PVH, virtio over PCI", { machine: "q35" }],
    ["q35 by PVH, e1000", { machine: "q35", nic: "e1000" }],
    ["pc by PVH, e1000", { machine: "pc", nic: "e1000" }],
    ["pc from the disk image, virtio", { machine: "pc", disk: true }],
    ["pc from the disk image, e1000", { machine: "pc", disk: true, nic: "e1000" }],
    ["q35 from the disk image, virtio", { machine: "q35", disk: true }],
  ];
  for (const [name, options] of machines) test(name, async () => serves(await Machine.qemu({ elf, ...options })));

  test("bochs from the disk image, its e1000", async () =>
    serves(await Machine.bochs({ elf }, "corei7_haswell_4770"), 60_000));
  test("bochs with x2APIC and TSC-deadline", async () =>
    serves(await Machine.bochs({ elf }, "corei7_skylake_x"), 60_000));
});

describe("configuration", () => {
  const configuration = {
    hostname: "web1",
    httpServer: { sites: [{ host: "a.example", root: "www/a" }, { root: "www/b" }] },
  };
  const bundle = packUstar([
    { name: "config.json", data: Buffer.from(JSON.stringify(configuration)) },
    { name: "www/a/index.html", data: Buffer.from("site a") },
    { name: "www/b/index.html", data: Buffer.from("site b") },
    { name: "www/b/docs/index.html", data: Buffer.from("docs") },
  ]);
  const sources: [string, Omit<Options, "elf">][] = [
    ["boot module", { bundle }],
    ["disk slot", { machine: "pc", disk: true, bundle }],
  ];
  for (const [name, options] of sources)
    test(`and files come from the ${name}`, async () => {
      const machine = await Machine.qemu({ elf, ...options });
      try {
        await machine.until(/serving /);
        assert.equal((await machine.fetch("/", { Host: "A.example:80" })).body, "site a");
        assert.equal((await machine.fetch("/", { Host: "other" })).body, "site b");
        assert.equal((await machine.fetch("/docs")).headers.location, "/docs/");
        assert.equal((await machine.fetch("/docs/")).body, "docs");
        assert.equal((await machine.fetch("/docs/", { Host: "a.example" })).status, 404);
      } finally {
        await machine.close();
      }
    });

  test("that is wrong is refused whole, with place and advice, and the status says so", async () => {
    const machine = await Machine.qemu({ elf, bundle: '{"interfaces": {"eth1": {}},\n "htpServer": {}}' });
    try {
      await machine.until(/configuration refused/);
      assert.match(
        machine.console,
        /config\.json:1:25: \/interfaces\/eth1: there is no such card; the machine has eth0 \(52:54:00:/,
      );
      assert.match(machine.console, /config\.json:2:2: \/htpServer: unknown key; did you mean "httpServer"\?/);
      assert.doesNotMatch(machine.console, /serving/);
      assert.equal(await machine.status(), 1);
    } finally {
      await machine.close();
    }
  });
});

describe("life and end", () => {
  test("the power button ends a machine with ACPI in order", async () => {
    const machine = await Machine.qemu({ elf, machine: "q35" });
    try {
      await machine.until(/serving /);
      await machine.powerButton();
      assert.equal(await machine.status(), 0);
    } finally {
      await machine.close();
    }
  });

  test("without a DHCP server the machine says so and stays up", async () => {
    const more = ["-netdev", "socket,id=none,mcast=230.0.0.1:0,localaddr=127.0.0.1"];
    const options = { elf, bundle: '{"log": {"level": "debug"}}', more };
    const machine = await Machine.qemu({
      ...options,
      wrap: (command) => command.map((a) => a.replace(/^user,id=net0.*/, "hubport,id=net0,hubid=7")),
    });
    try {
      await machine.until(/DHCP/i, 30_000);
      await assert.rejects(machine.status(3_000), /still running/);
      assert.doesNotMatch(machine.console, /serving|panic/i);
    } finally {
      await machine.close();
    }
  });

  test("abort() ends it with a backtrace: function names, file and line of the abort", async () => {
    const machine = await Machine.qemu({ elf: await elfImage("tests/guest/services/abort", "guest-abort") });
    try {
      const status = await machine.status(20_000);
      assert.notEqual(status, 0);
      assert.match(machine.console, /^panic: abort: the answer was 41 at main\.ts:16:\d+, on core 0/m);
      assert.match(machine.console, /^ {2}at main\/main \+0x/m);
      assert.match(machine.console, /^ {2}at fibers\/index\/runService \+0x/m);
    } finally {
      await machine.close();
    }
  });
});
