// Linux - the router service - Linux, each a namespace of its own: both versions of IP, with large frames merged and cut again,
// path MTU discovery, errors that tools of Linux understand, and what must not pass.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostedImage } from "./lib/images.ts";
import { Network, type Running, sleep } from "./lib/network.ts";

const CONFIGURATION = {
  interfaces: {
    eth0: { address: ["10.1.0.254/24", "2001:db8:1::fe/64"] },
    eth1: { address: ["10.2.0.254/24", "2001:db8:2::fe/64"] },
  },
  routes: [
    { to: "10.3.0.0/24", via: "10.2.0.1" },
    { to: "2001:db8:3::/64", via: "2001:db8:2::1" },
    { to: "192.0.2.0/24", blackhole: true },
    { to: "10.4.0.0/24", via: "10.2.0.1", source: "10.1.0.0/25" },
  ],
  forwarding: true,
};

let image: string;
let folder: string;

before(async () => {
  image = await hostedImage("tests/interop/services/router", "tests/interop-router");
  folder = mkdtempSync(join(tmpdir(), "heddle-forwarding-"));
  const big = Array.from({ length: 156_250 }, (_, i) => createHash("sha256").update(`block ${i}`).digest());
  writeFileSync(join(folder, "big.bin"), Buffer.concat(big));
});

after(() => rmSync(folder, { recursive: true, force: true }));

/** West (10.1.0.1) - router - east (10.2.0.1, and 10.3.0.1 behind it). */
class Line {
  readonly router: Network;
  readonly west: Network;
  readonly east: Network;
  readonly running: Running;

  private constructor(router: Network, west: Network, east: Network, running: Running) {
    this.router = router;
    this.west = west;
    this.east = east;
    this.running = running;
  }

  static async create(configuration: object, eastMtu = 1500): Promise<Line> {
    const file = join(folder, `config-${Math.random().toString(36).slice(2)}.json`);
    writeFileSync(file, JSON.stringify(configuration));
    const router = await Network.create();
    const west = await router.host();
    const east = await router.host();
    await router.tap("t0");
    await router.tap("t1");
    if (eastMtu !== 1500) await router.must("ip", ["link", "set", "t1", "mtu", String(eastMtu)]);
    const running = router.start(image, ["--tap", "t0,t1", "--config", file]);
    await running.until(/^routing/m);
    await router.move("t0", west, ["10.1.0.1/24", "2001:db8:1::1/64"]);
    await router.move("t1", east, ["10.2.0.1/24", "10.3.0.1/32", "2001:db8:2::1/64", "2001:db8:3::1/128"]);
    await west.must("ip", ["route", "add", "default", "via", "10.1.0.254"]);
    await west.must("ip", ["-6", "route", "add", "default", "via", "2001:db8:1::fe"]);
    await east.must("ip", ["route", "add", "default", "via", "10.2.0.254"]);
    await east.must("ip", ["-6", "route", "add", "default", "via", "2001:db8:2::fe"]);
    return new Line(router, west, east, running);
  }

  ping(to: string, ...options: string[]) {
    return this.west.run("ping", ["-n", "-c", "3", "-i", "0.05", "-W", "2", ...options, to]);
  }

  close(): Promise<void> {
    return this.router.close();
  }
}

