// `heddle run http-server-tls` with a configuration, and a real browser on the HTTPS URL that it prints: TLS 1.3 with the
// hybrid post-quantum group.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("../..", import.meta.url));
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat([
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
]);

/** A bundle with a page and a self-signed certificate. */
function bundle(folder: string): void {
  for (const name of ["certs", "secrets", "www"]) mkdirSync(join(folder, name));
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=browser"];
  const files = ["-keyout", join(folder, "secrets/site.key"), "-out", join(folder, "certs/site.pem")];
  execFileSync("openssl", ["req", "-x509", ...key, ...files], { stdio: "pipe" });
  writeFileSync(join(folder, "www/index.html"), "<!doctype html><title>TLS</title><h1>Encrypted</h1>");
  const certificates = { main: { chain: "certs/site.pem", key: "secrets/site.key" } };
  const configuration = { tls: { certificates }, httpServer: { listen: { port: 443, tls: { certificates: "main" } } } };
  writeFileSync(join(folder, "config.json"), JSON.stringify(configuration));
}

test("a browser opens an HTTPS page by TLS 1.3 with X25519MLKEM768", { timeout: 400_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-browser-tls-"));
  const profile = join(folder, "profile");
  bundle(folder);
  const args = [join(root, "boot/cli/heddle.js"), "run", "http-server-tls", "--config", folder];
  const child = spawn(process.execPath, args, { cwd: root });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
  try {
    let url: string | undefined;
    for (let tries = 0; !url && tries < 3000 && child.exitCode === null; tries++) {
      url = said.match(/http-server-tls serves (https:\/\/\S+)/)?.[1];
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(url, said);
    const options = { executablePath: "/usr/bin/chromium", args: flags, headless: true, ignoreHTTPSErrors: true };
    const context = await chromium.launchPersistentContext(profile, options);
    try {
      const page = await context.newPage();
      const session = await context.newCDPSession(page);
      await session.send("Network.enable");
      const details = new Promise<{ protocol: string; keyExchangeGroup?: string; cipher: string }>((resolve) =>
        session.on("Network.responseReceived", ({ response }) => resolve(response.securityDetails!)),
      );
      const answer = await page.goto(url, { timeout: 60_000 });
      assert.equal(answer?.status(), 200);
      assert.equal(await page.locator("h1").innerText(), "Encrypted");
      const { protocol, keyExchangeGroup, cipher } = await details;
      assert.deepEqual(
        { protocol, keyExchangeGroup, cipher },
        {
          protocol: "TLS 1.3",
          keyExchangeGroup: "X25519MLKEM768",
          cipher: "AES_128_GCM",
        },
      );
    } finally {
      await context.close();
    }
  } finally {
    child.kill("SIGINT");
    assert.equal(await ended, 0, said);
    rmSync(folder, { recursive: true, force: true });
  }
});
