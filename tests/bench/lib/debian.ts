// The peer in a machine: Debian's cloud kernel and programs from Debian's packages in an archive that is the guest's first
// and only file system. Nothing is installed: packages are downloaded by apt and unpacked into a folder.
//
//   packages --apt-get download, dpkg-deb -x--> .cache/debian-HASH/  --programs and the libraries they name--> archive
//
// The kernel and a guest's start script are given to QEMU by `debianGuest`; the script runs when the network is up and says
// "ready" on the console when the guest serves. No service runs besides what the script starts.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { device, type Entry, file, link, packCpio, program } from "./cpio.ts";

const run = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const WANTED = ["linux-image-cloud-amd64", "busybox-static", "nginx", "haproxy", "nftables", "ipvsadm", "iperf3"];
const MODULES = ["virtio_mmio", "virtio_net"];

export interface Debian {
  /** Where the packages are unpacked. */
  folder: string;
  kernel: string;
  /** Names of the packages with their versions. */
  versions: Record<string, string>;
}

export interface Guest {
  kernel: string;
  initrd: Buffer;
  /** The kernel's command line. */
  append: string;
}

// The packages to unpack: what is wanted, its libraries and its kernel, with the versions that apt would install.
async function packages(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const queue = [...WANTED];
  for (let name = queue.pop(); name; name = queue.pop()) {
    if (found.has(name)) continue;
    const { stdout } = await run("apt-cache", ["show", "--no-all-versions", name], { maxBuffer: 1 << 24 });
    found.set(name, /^Version: (.+)$/m.exec(stdout)![1]!);
    for (const part of (/^Depends: (.+)$/m.exec(stdout)?.[1] ?? "").split(/[,|]/)) {
      const dependency = part.trim().split(/[ :]/)[0]!;
      if (/^(lib|zlib|linux-image-)/.test(dependency) && !/^libdebconf/.test(dependency)) queue.push(dependency);
    }
  }
  return found;
}

