// Writes a raw disk image that a BIOS boots: boot.S, the ELF's segments and a slot for the bundle.
//
//   block 0         MBR and, behind it, the loader with its table (boot.S)
//   block 64        the segments' bytes, each from a block of its own
//   next MiB        bundle slot: one block "HDLBUNDL", the length (8 bytes, little-endian) and the appliance's name, then the
//                   bundle
//
// The slot may be filled anew without building: `writeDiskSlot`. The same inputs give the same bytes.
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../toolchain/process.ts";
import { align, ImageError, readElf, type Slot } from "./elf.ts";

const BLOCK = 512;
const MIB = 1 << 20;
const BOOT_BLOCKS = 33;
const FIRST_SEGMENT_BLOCK = 64;
const SEGMENTS_MAX = 8;
// Places in boot.S's table.
const TABLE = BLOCK;
const PARTITION_SECTORS = 458;
const SLOT_MAGIC = "HDLBUNDL";

export interface DiskImage {
  /** The bare-metal ELF, as boot/toolchain writes it. */
  elf: string;
  /** The image to write. */
  out: string;
  /** What to put into the slot: the appliance's name and, if there is one, a bundle (ustar or JSON). */
  slot: Slot;
  /** Size of the slot; at least 1 MiB and at least the bundle. */
  slotBytes?: number;
  /** What `assembleBoot` gave at another time; absent: it is assembled now. */
  boot?: Buffer;
}

