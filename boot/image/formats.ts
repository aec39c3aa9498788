// The formats of images by the ending of the file: the ELF, the raw disk, and the containers that qemu-img makes of it; and
// the slot for the bundle in any of them.
import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { run } from "../toolchain/process.ts";
import { readDiskSlot, writeDiskSlot } from "./disk.ts";
import { ImageError, readElfSlot, type Slot, writeElfSlot } from "./elf.ts";

/** qemu-img's names, and "elf". */
const FORMATS: Record<string, string> = {
  ".elf": "elf",
  ".img": "raw",
  ".qcow2": "qcow2",
  ".vmdk": "vmdk",
  ".vdi": "vdi",
};

/** @throws ImageError that names the endings when the file has none of them */
export function formatOf(path: string): string {
  const format = FORMATS[extname(path)];
  if (!format) throw new ImageError(`${path}: the name must end in one of ${Object.keys(FORMATS).join(", ")}`);
  return format;
}

const convert = (from: string, format: string, to: string, toFormat: string) =>
  run("qemu-img", ["convert", "-f", format, "-O", toFormat, from, to]);

/** In a folder beside the file, for its owner alone: bundles may hold secrets. */
async function beside<T>(path: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(`${path}.`);
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes an image in a format by way of `make`, which gets the name of a raw disk, or ELF, to write. It appears whole. */
export async function writeAs(format: string, path: string, make: (raw: string) => Promise<void>): Promise<void> {
  await beside(path, async (folder) => {
    const raw = join(folder, "raw");
    await make(raw);
    const whole = format === "elf" || format === "raw" ? raw : join(folder, "container");
    if (whole !== raw) await convert(raw, "raw", whole, format);
    chmodSync(whole, 0o600);
    renameSync(whole, path);
  });
}

/** @throws ImageError when the file is no image of ours */
export async function readSlot(path: string): Promise<Slot> {
  const format = formatOf(path);
  if (format === "elf") return readElfSlot(readFileSync(path));
  if (format === "raw") return readDiskSlot(path);
  return beside(path, async (folder) => {
    const raw = join(folder, "raw");
    await convert(path, format, raw, "raw");
    return readDiskSlot(raw);
  });
}

/**
 * Fills the slot anew.
 * @throws ImageError when the file is no image of ours, or the bundle does not fit
 */
export async function writeSlot(path: string, slot: Slot): Promise<void> {
  const format = formatOf(path);
  await writeAs(format, path, async (raw) => {
    if (format === "elf") return writeFileSync(raw, writeElfSlot(readFileSync(path), slot));
    if (format === "raw") writeFileSync(raw, readFileSync(path));
    else await convert(path, format, raw, "raw");
    writeDiskSlot(raw, slot);
  });
}
