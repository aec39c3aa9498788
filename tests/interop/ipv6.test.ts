// IPv6 with Linux as the peer: the HTTP server appliance with fixed addresses of both versions over TAP.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { packUstar } from "../../boot/toolchain/ustar.ts";
import { badLink, hostedImage, relayCounters } from "./lib/images.ts";
import { Network, type Running, sleep } from "./lib/network.ts";

const GUEST = "2001:db8::2";
const HOST = "10.9.0.1/24";
const CONFIGURATION = {
  interfaces: { eth0: { address: ["10.9.0.2/24", `${GUEST}/64`], gateway: ["10.9.0.1", "2001:db8::1"] } },
  httpServer: { listen: [80, `[${GUEST}]:8080`], sites: [{ root: "www" }] },
};

const big = Buffer.concat(
  Array.from({ length: 156_250 }, (_, i) => createHash("sha256").update(`block ${i}`).digest()),
);
const bigHash = createHash("sha256").update(big).digest("hex");
let image: string;
let folder: string;
let bundle: string;

before(async () => {
  image = await hostedImage("appliances/http-server", "http-server");
  folder = mkdtempSync(join(tmpdir(), "heddle-interop6-"));
  bundle = join(folder, "bundle.tar");
  const entries = [
    { name: "config.json", data: Buffer.from(JSON.stringify(CONFIGURATION)) },
    { name: "www/big.bin", data: big },
    { name: "www/index.html", data: Buffer.from("<!doctype html><p>It works.\n") },
  ];
  writeFileSync(bundle, packUstar(entries));
});

after(() => rmSync(folder, { recursive: true, force: true }));

/** Gives a TAP of the host its IPv6 address, without waiting for the check of duplicates. */
async function enable6(network: Network, name: string): Promise<void> {
  await network.must("sh", ["-c", `echo 0 > /proc/sys/net/ipv6/conf/${name}/disable_ipv6`]);
  await network.must("ip", ["-6", "addr", "add", "2001:db8::1/64", "dev", name, "nodad"]);
}

async function serving(network: Network, tap: string): Promise<Running> {
  const running = network.start(image, ["--tap", tap, "--config", bundle]);
  const retry = ["--retry", "50", "--retry-delay", "0", "--retry-connrefused", "--retry-max-time", "10", "-m", "2"];
  const { status } = await network.run("curl", [...retry, "-g", "-s", "-o", "/dev/null", `http://[${GUEST}]/`]);
  assert.equal(status, 0, running.output);
  return running;
}

async function download(network: Network, url: string, limit_s: number): Promise<string> {
  const file = join(folder, `download-${Math.random().toString(36).slice(2)}`);
  await network.must("curl", ["-g", "-s", "-S", "-f", "-m", String(limit_s), "-o", file, url], (limit_s + 5) * 1000);
  const hash = (await network.must("sha256sum", [file])).split(" ")[0]!;
  rmSync(file);
  return hash;
}

describe("on a clean link", () => {
  let network: Network;
  let running: Running;
  before(async () => {
    network = await Network.create();
    await network.tap("t0", HOST);
    await enable6(network, "t0");
    running = await serving(network, "t0");
  });
  after(() => network.close());

  test("it says where it serves", async () => {
    await running.until(/serving http:\/\/\[2001:db8::2\]:80\//);
  });

  test("it answers ping", async () => {
    const text = await network.must("ping", ["-6", "-c", "20", "-i", "0.01", "-W", "2", GUEST]);
    assert.match(text, /20 packets transmitted, 20 received/);
  });

  test("it answers ping in fragments", async () => {
    const text = await network.must("ping", ["-6", "-c", "5", "-i", "0.01", "-s", "65000", "-W", "2", GUEST]);
    assert.match(text, /5 packets transmitted, 5 received/);
  });

  test("it answers the group of all with its own address", async () => {
    const { stdout } = await network.run("ping", ["-6", "-c", "2", "-i", "0.1", "-W", "2", "ff02::1%t0"]);
    // Two answer, the host itself and the guest, from addresses of the same scope as the asker's: the host asks from its
    // link-local address only once that is no longer tentative (RFC 6724, rule 2).
    const from = [...stdout.matchAll(/^64 bytes from (\S+): icmp_seq/gm)].map((match) => match[1]);
    assert.equal(new Set(from).size, 2, stdout);
  });

  test("20 MB in all arrive intact, from both listeners", async () => {
    const urls = [`http://[${GUEST}]/big.bin`, `http://[${GUEST}]:8080/big.bin`, `http://[${GUEST}]/big.bin`];
    const hashes = await Promise.all(urls.map((url) => download(network, url, 30)));
    assert.deepEqual(hashes, [bigHash, bigHash, bigHash]);
  });

  test("IPv4 is served on the same port", async () => {
    assert.equal(await download(network, "http://10.9.0.2/big.bin", 30), bigHash);
  });

  test("a closed port refuses at once, a datagram to nobody is answered by traceroute's error", async () => {
    const { status } = await network.run("curl", ["-g", "-s", "-m", "5", `http://[${GUEST}]:81/`]);
    assert.equal(status, 7);
    const trace = await network.must("traceroute", ["-6", "-n", "-q", "1", "-w", "2", GUEST]);
    assert.match(trace, /^ 1 {2}2001:db8::2 {2}/m);
  });

  test("nmap finds the two ports", async () => {
    const text = await network.must("nmap", ["-6", "-n", "-Pn", "--unprivileged", "-p", "70-90,8080", GUEST], 60_000);
    assert.match(text, /80\/tcp +open/);
    assert.match(text, /8080\/tcp +open/);
    assert.doesNotMatch(text, /filtered/);
  });

  test("Linux confirms it as a reachable neighbour", async () => {
    await sleep(100);
    assert.match(await network.must("ip", ["-6", "neigh", "show", GUEST]), /REACHABLE|DELAY|STALE|PROBE/);
  });
});

test("through a relay that drops 2 %, 5 MB arrive intact", async () => {
  const network = await Network.create();
  try {
    const relay = await badLink(network, "i0", "h0", HOST, ["--seed", "6", "--loss", "2%"]);
    await enable6(network, "h0");
    await serving(network, "i0");
    assert.equal(await download(network, `http://[${GUEST}]/big.bin`, 60), bigHash);
    const { ab } = await relayCounters(relay);
    assert.ok(ab.loss > 30, relay.output);
  } finally {
    await network.close();
  }
});