/** Debian's kernel and programs, downloaded once and again when Debian has newer ones. */
export async function debian(progress: (line: string) => void = () => {}): Promise<Debian> {
  const found = await packages();
  const names = [...found.keys()].sort();
  const key = createHash("sha256").update(names.map((name) => `${name}=${found.get(name)}`).join());
  const folder = join(root, ".cache", `debian-${key.digest("hex").slice(0, 16)}`);
  if (!existsSync(folder)) {
    progress("downloading Debian's kernel and programs");
    const partial = `${folder}.${process.pid}`;
    mkdirSync(join(partial, "packages"), { recursive: true });
    try {
      await run("apt-get", ["-o", "APT::Sandbox::User=", "-qq", "download", ...names], {
        cwd: join(partial, "packages"),
      });
      for (const deb of readdirSync(join(partial, "packages")))
        await run("dpkg-deb", ["-x", join(partial, "packages", deb), join(partial, "root")]);
      rmSync(join(partial, "packages"), { recursive: true });
      renameSync(partial, folder);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
  }
  const tree = join(folder, "root");
  const kernel = readdirSync(join(tree, "boot")).find((name) => name.startsWith("vmlinuz-"))!;
  return { folder: tree, kernel: join(tree, "boot", kernel), versions: Object.fromEntries(found) };
}

// Kernel modules in the order in which they must be loaded, each behind those that it names.
function modulesFor(tree: string, wanted: string[]): string[] {
  const base = join(tree, "lib/modules");
  const folder = join(base, readdirSync(base)[0]!, "kernel");
  const all = new Map<string, string>();
  for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" }))
    if (path.endsWith(".ko")) all.set(basename(path, ".ko").replaceAll("-", "_"), join(folder, path));
  const ordered: string[] = [];
  const add = (name: string) => {
    const path = all.get(name);
    if (!path) throw new Error(`Debian's kernel has no module ${name}`);
    if (ordered.includes(path)) return;
    const depends = /\0depends=([^\0]*)\0/.exec(readFileSync(path, "latin1"))?.[1] ?? "";
    for (const dependency of depends.split(",").filter(Boolean)) add(dependency.replaceAll("-", "_"));
    ordered.push(path);
  };
  wanted.forEach(add);
  return ordered;
}

// A program and the libraries that it and they name, as entries at their places.
async function closure(tree: string, programs: string[]): Promise<Entry[]> {
  const places = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
  const entries = new Map<string, Entry>();
  const add = async (path: string, name: string): Promise<void> => {
    if (entries.has(name)) return;
    entries.set(name, program(name, realpathSync(path)));
    const { stdout } = await run("llvm-readelf", ["-d", path]);
    for (const [, library] of stdout.matchAll(/\(NEEDED\)\s+Shared library: \[(.+)\]/g)) {
      if (library!.startsWith("ld-linux")) continue;
      const at = places.map((place) => join(tree, place, library!)).find((candidate) => existsSync(candidate));
      if (!at) throw new Error(`${name} needs ${library}, which no package brought`);
      await add(at, `lib/x86_64-linux-gnu/${library}`);
    }
  };
  for (const name of programs) await add(join(tree, name), name);
  const loader = join(tree, "lib64/ld-linux-x86-64.so.2");
  const target = existsSync(loader) ? realpathSync(loader) : join(tree, "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
  if (programs.length > 0) entries.set("lib64", program("lib64/ld-linux-x86-64.so.2", target));
  return [...entries.values()];
}

const INIT = `#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/sbin:/usr/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /var/log/nginx /var/lib/nginx /run
while read -r module; do insmod "$module" || echo "no $module"; done </modules
ip link set lo up
. /start.sh
while :; do sleep 1000; done
`;

export interface GuestOptions {
  /** Programs by their paths in Debian, for example usr/sbin/nginx. */
  programs: string[];
  /** Kernel modules besides those of virtio. */
  modules?: string[];
  /** Shell text that configures the network and starts what is measured. */
  start: string;
  /** Further files. */
  files?: Record<string, string | Uint8Array>;
  /** More for the kernel's command line. */
  append?: string;
}

/** A guest to boot. */
export async function debianGuest({ folder, kernel }: Debian, options: GuestOptions): Promise<Guest> {
  const modules = modulesFor(folder, [...MODULES, ...(options.modules ?? [])]);
  const initrd = packCpio([
    device("dev/console", 5, 1),
    ...["proc", "sys", "tmp", "run"].map((name) => file(`${name}/.keep`, "")),
    program("bin/busybox", join(folder, "bin/busybox")),
    file("init", INIT, 0o755),
    file("start.sh", options.start),
    file("etc/passwd", "root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n"),
    file("etc/group", "root:x:0:\nwww-data:x:33:\nadm:x:4:\n"),
    file("modules", modules.map((path) => `/modules.d/${basename(path)}\n`).join("")),
    ...modules.map((path) => program(`modules.d/${basename(path)}`, path)),
    link("usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu"),
    ...(await closure(folder, options.programs)),
    ...Object.entries(options.files ?? {}).map(([name, data]) => file(name, data)),
  ]);
  // TCG has no frequency of its own for the TSC and microvm no timer to find it by within a reasonable time.
  const tsc_khz = Math.round(Number(/^cpu MHz\s*: ([\d.]+)/m.exec(readFileSync("/proc/cpuinfo", "latin1"))![1]) * 1000);
  const append = `console=ttyS0 quiet panic=-1 reboot=t mitigations=off tsc_early_khz=${tsc_khz} ${options.append ?? ""}`;
  return { kernel, initrd, append: append.trim() };
}

/** Writes a guest's archive where QEMU finds it. */
export function writeInitrd(guest: Guest, path: string): string {
  writeFileSync(path, guest.initrd);
  return path;
}
