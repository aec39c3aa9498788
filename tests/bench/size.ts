// Bytes of images and of their parts.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "../../boot/toolchain/index.ts";
import type { Report, Row } from "./lib/report.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const KIB = 1024;
const images = [
  { name: "hello", directory: "tests/toolchain/services/hello", target: 64 * KIB },
  { name: "echo", directory: "tests/toolchain/services/echo", target: undefined },
  { name: "http-server", directory: "appliances/http-server", target: 400 * KIB },
];

/** Bytes of the sections that an image carries, by llvm-readelf's table. */
function sections(elf: string): Map<string, number> {
  const table = execFileSync("llvm-readelf", ["-SW", elf], { encoding: "utf8" });
  const row = /^\s*\[\s*\d+\] (\.\S+)\s+(\S+)\s+[0-9a-f]+\s+[0-9a-f]+ ([0-9a-f]+)/gm;
  return new Map([...table.matchAll(row)].filter((m) => m[2] !== "NOBITS").map((m) => [m[1]!, parseInt(m[3]!, 16)]));
}

export async function size(): Promise<Report> {
  const rows: Row[] = [];
  for (const { name, directory, target } of images) {
    const outDirectory = join(root, "dist/bench", name);
    const options = { name, directory: join(root, directory), platform: "pc", profile: "image", outDirectory } as const;
    const { elf } = await build({ ...options, progress: () => {} });
    rows.push({ what: `${name}.elf`, value: readFileSync(elf!).length, unit: "bytes", target });
    for (const [section, bytes] of sections(elf!)) {
      if (bytes > 0 && !/shstrtab|debuglink/.test(section))
        rows.push({ what: `  ${section}`, value: bytes, unit: "bytes" });
    }
    const nm = execFileSync("llvm-nm", [`${elf}.debug`], { encoding: "utf8" });
    const at = (symbol: string) => parseInt(new RegExp(`^([0-9a-f]+) \\w ${symbol}$`, "m").exec(nm)?.[1] ?? "0", 16);
    rows.push({
      what: "  functions named in the symbol table",
      value: readFileSync(`${elf}.symbols`, "utf8").split("\n").length - 2,
      unit: "",
    });
    rows.push({
      what: "  memory of the image",
      value: at("image_end") - at("data_begin"),
      unit: "bytes",
      detail: "data and zeroed",
    });
  }
  return { rows, commands: ["llvm-readelf -SW NAME.elf"] };
}
