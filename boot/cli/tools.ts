// Programs that Heddle uses: where they are, and which Debian package brings them.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { Problem } from "./problem.ts";

export interface Tool {
  command: string;
  /** Debian package. */
  package: string;
  purpose: string;
  required: boolean;
}

const tool = (command: string, pkg: string, purpose: string, required = false): Tool => ({
  command,
  package: pkg,
  purpose,
  required,
});

export const tools: Tool[] = [
  tool("clang", "clang", "compiles the generated C", true),
  tool("ld.lld", "lld", "links images", true),
  tool("llvm-objcopy", "llvm", "splits off debug information", true),
  tool("qemu-system-x86_64", "qemu-system-x86", "runs images", true),
  tool("ip", "iproute2", "--hosted without --tap; tests", true),
  tool("qemu-img", "qemu-utils", "heddle image to qcow2, vmdk, vdi"),
  tool("gdb", "gdb", "--gdb"),
  tool("valgrind", "valgrind", "counts instructions of hosted images"),
  tool("wrk", "wrk", "load for benchmarks"),
  tool("nginx", "nginx-light", "what benchmarks compare with"),
  tool("bochs", "bochs", "tests on a PC that is not QEMU"),
  tool("chromium", "chromium", "browser test"),
];

/** Path of a program, also where only root's PATH looks. */
export function which(command: string): string | undefined {
  for (const folder of [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"]) {
    const path = join(folder, command);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}

/** The command that installs Debian packages. */
export function installCommand(packages: string[]): string {
  return `${process.getuid?.() === 0 ? "" : "sudo "}apt-get install --no-install-recommends ${[...new Set(packages)].join(" ")}`;
}

/** @throws Problem that names what is missing and how to get it */
export function requireTools(...commands: string[]): void {
  const missing = commands.filter((command) => !which(command));
  if (missing.length === 0) return;
  const packages = missing.map((command) => tools.find((entry) => entry.command === command)?.package ?? command);
  throw new Problem(
    `${missing.join(", ")} ${missing.length > 1 ? "are" : "is"} not installed; do: ${installCommand(packages)}`,
  );
}
