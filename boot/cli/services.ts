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
  /** Ports that it serves, from `heddle.ports` of its package.json. */
  ports: GuestPort[];
}

export interface GuestPort {
  port: number;
  protocol: "tcp" | "udp";
}

const hasEntry = (directory: string) => ["main.ts", "index.ts"].some((file) => existsSync(join(directory, file)));

export function appliances(): string[] {
  return readdirSync(join(root, "appliances")).filter((name) => hasEntry(join(root, "appliances", name)));
}

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
  const appliance = join(root, "appliances", argument);
  if (/^[\w-]+$/.test(argument) && hasEntry(appliance)) {
    return {
      name: argument,
      directory: appliance,
      outDirectory: join(root, "dist", argument),
      ports: readPorts(appliance),
    };
  }
  const directory = resolve(argument);
  if (existsSync(directory) && statSync(directory).isDirectory()) {
    if (!hasEntry(directory))
      throw new Problem(`${argument}: this folder has no main.ts and no index.ts; \`heddle new DIR\` makes a service`);
    const name = basename(directory).replace(/[^\w.-]/g, "-");
    return { name, directory, outDirectory: join(directory, "dist"), ports: readPorts(directory) };
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

function readPorts(directory: string): GuestPort[] {
  const path = join(directory, "package.json");
  if (!existsSync(path)) return [];
  let ports: unknown;
  try {
    ports = JSON.parse(readFileSync(path, "utf8"))?.heddle?.ports ?? [];
  } catch (error) {
    throw new Problem(`${path}: ${(error as Error).message}`);
  }
  if (!Array.isArray(ports)) throw new Problem(`${path}: heddle.ports must be a list, for example [80, "53/udp"]`);
  return ports.map((port) => parseGuestPort(`${path}, heddle.ports`, port));
}
