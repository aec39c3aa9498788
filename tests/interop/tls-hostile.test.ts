// What hostile and careless clients of HTTPS cannot do: stop the server, keep memory, hold handshakes open, or learn a key;
// and no secret is ever in the memory of sandboxed code.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { packUstar, readFolder } from "../../boot/toolchain/ustar.ts";
import { hostedImage, root } from "./lib/images.ts";
import { Network, type Running, sleep } from "./lib/network.ts";

const GUEST = "10.9.0.2";
let folder: string;
let network: Network;
let running: Running;

before(async () => {
  const image = await hostedImage("appliances/http-server", "http-server-tls", undefined, true);
  folder = mkdtempSync(join(tmpdir(), "heddle-tls-hostile-"));
  for (const name of ["certs", "secrets", "www"]) mkdirSync(join(folder, name));
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=a"];
  const files = ["-keyout", join(folder, "secrets/site.key"), "-out", join(folder, "certs/site.pem")];
  execFileSync("openssl", ["req", "-x509", ...key, ...files], { stdio: "pipe" });
  writeFileSync(join(folder, "secrets/tickets.key"), "these 48 bytes are the secret of session tickets");
  writeFileSync(join(folder, "www/index.html"), "<!doctype html>");
  const certificates = { main: { chain: "certs/site.pem", key: "secrets/site.key" } };
  const configuration = {
    interfaces: { eth0: { address: `${GUEST}/24`, gateway: "10.9.0.1" } },
    log: { level: "debug" },
    tls: { certificates, ticketKeys: "secrets/tickets.key" },
    httpServer: { listen: { port: 443, tls: { certificates: "main" } } },
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(configuration));
  writeFileSync(join(folder, "bundle.tar"), packUstar(readFolder(folder, "")));
  network = await Network.create();
  await network.tap("t0", "10.9.0.1/24");
  running = network.start(image, ["--tap", "t0", "--config", join(folder, "bundle.tar")]);
  await running.until(/serving https:/);
});

after(async () => {
  await network?.close();
  rmSync(folder, { recursive: true, force: true });
});

const peer = (scenario: string) => [
  ...["--import", join(root, "node_modules/tsx/dist/loader.mjs")],
  ...[join(root, "tests/interop/lib/tls-peer.ts"), GUEST, scenario],
];
async function run(scenario: string): Promise<Record<string, unknown>> {
  return JSON.parse((await network.must(process.execPath, peer(scenario), 60_000)).trim().split("\n").at(-1)!);
}

interface Report {
  sessions: number;
  handshakes: number;
  heap_kib: number;
}

/** The server's next report, which it writes every ten seconds when something has changed. */
async function report(wanted: (report: Report) => boolean): Promise<Report> {
  const pattern = /tls: sessions (\d+), handshakes (\d+), .* heap (\d+) of/g;
  for (let tries = 0; tries < 250; tries++) {
    const [, sessions, handshakes, heap_kib] = [...running.output.matchAll(pattern)].at(-1)?.map(Number) ?? [];
    const found = { sessions: sessions!, handshakes: handshakes!, heap_kib: heap_kib! };
    if (heap_kib !== undefined && wanted(found)) return found;
    await sleep(100);
  }
  throw new Error(`no such report:\n${running.output.slice(-2000)}`);
}

describe("a hostile client", () => {
  test("that sends garbage is sent away", async () => {
    assert.deepEqual(await run("garbage"), { ended: true, good: true });
  });

  test("that stops anywhere in its first message is let go", async () => {
    const { cuts, ...rest } = await run("truncated");
    assert.ok(Number(cuts) > 200);
    assert.deepEqual(rest, { ended: true, good: true });
  });

  test("that changes bits of its first message harms nobody", async () => {
    assert.deepEqual(await run("mutated"), { ended: true, good: true });
  });

  test("may send its message in pieces and in small records, not in records that are too long", async () => {
    const [handshake, alert] = [0x16, 0x15];
    assert.deepEqual(await run("pieces"), { slow: handshake, split: handshake, long: alert, good: true });
  });

  test("whose records were changed on the way is cut off", async () => {
    assert.deepEqual(await run("corrupted"), { ended: true, good: true });
  });

  test("that does not finish its handshake is let go after ten seconds", async () => {
    const { after_ms, ...rest } = await run("slow");
    assert.deepEqual(rest, { ended: true, good: true });
    assert.ok(Number(after_ms) > 8_000 && Number(after_ms) < 13_000, `${after_ms} ms`);
  });
});

