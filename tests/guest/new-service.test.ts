// What `heddle new` makes builds, boots and echoes, and Ctrl-C ends all of it.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const heddle = fileURLToPath(new URL("../../boot/cli/heddle.js", import.meta.url));

function echoed(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, timeout: 20_000 }, () => socket.end(text));
    let answer = "";
    socket.setEncoding("utf8").on("data", (chunk) => (answer += chunk));
    socket.on("end", () => resolve(answer));
    socket.on("timeout", () => socket.destroy(new Error(`no answer; got ${answer.length} of ${text.length}`)));
    socket.on("error", reject);
  });
}

for (const [how, ...options] of [["in QEMU"], ["hosted, without root", "--hosted"]]) {
  test(`a new service builds, runs ${how} and echoes`, { timeout: 300_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-new-"));
    try {
      const made = spawnSync(process.execPath, [heddle, "new", "echo"], { cwd: folder, encoding: "utf8" });
      assert.equal(made.status, 0, made.stderr);
      const child = spawn(process.execPath, [heddle, "run", "echo", ...options], { cwd: folder });
      const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
      try {
        let said = "";
        const port = await new Promise<number>((resolve, reject) => {
          const give_up = () => reject(new Error(`it does not say where it serves:\n${said}`));
          const timer = setTimeout(give_up, 240_000);
          child.once("close", () => (clearTimeout(timer), give_up()));
          for (const stream of [child.stdout, child.stderr])
            stream.setEncoding("utf8").on("data", (chunk: string) => {
              said += chunk;
              const printed = said.match(/echo serves tcp:\/\/127\.0\.0\.1:(\d+)/);
              if (!printed) return;
              clearTimeout(timer);
              resolve(Number(printed[1]));
            });
        });
        const long = "0123456789abcdef".repeat(4096);
        assert.equal(await echoed(port, "hello\n"), "hello\n");
        assert.equal(await echoed(port, long), long);
      } finally {
        child.kill("SIGINT");
        assert.equal(await ended, 0);
      }
      const left = spawnSync("pgrep", ["-f", join(folder, "echo", "dist")], { encoding: "utf8" });
      assert.equal(left.stdout, "", "no process of the image is left");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
