// The HTTP server next to nginx: as a process next to native nginx in a namespace, and in a machine next to nginx in a
// Debian guest on the same QEMU machine. Three loads: keep-alive, a connection for each request, a file of 10 MB.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packUstar } from "../../boot/toolchain/ustar.ts";
import { debian, debianGuest } from "./lib/debian.ts";
import { Lab, type Subject } from "./lib/lab.ts";
import { NGINX_TUNING, nginxConfiguration } from "./lib/nginx.ts";
import { images } from "./lib/programs.ts";
import { alternate, type Comparison, type Metric, type Report } from "./lib/report.ts";
import { wrk, type WrkOptions } from "./lib/wrk.ts";

const PAGE = Buffer.from(`<!doctype html><title>612</title>${"x".repeat(579)}`.slice(0, 611) + "\n");
const LARGE = Buffer.alloc(10_000_000, "0123456789abcdef");

interface Load {
  options: WrkOptions;
  hosted: Record<string, Metric>;
  guest: Record<string, Metric>;
}

const rate: Metric = { what: "requests a second", unit: "requests/s", better: "more" };
const perCpu: Metric = { what: "requests per CPU second of the server", unit: "requests/CPU s", better: "more" };
const p50: Metric = { what: "latency, median", unit: "ms", better: "less" };
const p99: Metric = { what: "latency, 99th percentile", unit: "ms", better: "less" };
const counted: Metric = { what: "guest instructions a request", unit: "instructions", better: "less" };
const megabytes: Metric = { what: "content a second", unit: "MB/s", better: "more" };

export const loads: Record<"http" | "http-close" | "http-large", Load> = {
  http: {
    options: {},
    hosted: { rate, perCpu: { ...perCpu, target: 1.5 }, p50, p99 },
    guest: { rate: { ...rate, target: 8 }, p50, p99, instructions: { ...counted, limit: 3500 } },
  },
  "http-close": {
    options: { close: true },
    hosted: { rate, perCpu: { ...perCpu, target: 1.5 }, p50, p99 },
    guest: { rate, p50, p99, instructions: { ...counted, limit: 16_000 } },
  },
  "http-large": {
    options: { path: "/large.bin", connections: 4 },
    hosted: { megabytes: { ...megabytes, target: 1 }, perCpu },
    guest: { megabytes: { ...megabytes, target: 2 }, instructions: counted },
  },
};

/** What our server and nginx serve, as a bundle and as a folder. */
function content(lab: Lab): { files: Record<string, Buffer>; folder: string } {
  const files = { "index.html": PAGE, "large.bin": LARGE };
  const folder = join(lab.folder, "www");
  mkdirSync(folder);
  for (const [name, data] of Object.entries(files)) writeFileSync(join(folder, name), data);
  return { files, folder };
}

export interface Field {
  lab: Lab;
  /** Files under www/ of our bundles. */
  www: { name: string; data: Buffer }[];
  nginx: () => Promise<Subject>;
  debianNginx: (count: boolean) => Promise<Subject>;
}

/** Everything that HTTP benches start. The caller closes `lab`. */
export async function field(): Promise<Field> {
  const lab = await Lab.open();
  const { files, folder } = content(lab);
  const www = Object.entries(files).map(([name, data]) => ({ name: `www/${name}`, data }));
  const nginx = () => {
    const file = join(lab.folder, "nginx.conf");
    writeFileSync(file, nginxConfiguration(folder, lab.folder));
    return lab.native(() => ["nginx", "-c", file, "-p", lab.folder, "-e", "/dev/null"], 80);
  };
  const debianNginx = async (count: boolean) => {
    const system = await debian(console.log);
    return lab.debian(
      (net) =>
        debianGuest(system, {
          programs: ["usr/sbin/nginx"],
          start: `ip addr add ${net}.2/24 dev eth0\nip link set eth0 up\nnginx -c /nginx.conf -e /dev/null &
until wget -q -O /dev/null http://${net}.2/; do sleep 0.1; done\necho ready\n`,
          files: {
            "nginx.conf": nginxConfiguration("/www", "/tmp"),
            ...Object.fromEntries(Object.entries(files).map(([name, data]) => [`www/${name}`, data])),
          },
        }),
      { count },
    );
  };
  return { lab, www, nginx, debianNginx };
}

/** Our bundle: configuration and files. */
export function bundleOf(www: Field["www"]): (config: object) => Uint8Array {
  return (config) => packUstar([{ name: "config.json", data: Buffer.from(JSON.stringify(config)) }, ...www]);
}

const inPlace = (place: string, metrics: Record<string, Metric>) =>
  Object.fromEntries(
    Object.entries(metrics).map(([key, metric]) => [key, { ...metric, what: `${place}: ${metric.what}` }]),
  );

/** Runs one of the loads. */
export async function http(name: keyof typeof loads): Promise<Report> {
  const { options, hosted, guest } = loads[name];
  const { elf, linux } = await images("appliances/http-server", "http-server");
  const { lab, www, nginx, debianNginx } = await field();
  try {
    const comparisons: Comparison[] = [];
    const bundle = bundleOf(www);
    const run = (subject: Subject) => async (keys: string[]) => {
      const values = await wrk(lab, subject, options);
      return Object.fromEntries(Object.entries(values).filter(([key]) => keys.includes(key)));
    };
    const ours = run(await lab.hosted(linux, bundle));
    const native = run(await nginx());
    const hostedKeys = Object.keys(hosted);
    comparisons.push(
      ...(await alternate(inPlace("hosted", hosted), [
        { name: "Heddle (process, TAP)", run: () => ours(hostedKeys) },
        { name: "nginx (process, veth)", run: () => native(hostedKeys) },
      ])),
    );

    const machine = run(await lab.guest(elf, { bundle }));
    const peer = run(await debianNginx(false));
    const guestKeys = Object.keys(guest).filter((key) => key !== "instructions");
    const timed = Object.fromEntries(Object.entries(guest).filter(([key]) => key !== "instructions"));
    comparisons.push(
      ...(await alternate(inPlace("guest", timed), [
        { name: "Heddle (QEMU)", run: () => machine(guestKeys) },
        { name: "nginx (Debian, QEMU)", run: () => peer(guestKeys) },
      ])),
    );

    const countedOurs = run(await lab.guest(elf, { bundle, count: true }));
    const countedPeer = run(await debianNginx(true));
    comparisons.push(
      ...(await alternate(inPlace("guest", { instructions: guest["instructions"]! }), [
        { name: "Heddle (QEMU)", run: () => countedOurs(["instructions"]) },
        { name: "nginx (Debian, QEMU)", run: () => countedPeer(["instructions"]) },
      ])),
    );
    const load = `wrk -t1 -c${options.connections ?? 64} -d2s --latency${options.close ? ' -H "Connection: close"' : ""} http://ADDRESS${options.path ?? "/"}`;
    return { rows: [], comparisons, commands: [...lab.commands, load], notes: [NGINX_TUNING] };
  } finally {
    await lab.close();
  }
}
