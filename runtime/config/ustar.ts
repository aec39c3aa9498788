// A bundle in memory (CONFIG.md, Bundle): a ustar archive (POSIX.1-2017, pax, "ustar Interchange Format"), or a plain JSON
// file, which is a bundle with only config.json. Files are found in place: nothing is copied.
//
//   512-byte header: name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | type 1 | link 100 |
//                    "ustar" 6 | version 2 | owner 32 | group 32 | major 8 | minor 8 | prefix 155
//   then the file, padded to 512; the archive ends with a header of zeros (or with its last file)
//
// Everything in it is hostile. Invariants
// 1. A file's bytes lie within the archive: checked before its entry is accepted.
// 2. Each header's checksum is right, each name is a relative path without empty, "." or ".." parts, and none stands twice.
// 3. One mistake makes the whole archive invalid: half a configuration is none. `error` says what and where.
// clang: -Oz

import { utf8Length } from "../json/text";

const BLOCK: u32 = 512;
/** Files in a bundle. */
export const MAX_FILES: i32 = 16384;

export class BundleFile {
  constructor(
    readonly path: string,
    readonly address: usize,
    readonly length_bytes: u32,
    /** Modification time, seconds since 1970. */
    readonly mtime_s: i64,
  ) {}
}

export class Bundle {
  files: Array<BundleFile> = [];
  private byPath: Map<string, i32> = new Map<string, i32>();
  /** Why the archive is unusable; empty when it is fine. */
  error: string = "";

  /** Reads the archive or the JSON text of `length_bytes` bytes at `address`, which stay where they are. */
  constructor(
    private address: usize,
    private length_bytes: u32,
  ) {
    if (isJsonText(address, length_bytes)) this.add("config.json", address, length_bytes, 0);
    else if (length_bytes > 0) this.read();
  }

  /** The file of that path, or null. */
  find(path: string): BundleFile | null {
    return this.byPath.has(path) ? this.files[this.byPath.get(path)] : null;
  }

  private add(path: string, address: usize, length_bytes: u32, mtime_s: i64): void {
    this.byPath.set(path, this.files.length);
    this.files.push(new BundleFile(path, address, length_bytes, mtime_s));
  }

  private fail(offset: u32, message: string): void {
    this.error = "byte " + offset.toString() + " of the bundle: " + message;
    this.files = [];
    this.byPath.clear();
  }

  private read(): void {
    const length = this.length_bytes;
    let offset: u32 = 0;
    while (offset < length) {
      if (length - offset < BLOCK) return this.fail(offset, "the archive ends within a header: was it cut off?");
      const header = this.address + offset;
      if (isZero(header)) return;
      if (!isUstar(header)) return this.fail(offset, "neither JSON nor a ustar archive (tar --format=ustar)");
      if (checksum(header) != octal(header + 148, 8)) return this.fail(offset, "a wrong header checksum");
      const size = octal(header + 124, 12);
      const mtime = octal(header + 136, 12);
      if (size < 0 || mtime < 0) return this.fail(offset, "a field that is not an octal number");
      const type = load<u8>(header, 156);
      const data = offset + BLOCK;
      const path = pathOf(header);
      // 0 and NUL: a file; 5: a directory, which carries nothing that we need. Links and devices have no place here, and a
      // pax or GNU extension would change what the next header means.
      if (type == 0x35) {
        if (size != 0) return this.fail(offset, "a directory with content");
        offset = data;
        continue;
      }
      if (type != 0x30 && type != 0) {
        return this.fail(
          offset,
          "an entry that is neither file nor directory: pack with tar --format=ustar, without links",
        );
      }
      if (size > <i64>(length - data)) return this.fail(offset, "a file that ends beyond the archive: was it cut off?");
      if (!isCleanPath(path))
        return this.fail(offset, "a path that is empty, absolute, not UTF-8 or has empty, '.' or '..' parts");
      if (this.byPath.has(path)) return this.fail(offset, "a file that stands twice");
      if (this.files.length == MAX_FILES) return this.fail(offset, "more than " + MAX_FILES.toString() + " files");
      this.add(path, this.address + data, <u32>size, mtime);
      // The padding of the last file may be missing; what follows is within the archive either way.
      const padded = (<u64>data + size + BLOCK - 1) & ~(<u64>BLOCK - 1);
      offset = padded > length ? length : <u32>padded;
    }
  }
}

function isZero(block: usize): bool {
  for (let i: usize = 0; i < BLOCK; i += 8) if (load<u64>(block + i) != 0) return false;
  return true;
}

/** "ustar" and NUL; GNU tar's own format has a space there and other rules. */
function isUstar(header: usize): bool {
  return load<u32>(header, 257) == 0x61747375 && load<u16>(header, 261) == 0x0072;
}

/** The sum of the header's bytes, its checksum field counted as spaces. */
function checksum(header: usize): i64 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < BLOCK; i++) sum += i - 148 < 8 ? 0x20 : <u32>load<u8>(header + i);
  return sum;
}

/** An octal number ended by space, NUL or the field's end; -1 when it is none. An empty field is 0, as some tars write it. */
function octal(field: usize, width: u32): i64 {
  let value: i64 = 0;
  let i: u32 = 0;
  while (i < width && load<u8>(field + i) == 0x20) i++; // old tars pad in front
  for (; i < width; i++) {
    const c = load<u8>(field + i);
    if (c == 0x20 || c == 0) break;
    if (c < 0x30 || c > 0x37) return -1;
    value = (value << 3) | (c - 0x30);
  }
  return value;
}

function fieldLength(field: usize, width: u32): u32 {
  let n: u32 = 0;
  while (n < width && load<u8>(field + n) != 0) n++;
  return n;
}

/** prefix/name, without a leading "./" as `tar .` writes it. */
function pathOf(header: usize): string {
  let path = fieldText(header, 100);
  const prefix = fieldText(header + 345, 155);
  if (prefix.length > 0) path = prefix + "/" + path;
  return path.startsWith("./") ? path.substring(2) : path;
}

function fieldText(field: usize, width: u32): string {
  const n = fieldLength(field, width);
  return isUtf8(field, n) ? String.UTF8.decodeUnsafe(field, n) : ".."; // what isCleanPath refuses
}

function isCleanPath(path: string): bool {
  const parts = path.split("/");
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (part.length == 0 || part == "." || part == "..") return false;
  }
  return true;
}

function isUtf8(at: usize, length_bytes: u32): bool {
  let i: u32 = 0;
  while (i < length_bytes) {
    const n = utf8Length(at + i, length_bytes - i);
    if (n == 0) return false;
    i += n;
  }
  return true;
}

/** Whether the first byte that is not white space is "{" or "[": a ustar archive whose first name begins so is none of ours. */
function isJsonText(at: usize, length_bytes: u32): bool {
  for (let i: u32 = 0; i < length_bytes; i++) {
    const c = load<u8>(at + i);
    if (c != 0x20 && c != 0x09 && c != 0x0a && c != 0x0d) return c == 0x7b || c == 0x5b;
  }
  return length_bytes > 0; // nothing but white space: an empty document, which the parser reports as such
}
