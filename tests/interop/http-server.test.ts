// The HTTP server appliance as a Linux process over TAP, with Linux's own stack and curl as the peer: first on a clean
// link, then through the relay that drops 2 % of all frames in both directions.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { packUstar } from "../../boot/toolchain/ustar.ts";
import { badLink, hostedImage, relayCounters } from "./lib/images.ts";
import { Network, type Running } from "./lib/network.ts";

const GUEST = "10.9.0.2";
const HOST = "10.9.0.1/24";
const CONFIGURATION = {
  interfaces: { eth0: { address: `${GUEST}/24`, gateway: "10.9.0.1" } },
  httpServer: { listen: 80, sites: [{ root: "www" }] },
};
const PAGE = "<!doctype html><title>Interop</title><p>It works.\n";

/** Ten million bytes that no compression or repetition explains: a keystream of SHA-256. */
function bigFile(): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i * 32 < 10_000_000; i++) parts.push(createHash("sha256").update(`block ${i}`).digest());
  return Buffer.concat(parts).subarray(0, 10_000_000);
}

const big = bigFile();
const bigHash = createHash("sha256").update(big).digest("hex");
let image: string;
let folder: string;
let bundle: string;

before(async () => {
  image = await hostedImage("appliances/http-server", "http-server");
  folder = mkdtempSync(join(tmpdir(), "heddle-interop-"));
  bundle = join(folder, "bundle.tar");
  const entries = [
    { name: "config.json", data: Buffer.from(JSON.stringify(CONFIGURATION)) },
    { name: "www/big.bin", data: big },
    { name: "www/index.html", data: Buffer.from(PAGE) },
  ];
  writeFileSync(bundle, packUstar(entries));
});

after(() => rmSync(folder, { recursive: true, force: true }));

async function serving(network: Network, tap: string): Promise<Running> {
  const running = network.start(image, ["--tap", tap, "--config", bundle]);
  const wait = [
    "--retry",
    "50",
    "--retry-delay",
    "0",
    "--retry-connrefused",
    "--retry-max-time",
    "10",
    "-m",
    "2",
    "-s",
    "-o",
    "/dev/null",
  ];
  const { status } = await network.run("curl", [...wait, `http://${GUEST}/`]);
  assert.equal(status, 0, running.output);
  return running;
}

async function download(network: Network, path: string, limit_s: number): Promise<{ code: string; hash: string }> {
  const file = join(folder, `download-${Math.random().toString(36).slice(2)}`);
  const args = ["-s", "-S", "-m", String(limit_s), "-o", file, "-w", "%{http_code}", `http://${GUEST}${path}`];
  const code = await network.must("curl", args, (limit_s + 5) * 1000);
  const hash = (await network.must("sha256sum", [file])).split(" ")[0]!;
  rmSync(file);
  return { code, hash };
}

describe("on a clean link", () => {
  let network: Network;
  let running: Running;
  before(async () => {
    network = await Network.create();
    await network.tap("t0", HOST);
    running = await serving(network, "t0");
  });
  after(() => network.close());

  test("it answers ping", async () => {
    const text = await network.must("ping", ["-c", "20", "-i", "0.01", "-W", "2", GUEST]);
    assert.match(text, /20 packets transmitted, 20 received/);
  });

  test("curl gets the page", async () => {
    assert.equal(await network.must("curl", ["-s", "-m", "5", `http://${GUEST}/`]), PAGE);
  });

  test("a file that is not there is 404", async () => {
    assert.equal((await download(network, "/nothing", 5)).code, "404");
  });

  test("10 MB arrive intact, three times at once", async () => {
    const results = await Promise.all([1, 2, 3].map(() => download(network, "/big.bin", 20)));
    for (const result of results) assert.deepEqual(result, { code: "200", hash: bigHash });
  });

  test("an upload loses nothing on the way in, however large the frames that the host makes of it", async () => {
    const file = join(folder, "upload.bin");
    writeFileSync(file, big.subarray(0, 900_000));
    const counted = async () =>
      Number((await network.must("nstat", ["-asz", "TcpRetransSegs"])).match(/RetransSegs\s+(\d+)/)![1]);
    const before = await counted();
    const request = ["-H", "Expect:", "--data-binary", `@${file}`, `http://${GUEST}/`];
    const code = await network.must("curl", ["-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", ...request]);
    assert.equal(code, "405");
    assert.equal((await counted()) - before, 0, "segments sent again on a link that loses none");
  });

  test("SIGTERM ends it in order", async () => {
    assert.equal(await running.stop(10_000), 0, running.output);
  });
});

describe("over AF_PACKET on a veth", () => {
  test("large frames arrive whole, in both directions", async () => {
    const network = await Network.create();
    try {
      await network.veth("v0", "v1", HOST);
      const running = network.start(image, ["--packet", "v1", "--config", bundle]);
      const patient = [
        "--retry",
        "50",
        "--retry-delay",
        "0",
        "--retry-connrefused",
        "--retry-max-time",
        "10",
        "-m",
        "2",
      ];
      await network.must("curl", [...patient, "-s", "-o", "/dev/null", `http://${GUEST}/`]);
      assert.deepEqual(await download(network, "/big.bin", 20), { code: "200", hash: bigHash });
      const file = join(folder, "upload-veth.bin");
      writeFileSync(file, big.subarray(0, 900_000));
      const request = ["-H", "Expect:", "--data-binary", `@${file}`, `http://${GUEST}/`];
      await network.must("curl", ["-s", "-m", "10", "-o", "/dev/null", ...request]);
      const sent = await network.must("nstat", ["-asz", "TcpRetransSegs"]);
      assert.equal(Number(sent.match(/RetransSegs\s+(\d+)/)![1]), 0, `${sent}${running.output}`);
      assert.doesNotMatch(running.output, /large frames lost/);
    } finally {
      await network.close();
    }
  });
});

describe("through a relay that drops 2 %", () => {
  for (const seed of [1, 2])
    test(`10 MB arrive intact, seed ${seed}`, async () => {
      const network = await Network.create();
      try {
        const relay = await badLink(network, "i0", "h0", HOST, ["--seed", String(seed), "--loss", "2%"]);
        await serving(network, "i0");
        assert.deepEqual(await download(network, "/big.bin", 60), { code: "200", hash: bigHash });
        const { ab, ba } = await relayCounters(relay);
        // 10 MB are at least 6,800 segments: 2 % of them is more than 80 and less than 250.
        assert.ok(ab.frames > 6_800 && ab.loss > 80 && ab.loss < ab.frames * 0.04, relay.output);
        assert.ok(ba.loss > 0, relay.output);
      } finally {
        await network.close();
      }
    });
});
