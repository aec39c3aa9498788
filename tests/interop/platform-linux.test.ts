// The hosted platform by itself, with the raw-echo service: links, rings, confinement, idling, messages.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { badLink, hostedImage, relayCounters, root } from "./lib/images.ts";
import { cpuTime_ms, Network, sleep, type Running } from "./lib/network.ts";

const GUEST = "10.9.0.2";
const HOST = "10.9.0.1/24";

let image: string;

function status(pid: number): Map<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, "utf8").trim().split("\n");
  return new Map(lines.map((line) => line.split(":\t") as [string, string]));
}

async function ping(network: Network, ...options: string[]): Promise<{ sent: number; received: number }> {
  const { stdout } = await network.run("ping", [...options, GUEST]);
  const match = stdout.match(/(\d+) packets transmitted, (\d+) received/);
  assert.ok(match, stdout);
  return { sent: Number(match[1]), received: Number(match[2]) };
}

async function withNetwork(options: { user?: boolean }, body: (network: Network) => Promise<void>): Promise<void> {
  const network = await Network.create(options);
  try {
    await body(network);
  } finally {
    await network.close();
  }
}

async function start(network: Network, ...args: string[]): Promise<Running> {
  const running = network.start(image, [...args, "--mac", "02:00:00:00:00:07"]);
  await running.until(/raw-echo: ready/);
  return running;
}

before(async () => {
  image = await hostedImage("tests/interop/services/raw-echo", "raw-echo");
});

describe("links", () => {
  test("a TAP device carries ping both ways, and SIGTERM ends the image in order", async () => {
    await withNetwork({}, async (network) => {
      await network.tap("t0", HOST);
      const running = await start(network, "--tap", "t0");
      assert.deepEqual(await ping(network, "-c", "200", "-i", "0.002", "-W", "2"), { sent: 200, received: 200 });
      assert.equal(await running.stop(), 0, running.output);
      assert.match(running.output, /raw-echo: stopped/);
    });
  });

  test("an AF_PACKET socket on a veth does too", async () => {
    await withNetwork({}, async (network) => {
      await network.veth("v0", "v1", HOST);
      await start(network, "--packet", "v1");
      assert.deepEqual(await ping(network, "-c", "200", "-i", "0.002", "-W", "2"), { sent: 200, received: 200 });
    });
  });

  test("a TAP that is deleted under the image does not make it spin", async () => {
    await withNetwork({}, async (network) => {
      await network.tap("t0", HOST);
      const running = await start(network, "--tap", "t0");
      await network.must("ip", ["link", "del", "t0"]);
      await running.until(/t0 is gone/);
      const before_ms = await cpuTime_ms(running.pid);
      await sleep(1000);
      assert.ok((await cpuTime_ms(running.pid)) - before_ms <= 20);
    });
  });
});

describe("confinement", () => {
  test("started by root it becomes nobody, keeps no capability and gains none", async (t) => {
    if (process.getuid!() !== 0) return t.skip("needs root");
    await withNetwork({ user: false }, async (network) => {
      await network.tap("t0", HOST);
      const running = await start(network, "--tap", "t0");
      const facts = status(running.pid);
      assert.equal(facts.get("Uid"), "65534\t65534\t65534\t65534");
      assert.equal(facts.get("Gid"), "65534\t65534\t65534\t65534");
      assert.equal(facts.get("Groups")?.trim(), "");
      for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
        assert.equal(facts.get(set), "0000000000000000", set);
      assert.equal(facts.get("NoNewPrivs"), "1");
      assert.equal(facts.get("Seccomp"), "2");
    });
  });

  test("in a user namespace it gives up the capabilities that it has there", async () => {
    await withNetwork({}, async (network) => {
      await network.tap("t0", HOST);
      const facts = status((await start(network, "--tap", "t0")).pid);
      for (const set of ["CapPrm", "CapEff", "CapBnd"]) assert.equal(facts.get(set), "0000000000000000", set);
      assert.equal(facts.get("Seccomp"), "2");
    });
  });

  test("a forbidden system call kills it with a message that names the call and the place", async () => {
    await withNetwork({}, async (network) => {
      await network.tap("t0", HOST);
      const running = await start(network, "--tap", "t0");
      // gdb makes the process repeat its `syscall` instruction with another number: 39 is getpid.
      const script = ["handle SIGSYS nostop noprint pass", "set $rip=$rip-2", "set $rax=39", "continue"];
      const args = ["-nx", "-batch", "-p", String(running.pid), ...script.flatMap((line) => ["-ex", line])];
      const { stdout, stderr } = await network.run("gdb", args, 60_000);
      assert.equal(await running.wait(), 128 + 31, stdout + stderr);
      assert.match(running.output, /forbidden system call 39 .*killed\n(?:.*\n)*.*w2c_env_wait/);
    });
  });
});

test("idle for three seconds it uses less than 1 % of a core", async () => {
  await withNetwork({}, async (network) => {
    await network.tap("t0", HOST);
    const running = await start(network, "--tap", "t0");
    await ping(network, "-c", "2", "-i", "0.1");
    const before_ms = await cpuTime_ms(running.pid);
    await sleep(3000);
    assert.ok((await cpuTime_ms(running.pid)) - before_ms < 30);
  });
});

