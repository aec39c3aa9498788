// npm run bench -- NAME...|all|page: measures, prints, and writes tests/bench/results/NAME.json, its plot NAME.svg and
// docs/benchmarks.md, which is made of all results on record. BENCH_REPETITIONS sets the repetitions (5).
//
// A bench is a function that gives a Report (lib/report.ts). Its module is loaded only when it runs.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { measured, number, ratioText, rowTarget, targetText } from "./lib/format.ts";
import { page } from "./lib/page.ts";
import { plot } from "./lib/plot.ts";
import { load, readResults, resultOf, resultsFolder, writeResult } from "./lib/record.ts";
import type { Report } from "./lib/report.ts";

export type { Comparison, Report, Row } from "./lib/report.ts";

const benches: Record<string, () => Promise<Report>> = {
  codegen: async () => (await import("./codegen.ts")).codegen(),
  size: async () => (await import("./size.ts")).size(),
  cores: async () => (await import("./cores.ts")).cores(),
  boot: async () => (await import("./boot.ts")).boot(),
  http: async () => (await import("./http.ts")).http("http"),
  firewall: async () => (await import("./firewall.ts")).firewall(),
  "http-close": async () => (await import("./http.ts")).http("http-close"),
  "http-large": async () => (await import("./http.ts")).http("http-large"),
  "tls-ecdsa": async () => (await import("./tls.ts")).tls("tls-ecdsa"),
  "tls-rsa": async () => (await import("./tls.ts")).tls("tls-rsa"),
  "tls-resumed": async () => (await import("./tls.ts")).tls("tls-resumed"),
  "tls-http": async () => (await import("./tls.ts")).tls("tls-http"),
  "tls-bulk": async () => (await import("./tls.ts")).tls("tls-bulk"),
};

function print(name: string, report: Report): void {
  console.log(`\n${name}`);
  for (const comparison of report.comparisons ?? []) {
    const verdict = [ratioText(comparison), targetText(comparison)].filter(Boolean).join("; ");
    console.log(`  ${comparison.what}, ${comparison.unit}${verdict ? `: ${verdict}` : ""}`);
    for (const { name, values, bound } of comparison.contestants)
      console.log(`    ${name.padEnd(40)} ${measured(values).padStart(18)}${bound ? "  (bound)" : ""}`);
  }
  for (const row of report.rows) {
    const target = rowTarget(row);
    const value = number(row.value).padStart(10);
    console.log(
      `  ${row.what.padEnd(44)} ${value} ${row.unit.padEnd(12)}${row.detail ?? ""}${target && `  (${target})`}`,
    );
  }
  for (const note of report.notes ?? []) console.log(`  ${note}`);
}

async function writePage(): Promise<void> {
  const path = join(dirname(fileURLToPath(import.meta.url)), "../../docs/benchmarks.md");
  writeFileSync(path, page(readResults()));
  execFileSync(process.execPath, ["node_modules/prettier/bin/prettier.cjs", "--write", "--log-level=warn", path]);
}

const asked = process.argv.slice(2);
const names = asked.includes("all") ? Object.keys(benches) : asked;
const unknown = names.filter((name) => !(name in benches) && name !== "page");
if (names.length === 0 || unknown.length > 0) {
  console.error(`usage: npm run bench -- NAME...|all|page, where NAME is ${Object.keys(benches).join(", ")}`);
  process.exit(2);
}
for (const name of names.filter((name) => name !== "page")) {
  const busy = load();
  const report = await benches[name]!();
  print(name, report);
  const result = resultOf(name, report, busy);
  writeResult(result);
  const svg = await plot(name, report);
  if (svg) writeFileSync(join(resultsFolder, `${name}.svg`), svg);
}
await writePage();
