// The load balancer as a Linux process over TAP: curl as the client, Node servers as backends, each on an address of its own in
// the namespace.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostedImage } from "./lib/images.ts";
import { Network, sleep, type Running } from "./lib/network.ts";

const VIP = "10.9.0.10";
const BACKENDS = ["10.9.0.21", "10.9.0.22", "10.9.0.23"];
/** /name says who answers, /healthz that it is well, /big gives bytes, a POST gives their hash, /slow takes two seconds. */
const SERVER = `
const http = require("node:http"), { createHash } = require("node:crypto");
const [name, address, bytes] = process.argv.slice(1);
const big = Buffer.alloc(Number(bytes), name + " 0123456789abcdef");
http.createServer((request, response) => {
  if (request.method === "POST") {
    const hash = createHash("sha256");
    request.on("data", (d) => hash.update(d)).on("end", () => response.end(hash.digest("hex")));
  } else if (request.url === "/big") response.end(big);
  else if (request.url === "/slow") setTimeout(() => response.end(name), 2000);
  else response.end(name);
}).listen(8080, address, () => console.log("ready"));
`;
const BIG = 3_000_000;
let image: string;
let folder: string;

before(async () => {
  image = await hostedImage("appliances/balancer", "balancer");
  folder = mkdtempSync(join(tmpdir(), "heddle-balancer-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

class Bench {
  readonly backends: (Running | undefined)[] = [];
  private constructor(readonly network: Network) {}

  static async create(): Promise<Bench> {
    const bench = new Bench(await Network.create());
    await bench.network.tap("t0", "10.9.0.1/24");
    for (const [i, address] of BACKENDS.entries()) {
      await bench.network.must("ip", ["addr", "add", `${address}/32`, "dev", "lo"]);
      await bench.startBackend(i);
    }
    return bench;
  }

  async startBackend(i: number): Promise<void> {
    const running = this.network.start(process.execPath, ["-e", SERVER, "abc"[i]!, BACKENDS[i]!, String(BIG)]);
    await running.until(/ready/);
    this.backends[i] = running;
  }

  async balancer(service: Record<string, unknown>): Promise<Running> {
    const file = join(folder, `${Math.random().toString(36).slice(2)}.json`);
    const backends = BACKENDS.map((address, i) => ({ name: "abc"[i], address: `${address}:8080` }));
    const shop = { listen: `${VIP}:80`, backends, ...service };
    const interfaces = { eth0: { address: "10.9.0.2/24", gateway: "10.9.0.1" } };
    writeFileSync(file, JSON.stringify({ interfaces, loadBalancer: { services: { shop } } }));
    const running = this.network.start(image, ["--tap", "t0", "--config", file]);
    await running.until(/serving tcp/);
    return running;
  }

  /** The body of a request; undefined when there is none. */
  async get(path = "/name", ...options: string[]): Promise<string | undefined> {
    const { status, stdout } = await this.network.run("curl", ["-s", "-m", "8", ...options, `http://${VIP}${path}`]);
    return status === 0 ? stdout : undefined;
  }

  async untilServed(): Promise<void> {
    for (let i = 0; i < 100; i++, await sleep(50)) if (await this.get()) return;
    assert.fail("nobody is served");
  }

  async names(count: number): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const name = (await this.get()) ?? "none";
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }
}

const quick = { type: "http", path: "/healthz", interval: "100ms", fastInterval: "50ms", timeout: "300ms" };

describe("mode proxy", () => {
  let bench: Bench;
  let running: Running;
  before(async () => {
    bench = await Bench.create();
    running = await bench.balancer({ algorithm: "round-robin", health: { ...quick, rise: 2, fall: 2 } });
    await running.until(/backend a .* is up[^]*backend [bc] .* is up/);
    await bench.untilServed();
    await sleep(300);
  });
  after(() => bench.network.close());

  test("round robin gives each backend the same", async () => {
    assert.deepEqual(await bench.names(30), { a: 10, b: 10, c: 10 });
  });

  test("large bodies arrive intact in both directions, several at once", async () => {
    const bodies = await Promise.all(
      [1, 2, 3, 4].map(() => bench.network.run("curl", ["-s", "-m", "20", `http://${VIP}/big`])),
    );
    for (const { stdout } of bodies) {
      const name = stdout[0]!;
      assert.equal(stdout.length, BIG);
      assert.equal(stdout, Buffer.alloc(BIG, name + " 0123456789abcdef").toString());
    }
    const file = join(folder, "upload");
    const data = Buffer.alloc(BIG, "an upload of many bytes ");
    writeFileSync(file, data);
    const got = await bench.get("/", "-H", "Expect:", "--data-binary", `@${file}`);
    assert.equal(got, createHash("sha256").update(data).digest("hex"));
  });

  test("a client that has finished sending still gets its answer", async () => {
    const client = `require("node:net").connect({ host: "${VIP}", port: 80, allowHalfOpen: true })
      .on("data", (d) => process.stdout.write(d)).end("GET /name HTTP/1.0\\r\\n\\r\\n")`;
    const text = await bench.network.must(process.execPath, ["-e", client], 5000);
    assert.match(text, /^HTTP\/1\.1 200 OK[^]*\r\n\r\n[abc]$/);
  });

  test("a backend that dies gets nothing after its detection, and takes part again when it is back", async () => {
    await bench.backends[1]!.stop();
    await running.until(/backend b .* is down/);
    assert.deepEqual(await bench.names(20), { a: 10, c: 10 });
    await bench.startBackend(1);
    await running.until(/backend b .* is down[^]*backend b .* is up/);
    assert.deepEqual(await bench.names(30), { a: 10, b: 10, c: 10 });
  });

  test("a connection refused before the checks have noticed goes to another backend", async () => {
    bench.backends[2]!.child.kill("SIGKILL");
    for (let i = 0; i < 4; i++) assert.match((await bench.get()) ?? "none", /^[ab]$/);
    await running.until(/backend c .* is down/);
    await bench.startBackend(2);
    await running.until(/backend c .* is down[^]*backend c .* is up/);
  });

  test("a frozen backend is found by its checks; its connections are reset, those of others go on", async () => {
    const slow = [1, 2, 3].map(() => bench.get("/slow"));
    await sleep(300);
    bench.backends[0]!.child.kill("SIGSTOP");
    await running.until(/backend a .* is down/);
    const got = await Promise.all(slow);
    bench.backends[0]!.child.kill("SIGCONT");
    assert.deepEqual(got.map((name) => name ?? "reset").sort(), ["b", "c", "reset"]);
    await running.until(/backend a .* is down[^]*backend a .* is up/);
  });

  test("with nobody left a connection is refused at once", async () => {
    for (const backend of bench.backends) await backend!.stop();
    await running.until(/has no backend left/);
    const { status } = await bench.network.run("curl", ["-s", "-m", "5", `http://${VIP}/`]);
    assert.equal(status, 7, "curl: could not connect");
  });
});

describe("limits", () => {
  test("what finds no room waits in the queue, and what finds no room there is refused", async () => {
    const bench = await Bench.create();
    try {
      const backends = [{ name: "a", address: `${BACKENDS[0]}:8080`, maxConnections: 1 }];
      await bench.balancer({ backends, limits: { queue: 1, queueTimeout: "10s" } });
      await bench.untilServed();
      const first = bench.get("/slow");
      await sleep(300);
      const second = bench.get("/name");
      await sleep(300);
      assert.equal(await bench.get("/name"), undefined);
      assert.deepEqual(await Promise.all([first, second]), ["a", "a"]);
    } finally {
      await bench.network.close();
    }
  });
});
