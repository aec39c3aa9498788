// Building: mistakes come through as asc prints them, the same sources give the same bytes, what has not changed is not
// compiled again, and a frame that could jump a guard page is refused.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BuildError } from "../../boot/toolchain/index.ts";
import { buildService, root, runProgram, services, temporaryFolder } from "./lib/images.ts";

/** Builds in a process of its own, from the checkout `home`, so that cache and paths can be others than ours. */
async function buildIn(home: string, cache: string, directory: string, out: string, profile: string): Promise<string> {
  const script = `import { build } from ${JSON.stringify(join(home, "boot/toolchain/index.ts"))};
const lines: string[] = [];
try {
  await build({ name: "it", directory: ${JSON.stringify(directory)}, platform: "both", profile: ${JSON.stringify(profile)},
    outDirectory: ${JSON.stringify(out)}, progress: (line: string) => lines.push(line) });
  console.log(lines.join("\\n"));
} catch (error) {
  console.log((error as Error).stack);
  process.exit(1);
}
`;
  mkdirSync(out, { recursive: true });
  const file = join(out, "build.mts");
  writeFileSync(file, script);
  const loader = join(root, "node_modules/tsx/dist/loader.mjs");
  const args = ["--import", loader, file];
  const { status, output } = await runProgram(process.execPath, args, 300_000, { ...process.env, HEDDLE_CACHE: cache });
  assert.equal(status, 0, output);
  return output;
}

test("a mistake of the user is reported as asc prints it, with hints and without a stack trace", async (t) => {
  const outDirectory = temporaryFolder(t);
  await assert.rejects(buildService("mistake", "linux", { profile: "edit", outDirectory }), (error: Error) => {
    assert.ok(error instanceof BuildError);
    assert.match(error.message, /^ERROR AS100: Not implemented: Closures/m);
    assert.match(error.message, /main\.ts\(4,\d+\)/);
    assert.match(error.message, /^ +hint: .*class with one method/m);
    assert.match(error.message, /^ERROR TS2322: .*String/m);
    assert.match(error.message, /main\.ts\(5,\d+\)/);
    assert.doesNotMatch(error.message, /^\s+at .*\.(ts|js):\d+/m);
    return true;
  });
  assert.deepEqual(readdirSync(outDirectory), [], "a build that failed leaves no image");
});

test("a folder without a service is one line", async (t) => {
  await assert.rejects(buildService("none", "linux", { directory: temporaryFolder(t) }), (error: Error) => {
    assert.ok(error instanceof BuildError);
    assert.match(error.message, /^\S+: there is no main\.ts and no index\.ts here$/);
    return true;
  });
});

test("the same sources give the same bytes from another checkout with another cache", async (t) => {
  const folder = temporaryFolder(t);
  const copy = join(folder, "a-copy-with-another-name");
  for (const part of ["boot", "fibers", "runtime", "net"])
    cpSync(join(root, part), join(copy, part), { recursive: true });
  for (const part of ["package.json", "package-lock.json"]) cpSync(join(root, part), join(copy, part));
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  const service = join(folder, "service");
  cpSync(join(services, "hello"), service, { recursive: true });
  await buildIn(root, join(folder, "cache1"), join(services, "hello"), join(folder, "out1"), "image");
  await buildIn(copy, join(folder, "cache2"), service, join(folder, "out2"), "image");
  for (const image of ["it.elf", "it.linux"]) {
    const [first, second] = ["out1", "out2"].map((out) => readFileSync(join(folder, out, image)));
    assert.ok(first!.equals(second!), `${image} differs: ${first!.length} and ${second!.length} bytes`);
  }
});

test("what has not changed is not compiled again", async (t) => {
  const folder = temporaryFolder(t);
  const service = join(folder, "service");
  const cache = join(folder, "cache");
  const out = join(folder, "out");
  cpSync(join(services, "parts"), service, { recursive: true });
  assert.match(await buildIn(root, cache, service, out, "edit"), /not optimised/);
  const stamps = () => new Map(readdirSync(cache).map((name) => [name, statSync(join(cache, name)).mtimeMs]));
  const before = stamps();
  const image = () => readFileSync(join(out, "it.linux"));
  const first = image();

  // Nothing changed: no compiler is run at all.
  const start = Date.now();
  await buildService("it", "both", { directory: service, profile: "edit", outDirectory: out });
  assert.ok(Date.now() - start < 1000, `${Date.now() - start} ms for nothing`);
  assert.equal((await buildIn(root, cache, service, out, "edit")).trim(), "");
  assert.deepEqual(stamps(), before);

  // One file of the service changed: new are its module, the objects made of it and nothing of the platforms.
  writeFileSync(
    join(service, "greeting.ts"),
    'export function greeting(): string {\n  return "another greeting";\n}\n',
  );
  await buildIn(root, cache, service, out, "edit");
  const after = stamps();
  for (const [name, time] of before) assert.equal(after.get(name), time, `${name} was made again`);
  const made = [...after.keys()].filter((name) => !before.has(name));
  assert.equal(made.filter((name) => name.startsWith("module-")).length, 1, made.join(" "));
  // heddle.c for each platform; module.c too where the generated header has changed.
  const objects = made.filter((name) => name.endsWith(".o")).length;
  assert.ok(objects >= 2 && objects <= 4, `${objects} objects were compiled for one changed file`);
  assert.ok(!image().equals(first));
  const { output } = await runProgram(join(out, "it.linux"), [], 10_000);
  assert.match(output, /^another greeting$/m);

  // An image that somebody damaged is made again from the cache.
  writeFileSync(join(out, "it.linux"), "not an image");
  rmSync(join(out, "it.elf"));
  await buildIn(root, cache, service, out, "edit");
  assert.match((await runProgram(join(out, "it.linux"), [], 10_000)).output, /^another greeting$/m);
  assert.ok(statSync(join(out, "it.elf")).size > 0);
});

test("a frame that could jump a guard page is refused in images", async (t) => {
  const folder = temporaryFolder(t);
  // Values that are there before a call and after it have to live on the stack.
  const names = Array.from({ length: 400 }, (_, i) => `v${i}`);
  writeFileSync(
    join(folder, "main.ts"),
    `import { exit } from "heddle/runtime";
const at = heap.alloc(4096);
function large(depth: i32): u64 {
${names.map((name, i) => `  let ${name} = load<u64>(at, ${i * 8});`).join("\n")}
  for (let round = 0; round < depth; round++) {
    large(round);
${names.map((name, i) => `    ${name} = (${name} ^ ${names[(i + 7) % names.length]}) * ${i + 3};`).join("\n")}
  }
  return ${names.join(" ^ ")};
}
export function main(): void {
  exit(<i32>large(3));
}
`,
  );
  await assert.rejects(
    buildService("large", "linux", { directory: folder, outDirectory: join(folder, "out") }),
    (error: Error) => {
      assert.ok(error instanceof BuildError);
      assert.match(error.message, /stack frame size.*w2c_heddle_main0x2Flarge/);
      return true;
    },
  );
});
