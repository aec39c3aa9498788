// What a newcomer does: `heddle run http-server`, then a real browser on the URL that it prints.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
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

/** Starts `heddle run http-server` and waits for the URL; `stop` presses Ctrl-C and gives the exit status. */
async function runHttpServer(): Promise<{ url: string; stop: () => Promise<number | null> }> {
  const child = spawn(process.execPath, [join(root, "boot/cli/heddle.js"), "run", "http-server"], { cwd: root });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  let said = "";
  const url = await new Promise<string>((resolve, reject) => {
    const fail = () => reject(new Error(`no URL was printed:\n${said}`));
    const timer = setTimeout(fail, 300_000);
    child.once("close", fail);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        said += chunk;
        const printed = said.match(/http-server serves (http:\/\/\S+)/);
        if (!printed) return;
        clearTimeout(timer);
        resolve(printed[1]);
      });
  }).catch((error) => {
    child.kill("SIGINT");
    throw error;
  });
  return { url, stop: () => (child.kill("SIGINT"), ended) };
}

test("a browser opens the page that the image serves", { timeout: 400_000 }, async () => {
  const server = await runHttpServer();
  const profile = mkdtempSync(join(tmpdir(), "heddle-chromium-"));
  let status: number | null;
  try {
    const executablePath = "/usr/bin/chromium";
    const context = await chromium.launchPersistentContext(profile, { executablePath, args: flags, headless: true });
    try {
      const page = await context.newPage();
      const answer = await page.goto(server.url, { timeout: 60_000 });
      assert.equal(answer?.status(), 200);
      const heading = await page.locator("h1").first().innerText();
      assert.match(heading, /Heddle/);
      assert.equal(await page.evaluate("document.compatMode"), "CSS1Compat");
      mkdirSync(join(root, "dist"), { recursive: true });
      const screenshot = join(root, "dist", "http-server.png");
      await page.screenshot({ path: screenshot });
      assert.ok(statSync(screenshot).size > 1000);
    } finally {
      await context.close();
    }
  } finally {
    status = await server.stop();
    rmSync(profile, { recursive: true, force: true });
  }
  assert.equal(status, 0, "Ctrl-C ends `heddle run` with status 0");
});
