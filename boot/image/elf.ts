// ELF executables (64 bits, x86-64): what a loader needs, the segments and Xen's PVH entry (note 18); and the slot of our own
// images, in which a bundle travels as the last segment:
//
//   program header of type NULL -> LOAD, of what stands behind the end of the file, at the first free page above the image
//   note "Heddle" (entry.S)     -> where that is, how long, and the appliance's name: what the image itself reads

/** Why a file is no image, or cannot become one; the message says what, where and what to do. */
export class ImageError extends Error {}

export interface Segment {
  address: number;
  data: Buffer;
  /** Bytes in memory; what the file does not hold is zero. */
  memoryBytes: number;
}

export interface Executable {
  segments: Segment[];
  pvhEntry: number;
}

const PT_LOAD = 1;
const PT_NOTE = 4;
const PT_NULL = 0;
const XEN_PHYS32_ENTRY = 18;
const SLOT_NOTE = 1;
const SLOT_NOTE_BYTES = 48;
const NAME_BYTES = 32;
const HEADER_BYTES = 56;
const READABLE = 4;

interface Header {
  /** Where it stands in the file. */
  at: number;
  type: number;
  offset: number;
  address: number;
  memoryBytes: number;
  data: Buffer;
}

function readHeaders(elf: Buffer): Header[] {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46) throw new ImageError("not an ELF file");
  if (elf[4] !== 2 || elf.readUInt16LE(18) !== 62) throw new ImageError("not an ELF file for x86-64");
  const table = Number(elf.readBigUInt64LE(32));
  const size = elf.readUInt16LE(54);
  const count = elf.readUInt16LE(56);
  if (size < HEADER_BYTES || table + count * size > elf.length)
    throw new ImageError("its program headers lie outside the file");
  return Array.from({ length: count }, (_, i) => {
    const at = table + i * size;
    const offset = Number(elf.readBigUInt64LE(at + 8));
    const fileBytes = Number(elf.readBigUInt64LE(at + 32));
    if (offset + fileBytes > elf.length) throw new ImageError(`segment ${i} lies outside the file`);
    return {
      at,
      type: elf.readUInt32LE(at),
      offset,
      address: Number(elf.readBigUInt64LE(at + 24)),
      memoryBytes: Number(elf.readBigUInt64LE(at + 40)),
      data: elf.subarray(offset, offset + fileBytes),
    };
  });
}

/** @throws ImageError that says what is wrong when `elf` is not an executable with a PVH entry */
export function readElf(elf: Buffer): Executable {
  const headers = readHeaders(elf);
  const segments = headers.filter(({ type, memoryBytes }) => type === PT_LOAD && memoryBytes > 0);
  const entry = findNote(headers, "Xen", XEN_PHYS32_ENTRY, 4);
  if (!entry) throw new ImageError("no PVH entry: this is not an image for bare metal (`.elf`)");
  return { segments, pvhEntry: entry.readUInt32LE() };
}

/** The data of a note, a view of the file's bytes. */
function findNote(headers: Header[], owner: string, kind: number, bytes: number): Buffer | undefined {
  for (const { type, data: notes } of headers) {
    if (type !== PT_NOTE) continue;
    for (let at = 0; at + 12 <= notes.length;) {
      const nameBytes = notes.readUInt32LE(at);
      const dataBytes = notes.readUInt32LE(at + 4);
      const data = at + 12 + align(nameBytes, 4);
      const name = notes.toString("latin1", at + 12, Math.max(at + 12, at + 11 + nameBytes));
      if (name === owner && notes.readUInt32LE(at + 8) === kind && dataBytes >= bytes && data + bytes <= notes.length)
        return notes.subarray(data, data + bytes);
      at = data + align(dataBytes, 4);
    }
  }
  return undefined;
}

/** What is in an image's slot: the appliance's name as it was written with the bundle, and the bundle. */
export interface Slot {
  name: string;
  bundle?: Buffer;
}

function findSlot(elf: Buffer) {
  const headers = readHeaders(elf);
  const note = findNote(headers, "Heddle", SLOT_NOTE, SLOT_NOTE_BYTES);
  if (!note) throw new ImageError("not an image of this tool, or of an older version");
  const address = Number(note.readBigUInt64LE(0));
  const header = headers.find(({ type, address: at }) =>
    address === 0 ? type === PT_NULL : type === PT_LOAD && at === address,
  );
  if (!header) throw new ImageError("its slot for a bundle is damaged");
  return { headers, note, header, filled: address !== 0 };
}

/** @throws ImageError when the file is no image of ours */
export function readElfSlot(elf: Buffer): Slot {
  const { note, header, filled } = findSlot(elf);
  const name = note.toString("latin1", 16, 16 + NAME_BYTES).replace(/\0.*$/s, "");
  return { name, bundle: filled ? Buffer.from(header.data) : undefined };
}

/**
 * The image with another content of its slot.
 * @throws ImageError when the file is no image of ours
 */
export function writeElfSlot(elf: Buffer, { name, bundle }: Slot): Buffer {
  const image = Buffer.from(elf);
  const { headers, note, header, filled } = findSlot(image);
  const body = filled ? image.subarray(0, header.offset) : image;
  image.fill(0, header.at, header.at + HEADER_BYTES);
  note.fill(0);
  note.write(name.slice(0, NAME_BYTES - 1), 16, "latin1");
  if (!bundle) return body;
  const loaded = headers.filter((other) => other !== header && other.type === PT_LOAD);
  const address = BigInt(align(Math.max(...loaded.map((segment) => segment.address + segment.memoryBytes)), 4096));
  const offset = align(body.length, 16);
  const bytes = BigInt(bundle.length);
  image.writeUInt32LE(PT_LOAD, header.at);
  image.writeUInt32LE(READABLE, header.at + 4);
  [BigInt(offset), address, address, bytes, bytes, 16n].forEach((value, i) =>
    image.writeBigUInt64LE(value, header.at + 8 + 8 * i),
  );
  note.writeBigUInt64LE(address, 0);
  note.writeBigUInt64LE(bytes, 8);
  return Buffer.concat([body, Buffer.alloc(offset - body.length), bundle]);
}

export function align(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
