// npm run bench -- NAME: measures, prints a table and writes tests/bench/results/NAME.json with the machine, the versions and
// the commands in it.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { codegen } from "./codegen.ts";
import { boot } from "./boot.ts";
import { size } from "./size.ts";

/** A line of the table; `target` is an upper limit for `value`. */
export interface Row {
  what: string;
  value: number;
  unit: string;
  target?: number;
  detail?: string;
}

export interface Report {
  rows: Row[];
  commands: string[];
}

const benches: Record<string, () => Promise<Report>> = { codegen, size, boot };

function version(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: "utf8" }).split("\n")[0]!;
}

const name = process.argv[2] ?? "";
const bench = benches[name];
if (!bench) {
  console.error(`usage: npm run bench -- NAME, where NAME is ${Object.keys(benches).join(", ")}`);
  process.exit(2);
}
const report = await bench();
const machine = { cpu: cpus()[0]!.model, cores: cpus().length, memory_bytes: totalmem(), kernel: release() };
const versions = {
  node: process.version,
  clang: version("clang", "--version"),
  qemu: version("qemu-system-x86_64", "--version"),
  valgrind: version("valgrind", "--version"),
};
for (const { what, value, unit, target, detail } of report.rows) {
  const verdict =
    target === undefined ? "" : value <= target ? `  (target ${target}: met)` : `  (target ${target}: MISSED)`;
  const number = Number.isInteger(value) ? String(value) : value.toFixed(2);
  console.log(`${what.padEnd(44)} ${number.padStart(10)} ${unit.padEnd(12)}${detail ?? ""}${verdict}`);
}
const folder = join(dirname(fileURLToPath(import.meta.url)), "results");
mkdirSync(folder, { recursive: true });
const result = { bench: name, date: new Date().toISOString(), machine, versions, ...report };
writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
