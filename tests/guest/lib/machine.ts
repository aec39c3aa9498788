// A machine for tests: an image under QEMU or bochs with the emulator's own network, its console as text, one host port
// forwarded to the guest's port 80. Each machine has its own free port and folder, so that tests do not meet.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Machine as Kind, type Nic, qemuArguments, stopStatus } from "../../../boot/cli/qemu.ts";
import { writeDiskImage } from "../../../boot/image/disk.ts";
import { build } from "../../../boot/toolchain/index.ts";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

/** The bare-metal image of an appliance (`tls`: the one with TLS) or service folder; built once, later runs find it in the cache. */
export async function elfImage(directory: string, name: string, tls = false): Promise<string> {
  const built = await build({
    ...{ name, directory: join(root, directory), platform: "pc", profile: "image", tls },
    ...{ outDirectory: join(root, "dist", name), progress: () => {} },
  });
  return built.elf!;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export interface Options {
  elf: string;
  /** Boot from a disk image made of the ELF instead of by PVH. */
  disk?: boolean;
  /** Boot from this disk, of qemu-img's format. */
  image?: { disk: string; format: string };
  /** The bundle: JSON text or a ustar archive. */
  bundle?: string | Uint8Array;
  /** The guest's port that the host's is forwarded to. */
  port?: number;
  machine?: Kind;
  nic?: Nic;
  memory_bytes?: number;
  /** More arguments for QEMU. */
  more?: string[];
  /** TAP devices instead of the emulator's network. */
  taps?: string[];
  /** What stands before the emulator's command, to run it elsewhere (in a namespace). */
  wrap?: (command: string[]) => string[];
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

export class Machine {
  /** What the machine wrote to its console. */
  console = "";
  /** What the emulator itself said. */
  said = "";
  readonly ended: Promise<number>;

  private constructor(
    private readonly child: ChildProcess,
    readonly folder: string,
    readonly port: number,
    private readonly consoleFile?: string,
  ) {
    child.stdout?.on("data", (chunk) => (this.console += consoleFile ? "" : chunk));
    child.stderr?.on("data", (chunk) => (this.said += chunk));
    this.ended = new Promise((resolve) => child.once("close", (code) => resolve(code ?? -1)));
  }

  static async qemu(options: Options): Promise<Machine> {
    const folder = mkdtempSync(join(tmpdir(), "heddle-guest-"));
    const port = await freePort();
    const boot = await bootOf(options, folder);
    const args = qemuArguments({
      ...{ machine: options.machine ?? "microvm", nic: options.nic ?? "virtio", boot, kvm: false, cpus: 1 },
      memory_bytes: options.memory_bytes ?? 64 << 20,
      network: options.taps
        ? { taps: options.taps }
        : { forwards: [{ protocol: "tcp", host: port, port: options.port ?? 80 }] },
    } as Parameters<typeof qemuArguments>[0]);
    args.push("-qmp", `unix:${join(folder, "qmp")},server=on,wait=off`, ...(options.more ?? []));
    const command = (options.wrap ?? ((c: string[]) => c))(["qemu-system-x86_64", ...args]);
    const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
    return new Machine(child, folder, port);
  }

  /** Debian's bochs from the disk image, with its e1000 and its own slirp. */
  static async bochs(options: Options, model: string, cpus = 1): Promise<Machine> {
    const folder = mkdtempSync(join(tmpdir(), "heddle-guest-"));
    const port = await freePort();
    const boot = await bootOf({ ...options, disk: true }, folder);
    const serial = join(folder, "serial");
    writeFileSync(serial, "");
    writeFileSync(join(folder, "slirp"), `# slirp config\nhostfwd = tcp:127.0.0.1:${port}-10.0.2.15:80\n`);
    const configuration = [
      "display_library: term",
      "romimage: file=/usr/share/bochs/BIOS-bochs-latest",
      "vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest",
      `cpu: model=${model}, count=${cpus}, ips=50000000`,
      "megs: 64",
      "pci: enabled=1, chipset=i440fx, slot1=e1000",
      `e1000: card=0, enabled=1, mac=52:54:00:12:34:56, ethmod=slirp, script=${join(folder, "slirp")}`,
      `ata0-master: type=disk, mode=flat, path=${(boot as { disk: string }).disk}, cylinders=0, heads=0, spt=0`,
      "boot: disk",
      `com1: enabled=1, mode=file, dev=${serial}`,
      `log: ${join(folder, "log")}`,
      "clock: sync=none, time0=utc",
      "panic: action=fatal",
      "debug: action=ignore",
    ];
    const file = join(folder, "bochsrc");
    const commands = join(folder, "commands");
    writeFileSync(file, configuration.join("\n") + "\n");
    writeFileSync(commands, "c\n");
    // It wants a terminal; `exec` makes the emulator the process that is ended.
    const run = `exec bochs -q -f ${file} -rc ${commands}`;
    const child = spawn("script", ["-qec", run, "/dev/null"], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, TERM: "vt100" },
    });
    return new Machine(child, folder, port, serial);
  }

  /** Waits until the console matches. @throws when the machine ends before, or after `limit_ms` */
  async until(pattern: RegExp, limit_ms = 20_000): Promise<RegExpMatchArray> {
    const end = Date.now() + limit_ms;
    let over = false;
    void this.ended.then(() => (over = true));
    for (;;) {
      if (this.consoleFile) this.console = readFileSync(this.consoleFile, "latin1");
      const match = this.console.match(pattern);
      if (match) return match;
      if (over || Date.now() > end)
        throw new Error(
          `${over ? "the machine ended" : "time is over"} before ${pattern}:\n${this.console}\n${this.said}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** GET by the forwarded port. */
  fetch(path = "/", headers: Record<string, string> = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = get(
        { host: "127.0.0.1", port: this.port, path, headers, timeout: 10_000, agent: false },
        (response) => {
          let body = "";
          response.setEncoding("latin1");
          response.on("data", (chunk) => (body += chunk));
          response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, body }));
          response.on("error", reject);
        },
      );
      request.on("timeout", () => request.destroy(new Error(`no answer from ${path}\n${this.console}`)));
      request.on("error", reject);
    });
  }

  /** Presses the power button by QMP. */
  powerButton(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(join(this.folder, "qmp"));
      let text = "";
      let pressed = false;
      // A machine that ends at once takes the answer with it.
      socket.on("error", (error) => (pressed ? resolve() : reject(error)));
      socket.on("data", (chunk) => {
        text += chunk;
        const answers = text.split("\n").filter((line) => line.includes('"return"')).length;
        if (text.includes('"QMP"') && !text.includes('"return"')) socket.write('{"execute":"qmp_capabilities"}\n');
        else if (answers === 1) pressed = socket.write('{"execute":"system_powerdown"}\n') || true;
        else if (answers >= 2) resolve(void socket.destroy());
      });
    });
  }

  /** The image's exit status; ends the machine when it does not end by itself. */
  async status(limit_ms = 10_000): Promise<number> {
    const late = new Promise<"late">((resolve) => setTimeout(resolve, limit_ms, "late").unref());
    const code = await Promise.race([this.ended, late]);
    if (code === "late") throw new Error(`still running after ${limit_ms} ms:\n${this.console}\n${this.said}`);
    return stopStatus(code, "");
  }

  /** Ends the machine, whatever it does, and removes its folder. */
  async close(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function bootOf(
  options: Options,
  folder: string,
): Promise<{ kernel: string; bundle?: string } | { disk: string; format?: string }> {
  if (options.image) return options.image;
  if (options.disk) {
    const disk = join(folder, "disk.img");
    const bundle = options.bundle === undefined ? undefined : Buffer.from(options.bundle);
    await writeDiskImage({ elf: options.elf, out: disk, slot: { name: "test", bundle } });
    return { disk };
  }
  if (options.bundle === undefined) return { kernel: options.elf };
  const bundle = join(folder, "bundle");
  writeFileSync(bundle, options.bundle);
  return { kernel: options.elf, bundle };
}
