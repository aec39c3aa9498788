// A private network for one test: a network namespace (inside a user namespace, so that no root is needed), with TAP
// devices, bridges and the programs that run in it. Names and ports inside belong to it alone, so runs never collide.
//
// Nothing is left behind: the namespace lives as long as its holder, a `cat` on a pipe from this process, and the programs
// started in it; `close` ends those, and when this process dies, the pipe ends the holder and SIGKILL the programs.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";

export interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A program that runs in the background. */
export class Running {
  output = "";
  readonly name: string;
  readonly child: ChildProcess;
  private readonly ended: Promise<number | null>;
  private done = false;

  constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.child = child;
    const collect = (chunk: Buffer) => (this.output += chunk.toString("latin1"));
    child.stdout!.on("data", collect);
    child.stderr!.on("data", collect);
    this.ended = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (status, signal) => {
        this.done = true;
        resolve(signal ? -1 : status);
      });
    });
    this.ended.catch(() => {});
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Waits until the output matches; fails with the output when the program ends or the time is up first. */
  async until(pattern: RegExp, timeout_ms = 10_000): Promise<RegExpMatchArray> {
    const deadline = Date.now() + timeout_ms;
    for (;;) {
      const match = this.output.match(pattern);
      if (match) return match;
      if (this.done) throw new Error(`${this.name} ended before it printed ${pattern}:\n${this.output}`);
      if (Date.now() > deadline)
        throw new Error(`${this.name} did not print ${pattern} in ${timeout_ms} ms:\n${this.output}`);
      await sleep(10);
    }
  }

  /** Its exit status (-1: ended by a signal), once it has ended by itself. */
  async wait(timeout_ms = 10_000): Promise<number | null> {
    const late = sleep(timeout_ms, true).then(() => {
      throw new Error(`${this.name} still ran after ${timeout_ms} ms:\n${this.output}`);
    });
    return Promise.race([this.ended, late]);
  }

  /** Ends it: SIGTERM, and SIGKILL when that does not help. */
  async stop(timeout_ms = 3_000): Promise<number | null> {
    if (!this.done) this.child.kill("SIGTERM");
    try {
      return await this.wait(timeout_ms);
    } catch (error) {
      this.child.kill("SIGKILL");
      await this.ended;
      throw error;
    }
  }
}

export class Network {
  private readonly programs: Running[] = [];
  private readonly hosts: Network[] = [];

  private readonly holder: ChildProcess;
  private readonly enter: string[];

  private constructor(holder: ChildProcess, enter: string[]) {
    this.holder = holder;
    this.enter = enter;
  }

