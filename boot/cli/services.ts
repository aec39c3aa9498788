// What NAME|DIR means: an appliance of this repository, or a folder with a service.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Problem } from "./problem.ts";

export const root = resolve(fileURLToPath(import.meta.url), "../../..");

export interface Service {
  name: string;
  directory: string;
  /** Where its images go. */
  outDirectory: string;
  /** An appliance's image with TLS. */
  tls: boolean;
  /** Ports that it serves, from `heddle.ports` of its package.json. */
  ports: GuestPort[];
}

export interface GuestPort {
  port: number;
  protocol: "tcp" | "udp";
}

const hasEntry = (directory: string) => ["main.ts", "index.ts"].some((file) => existsSync(join(directory, file)));

/** Names of images: each appliance, and NAME-tls where it can do TLS (`heddle.tls` of its package.json). */
export function appliances(): string[] {
  const names = readdirSync(join(root, "appliances")).filter((name) =>
    existsSync(join(root, "appliances", name, "main.ts")),
  );
  return names.flatMap((name) => (readManifest(join(root, "appliances", name)).tls ? [name, name + TLS] : [name]));
}

const TLS = "-tls";

/** The appliance of which `name` is an image. */
export const applianceOfImage = (name: string) => (name.endsWith(TLS) ? name.slice(0, -TLS.length) : name);

/** Edit distance of two words (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

/** Those of `known` that somebody who wrote `word` may have meant, nearest first. */
export function near(word: string, known: string[]): string[] {
  const score = (name: string) =>
    name.includes(word) || word.includes(name) ? 1 : distance(word.toLowerCase(), name.toLowerCase());
  return known.filter((name) => score(name) <= Math.max(2, name.length / 3)).sort((a, b) => score(a) - score(b));
}

/** @throws Problem when there is no such service */
export function findService(argument: string): Service {
  if (/^[\w-]+$/.test(argument) && appliances().includes(argument)) {
    const directory = join(root, "appliances", applianceOfImage(argument));
    return {
      name: argument,
      directory,
      outDirectory: join(root, "dist", argument),
      tls: argument.endsWith(TLS),
      ports: readPorts(directory),
    };
  }
  const directory = resolve(argument);
  if (existsSync(directory) && statSync(directory).isDirectory()) {
    if (!hasEntry(directory))
      throw new Problem(`${argument}: this folder has no main.ts and no index.ts; \`heddle new DIR\` makes a service`);
    const name = basename(directory).replace(/[^\w.-]/g, "-");
    return { name, directory, outDirectory: join(directory, "dist"), tls: false, ports: readPorts(directory) };
  }
  const names = appliances();
  const meant = near(argument, names);
  throw new Problem(
    `${argument}: no such appliance or folder` +
      (meant.length > 0
        ? `; did you mean ${meant.slice(0, 3).join(" or ")}?`
        : `; appliances: ${names.join(", ") || "none"}`),
  );
}

/** "80", "53/udp" or a number. */
export function parseGuestPort(where: string, value: unknown): GuestPort {
  const [, port, protocol] = String(value).match(/^(\d{1,5})(?:\/(tcp|udp))?$/) ?? [];
  if (!port || Number(port) < 1 || Number(port) > 65535)
    throw new Problem(`${where}: "${value}" is not a port like 80 or 53/udp`);
  return { port: Number(port), protocol: protocol === "udp" ? "udp" : "tcp" };
}

/** What a service's package.json says to us. */
function readManifest(directory: string): { ports?: unknown; tls?: unknown } {
  const path = join(directory, "package.json");
  if (!existsSync(path)) return {};
  try {
    return JSON.parse(readFileSync(path, "utf8"))?.heddle ?? {};
  } catch (error) {
    throw new Problem(`${path}: ${(error as Error).message}`);
  }
}

function readPorts(directory: string): GuestPort[] {
  const path = join(directory, "package.json");
  const ports = readManifest(directory).ports ?? [];
  if (!Array.isArray(ports)) throw new Problem(`${path}: heddle.ports must be a list, for example [80, "53/udp"]`);
  return ports.map((port) => parseGuestPort(`${path}, heddle.ports`, port));
}
