// Instructions of generated code against the same in C, by callgrind: the difference of runs with N and 2N rounds, so that
// start-up cancels. What is measured of net/ is its own code: sumBytes and sipHash.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "../../boot/toolchain/index.ts";
import type { Report, Row } from "./lib/report.ts";

const here = dirname(fileURLToPath(import.meta.url));
const C_FLAGS = ["-O2", "-fno-omit-frame-pointer", "-fno-strict-aliasing"];
const works = [
  { work: "checksum", what: "checksum of 1,460 bytes", rounds: 2000, items: 1, target: 1.25 },
  { work: "parse", what: "Ethernet, IPv4, TCP header", rounds: 500, items: 64, target: 2 },
  { work: "look-up", what: "flow look-up", rounds: 100, items: 512, target: 1.25 },
];

interface Counted {
  instructions: number;
  result: string;
}

// In a user namespace: an image that root starts becomes nobody, who could not write callgrind's file.
function count(folder: string, command: string[]): Counted {
  const args = ["--tool=callgrind", `--callgrind-out-file=${join(folder, "out")}`, ...command];
  const { stdout, stderr, status } = spawnSync("unshare", ["-Ur", "valgrind", ...args], { encoding: "utf8" });
  const text = stdout + stderr;
  const instructions = /Collected : (\d+)/.exec(text)?.[1];
  const result = /^(?:.*\s)?result (\d+)$/m.exec(text)?.[1];
  if (status !== 0 || !instructions || !result) throw new Error(`valgrind ${command.join(" ")}: ${text}`);
  return { instructions: Number(instructions), result };
}

export async function codegen(): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-codegen-"));
  try {
    const native = join(folder, "native");
    execFileSync("clang", [...C_FLAGS, join(here, "codegen/native.c"), "-o", native]);
    const directory = join(here, "codegen");
    const outDirectory = join(here, "../../dist/bench/codegen");
    const options = { name: "codegen", directory, platform: "linux", profile: "image", outDirectory } as const;
    const { linux } = await build({ ...options, progress: () => {} });
    const rows: Row[] = [];
    for (const { work, what, rounds, items, target } of works) {
      const guest = (n: number) => {
        const config = join(folder, "config.json");
        writeFileSync(config, `{"work": "${work}", "rounds": ${n}}`);
        return count(folder, [linux!, "--no-seccomp", "--config", config]);
      };
      const c = (n: number) => count(folder, [native, work, String(n)]);
      const [g1, g2, c1, c2] = [guest(rounds), guest(2 * rounds), c(rounds), c(2 * rounds)];
      if (g1.result !== c1.result || g2.result !== c2.result)
        throw new Error(`${work}: ${g1.result} and ${g2.result} in AssemblyScript, ${c1.result} and ${c2.result} in C`);
      const per = (a: Counted, b: Counted) => (b.instructions - a.instructions) / (rounds * items);
      const [ours, theirs] = [per(g1, g2), per(c1, c2)];
      rows.push({
        what,
        value: ours / theirs,
        unit: "x C",
        target,
        detail: `${ours.toFixed(1)} : ${theirs.toFixed(1)} instructions`,
      });
    }
    const commands = [
      `clang ${C_FLAGS.join(" ")} native.c`,
      "unshare -Ur valgrind --tool=callgrind IMAGE --no-seccomp --config FILE",
    ];
    return { rows, commands };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
