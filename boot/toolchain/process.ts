// Runs the programs of the toolchain and reports their failures in words.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";

/** The repository's (or the installed package's) folder. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** A failure that the person at the terminal can act on: printed without a stack trace, exit status 1. */
export class BuildError extends Error {}

/**
 * Runs a program and gives its standard output.
 * @throws BuildError with what it printed when it exits with another status than 0 or cannot be started
 */
export async function run(command: string, args: string[], options: { cwd?: string } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: options.cwd, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (err += chunk));
    child.on("error", (error: NodeJS.ErrnoException) => {
      const missing = error.code === "ENOENT";
      reject(
        new BuildError(
          missing ? `${command} is not installed: run \`sh boot/setup.sh\`` : `${command}: ${error.message}`,
        ),
      );
    });
    child.on("close", (status, signal) => {
      if (status === 0) resolve(out);
      else reject(new BuildError(`${command} failed (${signal ?? status}):\n${(err + out).trim()}`));
    });
  });
}

/** Runs a program of an npm package with this Node. */
export function runPackage(path: string, args: string[], options: { cwd?: string } = {}): Promise<string> {
  return run(process.execPath, [join(root, "node_modules", path), ...args], options);
}
