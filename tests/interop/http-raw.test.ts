// The cases of lib/http-cases.ts on raw sockets, against the appliance as a Linux process over TAP.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { packUstar } from "../../boot/toolchain/ustar.ts";
import { cases } from "./lib/http-cases.ts";
import { hostedImage, root } from "./lib/images.ts";
import { Network, type Running } from "./lib/network.ts";

const GUEST = "10.9.0.2";
const CONFIGURATION = {
  interfaces: { eth0: { address: `${GUEST}/24`, gateway: "10.9.0.1" } },
  httpServer: {
    sites: [{ root: "www" }, { host: "special", root: "special" }],
    limits: { headerBytes: "4KiB", headers: 20, bodyBytes: "1KiB" },
    timeouts: { header: "400ms", body: "400ms", idle: "1500ms" },
  },
};
const FILES: Record<string, string> = {
  "www/index.html": "the index",
  "www/a.txt": "hello world",
  "www/JJ.txt": "j",
  "www/d/index.html": "folder",
  "www/large.bin": "x".repeat(300_000),
  "special/index.html": "special site",
};

let folder: string;
let network: Network;
let running: Running;
const results: { received: string; closed: boolean }[] = [];

before(async () => {
  const image = await hostedImage("appliances/http-server", "http-server");
  folder = mkdtempSync(join(tmpdir(), "heddle-raw-"));
  const bundle = join(folder, "bundle.tar");
  const entries = Object.entries(FILES).map(([name, data]) => ({ name, data: Buffer.from(data) }));
  writeFileSync(
    bundle,
    packUstar([{ name: "config.json", data: Buffer.from(JSON.stringify(CONFIGURATION)) }, ...entries]),
  );
  network = await Network.create();
  await network.tap("t0", "10.9.0.1/24");
  running = network.start(image, ["--tap", "t0", "--config", bundle]);
  const wait = ["--retry", "50", "--retry-delay", "0", "--retry-connrefused", "--retry-max-time", "10", "-m", "2"];
  const { status } = await network.run("curl", [...wait, "-s", "-o", "/dev/null", `http://${GUEST}/`]);
  assert.equal(status, 0, running.output);
  const client = join(root, "tests/interop/lib/http-raw-client.ts");
  const text = await network.must(process.execPath, ["--import", "tsx", client, GUEST], 120_000);
  for (const line of text.trim().split("\n")) {
    const { number, ...result } = JSON.parse(line) as { number: number; received: string; closed: boolean };
    results[number] = result;
  }
});

after(async () => {
  await network.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("raw sockets", () => {
  assert.ok(cases.length >= 200, `${cases.length} cases`);
  assert.equal(new Set(cases.map(({ section, name }) => section + name)).size, cases.length, "a case stands twice");
  for (const [number, one] of cases.entries())
    test(`${one.section} ${one.level}: ${one.name}`, () => {
      const { received, closed } = results[number]!;
      const shown = JSON.stringify(received.slice(0, 2000));
      const statuses = [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
      assert.deepEqual(statuses, one.status, shown);
      assert.equal(closed, one.closes, `closed: ${closed}; ${shown}`);
      if (one.like) assert.match(received, one.like);
      if (one.unlike) assert.doesNotMatch(received, one.unlike);
    });
});
