// UDP sockets, ping and the resolver with Linux and a DNS server that lies (lib/dns-server.ts) as the peers.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostedImage, root } from "./lib/images.ts";
import { Network, type Running, sleep } from "./lib/network.ts";

const GUEST = "10.9.0.2";
const CONFIGURATION = {
  interfaces: { eth0: { address: [`${GUEST}/24`, "2001:db8::2/64"], gateway: "10.9.0.1" } },
  dns: { servers: ["10.9.0.1", "10.9.0.3"], search: ["nothing.test", "example.test"] },
};

let folder: string;
let network: Network;
let running: Running;
let first: Running;
let second: Running;

before(async () => {
  const image = await hostedImage("tests/interop/services/names", "tests/interop-names");
  folder = mkdtempSync(join(tmpdir(), "heddle-names-"));
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify(CONFIGURATION));
  network = await Network.create();
  await network.tap("t0", "10.9.0.1/24");
  await network.must("ip", ["addr", "add", "10.9.0.3/24", "dev", "t0"]);
  await network.must("sh", ["-c", "echo 0 > /proc/sys/net/ipv6/conf/t0/disable_ipv6"]);
  await network.must("ip", ["-6", "addr", "add", "2001:db8::1/64", "dev", "t0", "nodad"]);
  const server = (address: string, role: string) =>
    network.start(process.execPath, ["--import", "tsx", join(root, "tests/interop/lib/dns-server.ts"), address, role]);
  first = server("10.9.0.1", "first");
  second = server("10.9.0.3", "second");
  await first.until(/ready/);
  await second.until(/ready/);
  running = network.start(image, ["--tap", "t0", "--config", file]);
  await running.until(/^answering/m);
});

after(async () => {
  await network.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What the service answers to a question in text; null when nothing comes. */
async function ask(question: string, to = GUEST): Promise<string> {
  const script = `const s = require("node:dgram").createSocket(process.argv[2].includes(":") ? "udp6" : "udp4");
    s.on("message", (m) => { console.log(m.toString()); s.close(); });
    s.send(process.argv[1], 9, process.argv[2]); setTimeout(() => process.exit(3), 12000).unref();`;
  return (await network.must(process.execPath, ["-e", script, question, to], 15_000)).trim();
}

/** How often the servers were asked by UDP or TCP for a name. */
const asked = (name: string, how = "udp A") =>
  (first.output + second.output).split("\n").filter((line) => line === `${how} ${name}`).length;

describe("UDP sockets", () => {
  test("answer over both versions of IP", async () => {
    assert.equal(await ask("hello"), "what?");
    assert.equal(await ask("hello", "2001:db8::2"), "what?");
  });

  test("talk to a peer, and hear of a port where nobody is", async () => {
    const script = `const s = require("node:dgram").createSocket("udp6");
      s.on("message", (m, from) => s.send(m + " to you", from.port, from.address)); s.bind(4000, "::", () => console.log("ready"));`;
    const peer = network.start(process.execPath, ["-e", script]);
    await peer.until(/ready/);
    assert.equal(await ask("udp 10.9.0.1 4000"), "hello to you");
    assert.equal(await ask("udp 2001:db8::1 4000"), "hello to you");
    await peer.stop();
    assert.equal(await ask("udp 10.9.0.1 4000"), "error -111");
    assert.equal(await ask("udp 2001:db8::1 4000"), "error -111");
    assert.equal(await ask("udp 2001:db8:1::1 4000"), "error -101");
  });

  test("hear of a host that is not there", async () => {
    assert.match(await ask("udp 10.9.0.77 4000"), /^error -1(13|10)$/);
  });
});

describe("ping", () => {
  test("is answered, over both versions of IP and by ourselves", async () => {
    for (const address of ["10.9.0.1", "2001:db8::1", GUEST, "2001:db8::2"])
      assert.equal(await ask(`ping ${address}`), "answered", address);
  });

  test("says what is wrong", async () => {
    assert.match(await ask("ping 10.9.0.77"), /^error -1(13|10)$/);
    assert.equal(await ask("ping 2001:db8:1::1"), "error -101");
    await network.must("ip", ["route", "add", "unreachable", "198.51.100.0/24"]);
    await network.must("sh", ["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
    assert.equal(await ask("ping 198.51.100.1"), "error -113");
  });
});

describe("names", () => {
  const cases: [string, string, string][] = [
    ["192.0.2.200", "192.0.2.200", "an address is its own"],
    ["localhost", "127.0.0.1", "localhost is we"],
    ["good.test", "2001:db8::1 192.0.2.1 192.0.2.2", "both versions"],
    ["GOOD.test.", "2001:db8::1 192.0.2.1 192.0.2.2", "whatever the case, and with a dot"],
    ["chain.test", "192.0.2.4", "aliases in one answer, in any order"],
    ["far.test", "2001:db8::1 192.0.2.1 192.0.2.2", "an alias whose target must be asked for"],
    ["lower.test", "192.0.2.7", "an answer that did not keep the case is asked for again by TCP"],
    ["guessed.test", "192.0.2.7", "somebody who guesses is not believed, TCP is asked"],
    ["noise.test", "192.0.2.7", "what does not belong to the question is passed over"],
    ["old.test", "192.0.2.7", "a server that does not know EDNS"],
    ["failing.test", "192.0.2.7", "a server that fails: the next"],
    ["silent.test", "192.0.2.7", "a server that is silent: the next"],
    ["extra.test", "192.0.2.8", "more than was asked for is not taken"],
    ["victim.test", "error -2", "nor remembered"],
    ["nothing.test", "error -2", "no such name"],
    ["host", "192.0.2.7", "a name without a dot in the domains of `search`"],
    ["loop.test", "error -71", "aliases in a circle"],
    ["again.test", "error -71", "aliases without end"],
    ["cut.test", "error -2", "an answer that is cut off has nothing"],
    ["garbage.test", "error -2", "a record whose name points at itself has nothing"],
    ["a b.test", "what?", "two words"],
    ["a..test", "error -22", "no name"],
    [`${"x".repeat(64)}.test`, "error -22", "a label that is too long"],
  ];
  for (const [name, wanted, what] of cases) {
    test(`${name.slice(0, 20)}: ${what}`, async () => assert.equal(await ask(`resolve ${name}`), wanted));
  }

  test("an answer too large for UDP comes by TCP, 16 addresses of it are taken", async () => {
    assert.equal((await ask("resolve big.test")).split(" ").length, 16);
    assert.equal(asked("big.test", "tcp A"), 1);
  });

  test("are remembered as long as they may be", async () => {
    const before = asked("good.test");
    await ask("resolve good.test");
    assert.equal(asked("good.test"), before);
    await ask("resolve short.test");
    await ask("resolve short.test");
    assert.equal(asked("short.test"), 1);
    await sleep(1100);
    await ask("resolve short.test");
    assert.equal(asked("short.test"), 2);
  });

  test("that are not there are remembered too, as long as their zone says", async () => {
    await ask("resolve absent.test");
    await ask("resolve absent.test");
    assert.equal(asked("absent.test"), 1);
    await sleep(2100);
    await ask("resolve absent.test");
    assert.equal(asked("absent.test"), 2);
  });
});
