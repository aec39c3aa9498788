// The time of day by SNTP, from servers that are right, wrong, and forging (lib/ntp-server.ts).
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostedImage, root } from "./lib/images.ts";
import { Network, type Running } from "./lib/network.ts";

const DAY_MS = 86_400_000;
let image: string;
let folder: string;

before(async () => {
  image = await hostedImage("tests/interop/services/names", "tests/interop-names");
  folder = mkdtempSync(join(tmpdir(), "heddle-time-"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `body` on a machine that asks servers, each given as "days off, what it does". */
async function withServers(
  servers: string[],
  body: (running: Running, asked: Running[]) => Promise<void>,
): Promise<void> {
  const network = await Network.create();
  try {
    await network.tap("t0", "10.9.0.1/24");
    const asked: Running[] = [];
    for (const [i, server] of servers.entries()) {
      if (i > 0) await network.must("ip", ["addr", "add", `10.9.0.${i + 3}/24`, "dev", "t0"]);
      const script = join(root, "tests/interop/lib/ntp-server.ts");
      const args = ["--import", "tsx", script, `10.9.0.${i > 0 ? i + 3 : 1}`, ...server.split(" ")];
      asked.push(network.start(process.execPath, args));
      await asked[i]!.until(/ready/);
    }
    const file = join(folder, "config.json");
    const addresses = servers.map((_, i) => `10.9.0.${i > 0 ? i + 3 : 1}`);
    writeFileSync(
      file,
      JSON.stringify({ interfaces: { eth0: { address: "10.9.0.2/24" } }, time: { servers: addresses } }),
    );
    await body(network.start(image, ["--tap", "t0", "--config", file]), asked);
  } finally {
    await network.close();
  }
}

/** How many days the time that was set is off, rounded. */
async function daysSet(running: Running): Promise<number> {
  const [, time] = await running.until(/time: (\S+Z) from 10\.9\.0\./, 20_000);
  return Math.round((Date.parse(time!) - Date.now()) / DAY_MS);
}

describe("the time of day", () => {
  test("is what a server says", () =>
    withServers(["1000"], async (running) => assert.equal(await daysSet(running), 1000)));

  test("in the next era of NTP, after 2036, too", () =>
    withServers(["5000"], async (running) => assert.equal(await daysSet(running), 5000)));

  test("is what most of three say", () =>
    withServers(["7777", "20", "20"], async (running) => assert.equal(await daysSet(running), 20)));

  test("is left alone when three disagree", () =>
    withServers(["10", "20", "30"], async (running) => {
      await running.until(/time: the servers do not agree/, 20_000);
      assert.doesNotMatch(running.output, /Z from/);
    }));

  test("is not taken from who forges or does not know it, and who refuses is not asked again", () =>
    withServers(["10 stranger", "20 unsynchronised", "30 deny", "40"], async (running, asked) => {
      assert.equal(await daysSet(running), 40);
      assert.match(running.output, /10\.9\.0\.5 refuses; it is not asked again/);
      assert.equal(asked[2]!.output.match(/asked/g)!.length, 1);
    }));
});
