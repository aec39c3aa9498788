// What an image holds, by the list of functions that the toolchain writes beside it (NAME.elf.symbols: address, name).
import { readFileSync } from "node:fs";

/**
 * Names of the functions in an image, in the order of their addresses: `net/tcp/input/receive` for AssemblyScript, plain
 * names for C.
 * @throws Error when the list cannot be one of an image: then no statement about absence would mean anything
 */
export function functionsOf(list: string): string[] {
  const names: string[] = [];
  for (const line of list.replace(/\n$/, "").split("\n")) {
    const match = /^[0-9a-f]+ (.*)$/.exec(line);
    if (!match) throw new Error(`not a line of a list of symbols: ${JSON.stringify(line)}`);
    if (match[1]) names.push(match[1]);
  }
  for (const needed of ["core_main", "print_backtrace"]) {
    if (!names.includes(needed)) throw new Error(`a list of symbols without ${needed} is not one of an image`);
  }
  if (!names.some((name) => name.startsWith("runtime/"))) throw new Error("the list has no AssemblyScript functions");
  return names;
}

export function functionsOfImage(image: string): string[] {
  return functionsOf(readFileSync(`${image}.symbols`, "utf8"));
}

/** Functions that come from one of these folders. `start:` and `export:` stand before a module's own code and aliases. */
export function functionsFrom(functions: string[], folders: string[]): string[] {
  return functions.filter((name) => {
    const path = name.replace(/^(start|export):/, "").replace(/^~lib\/heddle\//, "");
    return folders.some((folder) => path.startsWith(`${folder}/`));
  });
}
