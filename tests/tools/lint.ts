// What `npm run lint` checks, each as one result.
import { spawnSync } from "node:child_process";
import { checkLayers } from "./layers.ts";

export interface Check {
  name: string;
  run: (root: string) => { ok: boolean; output: string };
}

function command(...[program, ...args]: string[]): Check["run"] {
  return (root) => {
    const result = spawnSync(process.execPath, [`${root}/node_modules/${program}`, ...args], {
      cwd: root,
      encoding: "utf8",
    });
    return { ok: result.status === 0, output: result.stdout + result.stderr };
  };
}

export const checks: Check[] = [
  { name: "formatting (prettier)", run: command("prettier/bin/prettier.cjs", "--check", "--log-level=warn", ".") },
  { name: "types of the tools (tsc)", run: command("typescript/bin/tsc", "--noEmit") },
  {
    name: "imports only go down the house",
    run: (root) => {
      const violations = checkLayers(root);
      return {
        ok: violations.length === 0,
        output: violations.map((v) => `${v.file}:${v.line}: ${v.message}\n`).join(""),
      };
    },
  },
];