describe("between two hosts", () => {
  let line: Line;
  before(async () => {
    line = await Line.create(CONFIGURATION);
  });
  after(() => line.close());

  for (const to of ["10.2.0.1", "10.3.0.1", "2001:db8:2::1", "2001:db8:3::1"]) {
    test(`ping reaches ${to}`, async () => {
      assert.match((await line.ping(to)).stdout, / 3 received/);
    });
  }

  for (const to of ["10.2.0.1", "2001:db8:3::1"]) {
    test(`fragments reach ${to}`, async () => {
      assert.match((await line.ping(to, "-s", "6000")).stdout, / 3 received/);
    });

    test(`traceroute to ${to} names the router`, async () => {
      const text = await line.west.must("traceroute", ["-n", "-q", "1", "-w", "2", to]);
      assert.match(
        text,
        to.includes(":")
          ? /^ 1 {2}2001:db8:1::fe .*\n 2 {2}2001:db8:3::1 /m
          : /^ 1 {2}10\.1\.0\.254 .*\n 2 {2}10\.2\.0\.1 /m,
      );
    });
  }

  test("a route by source takes only what comes from there", async () => {
    await line.east.must("ip", ["addr", "add", "10.4.0.1/32", "dev", "t1"]);
    await line.west.must("ip", ["addr", "add", "10.1.0.200/24", "dev", "t0"]);
    assert.match((await line.ping("10.4.0.1")).stdout, / 3 received/);
    const other = await line.ping("10.4.0.1", "-I", "10.1.0.200");
    assert.match(other.stdout, /Destination Net Unreachable/);
  });

  test("a network without a route is said to be unreachable, a blackhole is silent", async () => {
    assert.match((await line.ping("198.51.100.1")).stdout, /From 10\.1\.0\.254 .*Destination Net Unreachable/);
    assert.match((await line.ping("2001:db8:ffff::1")).stdout, /From 2001:db8:1::fe .*No route/);
    const { stdout } = await line.ping("192.0.2.1", "-W", "0.3");
    assert.match(stdout, / 0 received/);
    assert.doesNotMatch(stdout, /From/);
  });

  test("a host that does not answer is said to be unreachable", async () => {
    assert.match((await line.ping("10.2.0.77", "-W", "5")).stdout, /From 10\.1\.0\.254 .*Destination Host Unreachable/);
    assert.match((await line.ping("2001:db8:2::77", "-W", "5")).stdout, /Address unreachable/);
  });

  for (const host of ["10.3.0.1", "[2001:db8:3::1]"]) {
    test(`a download from ${host} arrives whole`, async () => {
      const server = line.east.start("python3", ["-m", "http.server", "8080", "--bind", "::", "-d", folder]);
      await server.until(/Serving HTTP/).catch(() => sleep(500));
      const file = join(folder, "copy.bin");
      const retry = ["--retry", "20", "--retry-delay", "1", "--retry-connrefused"];
      await line.west.must("curl", [
        "-g",
        "-s",
        "-S",
        "-f",
        ...retry,
        "-m",
        "30",
        "-o",
        file,
        `http://${host}:8080/big.bin`,
      ]);
      await line.west.must("cmp", [file, join(folder, "big.bin")]);
      await server.stop().catch(() => {});
    });
  }

  for (const version of ["-4", "-6"]) {
    test(`iperf3 ${version}, in both directions at once`, async () => {
      const server = line.east.start("iperf3", ["-s", "-1"]);
      await sleep(300);
      const to = version === "-4" ? "10.2.0.1" : "2001:db8:2::1";
      const text = await line.west.must("iperf3", ["-c", to, "-t", "2", "--bidir", "-J"], 30_000);
      await server.stop().catch(() => {});
      const sum = JSON.parse(text).end;
      // Merged frames pass as such: without that, neither way comes near.
      assert.ok(sum.sum_received.bits_per_second > 3e8, text.slice(-600));
      assert.ok(sum.sum_received_bidir_reverse.bits_per_second > 3e8, text.slice(-600));
    });
  }
});

describe("to a link with a smaller MTU", () => {
  let line: Line;
  before(async () => {
    const configuration = structuredClone(CONFIGURATION);
    Object.assign(configuration.interfaces.eth1, { mtu: 1300 });
    line = await Line.create(configuration);
  });
  after(() => line.close());

  for (const to of ["10.2.0.1", "2001:db8:2::1"]) {
    test(`the sender to ${to} learns the path's MTU`, async () => {
      const { stdout } = await line.ping(to, "-M", "do", "-s", "1400");
      assert.match(stdout, to.includes(":") ? /Packet too big: mtu=1300/ : /Frag needed and DF set \(mtu = 1300\)/);
      const host = to.includes(":") ? `[${to}]` : to;
      const server = line.east.start("python3", ["-m", "http.server", "8081", "--bind", "::", "-d", folder]);
      const file = join(folder, "put.bin");
      const retry = ["--retry", "20", "--retry-delay", "1", "--retry-connrefused"];
      await line.west.must("curl", ["-g", "-s", "-f", ...retry, "-m", "30", "-o", file, `http://${host}:8081/big.bin`]);
      await line.west.must("cmp", [file, join(folder, "big.bin")]);
      await server.stop().catch(() => {});
    });
  }

  test("IPv4 packets that may be cut are cut", async () => {
    assert.match((await line.ping("10.2.0.1", "-M", "dont", "-s", "1400")).stdout, / 3 received/);
  });
});

describe("without `forwarding`", () => {
  test("nothing is sent on", async () => {
    const line = await Line.create({ ...CONFIGURATION, forwarding: false });
    assert.match((await line.ping("10.2.0.1", "-W", "0.5")).stdout, / 0 received/);
    assert.match((await line.ping("2001:db8:2::1", "-W", "0.5")).stdout, / 0 received/);
    assert.match((await line.ping("10.1.0.254")).stdout, / 3 received/);
    await line.close();
  });
});
