// The place where a bench runs: one network namespace with the load, a TAP device for each image or machine, and for each
// native peer a namespace of its own behind a veth pair. All of it ends with `close`, and with this process.
//
//   load (CPU 0) --- tN -- image or QEMU (CPU 1)        address of the one measured: 10.9.N.2, of the load 10.9.N.1
//                \-- vN == veth == peer (CPU 1)
import { readdirSync, readFileSync } from "node:fs";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Nic, qemuArguments } from "../../../boot/cli/qemu.ts";
import { Network, type Running } from "../../interop/lib/network.ts";
import type { Guest } from "./debian.ts";
import { cProgram } from "./programs.ts";

const LOAD_CPU = "0";
const SERVER_CPU = "1";
/** Memory of every machine, ours and the peers'. */
export const MEMORY_BYTES = 256 << 20;

/** Something that is measured, while it runs. */
export interface Subject {
  address: string;
  running: Running;
  /** How it was started. */
  command: string;
  /** With the counting plugin: where its file is. */
  counts?: string;
}

/** Makes a bundle of the configuration's part that the lab decides. */
type MakeBundle = (config: object) => string | Uint8Array;
const plain: MakeBundle = (config) => JSON.stringify(config);

export class Lab {
  private next = 1;
  readonly folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  readonly commands: string[] = [];

  private constructor(readonly network: Network) {}

  static async open(): Promise<Lab> {
    return new Lab(await Network.create());
  }

  async close(): Promise<void> {
    await this.network.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async subject(command: string[], address: string, ready: RegExp, limit_ms: number): Promise<Subject> {
    const line = command.join(" ").replaceAll(`${this.folder}/`, "");
    this.commands.push(line);
    const running = this.network.start("taskset", ["-c", SERVER_CPU, ...command]);
    await running.until(ready, limit_ms);
    return { address, running, command: line };
  }

  private async tapFor(): Promise<{ tap: string; net: string; number: number }> {
    const number = this.next++;
    const net = `10.9.${number}`;
    await this.network.tap(`t${number}`, `${net}.1/24`);
    return { tap: `t${number}`, net, number };
  }

  private bundle(number: number, net: string, make: MakeBundle): string {
    const path = join(this.folder, `bundle${number}`);
    const interfaces = { eth0: { address: `${net}.2/24`, gateway: `${net}.1` } };
    writeFileSync(path, make({ interfaces }));
    return path;
  }

  /** One of our images as a process. */
  async hosted(linux: string, bundle: MakeBundle = plain, ready = /serving http:/): Promise<Subject> {
    const { tap, net, number } = await this.tapFor();
    const file = this.bundle(number, net, bundle);
    return this.subject([linux, "--tap", tap, "--config", file], `${net}.2`, ready, 10_000);
  }

  /** One of our images on QEMU's microvm. */
  async guest(
    elf: string,
    { bundle = plain, count = false, ready = /serving http:/, nic = "virtio" as Nic } = {},
  ): Promise<Subject> {
    const { tap, net, number } = await this.tapFor();
    const args = qemuArguments({
      boot: { kernel: elf, bundle: this.bundle(number, net, bundle) },
      ...{ machine: "microvm", nic, kvm: false, cpus: 1, memory_bytes: MEMORY_BYTES, network: { taps: [tap] } },
    });
    const counts = count ? this.plugin(args, number) : undefined;
    return { ...(await this.subject(["qemu-system-x86_64", ...args], `${net}.2`, ready, 30_000)), counts };
  }

  /** Debian on the same machine; its kernel needs the timers and the ACPI tables that ours does without. */
  async debian(make: (net: string) => Promise<Guest>, { count = false } = {}): Promise<Subject> {
    const { tap, net, number } = await this.tapFor();
    const { kernel, initrd, append } = await make(net);
    const file = join(this.folder, `initrd${number}`);
    writeFileSync(file, initrd);
    const args = qemuArguments({
      ...{ boot: { kernel, bundle: file }, machine: "microvm", nic: "virtio", kvm: false, cpus: 1 },
      ...{ memory_bytes: MEMORY_BYTES, network: { taps: [tap] } },
    }).map((arg) =>
      arg.startsWith("microvm,")
        ? "microvm,acpi=on,rtc=on,pit=on,pic=on,isa-serial=on,x-option-roms=off,auto-kernel-cmdline=off"
        : arg,
    );
    args.push("-append", append);
    const counts = count ? this.plugin(args, number) : undefined;
    const subject = await this.subject(["qemu-system-x86_64", ...args], `${net}.2`, /^ready/m, 120_000);
    return { ...subject, counts };
  }

  private plugin(args: string[], number: number): string {
    const path = join(this.folder, `counts${number}`);
    args.push("-plugin", `${cProgram("count.c", { shared: true })},out=${path}`);
    return path;
  }

  /** A program in a namespace of its own. @param command gets its address's first three octets */
  async native(command: (net: string) => string[], port: number): Promise<Subject> {
    const number = this.next++;
    const net = `10.9.${number}`;
    const holder = this.network.start("unshare", [
      "-n",
      "sh",
      "-c",
      "ip link set lo up; echo ready; exec sleep infinity",
    ]);
    await holder.until(/ready/);
    const [near, far] = [`v${number}`, `w${number}`];
    const inside = ["nsenter", "-t", String(holder.pid), "-n"];
    const must = (...args: string[]) => this.network.must(args[0]!, args.slice(1));
    await must("ip", "link", "add", near, "type", "veth", "peer", "name", far);
    await must("ip", "link", "set", far, "netns", String(holder.pid));
    await must("ip", "addr", "add", `${net}.1/24`, "dev", near);
    await must("ip", "link", "set", near, "up");
    await must(...inside, "ip", "addr", "add", `${net}.2/24`, "dev", far);
    await must(...inside, "ip", "link", "set", far, "up");
    const line = command(net);
    this.commands.push(line.join(" ").replaceAll(`${this.folder}/`, ""));
    const running = this.network.start("taskset", ["-c", SERVER_CPU, ...inside, ...line]);
    await this.network.must("sh", [
      "-c",
      `for i in $(seq 100); do curl -s -o /dev/null -m 1 http://${net}.2:${port}/ && exit 0; sleep 0.05; done; exit 1`,
    ]);
    return { address: `${net}.2`, running, command: line.join(" ") };
  }

  /** Runs a load to its end; what it printed. */
  load(command: string[], limit_ms = 60_000): Promise<string> {
    return this.network.must("taskset", ["-c", LOAD_CPU, ...command], limit_ms);
  }
}

/** CPU time of a process, its threads and its children, seconds. */
export function cpu_s(pid: number): number {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ")[0]);
    const children = readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").trim();
    for (const child of children.split(" ").filter(Boolean)) ns += cpu_s(Number(child)) * 1e9;
  }
  return ns / 1e9;
}

/** Instructions that a guest with the counting plugin has executed. */
export function instructions(counts: string): { kernel: number; user: number; all: number } {
  const file = readFileSync(counts).subarray(0, 32);
  if (file.toString("latin1", 0, 8) !== "HEDCOUNT") throw new Error(`${counts}: not what the plugin writes`);
  const [kernel, user] = [Number(file.readBigUInt64LE(8)), Number(file.readBigUInt64LE(16))];
  return { kernel, user, all: kernel + user };
}
