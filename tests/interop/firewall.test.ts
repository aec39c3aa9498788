// The firewall appliance between Linux hosts, with real programs: client (10.0.0.5, eth1) - firewall - server (203.0.113.9,
// eth0). The lan is masqueraded; a port forward leads back into it.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostedImage, root } from "./lib/images.ts";
import { Network, sleep, type Running } from "./lib/network.ts";
import { addHost, type Host } from "./lib/three.ts";

const CONFIGURATION = {
  log: { level: "debug" },
  interfaces: {
    eth0: { address: ["203.0.113.2/24", "2001:db8::2/64"], gateway: "203.0.113.9" },
    eth1: { address: ["10.0.0.1/24", "2001:db8:10::1/64"] },
  },
  firewall: {
    aliases: { ports: { closed: [25, "6000-6010"] } },
    state: { maxEntries: 2048 },
    hygiene: { mssClamp: "pmtu" },
    nat: [
      { name: "out", type: "masquerade", to: "eth0", source: "10.0.0.0/24" },
      {
        name: "web",
        type: "port-forward",
        from: "eth0",
        protocol: "tcp",
        port: 8080,
        target: "10.0.0.5:80",
        hairpin: true,
      },
      { name: "one", type: "one-to-one", from: "eth0", external: "203.0.113.7", internal: "10.0.0.7" },
    ],
    rules: [
      {
        name: "no-smtp",
        action: "reject",
        from: "eth1",
        to: "eth0",
        protocol: ["tcp", "udp"],
        port: "@closed",
        log: true,
      },
      { name: "silent", action: "drop", from: "eth1", to: "eth0", protocol: "tcp", port: 26 },
      { name: "lan-out", action: "accept", from: "eth1", to: "eth0" },
      {
        name: "one-in",
        action: "accept",
        from: "eth0",
        to: "eth1",
        destination: "10.0.0.7",
        protocol: "icmp",
        icmpType: "echo-request",
      },
      {
        name: "ping",
        action: "accept",
        from: "eth1",
        to: "self",
        protocol: ["icmp", "icmpv6"],
        icmpType: "echo-request",
      },
    ],
  },
};

let folder: string;
let network: Network;
let client: Host;
let server: Host;
let firewall: Running;
const data = randomBytes(3_000_000);
const hash = createHash("sha256").update(data).digest("hex");

/** A web server of one file, by Python's own. */
async function serve(host: Host, port: number): Promise<Running> {
  const running = host.start("python3", ["-u", "-m", "http.server", "-d", folder, "--bind", "::", String(port)]);
  for (let i = 0; i < 100; i++) {
    if ((await host.run("curl", ["-s", "-o", "/dev/null", "-m", "1", `http://127.0.0.1:${port}/`])).status === 0)
      return running;
    await sleep(50);
  }
  throw new Error(running.output);
}

async function sum(host: Host, url: string): Promise<string> {
  return (await host.must("sh", ["-c", `curl -sS -m 20 ${url} | sha256sum`])).split(" ")[0]!;
}

for (const [cpus, queues] of [
  [1, false],
  [2, false],
  [2, true],
] as const)
  describe(`${cpus} ${cpus === 1 ? "core" : "cores"}${queues ? ", a queue for each" : ""}`, () => suite(cpus, queues));

