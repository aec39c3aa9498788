// `--config FILE|DIR`: the bundle that an image gets (a ustar archive or plain JSON).
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { packUstar, readFolder } from "../toolchain/ustar.ts";
import { withVariants } from "../toolchain/web.ts";
import { Problem } from "./problem.ts";

/** A bundle's first bytes say what it is: a ustar archive has its magic at 257. */
export const isUstar = (bytes: Buffer) => bytes.toString("latin1", 257, 262) === "ustar";

/**
 * Reads FILE, or packs DIR.
 * @param strict whether a mistake in the JSON is a Problem, with its place; else somebody else looks for it
 * @throws Problem for what cannot be a bundle
 */
export function readBundle(path: string, strict = true): Buffer {
  if (!existsSync(path)) throw new Problem(`--config ${path}: no such file or folder`);
  if (statSync(path).isDirectory()) {
    const config = join(path, "config.json");
    if (!existsSync(config)) throw new Problem(`--config ${path}: this folder has no config.json`);
    if (strict) checkJson(config, readFileSync(config, "utf8"));
    try {
      return packUstar(withVariants(readFolder(path, "")));
    } catch (error) {
      throw new Problem(`--config ${path}: ${(error as Error).message}`);
    }
  }
  const bytes = readFileSync(path);
  if (strict && !isUstar(bytes)) checkJson(path, bytes.toString("utf8"));
  return bytes;
}

/** The configuration in a bundle, or nothing when it cannot be told without unpacking more than we do. */
export function configOf(path: string): Record<string, unknown> | undefined {
  const file = statSync(path).isDirectory() ? join(path, "config.json") : path;
  const bytes = readFileSync(file);
  return isUstar(bytes) ? undefined : JSON.parse(bytes.toString("utf8"));
}

function checkJson(path: string, text: string): void {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  } catch (error) {
    const message = (error as Error).message;
    const position = message.match(/position (\d+)/)?.[1];
    if (position === undefined) throw new Problem(`${path}: ${message}`);
    const before = text.slice(0, Number(position)).split("\n");
    throw new Problem(`${path}:${before.length}:${before.at(-1)!.length + 1}: ${message}`);
  }
  throw new Problem(`${path}: a configuration is a JSON object: { ... }`);
}

type Listen = number | string | { port?: number } | Listen[];

/** TCP ports of an HTTP server's configuration (`httpServer.listen`), when it names some. */
export function configuredPorts(config: Record<string, unknown> | undefined): number[] {
  const listen = (config?.httpServer as { listen?: Listen } | undefined)?.listen;
  const read = (item: Listen | undefined): number[] => {
    if (Array.isArray(item)) return item.flatMap(read);
    const port = typeof item === "object" ? item.port : typeof item === "string" ? Number(item.split(":").pop()) : item;
    return port !== undefined && Number.isInteger(port) && port > 0 && port < 65536 ? [port] : [];
  };
  return [...new Set(read(listen))];
}
