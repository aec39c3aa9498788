// What is packed beside the files of a web root: gzip and brotli variants where they save something, and the media types of
// the kinds of files there, from mime-db (the registries of IANA, Apache and nginx). The HTTP server looks for them under
// `.packed/` (appliances/http-server/site.ts); whoever packs a bundle with tar does without.
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import mimeDb from "mime-db";
import type { Entry } from "./ustar.ts";

/** Smaller files fit one packet either way. */
const SMALLEST_BYTES = 1024;
/** A variant must be at most this part of the file. */
const WORTH = 0.9;

interface MediaType {
  type: string;
  compressible: boolean;
}

const types = new Map<string, MediaType>();
/** Of two types of an extension the one that a registry of standing has wins. */
const ORDER = ["iana", undefined, "apache", "nginx"];
for (const source of [...ORDER].reverse())
  for (const [type, entry] of Object.entries(mimeDb).filter(([, entry]) => entry.source === source))
    for (const extension of entry.extensions ?? [])
      types.set(extension, { type, compressible: entry.compressible ?? /^text\/|[+/](json|xml)$/.test(type) });
// RFC 9239: what the registry of mime-db gives as application/javascript in older versions.
types.set("js", { type: "text/javascript", compressible: true });
types.set("mjs", { type: "text/javascript", compressible: true });

const extensionOf = (name: string) => name.match(/\.([^./]+)$/)?.[1]!.toLowerCase() ?? "";
/** What is not given to anybody. */
const isPrivate = (name: string) => /^(config\.json$|secrets\/|certs\/|\.packed\/)/.test(name);

/** The entries of a bundle with what belongs beside its web files. */
export function withVariants(entries: Entry[]): Entry[] {
  const kinds = new Map<string, string>();
  const added: Entry[] = [];
  for (const { name, data } of entries) {
    if (isPrivate(name)) continue;
    const extension = extensionOf(name);
    const known = types.get(extension);
    if (!known) continue;
    const { type, compressible } = known;
    kinds.set(extension, type.startsWith("text/") ? `${type}; charset=utf-8` : type);
    if (!compressible || data.length < SMALLEST_BYTES) continue;
    const variants = {
      gzip: gzipSync(data, { level: 9 }),
      br: brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: data.length } }),
    };
    for (const [coding, bytes] of Object.entries(variants))
      if (bytes.length <= data.length * WORTH && fits(`.packed/${coding}/${name}`))
        added.push({ name: `.packed/${coding}/${name}`, data: bytes });
  }
  if (kinds.size > 0) {
    const lines = [...kinds].sort().map(([extension, type]) => `${extension} ${type}\n`);
    added.push({ name: ".packed/types", data: Buffer.from(lines.join("")) });
  }
  return [...entries.filter(({ name }) => !name.startsWith(".packed/")), ...added];
}

/** A variant whose name ustar has no room for is done without. */
const fits = (name: string) => Buffer.byteLength(name) <= 100;
