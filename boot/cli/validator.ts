// The validator of configurations: the functions with which an image reads its own (appliances/NAME/configuration.ts),
// compiled to WebAssembly and run here, without a machine. What it accepts, an image accepts, but for what only a machine
// knows: its network cards.
//
// Compiling takes some seconds and is done once: the module is kept by the hash of its sources, and `npm run images` puts it
// into dist/, from where it is used without a compiler.
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { randomFillSync } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import { cached, hash, hashFiles } from "../toolchain/cache.ts";
import { addHints } from "../toolchain/hints.ts";
import { packUstar, readFolder } from "../toolchain/ustar.ts";
import { readBundle } from "./bundle.ts";
import { Problem } from "./problem.ts";
import { applianceOfImage, root } from "./services.ts";

/** Sections of a configuration, and the appliance that reads each. */
const APPLIANCES: Record<string, string> = {
  httpServer: "http-server",
  firewall: "firewall",
  loadBalancer: "balancer",
};
const MEMORY_BASE = 0x200000;
const ENTRY = "heddle-validator.ts";

function entrySource(appliance: string): string {
  return `import { Bundle, Bundles, loadConfiguration } from "./runtime";
import { readConfiguration } from "./appliances/${applianceOfImage(appliance)}/configuration";
export function allocate(bytes: i32): usize {
  return heap.alloc(bytes);
}
export function validate(bundle: usize, bytes: i32, embedded: usize, embeddedBytes: i32): string {
  const bundles = new Bundles(new Bundle(bundle, bytes), new Bundle(embedded, embeddedBytes), "bundle");
  const configuration = loadConfiguration(bundles);
  readConfiguration(configuration, bundles, null);
  return configuration.lines().join("\\n");
}
${MORE[applianceOfImage(appliance)] ?? ""}`;
}

/** What else an appliance's module can be asked: `warnings` of a valid configuration, and to `explain` a packet. */
const MORE: Record<string, string> = {
  firewall: `
import { explain as explainPacket, warnings as warningsOf } from "./appliances/firewall/explain";
import { FirewallConfiguration } from "./appliances/firewall/configuration";
function read(bundle: usize, bytes: i32, embedded: usize, embeddedBytes: i32): FirewallConfiguration {
  const bundles = new Bundles(new Bundle(bundle, bytes), new Bundle(embedded, embeddedBytes), "bundle");
  return readConfiguration(loadConfiguration(bundles), bundles, null);
}
export function warnings(bundle: usize, bytes: i32, embedded: usize, embeddedBytes: i32): string {
  const configuration = read(bundle, bytes, embedded, embeddedBytes);
  return warningsOf(configuration.firewall, configuration.interfaces.length);
}
export function explain(
  bundle: usize, bytes: i32, embedded: usize, embeddedBytes: i32, question: usize, questionBytes: i32,
): string {
  const text = String.UTF8.decodeUnsafe(question, questionBytes);
  return explainPacket(read(bundle, bytes, embedded, embeddedBytes), text);
}
`,
};

/** The image that a configuration is for: of the appliance whose section it has, else the only one; with TLS if it has `tls`. */
export function applianceOf(config: Record<string, unknown> | undefined): string {
  const section = Object.keys(config ?? {}).find((key) => key in APPLIANCES);
  return (section ? APPLIANCES[section] : "http-server") + (config && "tls" in config ? "-tls" : "");
}

/** Where `npm run images` puts the module. */
export const validatorFile = (appliance: string) => join(root, "dist", appliance, "validator.wasm");

/** Compiles the validator of an appliance, or finds it compiled; gives its path. */
export async function compileValidator(appliance: string): Promise<string> {
  const stamp = `${validatorFile(appliance)}.stamp`;
  if (existsSync(stamp) && existsSync(validatorFile(appliance))) {
    const { sources, hash: known } = JSON.parse(readFileSync(stamp, "utf8"));
    if (hashFiles(sources) === known) return validatorFile(appliance);
  }
  const asc = await import("assemblyscript/asc");
  const sources = new Set<string>();
  let wasm: Uint8Array | undefined;
  let printed = "";
  const stream = { write: (chunk: string | Uint8Array) => ((printed += chunk.toString()), true) };
  const { error } = await asc.main(
    [ENTRY, "--baseDir", root, "--outFile", "module.wasm", "--runtime", "stub", "--bindings", "raw"].concat([
      ...["--memoryBase", String(MEMORY_BASE), "--noColors"],
      ...(appliance === applianceOfImage(appliance) ? [] : ["--use", "HEDDLE_TLS=1"]),
    ]),
    {
      stdout: stream as never,
      stderr: stream as never,
      readFile(name: string) {
        if (name === ENTRY) return entrySource(appliance);
        const path = resolve(root, name);
        if (!existsSync(path)) return null;
        sources.add(path);
        return readFileSync(path, "utf8");
      },
      writeFile(name: string, contents: string | Uint8Array) {
        if (name === "module.wasm") wasm = contents as Uint8Array;
      },
      listFiles: () => [],
    },
  );
  if (error || !wasm) throw new Problem(addHints(printed.trim() || String(error)));
  const out = validatorFile(appliance);
  mkdirSync(dirname(out), { recursive: true });
  // By way of the cache, whose files appear whole: two commands at once do not read each other's halves.
  const made = wasm;
  const path = await cached(hash(made), ".validator.wasm", async (file) => writeFileSync(file, made));
  const list = [...sources, join(root, "boot/cli/validator.ts")].sort();
  writeFileSync(out, readFileSync(path));
  writeFileSync(stamp, JSON.stringify({ sources: list, hash: hashFiles(list) }));
  return out;
}

