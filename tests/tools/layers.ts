// The layer check: imports only go down the table of the house, and nobody reaches past a folder's public face.
//
//   appliances -> net -> fibers -> runtime          (each may also import what stands further right)
//
// Rules
// 1. A folder imports itself and what stands below it.
// 2. From outside a top-level folder its files are reached by `index.ts` of it or of a direct subfolder of it.
// 3. Inside net/, only socket/, http/, tls/, the clients dhcp/, dns/ and sntp/, and net/'s own face know fibers.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative, sep } from "node:path";
import ts from "typescript";

const below: Record<string, string[]> = {
  appliances: ["net", "fibers", "runtime"],
  net: ["fibers", "runtime"],
  fibers: ["runtime"],
  runtime: [],
};
const mayKnowFibers = ["socket", "http", "tls", "dhcp", "dns", "sntp", "network.ts", "index.ts"];

export interface Violation {
  file: string;
  line: number;
  message: string;
}

/** The modules that a source imports or re-exports, with their lines. */
export function importsOf(source: string): { specifier: string; line: number }[] {
  const file = ts.createSourceFile("module.ts", source, ts.ScriptTarget.Latest);
  return file.statements.flatMap((statement) => {
    const from =
      ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement) ? statement.moduleSpecifier : null;
    if (!from || !ts.isStringLiteral(from)) return [];
    return [{ specifier: from.text, line: file.getLineAndCharacterOfPosition(statement.getStart(file)).line + 1 }];
  });
}

/**
 * Why file `from` (a path from the root) may not import `specifier`, or nothing.
 * @param hasFace whether a folder (a path from the root) has an index.ts
 */
export function judge(from: string, specifier: string, hasFace: (folder: string) => boolean): string | undefined {
  const [top, second] = from.split("/");
  const named = specifier.match(/^heddle\/(.*)$/);
  if (!named && !specifier.startsWith(".")) return `"${specifier}" is neither a relative path nor heddle/...`;
  const target = named
    ? named[1]
    : normalize(join(dirname(from), specifier))
        .split(sep)
        .join("/");
  const parts = target.split("/");
  const targetTop = parts[0];

  if (!(targetTop in below)) return `${target} is outside the house`;
  if (targetTop !== top && !below[top].includes(targetTop))
    return `${top}/ may import ${below[top].join(", ") || "nothing above it"}, not ${targetTop}/`;
  if (top === "net" && targetTop === "fibers" && !mayKnowFibers.includes(second))
    return `net/${second} may not know fibers; only ${mayKnowFibers.join(", ")} of net/ may`;
  if (targetTop !== top) {
    const inside = parts.slice(1).filter((part) => part !== "index" && part !== "index.ts");
    const face = inside.length === 0 || (inside.length === 1 && hasFace(`${targetTop}/${inside[0]}`));
    if (!face) return `${target} reaches past the public face (index.ts) of ${targetTop}/`;
  } else if (top === "appliances" && second !== parts[1] && parts[1] !== "management") {
    return "appliances do not import each other, only management/";
  }
  return undefined;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? sources(join(folder, entry.name))
      : entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts")
        ? [join(folder, entry.name)]
        : [],
  );
}

/** Judges every import of the guest's folders under `root`. */
export function checkLayers(root: string): Violation[] {
  const hasFace = (folder: string) => existsSync(join(root, folder, "index.ts"));
  return Object.keys(below)
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      sources(join(root, folder)).flatMap((path) => {
        const file = relative(root, path).split(sep).join("/");
        return importsOf(readFileSync(path, "utf8")).flatMap(({ specifier, line }) => {
          const message = judge(file, specifier, hasFace);
          return message ? [{ file, line, message }] : [];
        });
      }),
    );
}