describe("memory", () => {
  test("of an idle connection is at most 8 KiB; all of it comes back", async () => {
    await run("churn");
    const before = await report(({ sessions, handshakes }) => sessions === 0 && handshakes > 1000);
    const clients = network.start(process.execPath, peer("idle"));
    await clients.until(/"open":500/, 20_000);
    const during = await report(({ sessions }) => sessions === 500);
    assert.ok((during.heap_kib - before.heap_kib) / 500 <= 8, `${during.heap_kib - before.heap_kib} KiB for 500`);
    await clients.wait(20_000);
    await run("churn");
    const after = await report(({ sessions, handshakes }) => sessions === 0 && handshakes > before.handshakes + 1400);
    assert.ok(after.heap_kib <= before.heap_kib + 16, `${before.heap_kib} KiB before, ${after.heap_kib} after`);
  });
});

describe("sandboxed memory", () => {
  test("holds no key, secret or traffic secret while connections are open", async () => {
    const log = join(folder, "keylog");
    const input = "printf 'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'; sleep 3";
    const client = network.start("sh", [
      "-c",
      `{ ${input}; } | openssl s_client -connect ${GUEST}:443 -keylogfile ${log}`,
    ]);
    await client.until(/HTTP\/1\.1 200/);
    const memory = linearMemory(running.pid);
    const pem = readFileSync(join(folder, "secrets/site.key"), "latin1");
    const { d } = createPrivateKey(pem).export({ format: "jwk" });
    const secrets: [string, Buffer][] = [
      ["the private key", Buffer.from(d!, "base64url")],
      ["the private key, little-endian", Buffer.from(d!, "base64url").reverse()],
      ["a line of its PEM", Buffer.from(pem.split("\n")[1]!.slice(4, 60))],
      ["the secret of tickets", readFileSync(join(folder, "secrets/tickets.key"))],
    ];
    for (const line of readFileSync(log, "latin1").trim().split("\n")) {
      const [label, , secret] = line.split(" ");
      if (!label!.startsWith("#")) secrets.push([label!, Buffer.from(secret!, "hex")]);
    }
    assert.ok(secrets.length >= 8, "the client wrote no secrets");
    // The request is there, but for the first bytes of a buffer that is free again: the right memory is looked at.
    assert.ok(
      memory.some((part) => part.includes("/ HTTP/1.1\r\nHost: a")),
      "not even the request was found",
    );
    for (const [what, bytes] of secrets)
      assert.ok(!memory.some((part) => part.includes(bytes)), `${what} is in the sandbox's memory`);
    await client.stop();
  });
});

/** What is mapped of the linear memory of a process: around its packet pool, which has a name. */
function linearMemory(pid: number): Buffer[] {
  const [POOL_OFFSET, SPAN] = [0x8000_0000, 2 ** 32];
  const maps = readFileSync(`/proc/${pid}/maps`, "latin1").trim().split("\n");
  const ranges = maps.map((line) => {
    const [, low, high, rights, name] = /^(\w+)-(\w+) (\S+) \S+ \S+ \S+ *(.*)$/.exec(line)!;
    return { low: parseInt(low!, 16), high: parseInt(high!, 16), rights: rights!, name: name! };
  });
  const pool = ranges.find(({ name }) => name.includes("heddle-pool"));
  assert.ok(pool, "no packet pool");
  const base = pool.low - POOL_OFFSET;
  const inside = ranges.filter(({ low, high, rights }) => low >= base && high <= base + SPAN && rights.startsWith("r"));
  const file = openSync(`/proc/${pid}/mem`, "r");
  const parts = inside.map(({ low, high }) => {
    const bytes = Buffer.alloc(high - low);
    let got = 0;
    while (got < bytes.length) {
      const n = readSync(file, bytes, got, Math.min(bytes.length - got, 1 << 24), low + got);
      if (n === 0) break;
      got += n;
    }
    return bytes;
  });
  closeSync(file);
  assert.ok(parts.length >= 3, "heap, pool and content");
  return parts;
}
