// HTTPS next to nginx with Debian's OpenSSL: full handshakes with an ECDSA and an RSA certificate, requests on connections
// that stay, a file of 10 MB. As processes; and in a machine, where instructions are counted.
//
// The clients spend more on a handshake than a server that is fast, so that servers are compared by their CPU time.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packUstar } from "../../boot/toolchain/ustar.ts";
import { Lab, type Subject } from "./lib/lab.ts";
import { NGINX_TUNING, nginxConfiguration } from "./lib/nginx.ts";
import { images } from "./lib/programs.ts";
import { alternate, type Comparison, type Metric, type Report } from "./lib/report.ts";
import { handshakes, wrk, type WrkOptions } from "./lib/wrk.ts";

const PAGE = Buffer.from(`<!doctype html><title>612</title>${"x".repeat(579)}`.slice(0, 611) + "\n");
const LARGE = Buffer.alloc(10_000_000, "0123456789abcdef");
const KEYS = { ecdsa: ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], rsa: ["rsa:2048"] };
const READY = /serving https:/;

interface Load {
  key: keyof typeof KEYS;
  /** For wrk, or which handshakes. */
  options: WrkOptions | "full" | "resumed";
  what: string;
  value: "perCpu" | "megabytesPerCpu";
  target: number;
  /** Instructions in a machine, at most. */
  limit?: number;
}

export const loads: Record<"tls-ecdsa" | "tls-rsa" | "tls-resumed" | "tls-http" | "tls-bulk", Load> = {
  "tls-ecdsa": {
    ...{ key: "ecdsa", options: "full", what: "full TLS 1.3 handshakes, ECDSA", value: "perCpu" },
    ...{ target: 3, limit: 1_150_000 },
  },
  "tls-rsa": {
    ...{ key: "rsa", options: "full", what: "full TLS 1.3 handshakes, RSA-2048", value: "perCpu" },
    ...{ target: 1.6, limit: 7_500_000 },
  },
  "tls-resumed": {
    ...{ key: "ecdsa", options: "resumed", what: "resumed TLS 1.3 handshakes", value: "perCpu" },
    ...{ target: 2, limit: 1_000_000 },
  },
  "tls-http": { key: "ecdsa", options: {}, what: "HTTPS requests, keep-alive", value: "perCpu", target: 1.5 },
  "tls-bulk": {
    key: "ecdsa",
    options: { path: "/large.bin", connections: 4 },
    what: "MB of a 10 MB file",
    value: "megabytesPerCpu",
    target: 1.5,
  },
};

function certificate(lab: Lab, key: keyof typeof KEYS): { chain: string; key: string } {
  const made = { chain: join(lab.folder, "site.pem"), key: join(lab.folder, "site.key") };
  const args = ["req", "-x509", "-newkey", ...KEYS[key], "-nodes", "-days", "30", "-subj", "/CN=bench"];
  execFileSync("openssl", [...args, "-keyout", made.key, "-out", made.chain], { stdio: "pipe" });
  return made;
}

/** Runs one of the loads. */
export async function tls(name: keyof typeof loads): Promise<Report> {
  const { key, options, what, value, target, limit } = loads[name];
  const { elf, linux } = await images("appliances/http-server", "http-server-tls", true);
  const lab = await Lab.open();
  try {
    const site = certificate(lab, key);
    const www = join(lab.folder, "www");
    mkdirSync(www);
    writeFileSync(join(www, "index.html"), PAGE);
    writeFileSync(join(www, "large.bin"), LARGE);
    const bundle = (config: object) => {
      const certificates = { main: { chain: "certs/site.pem", key: "secrets/site.key" } };
      const listen = [80, { port: 443, tls: { certificates: "main" } }];
      const json = JSON.stringify({ ...config, tls: { certificates }, httpServer: { listen } });
      return packUstar([
        { name: "config.json", data: Buffer.from(json) },
        { name: "certs/site.pem", data: readFileSync(site.chain) },
        { name: "secrets/site.key", data: readFileSync(site.key) },
        { name: "www/index.html", data: PAGE },
        { name: "www/large.bin", data: LARGE },
      ]);
    };
    const measure = async (subject: Subject, wanted: "cpu" | "instructions"): Promise<Record<string, number>> => {
      const { perCpu, instructions } =
        typeof options === "string"
          ? await handshakes(lab, subject, options === "resumed")
          : await wrk(lab, subject, { ...options, tls: true });
      if (wanted === "instructions") return { instructions: instructions! };
      return { cpu: value === "perCpu" ? perCpu! : (perCpu! * LARGE.length) / 1e6 };
    };

    const ours = await lab.hosted(linux, bundle, READY);
    const file = join(lab.folder, "nginx.conf");
    writeFileSync(file, nginxConfiguration(www, lab.folder, site));
    const nginx = await lab.native(() => ["nginx", "-c", file, "-p", lab.folder, "-e", "/dev/null"], 80);
    const cpu: Metric = { what: `hosted: ${what} per CPU second`, unit: "/CPU s", better: "more", target };
    const comparisons: Comparison[] = await alternate({ cpu }, [
      { name: "Heddle (process, TAP)", run: () => measure(ours, "cpu") },
      { name: "nginx (process, veth)", run: () => measure(nginx, "cpu") },
    ]);
    const counted = await lab.guest(elf, { bundle, count: true, ready: READY });
    const instructions: Metric = {
      what: `guest: instructions each, ${what}`,
      unit: "instructions",
      better: "less",
      limit,
    };
    comparisons.push(
      ...(await alternate({ instructions }, [{ name: "Heddle (QEMU)", run: () => measure(counted, "instructions") }])),
    );
    return { rows: [], comparisons, commands: lab.commands, notes: [NGINX_TUNING, "nginx: OpenSSL of Debian 12"] };
  } finally {
    await lab.close();
  }
}
