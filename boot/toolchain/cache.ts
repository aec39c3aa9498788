// Content-addressed files: a step is skipped when the hash of all that goes into it is known.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { root } from "./process.ts";

/** Where made files are kept: HEDDLE_CACHE, or .cache/toolchain of this package. */
export const folder = process.env.HEDDLE_CACHE ? resolve(process.env.HEDDLE_CACHE) : join(root, ".cache", "toolchain");

export function hash(...parts: (string | Uint8Array)[]): string {
  const sum = createHash("sha256");
  for (const part of parts) sum.update(String(part.length)).update(":").update(part);
  return sum.digest("hex").slice(0, 32);
}

export function hashFiles(paths: string[]): string {
  const parts: (string | Uint8Array)[] = [];
  for (const path of paths) parts.push(path, existsSync(path) ? readFileSync(path) : "missing");
  return hash(...parts);
}

/**
 * The file (or folder) that `make` writes for this key; made only once. `make` gets a path to write to that nobody else uses, so that
 * two builds at once do not see each other's halves.
 */
export async function cached(key: string, suffix: string, make: (path: string) => Promise<void>): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, key + suffix);
  if (!existsSync(path)) {
    const temporary = join(folder, `${key}.${process.pid}.${Math.random().toString(36).slice(2)}${suffix}`);
    try {
      await make(temporary);
      if (!existsSync(path)) renameSync(temporary, path);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  }
  return path;
}
