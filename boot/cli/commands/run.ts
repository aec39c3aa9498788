// `heddle run`: builds an image and runs it in QEMU, or hosted as a Linux process.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeDiskImage } from "../../image/disk.ts";
import { accelerator } from "../accelerator.ts";
import { configOf, configuredPorts, readBundle } from "../bundle.ts";
import { answers, servedBy } from "../console.ts";
import { runHosted } from "../hosted.ts";
import { checkForwards, chooseForwards, parseForward, type Forward } from "../ports.ts";
import { Problem, parseSize, say } from "../problem.ts";
import { chooseMachine, macAddress, pcapFile, qemuArguments, stopStatus, type Machine, type Nic } from "../qemu.ts";
import { findService, type GuestPort, type Service } from "../services.ts";
import { supervise } from "../supervise.ts";
import { checkTaps, tapQueues } from "../taps.ts";
import { requireTools, which } from "../tools.ts";
import { buildService } from "./build.ts";

export interface RunArguments {
  hosted?: boolean;
  machine?: Machine;
  disk?: boolean;
  nic?: Nic;
  cpus: number;
  memory: string;
  port?: string[];
  tap?: string[];
  config?: string;
  pcap?: string;
  gdb?: boolean;
  edit?: boolean;
}

const GDB_PORT = 1234;
const MAX_CPUS = 64;

