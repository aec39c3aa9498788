// The network on several cores, with Linux as the peer: every core serves, a flow stays with its core, connections that a
// core begins come back to it, uploads arrive whole, and all packets come home.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostedImage, root } from "./lib/images.ts";
import { Network, type Running } from "./lib/network.ts";

const GUEST = "10.9.0.2";
const HOST = "10.9.0.1";
/** A receive ring of packets, and as many whose sending is not yet noticed. */
const IN_RINGS = 512;

interface Seen {
  first: number[];
  again: number[];
  heard: number[];
  connected: boolean[];
  uploads: boolean[];
  before: Record<number, Record<string, number>>;
  after: Record<number, Record<string, number>>;
}

let image: string;
let folder: string;
let config: string;

before(async () => {
  image = await hostedImage("tests/interop/services/cores", "tests/interop-cores");
  folder = mkdtempSync(join(tmpdir(), "heddle-cores-"));
  config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify({ interfaces: { eth0: { address: `${GUEST}/24`, gateway: HOST } } }));
});

after(() => rmSync(folder, { recursive: true, force: true }));

for (const [cpus, queues] of [
  [2, false],
  [4, false],
  [2, true],
  [4, true],
] as const) {
  describe(`${cpus} cores behind one TAP with ${queues ? "a queue for each" : "one queue"}`, () => {
    let network: Network;
    let running: Running;
    let seen: Seen;

    before(async () => {
      network = await Network.create();
      await network.tap("t0", `${HOST}/24`, { queues });
      running = network.start(image, ["--tap", "t0", "--config", config, "--cpus", String(cpus)]);
      await running.until(new RegExp(`cores: ${cpus} of ${cpus} serve`));
      const client = join(root, "tests/interop/lib/cores-client.ts");
      seen = JSON.parse(await network.must(process.execPath, ["--import", "tsx", client, GUEST, HOST], 60_000)) as Seen;
    });

    after(() => network.close());

    test("each core has its part of the connections", () => {
      for (let core = 0; core < cpus; core++) {
        const share = seen.first.filter((one) => one === core).length / seen.first.length;
        assert.ok(share > 0.3 / cpus && share < 2.5 / cpus, `core ${core} has ${share}: ${seen.first}`);
      }
    });

    test("a connection stays with its core", () => assert.deepEqual(seen.again, seen.first));

    test("a connection that a core begins comes back to it", () => {
      assert.ok(seen.connected.every(Boolean), JSON.stringify(seen.connected));
      assert.deepEqual([...seen.heard].sort(), [...seen.first].sort());
    });

    test("uploads arrive whole on each core", () =>
      assert.ok(seen.uploads.every(Boolean), JSON.stringify(seen.uploads)));

    test("frames were handed over, none was refused, and all packets came home", () => {
      assert.ok(seen.after[0]!.steeredOut! > (queues ? 0 : 200), JSON.stringify(seen.after[0]));
      for (let core = 0; core < cpus; core++) {
        const { drops, refused, broken, used, away } = seen.after[core]!;
        // Without queues of its own, a core has each frame from core 0.
        if (!queues && core > 0) assert.equal(seen.after[core]!.in, seen.after[core]!.steeredIn);
        if (queues)
          assert.ok(seen.after[core]!.in! > 2 * seen.after[core]!.steeredIn!, JSON.stringify(seen.after[core]));
        assert.deepEqual({ drops, refused, broken }, { drops: 0, refused: 0, broken: 0 });
        assert.ok(used! - seen.before[core]!.used! < IN_RINGS, `core ${core} used ${used}`);
        assert.ok(away! < IN_RINGS, `core ${core} away ${away}`);
      }
    });

    test("it answers ping, also with fragments", async () => {
      await network.must("ping", ["-c", "3", "-i", "0.2", "-s", "4000", GUEST]);
    });

    test("SIGTERM ends it in order", async () => assert.equal(await running.stop(), 0));
  });
}

