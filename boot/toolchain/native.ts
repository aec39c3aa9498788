// C to an image: clang for each file (cached), lld for the whole, twice, so that the image holds its own table of symbols.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { cached, folder as cacheFolder, hash, hashFiles } from "./cache.ts";
import { root, run } from "./process.ts";
import { readSymbols, symbolAssembly } from "./symbols.ts";
import { tlsLibrary } from "./tls-library.ts";

export type Platform = "pc" | "linux";
export type Profile = "image" | "edit";

const COMMON = join(root, "boot/platform/common");
/** Of the images that use TLS only. */
const TLS = join(root, "boot/platform/tls");
const platformFolder = (platform: Platform) => join(root, "boot/platform", platform);

const FLAGS = [
  ...["--target=x86_64-linux-gnu", "-std=gnu11", "-gdwarf-4", "-fno-pic", "-mno-red-zone", "-fno-stack-protector"],
  // A frame may not jump the guard page, and backtraces follow frame pointers.
  ...["-fstack-clash-protection", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer"],
  ...["-fno-strict-aliasing", "-fno-asynchronous-unwind-tables", "-ffunction-sections", "-fdata-sections"],
  // The image holds a checksum of its DWARF: no path of this machine may be in there.
  ...["-fdebug-compilation-dir=/", `-ffile-prefix-map=${join(root)}=`, `-ffile-prefix-map=${cacheFolder}=/cache`],
];
const PLATFORM_FLAGS: Record<Platform, string[]> = { pc: ["-ffreestanding"], linux: [] };
const WARNINGS = ["-Wall", "-Wextra", "-Werror"];
// The module's C is generated: what it looks like is wasm2c's business. Large frames are not: they could jump a guard.
const MODULE_FLAGS: Record<Profile, string[]> = {
  // `-w` would silence that error too. A call in tail position keeps its frame: otherwise a backtrace would miss the functions that lead to a fault.
  // clang's own inlining threshold (225) makes the text a fifth larger and saves no instruction on the packet path, whose
  // helpers are inlined by name; code that runs once, at boot, costs a machine under TCG its translation.
  image: [
    "-O2",
    "-mllvm",
    "-inline-threshold=110",
    "-fno-optimize-sibling-calls",
    "-Wno-everything",
    "-Wframe-larger-than=2048",
    "-Werror=frame-larger-than",
  ],
  edit: ["-O0", "-w"],
};

/** Extra flags that a source names in a line `// clang: FLAGS` (interrupt handlers: -mgeneral-regs-only). */
function ownFlags(source: string): string[] {
  return /^\/\/ clang: (.+)$/m.exec(readFileSync(source, "utf8"))?.[1]?.split(" ") ?? [];
}

function sourcesOf(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/** All files of the native side of a platform: what a build depends on besides the service. */
export function platformFiles(platform: Platform): string[] {
  const pattern = /\.(c|h|S|ld)$/;
  return [COMMON, platformFolder(platform), TLS].flatMap((folder) => sourcesOf(folder, pattern));
}

async function compile(source: string, key: string, flags: string[]): Promise<string> {
  return cached(hash(key, hashFiles([source]), ...flags), ".o", async (path) => {
    await run("clang", [...flags, "-c", source, "-o", path]);
  });
}

export interface NativeBuild {
  platform: Platform;
  profile: Profile;
  /** Folder with heddle.c and heddle.h. */
  moduleFolder: string;
  /** Assembly that defines the embedded bundle. */
  embedded: string;
  progress: (line: string) => void;
  /** The image; beside it come `.debug` (DWARF) and `.symbols` (readable list). */
  out: string;
}

/** Compiles and links one image. Returns its bytes. */
export async function buildNative(build: NativeBuild): Promise<number> {
  const { platform, profile, moduleFolder } = build;
  const folder = platformFolder(platform);
  const flags = [...FLAGS, ...PLATFORM_FLAGS[platform], `-I${COMMON}`, `-I${folder}`];
  // Only what is made of the module may depend on where it lies: the platform's objects serve every image.
  const moduleFlags = [...flags, `-I${moduleFolder}`, `-ffile-prefix-map=${moduleFolder}=/module`];
  const headers = hashFiles(platformFiles(platform).filter((path) => path.endsWith(".h")));
  const moduleHeader = hash(headers, hashFiles([join(moduleFolder, "heddle.h")]));

  const jobs: Promise<string>[] = [
    compile(join(moduleFolder, "heddle.c"), moduleHeader, [...moduleFlags, ...MODULE_FLAGS[profile]]),
    compile(build.embedded, "", flags),
  ];
  for (const source of [...sourcesOf(COMMON, /\.[cS]$/), ...sourcesOf(folder, /\.[cS]$/)]) {
    const ofModule = basename(source) === "module.c";
    const own = ["-O2", ...WARNINGS, ...ownFlags(source)];
    jobs.push(compile(source, ofModule ? moduleHeader : headers, [...(ofModule ? moduleFlags : flags), ...own]));
  }
  const archives: string[] = [];
  if (usesTls(moduleFolder)) {
    const library = await tlsLibrary(build.progress);
    archives.push(library.archive);
    for (const source of sourcesOf(TLS, /\.[cS]$/))
      jobs.push(compile(source, headers, [...flags, ...library.flags, "-O2", ...WARNINGS, ...ownFlags(source)]));
  }
  const objects = [...(await Promise.all(jobs)), ...archives];

  mkdirSync(dirname(build.out), { recursive: true });
  const full = `${build.out}.debug`;
  // The table describes the text of the link that holds it, so it is made from the link before; its size changes neither
  // order nor contents of the text, only, possibly, where it lies: then once more.
  let table = symbolAssembly([]);
  let symbols = await linkWith(table, objects, platform, full);
  for (let turn = 0; turn < 4 && symbols !== table; turn++) {
    table = symbols;
    symbols = await linkWith(table, objects, platform, full);
  }
  if (symbols !== table) throw new Error("the table of symbols does not settle");
  await run("llvm-objcopy", ["--strip-all", full, build.out]);
  await run("llvm-objcopy", ["--only-keep-debug", full, full]);
  await run("llvm-objcopy", [`--add-gnu-debuglink=${full}`, build.out]);
  return readFileSync(build.out).length;
}

/** Whether the module, after wasm-opt has removed what it never reaches, calls the TLS library. */
function usesTls(moduleFolder: string): boolean {
  return /\bw2c_env_tls\w+\(/.test(readFileSync(join(moduleFolder, "heddle.h"), "utf8"));
}

async function linkWith(table: string, objects: string[], platform: Platform, out: string): Promise<string> {
  const tableSource = `${out}.symbols.S`;
  writeFileSync(tableSource, table);
  const tableObject = `${out}.symbols.o`;
  await run("clang", ["--target=x86_64-linux-gnu", "-c", tableSource, "-o", tableObject]);
  const script = join(platformFolder(platform), "image.ld");
  if (platform === "pc") {
    const flags = ["-n", "-static", "--gc-sections", "--build-id=none", "-z", "noexecstack", "-T", script];
    await run("ld.lld", [...flags, ...objects, tableObject, "-o", out]);
  } else {
    const flags = ["-static", "-fuse-ld=lld", "-Wl,--gc-sections", "-Wl,--build-id=none", "-pthread"];
    await run("clang", [...flags, ...objects, tableObject, "-o", out]);
  }
  const symbols = readSymbols(await run("llvm-nm", ["--numeric-sort", "--print-size", out]));
  writeFileSync(
    out.replace(/\.debug$/, ".symbols"),
    symbols.map((s) => `${s.address.toString(16)} ${s.name}\n`).join(""),
  );
  await run("rm", ["-f", tableSource, tableObject]);
  return symbolAssembly(symbols);
}
