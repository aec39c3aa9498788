// `heddle run --hosted`: the image as a Linux process.
//
//   with --tap     NAME.linux --tap IF...                    on devices of this host
//   without        127.0.0.1:8080 -> heddle ----ipc----> relay.js -> 10.0.2.15:80 -> NAME.linux
//                                      | network namespace of our own: no root, nothing changed on the host
//
// The namespace has no DHCP server: unless the configuration gives eth0 an address, one is put into it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packUstar, readFolder } from "../toolchain/ustar.ts";
import { withVariants } from "../toolchain/web.ts";
import { configOf } from "./bundle.ts";
import { announcer } from "./commands/run.ts";
import type { Forward } from "./ports.ts";
import { Problem, say } from "./problem.ts";
import { macAddress } from "./qemu.ts";
import { root } from "./services.ts";
import { supervise } from "./supervise.ts";
import { requireTools, which } from "./tools.ts";

export interface HostedOptions {
  name: string;
  image: string;
  tap?: string[];
  config?: string;
  bundle?: Buffer;
  memory_bytes: number;
  cpus: number;
  forwards: Forward[];
  gdb?: boolean;
}

const GUEST = { address: "10.0.2.15", prefix: 24, host: "10.0.2.2" };

/** Runs it until it ends or is stopped; gives the exit status. */
export async function runHosted(options: HostedOptions): Promise<number> {
  const { name, image, tap, gdb } = options;
  if (gdb) requireTools("gdb");
  const folder = mkdtempSync(join(tmpdir(), "heddle-run-"));
  try {
    const bundle = tap ? options.bundle : withAddress(options);
    const args = [
      "--memory",
      `${options.memory_bytes >> 20}MiB`,
      "--mac",
      (tap ?? ["tap0"]).map((_, i) => macAddress(i)).join(),
    ];
    if (options.cpus > 1) args.push("--cpus", String(options.cpus));
    args.push("--tap", (tap ?? ["tap0"]).join());
    if (bundle) {
      writeFileSync(join(folder, "bundle"), bundle, { mode: 0o600 });
      args.push("--config", join(folder, "bundle"));
    }
    const program = gdb ? [which("gdb")!, "--args", image, ...args] : [image, ...args];
    if (tap) {
      say(`hosted, ${tap.map((device, i) => `eth${i}: ${device} ${macAddress(i)}`).join(", ")}`);
      const { status, stopped } = await supervise({
        ...{ command: program[0], args: program.slice(1), interactive: gdb },
        line: announcer(name, [], true),
      });
      return stopped ? 0 : status;
    }
    return await runInNamespace(options, program);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runInNamespace({ name, forwards, gdb }: HostedOptions, program: string[]): Promise<number> {
  requireTools("ip");
  checkNamespaces();
  if (forwards.some((f) => f.protocol === "udp"))
    say("UDP ports are not forwarded to a hosted image; use --tap for them");
  const tcp = forwards.filter((f) => f.protocol === "tcp");
  say(
    `hosted in a network namespace of its own, address ${GUEST.address}; it reaches nothing outside (--tap IF for that)`,
  );
  const setting = JSON.stringify({ ...GUEST, tap: "tap0", program });
  const args = ["--user", "--map-root-user", "--net", process.execPath, join(root, "boot/cli/relay.js"), setting];
  const servers: Server[] = [];
  try {
    const { status, stopped } = await supervise({
      ...{ command: which("unshare")!, args, interactive: gdb, extra: ["ipc"] },
      line: announcer(name, tcp, false),
      started: (child) => {
        for (const { host, port } of gdb ? [] : tcp) {
          const server = createServer({ pauseOnConnect: true }, (socket) => {
            if (child.connected) child.send({ port }, socket, () => {});
            else socket.destroy();
          });
          servers.push(server.listen(host, "127.0.0.1"));
        }
      },
    });
    return stopped ? 0 : status;
  } finally {
    for (const server of servers) server.close();
  }
}

function checkNamespaces(): void {
  const args = ["--user", "--map-root-user", "--net", "true"];
  const { status, stderr } = spawnSync(which("unshare") ?? "unshare", args, { encoding: "utf8" });
  if (status === 0) return;
  throw new Problem(
    `--hosted without --tap needs unprivileged user namespaces (${stderr?.trim() || "unshare is missing"}); ` +
      "do: sudo sysctl kernel.unprivileged_userns_clone=1, or use --tap IF",
  );
}

/** The bundle with an address for eth0, unless its configuration has one. */
function withAddress(options: HostedOptions): Buffer {
  const { config, bundle } = options;
  const parsed = config ? configOf(config) : {};
  if (!parsed) {
    say("--config is an archive and is used as it is: its eth0 must have the address 10.0.2.15/24");
    return bundle!;
  }
  const interfaces = (parsed.interfaces ?? {}) as Record<string, { address?: unknown }>;
  if (!Object.keys(interfaces).length || interfaces.eth0?.address === "dhcp" || interfaces.eth0?.address === undefined)
    parsed.interfaces = { ...interfaces, eth0: { address: `${GUEST.address}/${GUEST.prefix}`, gateway: GUEST.host } };
  const json = Buffer.from(JSON.stringify(parsed));
  if (!config || !statSync(config).isDirectory()) return json;
  const entries = withVariants(readFolder(config, "")).map((entry) =>
    entry.name === "config.json" ? { ...entry, data: json } : entry,
  );
  return packUstar(entries);
}
