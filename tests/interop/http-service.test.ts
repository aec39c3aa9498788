// The example of a web service (docs/examples/http-service) as a Linux process over TAP: its routes seen by curl, its framing
// by raw sockets.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostedImage } from "./lib/images.ts";
import { Network, type Running } from "./lib/network.ts";

const GUEST = "10.9.0.2";
let folder: string;
let network: Network;
let running: Running;

before(async () => {
  const image = await hostedImage("docs/examples/http-service", "http-service");
  folder = mkdtempSync(join(tmpdir(), "heddle-service-"));
  const config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify({ interfaces: { eth0: { address: `${GUEST}/24`, gateway: "10.9.0.1" } } }));
  network = await Network.create();
  await network.tap("t0", "10.9.0.1/24");
  running = network.start(image, ["--tap", "t0", "--config", config]);
  const wait = ["--retry", "50", "--retry-delay", "0", "--retry-connrefused", "--retry-max-time", "10", "-m", "2"];
  const { status } = await network.run("curl", [...wait, "-s", "-o", "/dev/null", `http://${GUEST}/hello/x`]);
  assert.equal(status, 0, running.output);
});

after(async () => {
  await network.close();
  rmSync(folder, { recursive: true, force: true });
});

const curl = (path: string, ...more: string[]) =>
  network.must("curl", ["-s", "-S", "-m", "20", "-w", " %{http_code}", ...more, `http://${GUEST}${path}`]);

/** Sends bytes on one connection and gives what comes back until the server ends it, or 400 ms. */
function raw(...pieces: string[]): Promise<string> {
  const script = `
    const socket = require("node:net").connect({ host: "${GUEST}", port: 80, allowHalfOpen: true });
    const show = () => { socket.destroy(); process.exit(0); };
    socket.on("data", (data) => process.stdout.write(data.toString("latin1")));
    socket.on("end", () => { process.stdout.write("[END]"); show(); });
    const pieces = ${JSON.stringify(pieces)};
    (async () => {
      for (const piece of pieces) { socket.write(Buffer.from(piece, "latin1")); await new Promise((r) => setTimeout(r, 60)); }
      setTimeout(show, 400);
    })();`;
  return network.must(process.execPath, ["-e", script]);
}
const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]));

describe("routes", () => {
  test("a parameter is a part of the path, decoded", async () => {
    assert.equal(await curl("/hello/w%C3%B6rld"), Buffer.from("hello wörld\n 200").toString("latin1"));
    assert.equal(await curl("/x/../hello/a"), "hello a\n 200");
  });
  test("the rest of a path, with the query", async () => {
    assert.equal(await curl("/files/a/b.txt?x=1&y"), "GET a/b.txt?x=1&y\n 200");
  });
  test("what has no route is 404, another method 405 with those that have", async () => {
    assert.equal(await curl("/hello"), "404 Not Found\n 404");
    assert.equal(await curl("/hello/a/b"), "404 Not Found\n 404");
    assert.match(await curl("/hello/a", "-i", "-X", "DELETE"), /405 [^]*\r\nAllow: GET, HEAD\r\n/);
  });
  test("a filter runs before the route", async () => {
    assert.equal(await curl("/private/a"), "403 Forbidden\n 403");
    assert.equal(await curl("/private/a", "-H", "X-Key: sesame"), "hello a\n 200");
    assert.equal(await curl("/%70rivate/a"), "403 Forbidden\n 403");
  });
  test("HEAD has the fields of GET", async () => {
    assert.match(await curl("/hello/abc", "-I"), /Content-Length: 10\r\n[^]*\r\n\r\n 200$/);
  });
});

describe("bodies", () => {
  test("one of 5 MB is read as it comes, after 100 Continue", async () => {
    const file = join(folder, "upload");
    writeFileSync(file, Buffer.alloc(5_000_000, "x"));
    assert.equal(await curl("/size", "-T", file), "5000000 bytes\n 200");
    assert.equal(await curl("/size", "-T", file, "-H", "Transfer-Encoding: chunked"), "5000000 bytes\n 200");
  });
  test("what is sent comes back", async () => {
    assert.equal(await curl("/echo", "--data-binary", "some text"), "some text 200");
  });
  test("a download of unknown length comes in chunks, to HTTP/1.0 until the end", async () => {
    const expected = Array.from({ length: 2000 }, (_, i) => `${i + 1}\n`).join("");
    assert.equal(await curl("/count/2000"), `${expected} 200`);
    assert.equal(await curl("/count/2000", "--http1.0"), `${expected} 200`);
    assert.match(
      await raw("GET /count/2 HTTP/1.1\r\nHost: h\r\n\r\n"),
      /Transfer-Encoding: chunked\r\n[^]*\r\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n$/,
    );
  });
  test("chunks in pieces, cut anywhere", async () => {
    const text =
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n";
    for (const cut of [62, 66, 70, 73, 78, 90])
      assert.match(await raw(text.slice(0, cut), text.slice(cut)), /\r\n\r\nhello world$/);
  });
  test("malformed chunks are an error of the body, and the connection ends", async () => {
    const text = await raw(
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
    );
    assert.match(text, /^HTTP\/1\.1 400 [^]*no body: error -71\n\[END\]$/);
  });
});

describe("connections", () => {
  test("pipelined requests are answered in order, bodies that nobody read passed over", async () => {
    const get = (name: string) => `GET /hello/${name} HTTP/1.1\r\nHost: h\r\n\r\n`;
    const unread = "POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\n1234567";
    const text = await raw(get("a") + unread + get("b"), get("c"));
    assert.deepEqual(statuses(text), [200, 404, 200, 200]);
    assert.deepEqual(
      [...text.matchAll(/hello (\w)\n/g)].map((match) => match[1]),
      ["a", "b", "c"],
    );
    assert.doesNotMatch(text, /\[END\]/);
  });
  test("a refused head ends the connection, its rest is not answered", async () => {
    const text = await raw("GET /hello/a HTTP/1.1\r\n\r\nGET /hello/b HTTP/1.1\r\nHost: h\r\n\r\n");
    assert.match(text, /^HTTP\/1\.1 400 [^]*Connection: close\r\n[^]*\[END\]$/);
    assert.deepEqual(statuses(text), [400]);
  });
  test("two hundred at once, each with several requests", async () => {
    const script = `
      const http = require("node:http");
      const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });
      const get = (i) => new Promise((resolve, reject) => http.get({ host: "${GUEST}", path: "/hello/" + i, agent }, (r) => {
        let body = ""; r.on("data", (d) => (body += d)); r.on("end", () => resolve(body === "hello " + i + "\\n"));
      }).on("error", reject));
      Promise.all(Array.from({ length: 2000 }, (_, i) => get(i))).then((all) => { console.log(all.filter(Boolean).length); process.exit(0); });`;
    assert.equal((await network.must(process.execPath, ["-e", script])).trim(), "2000");
  });
});
