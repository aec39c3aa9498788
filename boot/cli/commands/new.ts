// `heddle new`: a folder with a service of ten lines, copied from boot/cli/template/.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { Problem } from "../problem.ts";
import { appliances, root } from "../services.ts";

const template = join(root, "boot/cli/template");

export function newCommand(argument: string): void {
  const directory = resolve(argument);
  const name = basename(directory);
  if (!/^[A-Za-z0-9][\w.-]*$/.test(name))
    throw new Problem(`${argument}: use letters, digits, "-", "_" and "." for the name`);
  if (existsSync(directory) && readdirSync(directory).length > 0)
    throw new Problem(`${argument}: this folder exists and is not empty`);
  mkdirSync(directory, { recursive: true });
  const values: Record<string, string> = {
    NAME: name,
    PACKAGE: name.toLowerCase(),
    HEDDLE: relative(directory, root) || ".",
  };
  for (const file of readdirSync(template)) {
    const text = readFileSync(join(template, file), "utf8").replace(
      /%(NAME|PACKAGE|HEDDLE)%/g,
      (_, key: string) => values[key],
    );
    writeFileSync(join(directory, file.replace(/^dot-/, ".")), text);
  }
  console.log(
    `${argument}: a TCP echo in main.ts. Run it:\n\n  heddle run ${appliances().includes(argument) ? "./" : ""}${argument}\n`,
  );
}
