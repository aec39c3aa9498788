// Results as files: tests/bench/results/NAME.json with the machine, versions and commands, and the plot beside it.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Report } from "./report.ts";

export const resultsFolder = join(dirname(fileURLToPath(import.meta.url)), "../results");

export interface Result extends Report {
  bench: string;
  date: string;
  /** Of the tree that was measured; "+" when it had changes that were not committed. */
  commit: string;
  machine: Record<string, string | number>;
  versions: Record<string, string>;
}

function firstLine(command: string, ...args: string[]): string {
  try {
    const text = execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    return text.trim().split("\n")[0]!;
  } catch {
    return "absent";
  }
}

/** The result of a bench that has just run. */
export function resultOf(bench: string, report: Report, busy: number): Result {
  const accelerator = /\b(vmx|svm)\b/.test(readFileSync("/proc/cpuinfo", "latin1")) ? "KVM is there, unused" : "no KVM";
  return {
    bench,
    date: new Date().toISOString(),
    commit: firstLine("git", "describe", "--always", "--dirty=+"),
    machine: {
      ...{ cpu: cpus()[0]!.model, cores: cpus().length, memory_bytes: totalmem(), kernel: release() },
      ...{ accelerator: `TCG (${accelerator})`, load_before: busy },
    },
    versions: {
      node: process.version,
      clang: firstLine("clang", "--version"),
      qemu: firstLine("qemu-system-x86_64", "--version"),
      valgrind: firstLine("valgrind", "--version"),
      wrk: firstLine("sh", "-c", "wrk -v 2>&1 || true"),
      nginx: firstLine("sh", "-c", "PATH=$PATH:/usr/sbin nginx -v 2>&1"),
    },
    ...report,
  };
}

/** Runnable tasks of the machine at the moment, a minute's average. */
export const load = () => loadavg()[0]!;

export function writeResult(result: Result): void {
  mkdirSync(resultsFolder, { recursive: true });
  writeFileSync(join(resultsFolder, `${result.bench}.json`), `${JSON.stringify(result, null, 2)}\n`);
}

/** All results on record, by name. */
export function readResults(): Result[] {
  if (!existsSync(resultsFolder)) return [];
  const names = readdirSync(resultsFolder).filter((name) => name.endsWith(".json") && name !== "guard.json");
  return names.sort().map((name) => JSON.parse(readFileSync(join(resultsFolder, name), "utf8")) as Result);
}
