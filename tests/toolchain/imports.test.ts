// What AssemblyScript's library takes from a browser or Node is named, with what to use instead.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build, BuildError } from "../../boot/toolchain/index.ts";
import { temporaryFolder } from "./lib/images.ts";

test("calls that no machine provides are refused by name", async (t) => {
  const directory = fileURLToPath(new URL("services/browser", import.meta.url));
  const options = { name: "browser", directory, platform: "linux", profile: "edit", progress: () => {} } as const;
  await assert.rejects(build({ ...options, outDirectory: temporaryFolder(t) }), (error: Error) => {
    assert.ok(error instanceof BuildError);
    assert.match(error.message, /calls what no machine has: console\.log, trace|trace, console\.log/);
    assert.match(error.message, /print\(\)/);
    return true;
  });
});
