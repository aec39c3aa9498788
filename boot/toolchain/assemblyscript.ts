// AssemblyScript to WebAssembly: calls asc's API with our collector in place of its own.
//
// The module's entry is made up here: it imports the service's `main` and hands it to the fiber scheduler, which boots the
// runtime. Services import `heddle/net`, `heddle/fibers` and `heddle/runtime`; asc looks for those in
// node_modules/heddle, which is mapped to this package's own folders. The collector replaces the library file `rt/tcms`;
// with `--runtime minimal` asc adds no shadow stack, whose place the conservative scan of native stacks takes.
import { existsSync, readFileSync } from "node:fs";
import { isAbsolute, join, relative, resolve } from "node:path";
import { abortPlaces } from "./abort-places.ts";
import { addHints } from "./hints.ts";
import { BuildError, root } from "./process.ts";

/** Bytes of linear memory that stay unmapped, so that a field of a null reference traps. layout.h has the same. */
const MEMORY_BASE = 0x200000;
const COLLECTOR = join(root, "runtime/memory/rt/tcms.ts");
const ENTRY = "heddle-entry.ts";

export interface Compiled {
  wasm: Uint8Array;
  /** Absolute paths of all files that went in. */
  sources: string[];
}

// asc's allocator executes `unreachable` when memory cannot grow. Nothing is half changed then: the platform is told, so that
// it can end the fiber whose own code asked, and only that (boot/platform/common/kernel.h).
function refuseMemory(tlsf: string): string {
  const refusal = "if (memory.grow(pagesNeeded) < 0) unreachable();";
  const told = "if (memory.grow(pagesNeeded) < 0) outOfMemory();";
  if (tlsf.includes(told)) return tlsf;
  if (tlsf.split(refusal).length !== 2)
    throw new Error("asc's allocator does not grow its memory where this one is known to");
  return `${tlsf.replace(refusal, told)}
// @ts-ignore: decorator
@external("env", "outOfMemory")
declare function outOfMemory(): void;
`;
}

/** What asc is told the entry is: `main` of the service, run as the first fiber. */
function entrySource(directory: string, main: string): string {
  const inside = relative(root, directory);
  const own = inside.startsWith("appliances");
  const from = (folder: string) => (own ? `./${folder}` : `heddle/${folder}`);
  const service = own ? `./${inside}/${main}` : `./${main}`;
  return `import { main as service } from ${JSON.stringify(service.replace(/\.ts$/, ""))};
import { run } from ${JSON.stringify(from("fibers"))};
export function main(): void {
  run(service);
}
`;
}

/**
 * Compiles the service in `directory` to WebAssembly with debug names, not optimised.
 * @throws BuildError with asc's diagnostics, and hints at what AssemblyScript has instead
 */
export async function compileAssemblyScript(
  directory: string,
  main: string,
  variant?: { gcStress?: boolean; tls?: boolean },
): Promise<Compiled> {
  const asc = await import("assemblyscript/asc");
  const own = relative(root, directory).startsWith("appliances");
  const baseDir = own ? root : directory;
  const sources = new Set<string>([COLLECTOR]);
  const entry = entrySource(directory, main);
  asc.libraryFiles["rt/tcms"] = readFileSync(COLLECTOR, "utf8");
  asc.libraryFiles["rt/tlsf"] = refuseMemory(asc.libraryFiles["rt/tlsf"]!);

  const outputs = new Map<string, Uint8Array>();
  let printed = "";
  const stream = { write: (chunk: string | Uint8Array) => ((printed += chunk.toString()), true) };
  const { error } = await asc.main(
    [
      ENTRY,
      ...["--baseDir", baseDir, "--outFile", "module.wasm", "--runtime", "minimal", "--debug"],
      ...["--memoryBase", String(MEMORY_BASE), "--noColors", "--disableWarning", "201"],
      ...(variant?.gcStress ? ["--use", "HEDDLE_GC_STRESS=1"] : []),
      ...(variant?.tls ? ["--use", "HEDDLE_TLS=1"] : []),
    ],
    {
      stdout: stream as never,
      stderr: stream as never,
      readFile(name: string) {
        if (name === ENTRY) return entry;
        const path = packageFile(isAbsolute(name) ? name : resolve(baseDir, name));
        if (!path || !existsSync(path)) return null;
        sources.add(path);
        return readFileSync(path, "utf8");
      },
      writeFile(name: string, contents: string | Uint8Array) {
        outputs.set(name, typeof contents === "string" ? new TextEncoder().encode(contents) : contents);
      },
      listFiles: () => [],
      transforms: [await abortPlaces()],
    },
  );
  const wasm = outputs.get("module.wasm");
  if (error || !wasm) throw new BuildError(addHints(printed.trim() || String(error)));
  // Warnings are for the service's author; asc's pedantic remarks (a generic field that some type would not need) are not.
  const warnings = printed.split(/\n\n+/).filter((text) => text.trim() && !text.startsWith("PEDANTIC"));
  if (warnings.length > 0) process.stderr.write(`${warnings.join("\n\n")}\n`);
  // Loading binaryen takes seconds: not for commands that compile nothing.
  const { markKernel } = await import("./kernel.ts");
  return { wasm: markKernel(wasm, own, Object.keys(asc.libraryFiles)), sources: [...sources].sort() };
}

// `heddle/...` is this package, whether it was installed into node_modules or is the checkout itself.
function packageFile(path: string): string {
  const at = path.lastIndexOf("/node_modules/heddle/");
  return at < 0 || existsSync(path) ? path : join(root, path.slice(at + "/node_modules/heddle/".length));
}
