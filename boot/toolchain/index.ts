// The toolchain: TypeScript of a service or appliance to images.
//
//   asc -> module.wasm -> wasm-opt -> wasm2c -> heddle.c, checked -> clang -> lld -> NAME.elf    (bare metal)
//                                                                                -> NAME.linux  (hosted)
// Each step is cached by the hash of what goes into it. When no file has changed since the last build, nothing is run.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { compileAssemblyScript } from "./assemblyscript.ts";
import { cached, hash, hashFiles } from "./cache.ts";
import { compact, FOR_SIZE, forSize } from "./compact-c.ts";
import { checkImports, replacePrologue } from "./generated-c.ts";
import { buildNative, platformFiles, type Platform, type Profile } from "./native.ts";
import { BuildError, root, runPackage } from "./process.ts";
import { keepRoots } from "./roots.ts";
import { packUstar, readFolder } from "./ustar.ts";

export { BuildError } from "./process.ts";

export interface BuildOptions {
  name: string;
  /** Folder of the service: main.ts or index.ts, and optionally config.json and www/, which are embedded. */
  directory: string;
  platform: Platform | "both";
  /** `image`: optimised. `edit`: quick to build and slow to run. */
  profile: Profile;
  outDirectory: string;
  /** Tests of the collector: collect and poison freed memory at every suspension; leave out the toolchain's part. */
  variant?: { gcStress?: boolean; withoutRoots?: boolean };
  /** The appliance's image with TLS: its code finds HEDDLE_TLS defined. */
  tls?: boolean;
  progress: (line: string) => void;
}

export interface BuildResult {
  name: string;
  elf?: string;
  linux?: string;
  /** Bytes of each image by its path. */
  bytes: Record<string, number>;
}

// What decides what the module's C looks like, besides its WebAssembly.
const GENERATORS = [
  "boot/toolchain/generated-c.ts",
  "boot/toolchain/compact-c.ts",
  "boot/toolchain/roots.ts",
  "package-lock.json",
].map((path) => join(root, path));

const FEATURES = ["--enable-bulk-memory", "--enable-bulk-memory-opt", "--enable-sign-ext"].concat([
  "--enable-nontrapping-float-to-int",
  "--enable-mutable-globals",
]);
// Names are kept for backtraces. `--low-memory-unused`: the first 2 MiB are never addressed, so offsets may be folded.
const OPTIMISE: Record<Profile, string[]> = {
  image: ["-O3", "--converge", "-g", "--low-memory-unused", ...FEATURES],
  edit: ["-O3", "-g", "--low-memory-unused", ...FEATURES],
};

/** Builds a service or appliance. @throws BuildError for everything that a person can mend */
export async function build(options: BuildOptions): Promise<BuildResult> {
  const { name, directory, outDirectory } = options;
  const main = ["main.ts", "index.ts"].find((file) => existsSync(join(directory, file)));
  if (!main) throw new BuildError(`${directory}: there is no main.ts and no index.ts here`);
  const platforms: Platform[] = options.platform === "both" ? ["pc", "linux"] : [options.platform];
  const outputs = new Map(platforms.map((p) => [p, join(outDirectory, `${name}.${p === "pc" ? "elf" : "linux"}`)]));
  mkdirSync(outDirectory, { recursive: true });

  const bytes: Record<string, number> = {};
  const result: BuildResult = { name, elf: outputs.get("pc"), linux: outputs.get("linux"), bytes };
  const stale = platforms.filter((platform) => !isCurrent(outputs.get(platform)!, kindOf(options)));
  if (stale.length > 0) await rebuild({ ...options, main, platforms: stale, outputs, kind: kindOf(options) });
  for (const out of outputs.values()) bytes[out] = statSync(out).size;
  return result;
}

// Profile and variant: images of another kind are not current.
function kindOf({ profile, variant, tls }: BuildOptions): string {
  return JSON.stringify([profile, variant ?? {}, tls ?? false]);
}

interface Rebuild extends BuildOptions {
  main: string;
  kind: string;
  platforms: Platform[];
  outputs: Map<Platform, string>;
}