describe("the HTTP server on 2 of 4 cores", () => {
  let network: Network;
  let running: Running;

  before(async () => {
    const server = await hostedImage("appliances/http-server", "http-server");
    const file = join(folder, "http.json");
    const interfaces = { eth0: { address: `${GUEST}/24`, gateway: HOST } };
    writeFileSync(file, JSON.stringify({ interfaces, cores: { count: 2, drain: "10s" } }));
    network = await Network.create();
    await network.tap("t0", `${HOST}/24`);
    running = network.start(server, ["--tap", "t0", "--config", file, "--cpus", "4"]);
  });

  after(() => network.close());

  test("uses as many as the configuration says", async () => {
    await running.until(/cores: 2 of 2 serve/);
    for (let i = 0; i < 20; i++) {
      const args = ["-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", `http://${GUEST}/`];
      assert.equal(await network.must("curl", args), "200");
    }
  });

  test("asked to end, it closes idle connections, finishes a request under way, and takes no new one", async () => {
    const client = join(root, "tests/interop/lib/drain-client.ts");
    const args = ["--import", "tsx", client, GUEST, String(running.pid)];
    const seen = JSON.parse(await network.must(process.execPath, args, 30_000)) as Record<string, unknown>;
    assert.deepEqual(seen, { idleClosed: 8, refused: true, answered: 8, ended: true });
    assert.equal(await running.wait(), 0);
  });
});

test("with a collection and poison at each suspension, 2 cores serve as well", async () => {
  const variant = { gcStress: true };
  const stressed = await hostedImage("tests/interop/services/cores", "tests/interop-cores-gc", variant);
  const network = await Network.create();
  try {
    await network.tap("t0", `${HOST}/24`);
    const running = network.start(stressed, ["--tap", "t0", "--config", config, "--cpus", "2"]);
    await running.until(/cores: 2 of 2 serve/);
    const client = join(root, "tests/interop/lib/cores-client.ts");
    const output = await network.must(process.execPath, ["--import", "tsx", client, GUEST, HOST], 60_000);
    const seen = JSON.parse(output) as Seen;
    assert.deepEqual(seen.again, seen.first);
    assert.ok(seen.connected.every(Boolean) && seen.uploads.every(Boolean));
    assert.doesNotMatch(running.output, /panic|fiber .* ended/);
  } finally {
    await network.close();
  }
});

test("with onPanic halt, the flows of a core that panics are lost, and the others take its part", async () => {
  const network = await Network.create();
  try {
    const file = join(folder, "halt.json");
    const interfaces = { eth0: { address: `${GUEST}/24`, gateway: HOST } };
    writeFileSync(file, JSON.stringify({ interfaces, cores: { onPanic: "halt" } }));
    await network.tap("t0", `${HOST}/24`);
    const running = network.start(image, ["--tap", "t0", "--config", file, "--cpus", "3"]);
    await running.until(/cores: 3 of 3 serve/);
    const client = join(root, "tests/interop/lib/death-client.ts");
    const seen = JSON.parse(await network.must(process.execPath, ["--import", "tsx", client, GUEST], 60_000));
    await running.until(/cores: 1 have died; their flows are lost/);
    assert.deepEqual(seen.before, [0, 1, 2]);
    assert.equal(seen.kept, true);
    assert.deepEqual(seen.after, [0, 2]);
  } finally {
    await network.close();
  }
});

test("64 cores serve together", async () => {
  const network = await Network.create();
  try {
    await network.tap("t0", `${HOST}/24`);
    const running = network.start(image, ["--tap", "t0", "--config", config, "--cpus", "64", "--memory", "1GiB"]);
    await running.until(/cores: 64 of 64 serve/);
    const client = join(root, "tests/interop/lib/cores-client.ts");
    const output = await network.must(process.execPath, ["--import", "tsx", client, GUEST, HOST], 60_000);
    const seen = JSON.parse(output) as Seen;
    assert.ok(new Set(seen.first).size > 32, String(seen.first));
    assert.deepEqual(seen.again, seen.first);
    assert.ok(seen.connected.every(Boolean) && seen.uploads.every(Boolean));
  } finally {
    await network.close();
  }
});
