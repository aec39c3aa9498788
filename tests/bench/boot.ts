// How fast the HTTP server appliance starts on QEMU's microvm under TCG, and how little memory it needs. Medians of 10.
//   kernel entry to serving: the time stamp (since the kernel was entered) of the log's first line behind the one that
//   announces the URL, with a static address: an upper bound, which has the console's time in it; QEMU start to first answer: from the start of the process to the first byte of an HTTP answer over
//   user-mode networking, connecting once the guest says that it serves.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "../../boot/toolchain/index.ts";
import type { Report } from "./lib/report.ts";
import { median } from "./lib/statistics.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const RUNS = 10;
const LIMIT_MS = 15_000;
const CONFIG = {
  interfaces: { eth0: { address: ["10.0.2.15/24"], gateway: "10.0.2.2" } },
};
const MACHINE = [
  ...["-M", "microvm,acpi=off,rtc=on,pit=off,pic=off,isa-serial=on,x-option-roms=off,auto-kernel-cmdline=on"],
  ...["-accel", "tcg", "-cpu", "max", "-nodefaults", "-no-user-config", "-nographic", "-serial", "stdio", "-no-reboot"],
  ...["-global", "virtio-mmio.force-legacy=false", "-device", "virtio-net-device,netdev=n0"],
];

interface Start {
  entryToServing_ms: number;
  startToAnswer_ms: number;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function firstAnswer(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () =>
      socket.write("GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"),
    );
    socket.once("data", (data) => (resolve(data.toString("latin1")), socket.destroy()));
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed without an answer")));
  });
}

/** Boots once; undefined when the guest does not serve with that memory. */
async function start(elf: string, config: string, memory_mib: number): Promise<Start | undefined> {
  const port = await freePort();
  const began = performance.now();
  const args = [...MACHINE, "-m", String(memory_mib), "-kernel", elf, "-initrd", config];
  const qemu = spawn("qemu-system-x86_64", [...args, "-netdev", `user,id=n0,hostfwd=tcp:127.0.0.1:${port}-:80`]);
  const late = setTimeout(() => qemu.kill("SIGKILL"), LIMIT_MS);
  try {
    let output = "";
    const serving = await new Promise<number | undefined>((resolve) => {
      const collect = (chunk: Buffer) => {
        output += chunk.toString("latin1");
        const stamp = /^serving http:[^]*^(\d+\.\d+) info +eth0: address /m.exec(output.replaceAll("\r", ""))?.[1];
        if (stamp) resolve(Number(stamp) * 1000);
      };
      qemu.stdout.on("data", collect);
      qemu.stderr.on("data", collect);
      qemu.once("close", () => resolve(undefined));
    });
    if (serving === undefined) return undefined;
    const answer = await firstAnswer(port);
    const startToAnswer_ms = performance.now() - began;
    if (!answer.startsWith("HTTP/1.1 200")) throw new Error(`not an answer: ${answer.slice(0, 80)}`);
    return { entryToServing_ms: serving, startToAnswer_ms };
  } finally {
    clearTimeout(late);
    qemu.kill("SIGKILL");
  }
}

export async function boot(): Promise<Report> {
  const directory = join(root, "appliances/http-server");
  const outDirectory = join(root, "dist/bench/http-server");
  const options = { name: "http-server", directory, platform: "pc", profile: "image", outDirectory } as const;
  const { elf } = await build({ ...options, progress: () => {} });
  const folder = mkdtempSync(join(tmpdir(), "heddle-boot-"));
  try {
    const config = join(folder, "config.json");
    writeFileSync(config, JSON.stringify(CONFIG));
    const starts: Start[] = [];
    for (let i = 0; i < RUNS; i++) {
      const one = await start(elf!, config, 64);
      if (!one) throw new Error("the image does not serve with 64 MiB");
      starts.push(one);
    }
    let least_mib = 64;
    for (const memory_mib of [48, 32, 24, 20, 16, 12, 10, 8]) {
      if (!(await start(elf!, config, memory_mib))) break;
      least_mib = memory_mib;
    }
    const range = (values: number[]) =>
      `${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)} of ${RUNS}`;
    const entry = starts.map((s) => s.entryToServing_ms);
    const answer = starts.map((s) => s.startToAnswer_ms);
    return {
      rows: [
        {
          what: "kernel entry to serving (static address)",
          value: median(entry),
          unit: "ms",
          target: 10,
          detail: range(entry),
        },
        {
          what: "QEMU start to first HTTP answer",
          value: median(answer),
          unit: "ms",
          target: 250,
          detail: range(answer),
        },
        { what: "least memory that it serves in", value: least_mib, unit: "MiB", target: 16 },
      ],
      commands: [`qemu-system-x86_64 ${MACHINE.join(" ")} -m 64 -kernel http-server.elf -initrd config.json`],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