export async function runCommand(argument: string, options: RunArguments): Promise<void> {
  const service = findService(argument);
  const memory_bytes = parseSize("--memory", options.memory, 16 << 20, 3 * 2 ** 30);
  refuseContradictions(options);
  const bundle = options.config ? readBundle(options.config) : undefined;
  if (options.tap) checkTaps(options.tap);
  const asked = (options.port ?? []).map(parseForward);
  await checkForwards(asked);
  if (options.cpus > MAX_CPUS) throw new Problem(`--cpus ${options.cpus}: an image uses at most ${MAX_CPUS} cores`);

  if (options.hosted) {
    const { linux } = await buildService(service, { platform: "linux", edit: options.edit });
    const forwards = await forwardsFor(service, options, asked);
    process.exitCode = await runHosted({
      ...options,
      image: linux!,
      name: service.name,
      bundle,
      memory_bytes,
      forwards,
    });
    return;
  }

  const { machine, nic } = chooseMachine(options.machine, options.nic, options.disk === true);
  requireTools("qemu-system-x86_64");
  const { elf } = await buildService(service, { platform: "pc", edit: options.edit });
  // Ports are chosen after the build, right before QEMU takes them.
  const forwards = await forwardsFor(service, options, asked);
  const folder = mkdtempSync(join(tmpdir(), "heddle-run-"));
  try {
    let boot: Parameters<typeof qemuArguments>[0]["boot"] = { kernel: elf! };
    if (options.disk) {
      const disk = join(folder, "disk.img");
      await writeDiskImage({ elf: elf!, slot: { name: service.name, bundle }, out: disk });
      boot = { disk };
    } else if (bundle) {
      const file = join(folder, "bundle");
      writeFileSync(file, bundle, { mode: 0o600 });
      boot = { kernel: elf!, bundle: file };
    }
    const { kvm, reason } = accelerator();
    const cards = options.tap ?? ["user-mode networking"];
    say(
      `${machine}, ${kvm ? "KVM" : `TCG emulation (no KVM: ${reason})`}, ${options.memory}; ` +
        cards.map((card, i) => `eth${i}: ${nic} ${macAddress(i)}, ${card}`).join("; "),
    );
    if (options.gdb) await announceGdb(elf!);
    if (options.pcap) say(`frames are recorded in ${cards.map((_, i) => pcapFile(options.pcap!, i)).join(", ")}`);
    const args = qemuArguments({
      ...{ machine, nic, boot, kvm, memory_bytes, cpus: options.cpus, pcap: options.pcap },
      ...{
        network: options.tap ? { taps: options.tap, queues: tapQueues(options.tap, options.cpus) } : { forwards },
        gdb: options.gdb ? GDB_PORT : undefined,
      },
    });
    const { status, said, stopped } = await supervise({
      command: which("qemu-system-x86_64")!,
      args,
      line: announcer(service.name, forwards, options.tap !== undefined),
      quiet: /terminating on signal|^$/,
    });
    process.exitCode = stopped ? 0 : stopStatus(status, said);
    if (!stopped && process.exitCode)
      say(said.trim() ? qemuProblem(said) : `the image ended with status ${process.exitCode}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function refuseContradictions(options: RunArguments): void {
  if (options.tap && options.port)
    throw new Problem("--port is for user-mode networking; with --tap connect to the image's own address");
  if (options.tap?.length === 0) throw new Problem("--tap needs a name, for example --tap tap0");
  if (!options.hosted) return;
  for (const name of ["machine", "disk", "nic", "pcap"] as const)
    if (options[name] !== undefined)
      throw new Problem(
        name === "pcap"
          ? "--pcap: a hosted image has no emulated card; use --tap tap0 and: sudo tcpdump -i tap0 -w FILE"
          : `--${name} is for machines; leave out --hosted`,
      );
}

async function forwardsFor(service: Service, options: RunArguments, asked: Forward[]): Promise<Forward[]> {
  if (options.tap) return [];
  if (asked.length > 0) return asked;
  const configured = configuredPorts(options.config ? configOf(options.config) : undefined);
  const ports: GuestPort[] =
    configured.length > 0 ? configured.map((port) => ({ port, protocol: "tcp" })) : service.ports;
  if (ports.length === 0)
    say(
      `no ports of ${service.name} are forwarded; add --port HOST:GUEST, or "heddle": {"ports": [...]} to its package.json`,
    );
  return chooseForwards(ports, say);
}

/** For each line of the console: says where what the image serves can be reached, once it answers. */
export function announcer(name: string, forwards: Forward[], direct: boolean): (line: string) => void {
  const told = new Set<string>();
  return (line) => {
    const served = servedBy(line);
    if (!served) return;
    const protocol = served.scheme === "udp" ? "udp" : "tcp";
    const forward = forwards.find((f) => f.port === served.port && f.protocol === protocol);
    if (!forward && !direct) return;
    const [host, port] = forward ? ["127.0.0.1", forward.host] : [served.address, served.port];
    const shownPort =
      (served.scheme === "http" && port === 80) || (served.scheme === "https" && port === 443) ? "" : `:${port}`;
    const url = served.scheme.startsWith("http")
      ? `${served.scheme}://${host}${shownPort}/`
      : `${served.scheme}://${host}:${port}`;
    if (told.has(url)) return;
    told.add(url);
    const tell = () => say(`${name} serves ${url} (Ctrl-C stops it)`);
    if (served.scheme !== "http") return tell();
    void answers(host.replace(/[[\]]/g, ""), port, 15_000).then((ok) =>
      ok ? tell() : say(`${name} says that it serves, but ${url} does not answer; its console above may say why`),
    );
  };
}

async function announceGdb(elf: string): Promise<void> {
  const free = await new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(GDB_PORT, "127.0.0.1", () => server.close(() => resolve(true)));
  });
  if (!free) throw new Problem(`--gdb: port ${GDB_PORT} is in use; is another image waiting for gdb?`);
  const symbols = existsSync(`${elf}.debug`) ? `${elf}.debug` : elf;
  say(`waiting for gdb; in another terminal: gdb ${symbols} -ex "target remote :${GDB_PORT}"`);
}

/** QEMU's own complaint, with what to do where we know it. */
function qemuProblem(said: string): string {
  const text = said.trim().split("\n").slice(-3).join("\n");
  if (/Could not set up host forwarding rule/.test(text))
    return `${text}\nA port was taken meanwhile; start again, or choose with --port HOST:GUEST`;
  if (/Could not access KVM|failed to initialize kvm/i.test(text))
    return `${text}\nKVM cannot be used; see: heddle doctor`;
  if (/tun|tap/i.test(text)) return `${text}\nThe TAP device cannot be used; is another program using it?`;
  return `QEMU failed: ${text}`;
}
