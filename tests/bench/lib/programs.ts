// What benches run besides peers: images of ours, from the toolchain, and small C programs, from clang. Each is made once.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "../../../boot/toolchain/index.ts";

export const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const native = join(root, "tests/bench/native");

/** The images of an appliance (`tls`: those with TLS) or service folder, optimised. */
export async function images(directory: string, name: string, tls = false): Promise<{ elf: string; linux: string }> {
  const options = { name, directory: join(root, directory), platform: "both", profile: "image", tls } as const;
  const { elf, linux } = await build({ ...options, outDirectory: join(root, "dist/bench", name), progress: () => {} });
  return { elf: elf!, linux: linux! };
}

/** The program (or, with `shared`, the plugin) of a C file in tests/bench/native. */
export function cProgram(source: string, { shared = false } = {}): string {
  const flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];
  if (shared) flags.push("-shared", "-fPIC", "-fvisibility=hidden");
  const path = join(native, source);
  const hash = createHash("sha256").update(readFileSync(path)).update(flags.join());
  if (shared) hash.update(readFileSync(join(native, "qemu-plugin.h")));
  const name = `${basename(source, ".c")}-${hash.digest("hex").slice(0, 16)}${shared ? ".so" : ""}`;
  const out = join(root, ".cache", name);
  if (!existsSync(out)) {
    mkdirSync(dirname(out), { recursive: true });
    execFileSync("clang", [...flags, path, "-o", `${out}.${process.pid}`]);
    renameSync(`${out}.${process.pid}`, out);
  }
  return out;
}
