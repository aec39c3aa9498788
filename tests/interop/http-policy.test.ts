// What a site's configuration says besides its files, seen by curl: redirects, rewrites, fields, CORS, passwords, limits,
// pages, variants, the access log. The image runs as a Linux process over TAP.
import assert from "node:assert/strict";
import { pbkdf2Sync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { packUstar } from "../../boot/toolchain/ustar.ts";
import { hostedImage } from "./lib/images.ts";
import { Network, type Running } from "./lib/network.ts";

const GUEST = "10.9.0.2";
const SALT = Buffer.from("0123456789abcdef");
const hashed = (password: string) =>
  `pbkdf2-sha256:20000:${SALT.toString("base64")}:${pbkdf2Sync(password, SALT, 20000, 32, "sha256").toString("base64")}`;
const PAGE = "<p>home\n".repeat(200);

const CONFIGURATION = {
  interfaces: { eth0: { address: `${GUEST}/24`, gateway: "10.9.0.1" } },
  log: { level: "info", console: true },
  httpServer: {
    sites: [
      {
        host: "a.example",
        listing: true,
        errorPages: { "404": "/errors/404.html" },
        headers: { "X-Frame-Options": "DENY", "Cache-Control": "max-age=60" },
        redirects: [
          { from: "/old/*", to: "/new/*" },
          { from: "/away", to: "https://example.org/?from=a", status: 308 },
        ],
        rewrites: [
          { from: "/v1/*", to: "/api/*" },
          { from: "/side/*", to: "/admin/*" },
        ],
        cors: { origins: ["https://app.example.org"], methods: ["GET", "HEAD"], maxAge: "1h" },
        basicAuth: [{ path: "/admin/*", realm: "admin", users: { ops: hashed("sesame"), dev: hashed("open:sesame") } }],
      },
      { host: "spa.example", spaFallback: "/index.html" },
      { host: "slow.example", limit: { rate: "20/m", burst: 3 } },
      { host: "secure.example", httpsRedirect: true },
    ],
    limits: { connections: 60, perSource: 30 },
    accessLog: { format: "combined", to: ["ring", "console"] },
  },
};

const FILES: Record<string, string | Buffer> = {
  "www/index.html": PAGE,
  ".packed/gzip/www/index.html": gzipSync(PAGE),
  ".packed/br/www/index.html": brotliCompressSync(PAGE),
  ".packed/types": "heddle text/x-heddle\n",
  "www/x.heddle": "x",
  "www/api/users": "users",
  "www/admin/index.html": "secret",
  "www/files/a & b.txt": "a",
  "www/files/sub/c.txt": "c",
  "www/errors/404.html": "nothing here",
};

let folder: string;
let network: Network;
let running: Running;

interface Answer {
  status: number;
  fields: Map<string, string>;
  body: string;
}

async function get(host: string, path: string, ...more: string[]): Promise<Answer> {
  const args = ["-s", "-S", "-i", "-m", "10", "--path-as-is", "-H", `Host: ${host}`, ...more, `http://${GUEST}${path}`];
  const text = await network.must("curl", args);
  const end = text.indexOf("\r\n\r\n");
  const [line, ...fields] = text.slice(0, end).split("\r\n");
  return {
    status: Number(line!.split(" ")[1]),
    fields: new Map(fields.map((field) => [field.split(": ")[0]!.toLowerCase(), field.slice(field.indexOf(": ") + 2)])),
    body: text.slice(end + 4),
  };
}

before(async () => {
  const image = await hostedImage("appliances/http-server", "http-server");
  folder = mkdtempSync(join(tmpdir(), "heddle-policy-"));
  const bundle = join(folder, "bundle.tar");
  const entries = Object.entries(FILES).map(([name, data]) => ({ name, data: Buffer.from(data) }));
  writeFileSync(
    bundle,
    packUstar([{ name: "config.json", data: Buffer.from(JSON.stringify(CONFIGURATION)) }, ...entries]),
  );
  network = await Network.create();
  await network.tap("t0", "10.9.0.1/24");
  running = network.start(image, ["--tap", "t0", "--config", bundle]);
  const wait = ["--retry", "50", "--retry-delay", "0", "--retry-connrefused", "--retry-max-time", "10", "-m", "2"];
  const { status } = await network.run("curl", [...wait, "-s", "-o", "/dev/null", `http://${GUEST}/`]);
  assert.equal(status, 0, running.output);
});

after(async () => {
  await network.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("a site's rules", () => {
  test("the fields of the configuration are in every response", async () => {
    for (const path of ["/", "/nothing", "/old/x"]) {
      const { fields } = await get("a.example", path);
      assert.equal(fields.get("x-frame-options"), "DENY", path);
      assert.equal(fields.get("cache-control"), "max-age=60", path);
    }
  });

  test("a redirect takes the rest of the path, encoded, and the query", async () => {
    const one = await get("a.example", "/old/b%20c/%C3%A4?q=1");
    assert.deepEqual([one.status, one.fields.get("location")], [301, "/new/b%20c/%C3%A4?q=1"]);
    const other = await get("a.example", "/away?q=1");
    assert.deepEqual([other.status, other.fields.get("location")], [308, "https://example.org/?from=a"]);
  });

  test("a redirect cannot be led to another host or into the head", async () => {
    assert.equal((await get("a.example", "/old//evil.example/")).fields.get("location"), "/new/evil.example/");
    assert.equal((await get("a.example", "/old/%0d%0aX:y")).fields.get("location"), "/new/%0D%0AX:y");
  });

  test("a rewrite is looked up under its other name", async () => {
    assert.deepEqual(
      [(await get("a.example", "/v1/users")).body, (await get("a.example", "/v1/none")).status],
      ["users", 404],
    );
  });

  test("a page stands for what is not there, with its status", async () => {
    const { status, body, fields } = await get("a.example", "/nothing");
    assert.deepEqual([status, body, fields.get("content-type")], [404, "nothing here", "text/html; charset=utf-8"]);
    assert.equal((await get("spa.example", "/deep/link")).status, 200);
    assert.equal((await get("spa.example", "/deep/link")).body, PAGE);
    assert.equal((await get("unknown.example", "/")).status, 404);
  });

  test("a folder is listed where it is wanted, names escaped", async () => {
    const { status, body } = await get("a.example", "/files/");
    assert.equal(status, 200);
    assert.match(body, /<a href=".\/a%20&amp;%20b.txt">a &amp; b.txt<\/a><\/td><td>1</);
    assert.match(body, /<a href=".\/sub\/">sub\/<\/a>/);
    assert.equal((await get("spa.example", "/files/")).body, PAGE);
  });

  test("requests without TLS are sent to HTTPS", async () => {
    const { status, fields } = await get("secure.example:8080", "/a?b");
    assert.deepEqual([status, fields.get("location")], [301, "https://secure.example/a?b"]);
    assert.equal((await get("secure.example", "/a", "-X", "POST")).status, 308);
  });
});

describe("variants", () => {
  test("the coding that is accepted is given, with a tag of its own", async () => {
    const plain = await get("a.example", "/");
    const gzip = await get("a.example", "/", "-H", "Accept-Encoding: gzip", "--compressed");
    const brotli = await get("a.example", "/", "-H", "Accept-Encoding: gzip, br;q=0.1", "-o", "/dev/null", "-D", "-");
    assert.equal(gzip.body, PAGE);
    assert.deepEqual(
      [plain, gzip, brotli].map(({ fields }) => fields.get("content-encoding")),
      [undefined, "gzip", "br"],
    );
    for (const one of [plain, gzip, brotli]) assert.equal(one.fields.get("vary")?.includes("Origin"), true);
    assert.equal(new Set([plain, gzip, brotli].map(({ fields }) => fields.get("etag"))).size, 3);
  });
  test("a coding with weight 0 is not given, and * stands for those not named", async () => {
    const refused = await get("a.example", "/", "-H", "Accept-Encoding: br;q=0, gzip;q=0.000");
    assert.equal(refused.fields.get("content-encoding"), undefined);
    const star = await get("a.example", "/", "-H", "Accept-Encoding: br;q=0, *", "-o", "/dev/null", "-D", "-");
    assert.equal(star.fields.get("content-encoding"), "gzip");
  });
  test("media types are those that were packed", async () => {
    assert.equal((await get("a.example", "/x.heddle")).fields.get("content-type"), "text/x-heddle");
  });
});

describe("CORS", () => {
  test("an allowed origin is named, another is not", async () => {
    const allowed = await get("a.example", "/", "-H", "Origin: https://app.example.org");
    assert.equal(allowed.fields.get("access-control-allow-origin"), "https://app.example.org");
    const other = await get("a.example", "/", "-H", "Origin: https://evil.example.org");
    assert.equal(other.fields.get("access-control-allow-origin"), undefined);
  });
  test("a preflight request is answered without a password", async () => {
    const asked = [
      "-X",
      "OPTIONS",
      "-H",
      "Origin: https://app.example.org",
      "-H",
      "Access-Control-Request-Method: GET",
    ];
    const { status, fields } = await get("a.example", "/admin/", ...asked);
    assert.equal(status, 204);
    assert.equal(fields.get("access-control-allow-methods"), "GET, HEAD");
    assert.equal(fields.get("access-control-max-age"), "3600");
  });
});

describe("passwords", () => {
  test("without one, or with a wrong one, 401 with the realm", async () => {
    for (const more of [
      [],
      ["-u", "ops:wrong"],
      ["-u", "nobody:sesame"],
      ["-H", "Authorization: Basic ====", "-u", ":"],
    ]) {
      const { status, fields, body } = await get("a.example", "/admin/", ...more);
      assert.equal(status, 401, more.join(" "));
      assert.equal(fields.get("www-authenticate"), 'Basic realm="admin", charset="UTF-8"');
      assert.doesNotMatch(body, /secret/);
    }
  });
  test("with the right one the file; also for many at once", async () => {
    assert.equal((await get("a.example", "/admin/", "-u", "ops:sesame")).body, "secret");
    const all = await Promise.all([1, 2, 3, 4, 5].map(() => get("a.example", "/admin/", "-u", "dev:open:sesame")));
    for (const { body } of all) assert.equal(body, "secret");
  });
  test("no other name leads around it", async () => {
    for (const path of ["/side/", "/%61dmin/", "/x/../admin/", "//admin/", "/./admin/index.html", "/side/index.html"])
      assert.equal((await get("a.example", path)).status, 401, path);
  });
});

describe("limits", () => {
  test("requests above the rate get 429 and are told when to come again", async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await get("slow.example", "/")).status);
    assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
    // 20/m are 333 in 1,000 s: one in 3.003 s, rounded up.
    assert.equal((await get("slow.example", "/")).fields.get("retry-after"), "4");
    assert.equal((await get("a.example", "/")).status, 200);
  });
  test("connections of one source above the limit get 429", async () => {
    const script = `
      const net = require("node:net");
      const sockets = [];
      const open = () => new Promise((resolve) => { const s = net.connect(80, "${GUEST}", () => resolve(s)); sockets.push(s); });
      (async () => {
        for (let i = 0; i < 30; i++) await open();
        const last = await open();
        last.on("data", (data) => { console.log(data.toString().split("\\r\\n")[0]); process.exit(0); });
        last.write("GET / HTTP/1.1\\r\\nHost: a.example\\r\\n\\r\\n");
      })();`;
    assert.equal((await network.must(process.execPath, ["-e", script])).trim(), "HTTP/1.1 429 Too Many Requests");
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal((await get("a.example", "/")).status, 200);
  });
});

describe("the access log", () => {
  test("has a line for each response that nobody can forge", async () => {
    await get("a.example", "/api/users?x=%22", "-A", 'agent "quoted"\\', "-e", "http://from.example/");
    await get("a.example", "/nothing");
    const lines = running.output.split("\n");
    const one = lines.find((line) => line.includes("/api/users?x="));
    assert.match(
      one ?? running.output,
      /^10\.9\.0\.1 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/api\/users\?x=%22 HTTP\/1\.1" 200 5 "http:\/\/from\.example\/" "agent \\x22quoted\\x22\\x5C"$/,
    );
    assert.ok(lines.some((line) => line.includes('"GET /nothing HTTP/1.1" 404 12 ')));
  });
});