async function rebuild({
  name,
  directory,
  main,
  profile,
  variant,
  tls,
  kind,
  platforms,
  outputs,
  progress,
}: Rebuild): Promise<void> {
  progress(`${name}: compiling AssemblyScript`);
  const { wasm, sources } = await compileAssemblyScript(directory, main, { ...variant, tls });
  const small = sources
    .filter((path) => FOR_SIZE.test(readFileSync(path, "utf8")))
    .map((path) => moduleName(path, directory));
  const key = hash(wasm, profile, String(variant?.withoutRoots), hashFiles(GENERATORS), ...small);
  const moduleFolder = await cached(`module-${key}`, "", async (folder) => {
    mkdirSync(folder);
    writeFileSync(join(folder, "module.wasm"), wasm);
    progress(`${name}: optimising WebAssembly`);
    await runPackage("binaryen/bin/wasm-opt", [...OPTIMISE[profile], "module.wasm", "-o", "heddle.wasm"], {
      cwd: folder,
    });
    progress(`${name}: WebAssembly to C`);
    await runPackage("wabt/bin/wasm2c", ["heddle.wasm", "-o", "heddle.c", "-n", "heddle"], { cwd: folder });
    const path = join(folder, "heddle.c");
    if (!existsSync(path)) throw new BuildError("wasm2c wrote nothing and said nothing");
    checkImports(readFileSync(join(folder, "heddle.h"), "latin1"), platformHeaders());
    const c = compact(replacePrologue(readFileSync(path, "latin1")));
    writeFileSync(path, forSize(variant?.withoutRoots ? c : keepRoots(c), small));
  });

  const embeddedFiles = embeddedPaths(directory);
  const bundle = embeddedFiles.map((path) => ({ name: relative(directory, path), data: readFileSync(path) }));
  const embedded = await embeddedAssembly(bundle.length > 0 ? packUstar(bundle) : new Uint8Array());

  progress(`${name}: compiling C${profile === "edit" ? ", not optimised" : ""}`);
  const toolchain = toolchainFiles();
  const inputs = (platform: Platform) => [...sources, ...embeddedFiles, ...platformFiles(platform), ...toolchain];
  // Hashed before the compilers run: what changes meanwhile is built the next time.
  const hashes = new Map(platforms.map((platform) => [platform, hashFiles(inputs(platform))]));
  await Promise.all(
    platforms.map(async (platform) => {
      const out = outputs.get(platform)!;
      rmSync(stampOf(out), { force: true });
      await buildNative({ platform, profile, moduleFolder, embedded, out, progress });
      const stamp = {
        kind,
        inputs: inputs(platform),
        hash: hashes.get(platform),
        directory,
        embedded: embeddedFiles,
        image: hashFiles([out]),
      };
      writeFileSync(stampOf(out), JSON.stringify(stamp));
    }),
  );
}

/** The name that functions of a source begin with, after `~lib/heddle/` is left out. */
const moduleName = (path: string, directory: string) =>
  relative(path.startsWith(`${root}/`) ? root : directory, path).replace(/\.ts$/, "");

const stampOf = (out: string) => `${out}.stamp`;

// Whether an image is what its inputs, unchanged since, gave with this profile.
function isCurrent(out: string, kind: string): boolean {
  if (!existsSync(out) || !existsSync(stampOf(out))) return false;
  const stamp = JSON.parse(readFileSync(stampOf(out), "utf8"));
  if (stamp.kind !== kind || hashFiles([out]) !== stamp.image) return false;
  // The inputs hold the toolchain itself: behind this check the stamp is one that this version wrote.
  if (hashFiles(stamp.inputs) !== stamp.hash) return false;
  return JSON.stringify(embeddedPaths(stamp.directory)) === JSON.stringify(stamp.embedded);
}

// Where every function that a module may import is named.
function platformHeaders(): string {
  const paths = ["common/platform.h", "common/kernel.h", "linux/inline.h", "pc/inline.h"];
  return paths.map((path) => readFileSync(join(root, "boot/platform", path), "utf8")).join("");
}

function toolchainFiles(): string[] {
  const folder = join(root, "boot/toolchain");
  const locks = [join(root, "package-lock.json"), join(root, "boot/tls/Cargo.lock")];
  return [...readdirSync(folder).map((name) => join(folder, name)), ...locks];
}

// What of a service's folder goes into the image as it is: its configuration and the files of www/.
function embeddedPaths(directory: string): string[] {
  const config = join(directory, "config.json");
  const www = join(directory, "www");
  const files = existsSync(www) ? readFolder(www, `${www}/`).map((entry) => entry.name) : [];
  return [...(existsSync(config) ? [config] : []), ...files];
}

// Whole pages: sandboxed code sees them mapped.
async function embeddedAssembly(bundle: Uint8Array): Promise<string> {
  const data = await cached(hash(bundle), ".ustar", async (path) => writeFileSync(path, bundle));
  const source = `  .section .embedded, "aR", @progbits
  .globl heddle_embedded_start, heddle_embedded_end
${bundle.length > 0 ? "  .balign 4096" : ""}
heddle_embedded_start:
${bundle.length > 0 ? `  .incbin ${JSON.stringify(data)}` : ""}
heddle_embedded_end:
${bundle.length > 0 ? "  .balign 4096" : ""}
  .section .note.GNU-stack, "", @progbits
`;
  return cached(hash(source), ".S", async (path) => writeFileSync(path, source));
}