const modules = new Map<string, Promise<WebAssembly.Module>>();

/** The validator of an appliance, once for this process. */
function validatorModule(appliance: string): Promise<WebAssembly.Module> {
  const load = async () => WebAssembly.compile(readFileSync(await compileValidator(appliance)));
  if (!modules.has(appliance)) modules.set(appliance, load());
  return modules.get(appliance)!;
}

/** What an image has embedded: the www/ of the appliance. */
function embeddedBundle(appliance: string): Uint8Array {
  const www = join(root, "appliances", applianceOfImage(appliance), "www");
  return existsSync(www) && statSync(www).isDirectory() ? packUstar(readFolder(www, "www/")) : new Uint8Array();
}

/** Calls a function of an appliance's module with byte strings; gives the lines of the text that it returns. */
async function ask(appliance: string, question: string, ...inputs: Uint8Array[]): Promise<string[]> {
  const module = await validatorModule(appliance);
  if (!WebAssembly.Module.exports(module).some(({ name }) => name === question)) return [];
  let memory: WebAssembly.Memory;
  const bytes = (address: number, length: number) => new Uint8Array(memory.buffer, address >>> 0, length);
  const platform: Record<string, (...args: never[]) => unknown> = {
    // The log goes nowhere: what it would say is not about the file.
    consoleWrite: () => {},
    // Nobody reads the notes for a panic: abort() below ends the question.
    panicNotes: () => {},
    info: () => 0n,
    clockMonotonic: () => process.hrtime.bigint(),
    clockWall: () => BigInt(Date.now()) * 1_000_000n,
    random: (address: number, length: number) => randomFillSync(bytes(address, length)),
    abort: () => {
      throw new Error("the validator ended itself: a defect, please report it with the configuration");
    },
  };
  const env: Record<string, unknown> = {};
  for (const { name: wanted } of WebAssembly.Module.imports(module)) {
    env[wanted] =
      platform[wanted] ??
      (() => {
        throw new Error(`the validator asked for the machine's ${wanted}`);
      });
  }
  const { exports } = await WebAssembly.instantiate(module, { env } as WebAssembly.Imports);
  const { allocate, [question]: run } = exports as Record<string, (...args: number[]) => number>;
  memory = exports.memory as WebAssembly.Memory;
  const place = (data: Uint8Array) => {
    const at = allocate!(Math.max(data.length, 1));
    bytes(at, data.length).set(data);
    return at;
  };
  const text = run!(...inputs.flatMap((data) => [place(data), data.length])) >>> 0;
  const length = new DataView(memory.buffer).getUint32(text - 4, true);
  const lines = Buffer.from(memory.buffer, text, length).toString("utf16le");
  return lines ? lines.split("\n") : [];
}

/**
 * Everything that is wrong with the configuration in a bundle, a line each: "NAME:LINE:COLUMN: POINTER: MESSAGE".
 * @param name of the configuration in the lines
 */
export async function validate(bundle: Uint8Array, appliance: string, name: string): Promise<string[]> {
  const lines = await ask(appliance, "validate", bundle, embeddedBundle(appliance));
  return lines.map((line) => line.replace(/^config\.json(?=:)/, () => name));
}

/** What is odd about a valid configuration, a line each: "POINTER: MESSAGE". */
export function warnings(bundle: Uint8Array, appliance: string): Promise<string[]> {
  return ask(appliance, "warnings", bundle, embeddedBundle(appliance));
}

/** What a valid configuration does with a packet, a line for each step; none when the appliance judges no packets. */
export function explain(bundle: Uint8Array, appliance: string, packet: string): Promise<string[]> {
  return ask(appliance, "explain", bundle, embeddedBundle(appliance), Buffer.from(packet));
}

/**
 * The bundle of FILE|DIR.
 * @throws Problem with every mistake in it
 */
export async function readValid(path: string, appliance: string): Promise<Buffer> {
  const bundle = readBundle(path, false);
  const name = statSync(path).isDirectory() ? join(path, "config.json") : path;
  const lines = await validate(bundle, appliance, name);
  if (lines.length > 0) throw new Problem(lines.join("\n"));
  return bundle;
}
