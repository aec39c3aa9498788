// `heddle images` builds each appliance once; `heddle image` makes an image of what was built and a configuration, without a
// compiler: the ELF with the bundle in its slot (boot/image/elf.ts), or boot sector, segments and slot (boot/image/disk.ts).
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assembleBoot, writeDiskImage } from "../../image/disk.ts";
import { writeElfSlot } from "../../image/elf.ts";
import { formatOf, writeAs } from "../../image/formats.ts";
import { Problem, say } from "../problem.ts";
import { appliances, findService, type Service } from "../services.ts";
import { compileValidator, readValid } from "../validator.ts";
import { buildService } from "./build.ts";

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
  const format = formatOf(options.output);
  const { elf, boot } = builtFiles(findService(name));
  if (!existsSync(elf) || !existsSync(boot)) throw new Problem(`${name} is not built yet; do: npm run images`);
  const slot = { name, bundle: options.config ? await readValid(options.config, name) : undefined };
  await writeAs(format, options.output, async (out) => {
    if (format === "elf") writeFileSync(out, writeElfSlot(readFileSync(elf), slot));
    else await writeDiskImage({ elf, slot, out, boot: readFileSync(boot) });
  });
  const how = format === "elf" ? "boots by PVH (QEMU -kernel, Firecracker)" : "boots by BIOS";
  console.log(`${options.output}  ${(statSync(options.output).size / 1024).toFixed(0)} KiB, ${how}`);
}
