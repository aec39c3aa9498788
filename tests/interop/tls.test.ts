// HTTPS of the HTTP server appliance as a Linux process over TAP, with curl, OpenSSL and raw sockets as clients.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { packUstar, readFolder } from "../../boot/toolchain/ustar.ts";
import { hostedImage } from "./lib/images.ts";
import { Network, type Running } from "./lib/network.ts";

const GUEST = "10.9.0.2";
const PAGE = "<!doctype html><title>TLS</title><p>Encrypted.\n";
const CONFIGURATION = {
  interfaces: { eth0: { address: `${GUEST}/24`, gateway: "10.9.0.1" } },
  log: { level: "debug" },
  tls: {
    ticketKeys: "secrets/tickets.key",
    certificates: {
      ecdsa: { chain: "certs/ecdsa.pem", key: "secrets/ecdsa.key" },
      rsa: { chain: "certs/rsa.pem", key: "secrets/rsa.key" },
      other: { chain: "certs/other.pem", key: "secrets/other.key", ocsp: "certs/other.ocsp" },
    },
  },
  httpServer: {
    listen: [
      80,
      { port: 443, tls: { certificates: ["ecdsa", "rsa", "other"], hsts: "365d" } },
      { port: 444, tls: { certificates: "ecdsa", clientAuth: "required", clientAuthorities: "certs/clients.pem" } },
    ],
  },
};
const SESSION_LINES = /^(New|Reused), (\S+), Cipher is (\S+)$/m;

let image: string;
let folder: string;
let network: Network;
let running: Running;

/** A self-signed certificate for names, and its key. */
function certificate(name: string, key: string[], names: string[]): void {
  const files = ["-keyout", join(folder, `secrets/${name}.key`), "-out", join(folder, `certs/${name}.pem`)];
  const subject = ["-subj", `/CN=${names[0]}`, "-addext", `subjectAltName=${names.map((n) => `DNS:${n}`).join(",")}`];
  execFileSync("openssl", ["req", "-x509", "-nodes", "-days", "30", ...key, ...files, ...subject], { stdio: "pipe" });
}

const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

