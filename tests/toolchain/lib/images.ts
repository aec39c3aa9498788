// Builds and runs the tests' small services.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type BuildResult } from "../../../boot/toolchain/index.ts";
import type { Platform, Profile } from "../../../boot/toolchain/native.ts";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
export const services = join(root, "tests/toolchain/services");

/** Builds a service of tests/toolchain/services, or the one in `directory`. */
export function buildService(
  name: string,
  platform: Platform | "both",
  {
    directory = join(services, name),
    profile = "image" as Profile,
    outDirectory = join(root, "dist/tests", name),
  } = {},
): Promise<BuildResult> {
  return build({ name, directory, platform, profile, outDirectory, progress: () => {} });
}

/** A folder that is gone when the test has ended. */
export function temporaryFolder(test: { after: (fn: () => void) => void }): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-toolchain-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Ran {
  status: number | null;
  output: string;
}

/** Runs a program to its end, at most `limit_ms`; both its outputs in one text. */
export function runProgram(command: string, args: string[], limit_ms: number, env = process.env): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env });
    let output = "";
    const collect = (chunk: Buffer) => (output += chunk.toString("latin1"));
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const late = setTimeout(() => child.kill("SIGKILL"), limit_ms);
    child.once("error", (error) => (clearTimeout(late), reject(error)));
    child.once("close", (status) => {
      clearTimeout(late);
      resolve({ status, output: output.replaceAll("\r", "") });
    });
  });
}

const MICROVM = [
  ...["-M", "microvm,acpi=off,rtc=on,pit=off,pic=off,isa-serial=on,x-option-roms=off,auto-kernel-cmdline=on"],
  ...["-accel", "tcg", "-cpu", "max", "-nodefaults", "-no-user-config", "-nographic", "-serial", "stdio", "-no-reboot"],
  ...["-device", "isa-debug-exit,iobase=0x501"],
];

/** Boots an image on QEMU's microvm. isa-debug-exit makes exit status `s` of the image 2s + 1 of QEMU. */
export function runGuest(elf: string, args: string[] = [], memory_mib = 64, limit_ms = 30_000): Promise<Ran> {
  return runProgram("qemu-system-x86_64", [...MICROVM, "-m", String(memory_mib), "-kernel", elf, ...args], limit_ms);
}