  /**
   * @param user inside a user namespace of its own (the default), or as this process's user, which must be root
   */
  static async create(options: { user?: boolean } = {}): Promise<Network> {
    const user = options.user ?? true;
    const script = "ip link set lo up && echo ready && exec cat >/dev/null";
    const holder = spawn("unshare", [...(user ? ["-U", "-r"] : []), "-n", "sh", "-c", script], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    const running = new Running("unshare", holder);
    await running.until(/ready/);
    const enter = ["-t", String(holder.pid), ...(user ? ["-U", "--preserve-credentials"] : []), "-n"];
    const network = new Network(holder, enter);
    network.programs.push(running);
    return network;
  }

  /** Another namespace, a host of its own, to which devices of this one can be moved (`move`). Closed with this one. */
  async host(): Promise<Network> {
    const script = "ip link set lo up && echo ready && exec cat >/dev/null";
    const holder = spawn("nsenter", [...this.enter, "unshare", "-n", "sh", "-c", script], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    const running = new Running("unshare", holder);
    await running.until(/ready/);
    const enter = [...this.enter];
    enter[1] = String(holder.pid);
    const network = new Network(holder, enter);
    network.programs.push(running);
    this.hosts.push(network);
    return network;
  }

  /** Gives a device to another host, with addresses there. A program that has opened it keeps it. */
  async move(name: string, host: Network, addresses: string[]): Promise<void> {
    await this.must("ip", ["link", "set", name, "netns", String(host.holder.pid)]);
    const six = addresses.some((address) => address.includes(":"));
    await host.must("sh", ["-c", `echo ${six ? 0 : 1} > /proc/sys/net/ipv6/conf/${name}/disable_ipv6`]);
    for (const address of addresses)
      await host.must("ip", ["addr", "add", address, "dev", name, ...(address.includes(":") ? ["nodad"] : [])]);
    await host.must("ip", ["link", "set", name, "up"]);
  }

  /** The process that holds the namespace. */
  get pid(): number {
    return this.holder.pid!;
  }

  /** Starts a program in the namespace. */
  start(command: string, args: string[] = []): Running {
    // setpriv: the program dies with this process, even when that is killed.
    const child = spawn("nsenter", [...this.enter, "setpriv", "--pdeathsig", "KILL", command, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const running = new Running(command, child);
    this.programs.push(running);
    return running;
  }

  /** Runs a program in the namespace to its end. */
  async run(command: string, args: string[] = [], timeout_ms = 30_000): Promise<Result> {
    const child = spawn("nsenter", [...this.enter, command, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), timeout_ms);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString("latin1")));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString("latin1")));
    const [status] = (await once(child, "close")) as [number | null];
    clearTimeout(timer);
    return { status, stdout, stderr };
  }

  /** As `run`, but fails when the program does. */
  async must(command: string, args: string[] = [], timeout_ms = 30_000): Promise<string> {
    const { status, stdout, stderr } = await this.run(command, args, timeout_ms);
    if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** Makes a TAP device that is up. No IPv6 of its own accord: tests see only the frames that they cause. */
  async tap(name: string, address?: string, options: { queues?: boolean } = {}): Promise<void> {
    await this.must("ip", ["tuntap", "add", name, "mode", "tap", ...(options.queues ? ["multi_queue"] : [])]);
    await this.up(name, address);
  }

  async bridge(name: string, ports: string[]): Promise<void> {
    await this.must("ip", ["link", "add", name, "type", "bridge"]);
    for (const port of ports) await this.must("ip", ["link", "set", port, "master", name]);
    await this.up(name);
    // Or the host would answer for its other interfaces' addresses here, and frames would take the short way past the relay.
    await this.must("ip", ["link", "set", name, "arp", "off"]);
  }

  async veth(name: string, peer: string, address?: string): Promise<void> {
    await this.must("ip", ["link", "add", name, "type", "veth", "peer", "name", peer]);
    await this.up(peer);
    await this.up(name, address);
  }

  private async up(name: string, address?: string): Promise<void> {
    await this.must("sh", ["-c", `echo 1 > /proc/sys/net/ipv6/conf/${name}/disable_ipv6 2>/dev/null || true`]);
    if (address) await this.must("ip", ["addr", "add", address, "dev", name]);
    await this.must("ip", ["link", "set", name, "up"]);
  }

  /** Ends everything that runs in the namespace, and with it the namespace. */
  async close(): Promise<void> {
    for (const host of this.hosts) await host.close();
    for (const program of this.programs.slice(1).reverse()) {
      if (program.child.exitCode !== null || program.child.signalCode !== null) continue;
      await program.stop().catch(() => {});
    }
    this.holder.stdin!.end();
    await this.programs[0]!.wait().catch(() => this.holder.kill("SIGKILL"));
  }
}

/** A TCP port of the host that nobody uses at the moment, for QEMU's port forwarding. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** @param unref does not keep the process alive */
export function sleep(duration_ms: number, unref = false): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, duration_ms);
    if (unref) timer.unref();
  });
}

/** CPU time that a process has used, in ms. */
export async function cpuTime_ms(pid: number): Promise<number> {
  const { readFile } = await import("node:fs/promises");
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
