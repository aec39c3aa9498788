// The management listener of the HTTP server as a Linux process over TAP: who may ask, what is answered, and the change of the
// configuration with its rollback.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hostedImage } from "./lib/images.ts";
import { Network, type Running } from "./lib/network.ts";

const ADMIN = "0123456789abcdef0123456789abcdef01234567";
const READER = "fedcba9876543210fedcba9876543210fedcba98";
const BASE = "http://10.9.0.2:9000";
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

interface Change {
  addresses?: string[];
  token?: string;
  listen?: number[];
  routes?: object[];
}

const configuration = ({ addresses = ["10.9.0.2/24"], token = ADMIN, listen = [80], routes = [] }: Change = {}) =>
  JSON.stringify({
    interfaces: { eth0: { address: addresses } },
    routes,
    management: {
      ...{ listen: `${addresses[0]!.split("/")[0]}:9000`, interface: "eth0", allow: "10.9.0.1" },
      tokens: [
        { name: "ops", role: "admin", sha256: sha256(token) },
        { name: "prometheus", role: "read", sha256: sha256(READER) },
      ],
    },
    httpServer: { listen },
  });

let folder: string;
let network: Network;
let running: Running;

before(async () => {
  const image = await hostedImage("appliances/http-server", "http-server");
  folder = mkdtempSync(join(tmpdir(), "heddle-management-"));
  const config = join(folder, "config.json");
  writeFileSync(config, configuration());
  network = await Network.create();
  await network.tap("t0", "10.9.0.1/24");
  await network.must("ip", ["addr", "add", "10.9.0.7/24", "dev", "t0"]);
  running = network.start(image, ["--tap", "t0", "--config", config]);
  const wait = ["--retry", "50", "--retry-delay", "0", "--retry-connrefused", "--retry-max-time", "10", "-m", "2"];
  const { status } = await network.run("curl", [...wait, "-s", "-o", "/dev/null", `${BASE}/healthz`]);
  assert.equal(status, 0, running.output);
});

after(async () => {
  await network.close();
  rmSync(folder, { recursive: true, force: true });
});

const curl = async (path: string, token: string, ...more: string[]) => {
  const auth = token ? ["-H", `Authorization: Bearer ${token}`] : [];
  const { stdout } = await network.run("curl", [
    ...["-s", "-m", "3", "-w", "\n%{http_code}", ...auth, ...more],
    path.startsWith("http") ? path : BASE + path,
  ]);
  const at = stdout.lastIndexOf("\n");
  return { body: stdout.slice(0, at), status: Number(stdout.slice(at + 1)) };
};

async function tag(): Promise<string> {
  const { body } = await curl("/config", ADMIN, "-o", "/dev/null", "-D", "-");
  return body.match(/^ETag: (.*?)\r$/m)![1]!;
}

async function put(text: string, query: string, match?: string) {
  const file = join(folder, "new.json");
  writeFileSync(file, text);
  const answer = await curl(`/config${query}`, ADMIN, "-T", file, "-H", `If-Match: ${match ?? (await tag())}`);
  return { ...answer, json: JSON.parse(answer.body) };
}

async function isBack(): Promise<void> {
  for (let i = 0; i < 40; i++) {
    const { body, status } = await curl("/status", ADMIN);
    if (status === 200 && !JSON.parse(body).config.onTrial) return;
    await sleep(100);
  }
  assert.fail(running.output);
}

describe("who may ask", () => {
  test("health is told without a token, nothing else", async () => {
    assert.deepEqual(await curl("/healthz", ""), { body: "ok\n", status: 200 });
    assert.deepEqual(await curl("/readyz", ""), { body: "ready\n", status: 200 });
    for (const path of ["/status", "/metrics", "/log", "/connections", "/config"])
      assert.equal((await curl(path, "")).status, 401, path);
  });
  test("a reader does not see the configuration", async () => {
    assert.equal((await curl("/status", READER)).status, 200);
    assert.equal((await curl("/config", READER)).status, 403);
  });
  test("an address that is not allowed is reset", async () => {
    assert.equal((await curl("/healthz", "", "--interface", "10.9.0.7")).status, 0);
  });
});

describe("what is answered", () => {
  test("metrics have a help and a type each, and stand once", async () => {
    const { body } = await curl("/metrics", READER);
    const lines = body.trim().split("\n");
    const types = lines.filter((line) => line.startsWith("# TYPE ")).map((line) => line.split(" ")[2]);
    assert.equal(new Set(types).size, types.length);
    for (const line of lines)
      assert.match(line, /^(# (HELP|TYPE) heddle_[a-z0-9_]+ .+|heddle_[a-z0-9_]+(\{[a-z]+="[^"]*"\})? [0-9.]+)$/);
    assert.ok(types.includes("heddle_http_requests_total"));
  });
  test("log and connections", async () => {
    assert.match((await curl("/log", READER)).body, /eth0: address 10\.9\.0\.2\/24/);
    assert.match((await curl("/connections", READER)).body, /^ESTABLISHED {2}10\.9\.0\.2:9000 10\.9\.0\.1:\d+$/m);
  });
});

describe("a change", () => {
  test("needs the tag of what it replaces, and has no mistakes", async () => {
    assert.equal((await put(configuration(), "", '"0"')).status, 412);
    const { status, json } = await put('{"hostnme": 1}', "");
    assert.equal(status, 422);
    assert.match(json.problems[0], /^config\.json:1:2: \/hostnme: unknown key; did you mean "hostname"\?/);
    assert.equal((await put(JSON.stringify({ cores: { count: 1 } }), "")).status, 409);
  });

  test("stays when it is confirmed on a new connection", async () => {
    const before = await tag();
    const { status, json } = await put(configuration({ listen: [80, 8080] }), "?confirm=20s", before);
    assert.equal(status, 200);
    assert.equal(json.persisted, false);
    await sleep(300);
    assert.equal((await curl("http://10.9.0.2:8080/", "")).status, 200);
    assert.equal((await curl("/config/confirm", ADMIN, "-X", "POST")).status, 200);
    assert.notEqual(await tag(), before);
    assert.equal((await curl("/config/confirm", ADMIN, "-X", "POST")).status, 409);
  });

  test("is not confirmed on the connection that brought it", async () => {
    const file = join(folder, "same.json");
    writeFileSync(file, configuration({ listen: [80, 8081] }));
    const auth = ["-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code} ", "-H", `Authorization: Bearer ${ADMIN}`];
    const first = [...auth, "-H", `If-Match: ${await tag()}`, "-T", file, `${BASE}/config?confirm=1s`];
    const { stdout } = await network.run("curl", [...first, "--next", ...auth, "-X", "POST", `${BASE}/config/confirm`]);
    assert.equal(stdout, "200 409 ");
    await isBack();
  });

  const wrong: [string, Change][] = [
    ["address", { addresses: ["10.99.0.2/24"] }],
    ["route", { routes: [{ to: "10.9.0.1/32", blackhole: true }] }],
    ["token", { token: "lost" }],
  ];
  for (const [what, change] of wrong)
    test(`with a wrong ${what} is taken back`, async () => {
      const before = await tag();
      assert.equal((await put(configuration(change), "?confirm=1s", before)).status, 200);
      await sleep(300);
      // Shorter than the trial, and than TCP's first repetition.
      assert.notEqual((await curl("/status", ADMIN, "-m", "0.4")).status, 200);
      // Nor asked again and again: wrong tokens are limited.
      await sleep(800);
      await isBack();
      assert.equal(await tag(), before);
    });
});
