// `heddle build`: images of a service.
import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { writeDiskImage } from "../../image/disk.ts";
import { build } from "../../toolchain/index.ts";
import { readBundle } from "../bundle.ts";
import { Problem, say } from "../problem.ts";
import { findService, type Service } from "../services.ts";
import { requireTools } from "../tools.ts";

export interface BuildArguments {
  platform: "pc" | "linux" | "both";
  edit?: boolean;
  disk?: boolean;
  config?: string;
  out?: string;
}

const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
const shown = (path: string) => (relative(".", path).startsWith("../..") ? path : relative(".", path));

/** Builds with progress lines; what is there already is said only by the result. */
export async function buildService(
  service: Service,
  options: { platform: BuildArguments["platform"]; edit?: boolean; out?: string },
) {
  requireTools("clang", "ld.lld", "llvm-objcopy");
  const start = Date.now();
  const result = await build({
    name: service.name,
    directory: service.directory,
    platform: options.platform,
    profile: options.edit ? "edit" : "image",
    outDirectory: options.out ?? service.outDirectory,
    tls: service.tls,
    progress: say,
  });
  const seconds = (Date.now() - start) / 1000;
  if (seconds > 1)
    say(`${service.name}: built in ${seconds.toFixed(1)} s${options.edit ? ", not optimised (--edit)" : ""}`);
  return result;
}

export async function buildCommand(argument: string, options: BuildArguments): Promise<void> {
  if (options.config && !options.disk)
    throw new Problem("--config goes into a disk image: add --disk; for other images it is given when they are run");
  if (options.disk && options.platform === "linux") throw new Problem("--disk is for machines: use --platform pc");
  const service = findService(argument);
  const bundle = options.config ? readBundle(options.config) : undefined;
  const out = resolve(options.out ?? service.outDirectory);
  const result = await buildService(service, { ...options, out });
  for (const path of [result.elf, result.linux])
    if (path && existsSync(path)) console.log(`${shown(path)}  ${kib(result.bytes[path])}`);
  if (options.disk) {
    const image = join(out, `${service.name}.img`);
    const bytes = await writeDiskImage({ elf: result.elf!, slot: { name: service.name, bundle }, out: image });
    console.log(`${shown(image)}  ${kib(bytes)}`);
  }
}
