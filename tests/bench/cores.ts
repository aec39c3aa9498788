// Core to core, hosted on two cores: what a message costs in a stream of them, and a call with its answer. A message is
// written by one core, its batch announced at the end of a turn, and its receiver called by the other core's loop.
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "../../boot/toolchain/index.ts";
import type { Report } from "./lib/report.ts";

const here = dirname(fileURLToPath(import.meta.url));

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

export async function cores(): Promise<Report> {
  const outDirectory = join(here, "../../dist/bench/cores");
  const directory = join(here, "cores");
  const { linux } = await build({
    ...{ name: "cores", directory, platform: "linux", profile: "image", outDirectory, progress: () => {} },
  });
  const { stderr, status } = spawnSync(linux!, ["--cpus", "2"], { encoding: "utf8", timeout: 120_000 });
  const runs = [...stderr.matchAll(/^result (\S+) (\S+)$/gm)].map((m) => [Number(m[1]), Number(m[2])] as const);
  if (status !== 0 || runs.length !== 5 || stderr.includes("wrong")) throw new Error(`cores.linux: ${stderr}`);
  const message_ns = median(runs.map((run) => run[0]));
  const call_ns = median(runs.map((run) => run[1]));
  const spread = (of: 0 | 1) => runs.map((run) => run[of].toFixed(0)).join(", ");
  return {
    rows: [
      { what: "message, in a stream", value: message_ns, unit: "ns", target: 200, detail: spread(0) },
      { what: "messages", value: 1000 / message_ns, unit: "million/s" },
      { what: "call to another core and back", value: call_ns, unit: "ns", detail: spread(1) },
    ],
    commands: ["cores.linux --cpus 2"],
  };
}
