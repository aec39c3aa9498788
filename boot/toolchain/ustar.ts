// Writes and reads ustar archives (POSIX.1-1988, 512-byte blocks): bundles and embedded files. Deterministic: names in order, no
// owner, no time.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Entry {
  name: string;
  data: Uint8Array;
}

/**
 * Packs files into one archive.
 * @throws Error for a name that does not fit ustar's fields (100 bytes, or 155 and 100 split at a slash)
 */
export function packUstar(entries: Entry[]): Buffer {
  const blocks: Buffer[] = [];
  for (const { name, data } of [...entries].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))) {
    const header = Buffer.alloc(512);
    const [prefix, rest] = splitName(name);
    header.write(rest, 0, "utf8");
    header.write("0000644\0" + "0000000\0" + "0000000\0", 100, "latin1");
    header.write(data.length.toString(8).padStart(11, "0") + "\0" + "00000000000\0" + "        " + "0", 124, "latin1");
    header.write("ustar\0" + "00", 257, "latin1");
    header.write(prefix, 345, "utf8");
    let sum = 0;
    for (const byte of header) sum += byte;
    header.write(sum.toString(8).padStart(6, "0") + "\0 ", 148, "latin1");
    blocks.push(header, Buffer.from(data), Buffer.alloc((512 - (data.length % 512)) % 512));
  }
  blocks.push(Buffer.alloc(1024));
  return Buffer.concat(blocks);
}

function splitName(name: string): [string, string] {
  if (Buffer.byteLength(name) <= 100) return ["", name];
  for (let at = name.indexOf("/"); at >= 0; at = name.indexOf("/", at + 1)) {
    const prefix = name.slice(0, at);
    const rest = name.slice(at + 1);
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(rest) <= 100) return [prefix, rest];
  }
  throw new Error(`${name}: this name is too long for a bundle (100 bytes, or 155 before and 100 after a slash)`);
}

/**
 * The files in an archive; what is no plain file is left out.
 * @throws Error when it is cut off or damaged
 */
export function unpackUstar(archive: Buffer): Entry[] {
  const entries: Entry[] = [];
  const field = (at: number, bytes: number) => archive.toString("utf8", at, at + bytes).replace(/\0.*$/s, "");
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0;) {
    const size = Number.parseInt(field(at + 124, 12).trim(), 8);
    if (field(at + 257, 5) !== "ustar" || !(size <= archive.length - at - 512))
      throw new Error("the archive is damaged");
    const prefix = field(at + 345, 155);
    const type = archive[at + 156];
    if (type === 0 || type === 0x30)
      entries.push({
        name: (prefix ? `${prefix}/` : "") + field(at, 100).replace(/^(\.\/)+/, ""),
        data: archive.subarray(at + 512, at + 512 + size),
      });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return entries;
}

/** All files below a folder, with names that begin with `prefix`. */
export function readFolder(folder: string, prefix: string): Entry[] {
  const entries: Entry[] = [];
  for (const item of readdirSync(folder, { withFileTypes: true })) {
    if (item.isDirectory()) entries.push(...readFolder(join(folder, item.name), `${prefix}${item.name}/`));
    else if (item.isFile()) entries.push({ name: prefix + item.name, data: readFileSync(join(folder, item.name)) });
  }
  return entries;
}
