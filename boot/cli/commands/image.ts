// `heddle images` builds each appliance once; `heddle image` makes a disk image of what was built and a configuration,
// without a compiler: boot sector, segments and the bundle in its slot (boot/image/disk.ts), then qemu-img for the containers.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { assembleBoot, writeDiskImage } from "../../image/disk.ts";
import { run } from "../../toolchain/process.ts";
import { readBundle } from "../bundle.ts";
import { Problem, say } from "../problem.ts";
import { appliances, findService, type Service } from "../services.ts";
import { requireTools } from "../tools.ts";
import { compileValidator, validate } from "../validator.ts";
import { buildService } from "./build.ts";

/** Formats by the ending of the file, and qemu-img's names for them. */
const FORMATS: Record<string, string> = { ".img": "raw", ".qcow2": "qcow2", ".vmdk": "vmdk", ".vdi": "vdi" };

const builtFiles = ({ name, outDirectory }: Service) => ({
  elf: join(outDirectory, `${name}.elf`),
  boot: join(outDirectory, `${name}.boot`),
});

export async function imagesCommand(): Promise<void> {
  for (const name of appliances()) {
    const service = findService(name);
    await buildService(service, { platform: "both" });
    writeFileSync(builtFiles(service).boot, await assembleBoot());
    await compileValidator(name);
    say(`${name}: ${builtFiles(service).elf}`);
  }
}

export async function imageCommand(name: string, options: { config?: string; output: string }): Promise<void> {
  const format = FORMATS[extname(options.output)];
  if (!format)
    throw new Problem(`-o ${options.output}: the name must end in one of ${Object.keys(FORMATS).join(", ")}`);
  if (format !== "raw") requireTools("qemu-img");
  const service = findService(name);
  const { elf, boot } = builtFiles(service);
  if (!existsSync(elf) || !existsSync(boot)) throw new Problem(`${name} is not built yet; do: npm run images`);
  const bundle = options.config ? readBundle(options.config, false) : undefined;
  if (bundle) {
    const path = options.config!;
    const lines = await validate(bundle, name, statSync(path).isDirectory() ? join(path, "config.json") : path);
    if (lines.length > 0) throw new Problem(lines.join("\n"));
  }
  const sector = readFileSync(boot);
  if (format === "raw") {
    await writeDiskImage({ elf, bundle, out: options.output, boot: sector });
  } else {
    // Beside the result, so that secrets of the bundle do not pass through a folder of others.
    const folder = mkdtempSync(`${options.output}.`);
    try {
      const raw = join(folder, "raw");
      await writeDiskImage({ elf, bundle, out: raw, boot: sector });
      await run("qemu-img", ["convert", "-f", "raw", "-O", format, raw, options.output]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  console.log(`${options.output}  ${(statSync(options.output).size / 1024).toFixed(0)} KiB, boots by BIOS`);
}
