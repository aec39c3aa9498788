// Archives that Linux unpacks as its first file system: cpio in the "newc" form
// (Documentation/driver-api/early-userspace/buffer-format.rst). Written here, because device nodes then need no root.
//
// Invariants: names are relative; folders stand before what they hold; every entry begins at a multiple of 4 bytes.
import { readFileSync } from "node:fs";

/** `mode` with the type's bits; a device has `rdev`. */
export interface Entry {
  name: string;
  mode: number;
  data?: Uint8Array;
  rdev?: [major: number, minor: number];
}

const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const LINK = 0o120000;
const CHARACTER = 0o020000;

export const file = (name: string, data: string | Uint8Array, mode = 0o644): Entry => ({
  ...{ name, mode: REGULAR | mode },
  data: Buffer.from(data as string),
});
export const program = (name: string, path: string): Entry => file(name, readFileSync(path), 0o755);
export const link = (name: string, target: string): Entry => ({ name, mode: LINK | 0o777, data: Buffer.from(target) });
export const device = (name: string, major: number, minor: number): Entry => ({
  ...{ name, mode: CHARACTER | 0o600, rdev: [major, minor] as [number, number] },
});

/** One archive; folders that are not among the entries are made. Archives may be put one behind the other. */
export function packCpio(entries: Entry[]): Buffer {
  const parts: Buffer[] = [];
  let inode = 1;
  const put = ({ name, mode, data = new Uint8Array(), rdev = [0, 0] }: Entry) => {
    const path = Buffer.from(`${name}\0`);
    const fields = [inode++, mode, 0, 0, 1, 0, data.length, 0, 0, ...rdev, path.length, 0];
    const head = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
    const padded = (bytes: number) => Buffer.alloc(-bytes & 3);
    parts.push(Buffer.from(head), path, padded(head.length + path.length), Buffer.from(data), padded(data.length));
  };
  const made = new Set<string>([""]);
  const folder = (name: string) => {
    if (made.has(name)) return;
    made.add(name);
    folder(name.slice(0, Math.max(name.lastIndexOf("/"), 0)));
    put({ name, mode: DIRECTORY | 0o755 });
  };
  for (const entry of entries) {
    folder(entry.name.slice(0, Math.max(entry.name.lastIndexOf("/"), 0)));
    put(entry);
  }
  put({ name: "TRAILER!!!", mode: 0 });
  return Buffer.concat(parts);
}
