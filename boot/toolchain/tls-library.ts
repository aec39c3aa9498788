// AWS-LC (libssl, libcrypto) from the sources of a crate to one archive, made once and cached. No cmake, perl or Go: the
// crate holds what those would generate, and which files belong to the library follows from where they lie.
//
// The archive serves both platforms. Left out of it are the library's threads and its detection of forks, in whose place
// boot/platform/tls/ has ours, and everything that needs files, sockets or a terminal.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { cached, folder as cacheFolder, hash, hashFiles } from "./cache.ts";
import { BuildError, root, run } from "./process.ts";

const LOCK = join(root, "boot/tls/Cargo.lock");
/** Where `boot/setup.sh --tls` puts the crates. */
const VENDOR = join(root, ".cache/tls/vendor");
const THIS = join(root, "boot/toolchain/tls-library.ts");

const DEFINES = [
  ...["BORINGSSL_IMPLEMENTATION", "DISABLE_CPU_JITTER_ENTROPY", "S2N_BN_HIDE_SYMBOLS", "NDEBUG"],
  ...["AWS_LC_STDALIGN_AVAILABLE", "AWS_LC_BUILTIN_SWAP_SUPPORTED"],
  ...["OPENSSL_NO_FILESYSTEM", "OPENSSL_NO_POSIX_IO", "OPENSSL_NO_SOCK", "OPENSSL_NO_TTY"],
].map((name) => `-D${name}`);
const FLAGS = [
  ...["--target=x86_64-linux-gnu", "-O2", "-w", "-fno-pic", "-mno-red-zone", "-fno-stack-protector"],
  // Backtraces follow frame pointers, and a frame may not jump the guard of the stack that the library runs on.
  ...["-fno-omit-frame-pointer", "-fstack-clash-protection", "-fno-asynchronous-unwind-tables"],
  ...["-ffunction-sections", "-fdata-sections"],
];
const CXX_FLAGS = ["-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"];
/** Of crypto/fipsmodule these are units; bcm.c includes the others. */
const FIPS_UNITS = ["bcm.c", "cpucap/cpucap.c", "fips_shared_support.c"];
const REPLACED = /^crypto\/(?:thread_\w+\.c|ube\/)/;
const CURVES = ["p256", "p384", "p521", "curve25519", "sha3"];

/** What the library calls of the C library and boot/platform/tls/ has instead, on both platforms. */
const OURS = ["malloc", "calloc", "realloc", "free", "getentropy", "time", "gettimeofday"];

export interface TlsLibrary {
  archive: string;
  /** Flags for what is compiled against its headers. */
  flags: string[];
}

/** The library, compiled when it is not in the cache; its sources are downloaded when they are not there. */
export async function tlsLibrary(progress: (line: string) => void): Promise<TlsLibrary> {
  const sources = await (fetching ??= tlsSources(progress));
  const includes = ["include", "third_party/s2n-bignum", "third_party/s2n-bignum/s2n-bignum-imported/include"];
  const include = includes.map((path) => `-I${join(sources, path)}`);
  const archive = await cached(`aws-lc-${hash(hashFiles([LOCK, THIS]))}`, ".a", async (path) => {
    progress("compiling AWS-LC; once, it takes a minute");
    const objects = `${path}.objects`;
    mkdirSync(objects);
    try {
      const made = await compileAll(sources, objects, include);
      await run("llvm-ar", ["rcsD", path, ...made]);
      await run("llvm-objcopy", [...OURS.flatMap((name) => ["--redefine-sym", `${name}=tls_${name}`]), path]);
    } finally {
      rmSync(objects, { recursive: true, force: true });
    }
  });
  // The version of the headers stands in them; system headers, so that our warnings are ours.
  return {
    archive,
    flags: ["-isystem", join(sources, "include"), "-DBORINGSSL_IMPLEMENTATION", `-DTLS_LIBRARY=${hash(archive)}`],
  };
}

// Once a process: two builds at a time would fetch into the same folder.
let fetching: Promise<string> | undefined;

async function tlsSources(progress: (line: string) => void): Promise<string> {
  const version = /name = "aws-lc-sys"\nversion = "([^"]+)"/.exec(readFileSync(LOCK, "utf8"))?.[1];
  if (!version) throw new BuildError(`${LOCK} names no aws-lc-sys`);
  const sources = join(VENDOR, `aws-lc-sys-${version}`, "aws-lc");
  if (!existsSync(sources)) {
    progress("downloading the sources of AWS-LC");
    await run("sh", [join(root, "boot/setup.sh"), "--tls"]);
  }
  if (!existsSync(sources)) throw new BuildError(`boot/setup.sh --tls left no sources in ${sources}`);
  return sources;
}

async function compileAll(sources: string, objects: string, include: string[]): Promise<string[]> {
  const files = librarySources(sources);
  const made: string[] = [];
  const prefix = [`-ffile-prefix-map=${sources}=aws-lc`, `-ffile-prefix-map=${cacheFolder}=/cache`];
  let next = 0;
  const worker = async () => {
    while (next < files.length) {
      const number = next++;
      const file = files[number]!;
      const object = join(objects, `${number}-${basename(file)}.o`);
      made[number] = object;
      const dialect = file.endsWith(".cc") ? CXX_FLAGS : file.endsWith(".c") ? ["-std=gnu11"] : [];
      await run("clang", [
        ...FLAGS,
        ...dialect,
        ...DEFINES,
        ...prefix,
        ...include,
        "-c",
        join(sources, file),
        "-o",
        object,
      ]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return made;
}

/** Paths, below the crate's aws-lc/, of what the library is made of. */
export function librarySources(sources: string): string[] {
  const found: string[] = [];
  const all = (below: string, wanted: (path: string) => boolean) => {
    for (const entry of readdirSync(join(sources, below), { withFileTypes: true })) {
      const path = `${below}/${entry.name}`;
      if (entry.isDirectory()) all(path, wanted);
      else if (!/(?:^|\/)(?:test|tests)\/|_test\.|test_/.test(path) && wanted(path)) found.push(path);
    }
  };
  all("crypto", (path) => {
    if (path.startsWith("crypto/fipsmodule/")) {
      const native = /^crypto\/fipsmodule\/ml_(?:kem|dsa)\/\w+\/native\/x86_64\/src\/.*\.S$/.test(path);
      return native || FIPS_UNITS.includes(path.slice("crypto/fipsmodule/".length));
    }
    return (path.endsWith(".c") && !REPLACED.test(path)) || /^crypto\/hrss\/asm\/.*\.S$/.test(path);
  });
  all("ssl", (path) => /\.cc?$/.test(path));
  all("generated-src/linux-x86_64", (path) => path.endsWith(".S"));
  for (const curve of CURVES)
    all(`third_party/s2n-bignum/s2n-bignum-imported/x86_att/${curve}`, (path) => path.endsWith(".S"));
  found.push("generated-src/err_data.c");
  return found.sort();
}
