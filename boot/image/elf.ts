// Reads what a loader needs of an ELF executable (64 bits, x86-64): its segments and Xen's PVH entry (note 18).

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
const XEN_PHYS32_ENTRY = 18;

/** @throws Error that says what is wrong when `elf` is not an executable with a PVH entry */
export function readElf(elf: Buffer): Executable {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46) throw new Error("not an ELF file");
  if (elf[4] !== 2 || elf.readUInt16LE(18) !== 62) throw new Error("not an ELF file for x86-64");
  const segments: Segment[] = [];
  let pvhEntry: number | undefined;
  const table = Number(elf.readBigUInt64LE(32));
  const size = elf.readUInt16LE(54);
  const count = elf.readUInt16LE(56);
  for (let i = 0; i < count; i++) {
    const at = table + i * size;
    const type = elf.readUInt32LE(at);
    const offset = Number(elf.readBigUInt64LE(at + 8));
    const address = Number(elf.readBigUInt64LE(at + 24));
    const fileBytes = Number(elf.readBigUInt64LE(at + 32));
    const memoryBytes = Number(elf.readBigUInt64LE(at + 40));
    if (offset + fileBytes > elf.length) throw new Error(`segment ${i} lies outside the file`);
    const data = elf.subarray(offset, offset + fileBytes);
    if (type === PT_LOAD && memoryBytes > 0) segments.push({ address, data, memoryBytes });
    if (type === PT_NOTE) pvhEntry ??= findPvhEntry(data);
  }
  if (pvhEntry === undefined) throw new Error("no PVH entry: this is not an image for bare metal (`.elf`)");
  return { segments, pvhEntry };
}

function findPvhEntry(notes: Buffer): number | undefined {
  for (let at = 0; at + 12 <= notes.length;) {
    const nameBytes = notes.readUInt32LE(at);
    const dataBytes = notes.readUInt32LE(at + 4);
    const type = notes.readUInt32LE(at + 8);
    const data = at + 12 + align(nameBytes, 4);
    if (type === XEN_PHYS32_ENTRY && dataBytes >= 4 && notes.toString("latin1", at + 12, at + 15) === "Xen") {
      return notes.readUInt32LE(data);
    }
    at = data + align(dataBytes, 4);
  }
  return undefined;
}

export function align(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
