// Runs the suites and closes with `N passed, N failed` alone on a line; the exit status says the same.
//
//   npm test                          all suites
//   npm run test:unit -- tcp          one suite, only files whose path contains "tcp"
//
// lint    what tests/tools/lint.ts lists
// unit    tests/unit/**/*.spec.ts, each by as-pect in a process of its own
// others  tests/SUITE/**/*.test.ts by Node's test runner
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative } from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";
import { checks } from "./tools/lint.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
// Suites in the order of what they cost; those that measure time or use the whole machine run one file at a time.
const suites = ["lint", "unit", "tools", "toolchain", "runtime", "sim", "interop", "guest", "browser"];
// Only by their name: they take minutes.
const onRequest = ["long"];
const parallel = new Set(["unit", "tools", "sim"]);

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

function files(folder: string, ending: string, pattern: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(ending) && file.includes(pattern))
    .sort()
    .map((file) => join(folder, file));
}

function report(ok: boolean, name: string, duration_ms: number, output = ""): void {
  console.log(`  ${ok ? "ok    " : "FAILED"} ${name} (${(duration_ms / 1000).toFixed(1)} s)`);
  if (output.trim()) console.log(output.trimEnd().replace(/^/gm, "    | "));
}

function lint(tally: Tally): void {
  for (const check of checks) {
    const start = Date.now();
    const { ok, output } = check.run(root);
    report(ok, check.name, Date.now() - start, ok ? "" : output);
    ok ? tally.passed++ : tally.failed++;
  }
}

/** Runs as-pect on one spec. Its summary is the only thing that counts: a spec without a test has failed. */
function aspect(spec: string, tally: Tally): Promise<void> {
  const start = Date.now();
  const args = ["--experimental-wasi-unstable-preview1", "--enable-source-maps", "--no-warnings"];
  args.push("node_modules/@as-pect/cli/lib/test.js", "-c", "tests/unit/as-pect.config.js");
  args.push("-a", "tests/unit/as-pect.asconfig.json");
  const name = relative(root, spec);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, HEDDLE_SPEC: name, FORCE_COLOR: "0" },
    });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.on("close", (status) => {
      const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
      const [, passed, tests] = plain.match(/\[Tests\]: (\d+) \/ (\d+)/) ?? [];
      const ok = status === 0 && passed === tests && Number(tests) > 0;
      tally.passed += Number(passed ?? 0);
      tally.failed += Math.max(Number(tests ?? 0) - Number(passed ?? 0), ok ? 0 : 1);
      const text = plain.slice(Math.max(plain.indexOf("ASC Version"), 0));
      report(ok, `${name}: ${passed ?? 0} of ${tests ?? "?"}`, Date.now() - start, ok ? "" : text);
      resolve();
    });
  });
}

async function unit(specs: string[], tally: Tally): Promise<void> {
  const queue = specs.slice();
  const worker = async () => {
    for (let spec = queue.shift(); spec; spec = queue.shift()) await aspect(spec, tally);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

async function nodeTests(paths: string[], concurrency: number, tally: Tally): Promise<void> {
  const stream = run({ files: paths, concurrency, timeout: 600_000 });
  const name = (event: { name: string; file?: string }) =>
    `${event.file ? relative(root, event.file) + ": " : ""}${event.name}`;
  for await (const { type, data } of stream) {
    if (type === "test:stderr" || type === "test:stdout") {
      const text = data.message.replace(/^\(node:\d+\) (Experimental)?Warning.*\n?/gm, "");
      if (text.trim()) console.log(text.trimEnd().replace(/^/gm, "    | "));
    } else if (type === "test:pass" || type === "test:fail") {
      const details = data.details as { duration_ms: number; type?: string; error?: Error & { cause?: unknown } };
      if (details.type === "suite" && type === "test:pass") continue;
      // The wrapper of a file whose tests failed says so again; those tests are counted already.
      const cause = details.error?.cause;
      if (type === "test:fail" && (details.error as { failureType?: string }).failureType === "subtestsFailed")
        continue;
      if (data.skip !== undefined) {
        tally.skipped++;
        console.log(`  skip   ${name(data)}: ${data.skip}`);
      } else if (type === "test:pass") {
        tally.passed++;
        report(true, name(data), details.duration_ms);
      } else {
        tally.failed++;
        const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause ?? details.error);
        report(false, name(data), details.duration_ms, text);
      }
    }
  }
}

async function suite(name: string, pattern: string): Promise<Tally> {
  const tally = { passed: 0, failed: 0, skipped: 0 };
  if (name === "lint") {
    console.log("lint");
    lint(tally);
    return tally;
  }
  const found = files(join(root, "tests", name), name === "unit" ? ".spec.ts" : ".test.ts", pattern);
  if (found.length === 0) return tally;
  console.log(name);
  const before = Date.now();
  if (name === "unit") await unit(found, tally);
  else await nodeTests(found, parallel.has(name) ? availableParallelism() : 1, tally);
  console.log(`  ${name}: ${((Date.now() - before) / 1000).toFixed(1)} s`);
  return tally;
}

const [which, pattern = ""] = process.argv.slice(2);
if (which && ![...suites, ...onRequest].includes(which)) {
  console.error(`tests/run.ts: no suite "${which}"; there are ${[...suites, ...onRequest].join(", ")}`);
  process.exit(2);
}
const total: Tally = { passed: 0, failed: 0, skipped: 0 };
for (const name of which ? [which] : suites) {
  const tally = await suite(name, pattern);
  for (const key of ["passed", "failed", "skipped"] as const) total[key] += tally[key];
}
if (total.passed + total.failed === 0) {
  console.error(`No test matches "${pattern}".`);
  total.failed = 1;
}
console.log(`\n${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ""}`);
process.exit(total.failed === 0 ? 0 : 1);