before(async () => {
  image = await hostedImage("appliances/http-server", "http-server-tls", undefined, true);
  folder = mkdtempSync(join(tmpdir(), "heddle-tls-"));
  for (const name of ["certs", "secrets", "www"]) mkdirSync(join(folder, name));
  certificate("ecdsa", EC, ["example.org", "*.example.org"]);
  certificate("rsa", ["-newkey", "rsa:2048"], ["example.org", "*.example.org"]);
  certificate("other", EC, ["other.example"]);
  certificate("clients", EC, ["client.example"]);
  writeFileSync(join(folder, "certs/other.ocsp"), ocspResponse());
  writeFileSync(join(folder, "secrets/tickets.key"), Buffer.alloc(48, 7));
  writeFileSync(join(folder, "www/index.html"), PAGE);
  writeFileSync(join(folder, "www/big.bin"), bigFile());
  writeFileSync(join(folder, "config.json"), JSON.stringify(CONFIGURATION));
  writeFileSync(join(folder, "bundle.tar"), packUstar(readFolder(folder, "")));
  network = await Network.create();
  await network.tap("t0", "10.9.0.1/24");
  running = network.start(image, ["--tap", "t0", "--config", join(folder, "bundle.tar")]);
  await running.until(/serving https:\/\/10\.9\.0\.2:443\//);
});

after(async () => {
  await network?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What the authority of the certificate `other`, which is itself, says of it. */
function ocspResponse(): Buffer {
  const [chain, key, out] = ["certs/other.pem", "secrets/other.key", "response.der"].map((name) => join(folder, name));
  const index = join(folder, "index.txt");
  const serial = execFileSync("openssl", ["x509", "-in", chain!, "-noout", "-serial"], { encoding: "latin1" });
  writeFileSync(index, `V\t351231235959Z\t\t${serial.trim().split("=")[1]}\tunknown\t/CN=other.example\n`);
  const request = ["ocsp", "-issuer", chain!, "-cert", chain!, "-index", index, "-CA", chain!, "-rsigner", chain!];
  execFileSync("openssl", [...request, "-rkey", key!, "-respout", out!, "-ndays", "7"], { stdio: "pipe" });
  return readFileSync(out!);
}

/** Ten million bytes that no repetition explains. */
function bigFile(): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i * 32 < 10_000_000; i++) parts.push(createHash("sha256").update(`tls ${i}`).digest());
  return Buffer.concat(parts).subarray(0, 10_000_000);
}

const curl = (...args: string[]) =>
  network.must("curl", ["-s", "-S", "-m", "15", "--cacert", join(folder, "certs/ecdsa.pem"), ...args]);
const at = (name: string) => ["--resolve", `${name}:443:${GUEST}`];

/** A handshake with `openssl s_client`, which sends `input`; what it printed. */
async function handshake(args: string[], input = ""): Promise<string> {
  const command = `{ printf '${input}'; sleep 0.4; } | openssl s_client -connect ${GUEST}:443 ${args.join(" ")}`;
  const { stdout, stderr } = await network.run("sh", ["-c", command]);
  return stdout + stderr;
}

test("the library is in the image with TLS and in no other", async () => {
  const symbols = (path: string) => readFileSync(`${path}.symbols`, "utf8");
  assert.match(symbols(image), / SSL_read$/m);
  const plain = await hostedImage("appliances/http-server", "http-server");
  assert.doesNotMatch(symbols(plain), / SSL_read$| net\/tls\/layer\//m);
});

describe("HTTPS", () => {
  test("curl verifies the certificate and gets the page with HSTS", async () => {
    const answer = await curl("-i", ...at("www.example.org"), "https://www.example.org/");
    assert.match(answer, /^HTTP\/1\.1 200 OK/);
    assert.match(answer, /^Strict-Transport-Security: max-age=31536000\r$/m);
    assert.ok(answer.endsWith(PAGE));
  });

  test("plain HTTP beside it has no HSTS", async () => {
    assert.doesNotMatch(await curl("-i", `http://${GUEST}/`), /Strict-Transport/i);
  });

  test("10 MB arrive intact, three times at once", async () => {
    const expected = createHash("sha256").update(bigFile()).digest("hex");
    const fetch = async (n: number) => {
      const file = join(folder, `big-${n}`);
      await curl(...at("example.org"), "-o", file, "https://example.org/big.bin");
      return createHash("sha256").update(readFileSync(file)).digest("hex");
    };
    assert.deepEqual(await Promise.all([1, 2, 3].map(fetch)), [expected, expected, expected]);
  });

  test("twenty connections one after the other are answered at once", async () => {
    for (let i = 0; i < 20; i++)
      assert.equal(await curl("-m", "2", ...at("example.org"), "https://example.org/"), PAGE);
  });

  test("twenty requests on one connection", async () => {
    const urls = Array.from({ length: 20 }, () => "https://example.org/");
    const text = await curl(...at("example.org"), "-w", "%{num_connects} ", ...urls);
    assert.equal(text.replaceAll(PAGE, "").trim(), ["1", ...Array.from({ length: 19 }, () => "0")].join(" "));
  });
});

describe("handshakes", () => {
  for (const version of ["1_2", "1_3"])
    test(`TLS ${version.replace("_", ".")} with either kind of certificate`, async () => {
      const ecdsa = await handshake([`-tls${version}`, "-sigalgs", "ECDSA+SHA256"]);
      assert.match(ecdsa, /Peer signature type: ECDSA/);
      const rsa = await handshake([`-tls${version}`, "-sigalgs", "RSA-PSS+SHA256"]);
      assert.match(rsa, /Peer signature type: RSA-PSS/);
      for (const text of [ecdsa, rsa]) assert.match(text, SESSION_LINES);
    });

  test("SNI chooses among certificates; an unknown name gets the first", async () => {
    const subject = async (name: string) =>
      (await handshake(["-servername", name])).match(/^subject=CN = (\S+)$/m)?.[1];
    assert.equal(await subject("other.example"), "other.example");
    assert.equal(await subject("www.example.org"), "example.org");
    assert.equal(await subject("a.b.example.org"), "example.org");
    assert.equal(await subject("nobody.example"), "example.org");
  });

  for (const version of ["1_2", "1_3"])
    test(`TLS ${version.replace("_", ".")} sessions are resumed by ticket`, async () => {
      const file = join(folder, `session${version}`);
      const request = "GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n";
      await handshake([`-tls${version}`, "-sess_out", file], request);
      assert.equal(
        (await handshake([`-tls${version}`, "-sess_in", file], request)).match(SESSION_LINES)?.[1],
        "Reused",
      );
    });

  test("what is older than TLS 1.2, or without forward secrecy, is refused", async () => {
    for (const args of [["-tls1"], ["-tls1_1"]])
      assert.match(await handshake([...args, "-cipher", "ALL:@SECLEVEL=0"]), /alert protocol version/);
    assert.match(await handshake(["-tls1_2", "-cipher", "AES128-SHA:AES128-GCM-SHA256"]), /alert handshake failure/);
  });

  test("each cipher suite of TLS 1.3 alone is enough; AES-128 is taken unless ChaCha20 comes first", async () => {
    const suite = async (...suites: string[]) =>
      (await handshake(["-tls1_3", "-ciphersuites", suites.join(":")])).match(SESSION_LINES)?.[3];
    const [aes128, aes256, chacha] = [
      "TLS_AES_128_GCM_SHA256",
      "TLS_AES_256_GCM_SHA384",
      "TLS_CHACHA20_POLY1305_SHA256",
    ];
    for (const one of [aes128, aes256, chacha]) assert.equal(await suite(one), one);
    assert.equal(await suite(aes256, chacha, aes128), aes128);
    assert.equal(await suite(chacha, aes256, aes128), chacha);
  });

  test("ALPN: http/1.1 is agreed on, only others are refused", async () => {
    assert.match(await handshake(["-alpn", "h2,http/1.1"]), /ALPN protocol: http\/1\.1/);
    assert.match(await handshake(["-alpn", "h2"]), /alert no application protocol/);
  });

  test("sslscan finds nothing old or weak", async () => {
    const text = await network.must("sslscan", ["--no-colour", "--no-check-certificate", `${GUEST}:443`], 60_000);
    const of = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1]).sort();
    assert.deepEqual(of(/^(SSLv\d|TLSv1\.\d) +enabled/gm), ["TLSv1.2", "TLSv1.3"]);
    assert.match(text, /Session renegotiation not supported/);
    assert.doesNotMatch(text, /[^t] vulnerable to heartbleed|Compression enabled/);
    const suites = of(/^(?:Preferred|Accepted) +TLSv1\.\d +\d+ bits +(\S+)/gm);
    assert.ok(suites.length >= 6);
    for (const suite of suites) assert.match(suite!, /^TLS_|^ECDHE-.*(?:GCM|POLY1305)/);
  });

  test("the authority's response is stapled", async () => {
    assert.match(await handshake(["-status", "-servername", "other.example"]), /Cert Status: good/);
    assert.match(await handshake(["-status", "-servername", "example.org"]), /OCSP response: no response sent/);
  });

  test("a port that wants certificates of clients refuses those without", async () => {
    const own = ["--cert", join(folder, "certs/clients.pem"), "--key", join(folder, "secrets/clients.key")];
    const resolve = ["--resolve", `example.org:444:${GUEST}`];
    assert.equal(await curl(...own, ...resolve, "https://example.org:444/"), PAGE);
    const refused = await network.run("curl", ["-sSk", "-m", "5", ...resolve, "https://example.org:444/"]);
    // The alert, or, where data of the client crossed it, the reset of the connection that closes.
    assert.match(refused.stderr, /certificate required|alert|reset by peer/);
    assert.equal(refused.stdout, "");
  });

  test("a client may not renegotiate", async () => {
    const text = await handshake(["-tls1_2"], "R\\n");
    assert.match(text, /no renegotiation|unexpected message|renegotiat/i);
    assert.match(await curl(...at("example.org"), "https://example.org/"), /Encrypted/);
  });
});
