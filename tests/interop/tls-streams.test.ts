// TLS for services: a listener and streams for fibers, a listener that wants certificates of its clients, and a client that
// judges servers, against OpenSSL.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { packUstar, readFolder } from "../../boot/toolchain/ustar.ts";
import { hostedImage } from "./lib/images.ts";
import { Network, type Running } from "./lib/network.ts";

const GUEST = "10.9.0.2";
let folder: string;
let network: Network;
let running: Running;

function certificate(name: string, subject: string, key = `secrets/${name}.key`): void {
  const files = ["-keyout", join(folder, key), "-out", join(folder, `certs/${name}.pem`)];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
  const names = ["-subj", `/CN=${subject}`, "-addext", `subjectAltName=DNS:${subject}`];
  execFileSync("openssl", ["req", "-x509", ...kind, ...files, ...names], { stdio: "pipe" });
}

before(async () => {
  const image = await hostedImage("tests/interop/services/tls", "tests/interop-tls");
  folder = mkdtempSync(join(tmpdir(), "heddle-tls-streams-"));
  for (const name of ["certs", "secrets", "keys"]) mkdirSync(join(folder, name));
  certificate("site", "example.org");
  certificate("clients", "client", "keys/client.key");
  certificate("stranger", "example.org", "keys/stranger.key");
  const interfaces = { eth0: { address: `${GUEST}/24`, gateway: "10.9.0.1" } };
  writeFileSync(join(folder, "config.json"), JSON.stringify({ interfaces }));
  writeFileSync(join(folder, "bundle.tar"), packUstar(readFolder(folder, "")));
  network = await Network.create();
  await network.tap("t0", "10.9.0.1/24");
  running = network.start(image, ["--tap", "t0", "--config", join(folder, "bundle.tar")]);
  await running.until(/serving tls:\/\/10\.9\.0\.2:444/);
});

after(async () => {
  await network?.close();
  rmSync(folder, { recursive: true, force: true });
});

const path = (name: string) => join(folder, name);

/** What `openssl s_client` got back for `input`. */
async function client(port: number, input: string, ...args: string[]): Promise<string> {
  const options = ["-quiet", "-verify_quiet", "-no_ign_eof", ...args].join(" ");
  const command = `{ printf '${input}'; sleep 0.5; } | openssl s_client -connect ${GUEST}:${port} ${options}`;
  const { stdout, stderr } = await network.run("sh", ["-c", command]);
  return stdout + stderr;
}

describe("a listener", () => {
  test("echoes what fibers read", async () => {
    const verified = ["-CAfile", path("certs/site.pem"), "-verify_return_error", "-servername", "example.org"];
    assert.match(await client(443, "hello\\n", ...verified), /hello/);
    assert.match(await client(443, "hello\\n", "-tls1_2"), /hello/);
  });

  test("a megabyte comes back whole", async () => {
    const command = `head -c 1000000 /dev/zero | tr '\\0' x | { cat; sleep 2; } | openssl s_client -quiet -no_ign_eof -connect ${GUEST}:443 2>/dev/null | wc -c`;
    assert.equal((await network.must("sh", ["-c", command])).trim(), "1000000");
  });

  test("that trusts some clients takes those and no others", async () => {
    const own = ["-cert", path("certs/clients.pem"), "-key", path("keys/client.key")];
    assert.match(await client(444, "hello\\n", ...own), /hello/);
    assert.doesNotMatch(await client(444, "hello\\n"), /hello/);
    const stranger = ["-cert", path("certs/stranger.pem"), "-key", path("keys/stranger.key")];
    assert.doesNotMatch(await client(444, "hello\\n", ...stranger), /hello/);
  });
});

describe("a client", () => {
  let port = 9000;

  /** What the service says of a server of ours with this certificate, which it asks for by `name`. */
  async function asks(certificate: string, key: string, name: string): Promise<string> {
    port++;
    const files = ["-cert", path(certificate), "-key", path(key)];
    const server = network.start("openssl", ["s_server", "-accept", `${port}`, "-www", ...files]);
    try {
      await server.until(/ACCEPT/);
      const question = `{ echo ${port} ${name}; sleep 1; } | curl -s -m 2 telnet://${GUEST}:7`;
      return (await network.run("sh", ["-c", question])).stdout;
    } finally {
      await server.stop();
    }
  }

  test("takes a server whose certificate it trusts and that has the name", async () => {
    assert.match(await asks("certs/site.pem", "secrets/site.key", "example.org"), /^HTTP\/1\.0 200 ok/);
  });
  test("refuses another name", async () => {
    assert.match(await asks("certs/site.pem", "secrets/site.key", "example.net"), /^error -71/);
  });
  test("refuses a certificate that nobody signed whom it trusts", async () => {
    assert.match(await asks("certs/stranger.pem", "keys/stranger.key", "example.org"), /^error -71/);
  });
});
