// HTTPS on machines: on one CPU and on two, with Node's OpenSSL as the client; the processor's vector state is enabled, and
// sessions are resumed on whichever core a connection lands.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { packUstar, readFolder } from "../../boot/toolchain/ustar.ts";
import { elfImage, Machine } from "./lib/machine.ts";

const page = "<!doctype html><title>TLS</title>\n";
const large = randomBytes(1_000_000);
let elf: string;
let folder: string;
let bundle: Uint8Array;

before(async () => {
  elf = await elfImage("appliances/http-server", "http-server-tls", true);
  folder = mkdtempSync(join(tmpdir(), "heddle-guest-tls-"));
  for (const name of ["certs", "secrets", "www"]) mkdirSync(join(folder, name));
  const files = ["-keyout", join(folder, "secrets/site.key"), "-out", join(folder, "certs/site.pem")];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
  execFileSync("openssl", ["req", "-x509", ...key, ...files, "-subj", "/CN=guest"], { stdio: "pipe" });
  writeFileSync(join(folder, "www/index.html"), page);
  writeFileSync(join(folder, "www/large.bin"), large);
  const certificates = { main: { chain: "certs/site.pem", key: "secrets/site.key" } };
  const configuration = { tls: { certificates }, httpServer: { listen: { port: 443, tls: { certificates: "main" } } } };
  writeFileSync(join(folder, "config.json"), JSON.stringify(configuration));
  bundle = packUstar(readFolder(folder, ""));
});

after(() => rmSync(folder, { recursive: true, force: true }));

interface Answer {
  body: Buffer;
  resumed: boolean;
  protocol: string | null;
  session?: Buffer;
}

/** One request on one connection. */
function request(port: number, path: string, session?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let ticket: Buffer | undefined;
    const socket: TLSSocket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, session }, () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n`),
    );
    socket.setTimeout(10_000, () => socket.destroy(new Error(`no answer from ${path}`)));
    socket.on("session", (bytes: Buffer) => (ticket = bytes));
    socket.on("data", (chunk: Buffer) => parts.push(chunk));
    socket.on("error", reject);
    socket.on("end", () => {
      const answer = Buffer.concat(parts);
      const head = answer.indexOf("\r\n\r\n");
      assert.match(answer.toString("latin1", 0, 15), /^HTTP\/1\.1 200 OK/);
      const [resumed, protocol] = [socket.isSessionReused(), socket.getProtocol()];
      resolve({ body: answer.subarray(head + 4), resumed, protocol, session: ticket });
    });
  });
}

describe("HTTPS", () => {
  for (const cpus of [1, 2])
    test(`on ${cpus} CPU${cpus > 1 ? "s" : ""}`, async () => {
      const machine = await Machine.qemu({
        elf,
        bundle,
        port: 443,
        memory_bytes: 128 << 20,
        more: ["-smp", `${cpus}`],
      });
      try {
        await machine.until(/serving https:\/\/10\.0\.2\.15:443\//);
        if (cpus > 1) await machine.until(/cores: 2 of 2 serve/);
        const first = await request(machine.port, "/");
        assert.equal(first.body.toString(), page);
        assert.equal(first.protocol, "TLSv1.3");
        assert.equal(first.resumed, false);
        assert.ok((await request(machine.port, "/large.bin")).body.equals(large));
        let session = first.session;
        for (let i = 0; i < 12; i++) {
          const answer = await request(machine.port, "/", session);
          assert.equal(answer.body.toString(), page);
          assert.equal(answer.resumed, true, `connection ${i}`);
          session = answer.session;
        }
        assert.doesNotMatch(machine.console, /TLS: |panic/);
      } finally {
        await machine.close();
      }
    });
});