/** The boot sector and loader, the same for every image; needs clang and lld. */
export async function assembleBoot(): Promise<Buffer> {
  const source = join(dirname(fileURLToPath(import.meta.url)), "boot.S");
  const folder = mkdtempSync(join(tmpdir(), "heddle-boot-"));
  try {
    const object = join(folder, "boot.o");
    const flat = join(folder, "boot.bin");
    await run("clang", ["--target=i386-linux-gnu", "-c", source, "-o", object]);
    await run("ld.lld", ["-m", "elf_i386", "--oformat", "binary", "-Ttext", "0x7C00", object, "-o", flat]);
    const boot = readFileSync(flat);
    if (boot.length !== BOOT_BLOCKS * BLOCK)
      throw new ImageError(`boot.S has ${boot.length} bytes, not ${BOOT_BLOCKS * BLOCK}`);
    if (boot.readUInt16LE(510) !== 0xaa55)
      throw new ImageError("boot.S: the boot sector's signature is not at its place");
    return boot;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Writes the image; gives its size in bytes. */
export async function writeDiskImage(options: DiskImage): Promise<number> {
  const { segments, pvhEntry } = readElf(readFileSync(options.elf));
  if (segments.length > SEGMENTS_MAX)
    throw new ImageError(`${options.elf} has ${segments.length} segments, more than ${SEGMENTS_MAX}`);
  const boot = options.boot ?? (await assembleBoot());
  if (boot.length !== BOOT_BLOCKS * BLOCK) throw new ImageError("this boot sector is of another version");
  boot.writeUInt32LE(pvhEntry, TABLE + 4);
  boot.writeUInt32LE(segments.length, TABLE + 20);
  let block = FIRST_SEGMENT_BLOCK;
  let end = 0;
  const placed: { at: number; data: Buffer }[] = [];
  segments.forEach(({ address, data, memoryBytes }, i) => {
    if (address < 0x100000 || address + memoryBytes > 0x40000000)
      throw new ImageError(`segment ${i} would be loaded at ${address}`);
    const at = TABLE + 32 + i * 16;
    boot.writeUInt32LE(block, at);
    boot.writeUInt32LE(address, at + 4);
    boot.writeUInt32LE(data.length, at + 8);
    boot.writeUInt32LE(memoryBytes, at + 12);
    placed.push({ at: block * BLOCK, data });
    block += align(data.length, BLOCK) / BLOCK;
    end = Math.max(end, address + memoryBytes);
  });

  const slot = align(block * BLOCK, MIB);
  const slotBytes = align(Math.max(options.slotBytes ?? MIB, (options.slot.bundle?.length ?? 0) + BLOCK), MIB);
  boot.writeUInt32LE(slot / BLOCK, TABLE + 8);
  boot.writeUInt32LE(slotBytes - BLOCK, TABLE + 12);
  boot.writeUInt32LE(align(end, 4096), TABLE + 16);
  const bytes = slot + slotBytes;
  boot.writeUInt32LE(bytes / BLOCK - 1, PARTITION_SECTORS);

  writeFileSync(options.out, boot, { mode: 0o600 }); // a bundle may hold secrets
  const file = openSync(options.out, "r+");
  try {
    ftruncateSync(file, bytes); // unwritten parts stay holes
    for (const { at, data } of placed) writeSync(file, data, 0, data.length, at);
  } finally {
    closeSync(file);
  }
  writeDiskSlot(options.out, options.slot);
  return bytes;
}

/** Whether the first bytes of a file are a disk image's of ours. */
export const isDiskImage = (head: Buffer): boolean => head.toString("latin1", TABLE, TABLE + 4) === "HEDL";

/** Where the slot is and how many bytes fit. */
function findSlot(file: number, image: string): { at: number; room: number; header: Buffer } {
  const head = Buffer.alloc(TABLE + 32);
  readSync(file, head, 0, head.length, 0);
  if (!isDiskImage(head)) throw new ImageError(`${image} is not a disk image of this tool`);
  const at = head.readUInt32LE(TABLE + 8) * BLOCK;
  const header = Buffer.alloc(BLOCK);
  readSync(file, header, 0, BLOCK, at);
  return { at, room: head.readUInt32LE(TABLE + 12), header };
}

/**
 * What is in the slot of an image.
 * @throws ImageError when the file is no image of ours, or its slot is damaged
 */
export function readDiskSlot(image: string): Slot {
  const file = openSync(image, "r");
  try {
    const { at, room, header } = findSlot(file, image);
    if (header.toString("latin1", 0, 8) !== SLOT_MAGIC) return { name: "" };
    const length = header.readBigUInt64LE(8);
    if (length > room) throw new ImageError(`${image}: its slot for a bundle is damaged`);
    const bundle = Buffer.alloc(Number(length));
    if (readSync(file, bundle, 0, bundle.length, at + BLOCK) < bundle.length)
      throw new ImageError(`${image} is cut off`);
    const name = header.toString("latin1", 16, 48).replace(/\0.*$/s, "");
    return { name, bundle: bundle.length > 0 ? bundle : undefined };
  } finally {
    closeSync(file);
  }
}

/**
 * Fills the slot of an existing image.
 * @throws ImageError when the file is no image of ours or the bundle is larger than its slot
 */
export function writeDiskSlot(image: string, { name, bundle }: Slot): void {
  const file = openSync(image, "r+");
  try {
    const { at, room, header: old } = findSlot(file, image);
    const filled = old.toString("latin1", 0, 8) === SLOT_MAGIC ? Number(old.readBigUInt64LE(8)) : 0;
    const bytes = bundle ?? Buffer.alloc(0);
    if (bytes.length > room)
      throw new ImageError(`the bundle has ${bytes.length} bytes, the slot of ${image} only ${room}`);
    const header = Buffer.alloc(BLOCK);
    header.write(SLOT_MAGIC, "latin1");
    header.writeBigUInt64LE(BigInt(bytes.length), 8);
    header.write(name.slice(0, 31), 16, "latin1");
    writeSync(file, bytes, 0, bytes.length, at + BLOCK);
    const rest = Buffer.alloc(Math.max(0, Math.min(filled, room) - bytes.length)); // nothing of a former secret stays
    writeSync(file, rest, 0, rest.length, at + BLOCK + bytes.length);
    writeSync(file, header, 0, header.length, at); // last: a torn write leaves the old length or none
  } finally {
    closeSync(file);
  }
}