function suite(cpus: number, queues: boolean): void {
  before(async () => {
    const image = await hostedImage("appliances/firewall", "firewall");
    folder = mkdtempSync(join(tmpdir(), "heddle-firewall-"));
    writeFileSync(join(folder, "data.bin"), data);
    network = await Network.create();
    server = await addHost(network, "server", "w0", ["203.0.113.9/24", "2001:db8::9/64"], ["2001:db8::2"], { queues });
    client = await addHost(
      network,
      "client",
      "l0",
      ["10.0.0.5/24", "10.0.0.7/24", "2001:db8:10::5/64"],
      ["10.0.0.1", "2001:db8:10::1"],
      { queues },
    );
    const config = join(folder, "config.json");
    writeFileSync(config, JSON.stringify(CONFIGURATION));
    firewall = network.start(image, ["--tap", "w0", "--tap", "l0", "--config", config, "--cpus", String(cpus)]);
    await firewall.until(/firewall: 5 rules between eth0, eth1/);
    if (cpus > 1) await firewall.until(new RegExp(`cores: ${cpus} of ${cpus} serve`));
    await serve(server, 80);
    await serve(client, 80);
  });

  after(async () => {
    await network?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  describe("from inside out", () => {
    test("ping is masqueraded, both ways", async () => {
      const text = await client.must("ping", ["-c", "5", "-i", "0.05", "-W", "2", "203.0.113.9"]);
      assert.match(text, /5 received/, firewall.output);
    });

    test("ping over IPv6 is routed", async () => {
      const text = await client.must("ping", ["-c", "5", "-i", "0.05", "-W", "2", "2001:db8::9"]);
      assert.match(text, /5 received/, firewall.output);
    });

    test("curl gets 3 MB intact, over IPv4 and IPv6, and the server sees the external address", async () => {
      assert.equal(await sum(client, "http://203.0.113.9/data.bin"), hash);
      assert.equal(await sum(client, "http://[2001:db8::9]/data.bin"), hash);
    });

    test("a rule rejects: a RST for TCP, port unreachable for UDP, and a line in the log", async () => {
      const began = Date.now();
      const { status } = await client.run("curl", ["-s", "-m", "5", "http://203.0.113.9:25/"]);
      assert.equal(status, 7, "connection refused");
      assert.ok(Date.now() - began < 2000);
      const { stdout } = await client.run("python3", [
        "-c",
        `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect(("203.0.113.9", 6005))
s.send(b"x")
try:
    s.recv(10)
except ConnectionRefusedError:
    print("refused")`,
      ]);
      assert.equal(stdout.trim(), "refused");
      await firewall.until(
        /firewall: rule-reject "no-smtp" in eth1 out eth0: tcp 10\.0\.0\.5:\d+ -> 203\.0\.113\.9:25, 60 bytes/,
      );
    });

    test("a rule drops: nothing comes back", async () => {
      const { status } = await client.run("curl", ["-s", "-m", "1", "http://203.0.113.9:26/"]);
      assert.equal(status, 28, "timed out");
    });

    test("a packet whose time is up on the way is answered by the firewall", async () => {
      const { stdout } = await client.run("ping", ["-c", "1", "-W", "2", "-t", "1", "203.0.113.9"]);
      assert.match(stdout, /From 10\.0\.0\.1 icmp_seq=1 Time to live exceeded/);
      const { stdout: v6 } = await client.run("ping", ["-c", "1", "-W", "2", "-t", "1", "2001:db8::9"]);
      assert.match(v6, /From 2001:db8:10::1 icmp_seq=1 Time exceeded: Hop limit/);
    });
  });

  describe("from outside in", () => {
    test("a port forward leads to the internal server", async () => {
      assert.equal(await sum(server, "http://203.0.113.2:8080/data.bin"), hash);
    });

    test("what nobody allows gets no answer", async () => {
      assert.equal((await server.run("curl", ["-s", "-m", "1", "http://203.0.113.2:81/"])).status, 28);
      await server.must("ip", ["route", "replace", "10.0.0.0/24", "via", "203.0.113.2"]);
      assert.equal((await server.run("curl", ["-s", "-m", "1", "http://10.0.0.5/"])).status, 28);
      assert.equal((await server.run("curl", ["-s", "-m", "1", "-g", "http://[2001:db8:10::5]/"])).status, 28);
    });

    test("one-to-one: the external address is answered for, and pings reach the internal host as a rule allows", async () => {
      const text = await server.must("ping", ["-c", "3", "-i", "0.05", "-W", "2", "203.0.113.7"]);
      assert.match(text, /3 received/);
    });

    test("hairpin: the client reaches the internal server by its external address", async () => {
      assert.equal(await sum(client, "http://203.0.113.2:8080/data.bin"), hash);
    });
  });

  describe("large and cut", () => {
    test("pings of 4,000 bytes go through in fragments", async () => {
      const text = await client.must("ping", ["-c", "3", "-i", "0.05", "-W", "2", "-s", "4000", "203.0.113.9"]);
      assert.match(text, /3 received/, firewall.output);
    });

    test("path MTU discovery works through masquerade", async () => {
      // A narrow way to another network behind the server: its errors come back translated.
      await server.must("sh", [
        "-c",
        "ip link add narrow mtu 1280 type veth peer name narrow1 && ip link set narrow1 up && ip addr add 198.51.100.1/24 dev narrow && ip link set narrow up && sysctl -qw net.ipv4.ip_forward=1",
      ]);
      const { stdout } = await client.run("ping", ["-c", "1", "-W", "2", "-M", "do", "-s", "1400", "198.51.100.9"]);
      assert.match(stdout, /mtu ?= ?1280/, stdout);
    });
  });

  describe("many flows", () => {
    test("of each kind find their core, whichever it is", async () => {
      const many = async (host: Host, url: string) =>
        (
          await host.must("sh", [
            "-c",
            `for i in $(seq 40); do curl -s -m 5 -o /dev/null -w '%{http_code}\n' ${url}; done`,
          ])
        )
          .split("\n")
          .filter((line) => line === "200").length;
      assert.equal(await many(client, "http://203.0.113.9/"), 40, "masqueraded");
      assert.equal(await many(server, "http://203.0.113.2:8080/"), 40, "port forward");
      assert.equal(await many(client, "http://203.0.113.2:8080/"), 40, "hairpin");
      assert.equal(await many(client, "http://[2001:db8::9]/"), 40, "routed");
    });

    test("each core has its part", { skip: cpus === 1 }, async () => {
      for (let core = 0; core < cpus; core++) {
        const [, accepted] = await firewall.until(new RegExp(`core ${core}: \\d+ flows, (\\d{2,}) accepted`), 15_000);
        assert.ok(Number(accepted) > 20, `core ${core}: ${accepted}`);
      }
    });
  });

  test("floods of SYNs, UDP and fragments fill the table; connections go on, and new ones come to be", async () => {
    const long = client.run("sh", ["-c", "curl -sS -m 20 --limit-rate 1M http://203.0.113.9/data.bin | sha256sum"]);
    await sleep(300);
    const flood = client.run("python3", [join(root, "tests/interop/lib/flood.py"), "203.0.113.9", "8000"], 60_000);
    let fresh = 0;
    for (let i = 0; i < 8; i++, await sleep(100))
      if ((await client.run("curl", ["-s", "-o", "/dev/null", "-m", "5", "http://203.0.113.9/"])).status === 0) fresh++;
    assert.match((await flood).stdout, /sent 24000/);
    assert.equal((await long).stdout.split(" ")[0], hash, "the connection from before the flood");
    assert.equal(fresh, 8, "new connections during the flood");
    const text = await client.must("ping", ["-c", "3", "-i", "0.05", "-W", "2", "203.0.113.9"]);
    assert.match(text, /3 received/, "after the flood");
  });

  test("SIGTERM ends it in order", async () => {
    assert.equal(await firewall.stop(10_000), 0, firewall.output);
  });
}