describe("tools", () => {
  test("gdb shows AssemblyScript functions by name", async () => {
    await withNetwork({}, async (network) => {
      await network.tap("t0", HOST);
      const running = await start(network, "--tap", "t0");
      const { stdout } = await network.run("gdb", ["-nx", "-batch", "-p", String(running.pid), "-ex", "bt"], 60_000);
      assert.match(stdout, /w2c_env_wait.*\n#\d+ .*w2c_heddle_.*main/);
      assert.match(stdout, /main.* at \/?module\/heddle\.c:\d+/);
    });
  });

  test("valgrind runs it and finds nothing", async () => {
    await withNetwork({}, async (network) => {
      await network.tap("t0", HOST);
      const suppressions = `--suppressions=${join(root, "boot/platform/linux/valgrind.supp")}`;
      const running = network.start("valgrind", [
        suppressions,
        image,
        "--no-seccomp",
        "--tap",
        "t0",
        "--mac",
        "02:00:00:00:00:07",
      ]);
      await running.until(/raw-echo: ready/, 60_000);
      assert.equal((await ping(network, "-c", "5", "-i", "0.05", "-W", "5")).received, 5);
      assert.equal(await running.stop(20_000), 0, running.output);
      assert.match(running.output, /ERROR SUMMARY: 0 errors/);
    });
  });
});

describe("what a person can act on", () => {
  const cases: { name: string; args: string[]; message: RegExp }[] = [
    {
      name: "an interface that does not exist",
      args: ["--packet", "nix0"],
      message: /nix0: no such interface; `ip link` lists them/,
    },
    { name: "an interface that is no TAP", args: ["--tap", "lo"], message: /lo: is not a TAP device/ },
    {
      name: "more cores than an image can use",
      args: ["--cpus", "65"],
      message: /--cpus 65: not a number of cores from 1 to 64/,
    },
    { name: "a size that is none", args: ["--memory", "lots"], message: /--memory lots: not a size like 64MiB/ },
    { name: "a multicast MAC", args: ["--tap", "t0", "--mac", "01:00:00:00:00:01"], message: /multicast/ },
    { name: "a bundle that is a directory", args: ["--config", "/"], message: /is a directory; pack it: tar/ },
    { name: "a bundle that is missing", args: ["--config", "/nix.json"], message: /\/nix\.json: No such file/ },
    { name: "an unknown argument", args: ["tap0"], message: /tap0: not understood; try .* --help/ },
  ];
  for (const { name, args, message } of cases)
    test(name, async () => {
      await withNetwork({}, async (network) => {
        const { status, stderr } = await network.run(image, args);
        assert.equal(status, 1, stderr);
        assert.match(stderr, message);
        assert.equal(stderr.trim().split("\n").length, 1, stderr);
      });
    });

  test("a TAP that another process uses", async () => {
    await withNetwork({}, async (network) => {
      await network.tap("t0", HOST);
      await start(network, "--tap", "t0");
      const { status, stderr } = await network.run(image, ["--tap", "t0"]);
      assert.equal(status, 1);
      assert.match(stderr, /t0: another process uses it/);
    });
  });
});

describe("the relay", () => {
  test("without impairment loses nothing", async () => {
    await withNetwork({}, async (network) => {
      const relay = await badLink(network, "i0", "h0", HOST, []);
      await start(network, "--tap", "i0");
      assert.deepEqual(await ping(network, "-c", "100", "-i", "0.005", "-W", "2"), { sent: 100, received: 100 });
      const { ab, ba } = await relayCounters(relay);
      assert.ok(ab.frames >= 100 && ab.passed === ab.frames, relay.output);
      assert.ok(ba.frames >= 100 && ba.passed === ba.frames, relay.output);
    });
  });

  test("loses what the seed says, the same frames each time", async () => {
    const lost: number[] = [];
    for (let turn = 0; turn < 2; turn++)
      await withNetwork({}, async (network) => {
        const relay = await badLink(network, "i0", "h0", HOST, ["--seed", "7", "--ba", "--loss", "20%"]);
        await start(network, "--tap", "i0");
        // A neighbour entry first, so that each frame of the host is one echo request.
        await network.must("ip", [
          "neigh",
          "add",
          GUEST,
          "lladdr",
          "02:00:00:00:00:07",
          "dev",
          "h0",
          "nud",
          "permanent",
        ]);
        const { sent, received } = await ping(network, "-c", "200", "-i", "0.002", "-W", "1");
        const { ba } = await relayCounters(relay);
        assert.equal(sent - received, ba.loss, relay.output);
        lost.push(ba.loss);
      });
    assert.equal(lost[0], lost[1]);
    assert.ok(lost[0]! > 20 && lost[0]! < 60, String(lost[0]));
  });

  test("delay is added and duplicates arrive", async () => {
    await withNetwork({}, async (network) => {
      await badLink(network, "i0", "h0", HOST, ["--ab", "--delay", "20ms", "--duplicate", "100%"]);
      await start(network, "--tap", "i0");
      const { stdout } = await network.run("ping", ["-c", "5", "-i", "0.1", "-W", "2", GUEST]);
      assert.match(stdout, /\+[4-9] duplicates/);
      const shortest = Number(stdout.match(/= ([\d.]+)\//)?.[1]);
      assert.ok(shortest >= 20 && shortest < 40, stdout);
    });
  });

  test("frames above its MTU vanish", async () => {
    await withNetwork({}, async (network) => {
      await badLink(network, "i0", "h0", HOST, ["--mtu", "1000"]);
      await start(network, "--tap", "i0");
      assert.equal((await ping(network, "-c", "3", "-i", "0.1", "-W", "1", "-s", "972")).received, 3);
      assert.equal((await ping(network, "-c", "3", "-i", "0.1", "-W", "1", "-s", "973")).received, 0);
    });
  });
});
