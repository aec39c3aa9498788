// What the firewall costs under QEMU's TCG, in guest instructions: a forwarded UDP packet of a known flow with NAT, one at a
// time and saturated, with 1 and with 10,000 rules; the first packet of a flow; a TCP connection from its SYN to its end.
// Beside it Debian's kernel with nftables on the same machine, plain, with a set, and with rules one by one.
//
//   client (10.0.0.5) -- l0 -- guest, masquerade -- w0 -- server (203.0.113.9)
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { qemuArguments } from "../../boot/cli/qemu.ts";
import { Network } from "../interop/lib/network.ts";
import { addHost, type Host } from "../interop/lib/three.ts";
import { debian, debianGuest } from "./lib/debian.ts";
import { instructions } from "./lib/lab.ts";
import { cProgram, images } from "./lib/programs.ts";
import type { Report, Row } from "./lib/report.ts";
import { median } from "./lib/statistics.ts";

const MEMORY_BYTES = 256 << 20;
const SERVER = "203.0.113.9";
const RUNS = 3;

interface Figures {
  single: number;
  saturated: number;
  fresh: number;
  connection: number;
}

/** A guest between two hosts, measured and ended. @param start gives QEMU's arguments and what it says when it is ready */
async function measure(
  make: (
    folder: string,
  ) => Promise<{ kernel: string; bundle: string; ready: RegExp; change?: (args: string[]) => string[] }>,
): Promise<{ figures: Figures; command: string }> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-fw-"));
  const network = await Network.create();
  try {
    const server = await addHost(network, "server", "w0", [`${SERVER}/24`], []);
    const client = await addHost(network, "client", "l0", ["10.0.0.5/24"], ["10.0.0.1"]);
    const { kernel, bundle, ready, change = (args) => args } = await make(folder);
    const counts = join(folder, "counts");
    const args = change(
      qemuArguments({
        ...{ boot: { kernel, bundle }, machine: "microvm", nic: "virtio", kvm: false, cpus: 1 },
        ...{ memory_bytes: MEMORY_BYTES, network: { taps: ["w0", "l0"] } },
      }),
    );
    args.push("-plugin", `${cProgram("count.c", { shared: true })},out=${counts}`);
    const guest = network.start("taskset", ["-c", "1", "qemu-system-x86_64", ...args]);
    await guest.until(ready, 120_000);
    await client.must("ping", ["-c", "3", "-W", "5", SERVER]);
    return {
      figures: await figuresOf(network, client, server, counts),
      command: args.join(" ").replaceAll(folder, ""),
    };
  } finally {
    await network.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function figuresOf(network: Network, client: Host, server: Host, counts: string): Promise<Figures> {
  const flows = cProgram("flows.c");
  // What the guest has sent to the server's side, whether the server was quick enough to take it or not.
  const sent = async () => {
    const [{ stats64 }] = JSON.parse(await network.must("ip", ["-s", "-j", "link", "show", "w0"]));
    return stats64.rx.packets as number;
  };
  const packets = async (kind: string, port: number, count: number, gap_us: number) => {
    const values: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      const sink = server.start(flows, ["sink", String(port + run)]);
      await sink.until(/ready/);
      const [before, first] = [instructions(counts).all, await sent()];
      const args = [kind, SERVER, String(port + run), String(count), String(gap_us)];
      await client.must("taskset", ["-c", "0", flows, ...args], 60_000);
      await sink.until(/received [1-9]/, 30_000);
      const forwarded = (await sent()) - first;
      if (forwarded < 500) throw new Error(`${forwarded} of ${count} packets came through`);
      values.push((instructions(counts).all - before) / forwarded);
    }
    return median(values);
  };
  const single = await packets("send", 7000, 2_000, 1000);
  const saturated = await packets("send", 7100, 60_000, 0);
  const fresh = await packets("fresh", 7200, 4_000, 100);
  await server.start(flows, ["serve", "80"]).until(/ready/);
  const connections: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const before = instructions(counts).all;
    const done = Number(/connected (\d+)/.exec(await client.must(flows, ["connect", SERVER, "80", "300"], 60_000))![1]);
    connections.push((instructions(counts).all - before) / done);
  }
  return { single, saturated, fresh, connection: median(connections) };
}

/** A policy whose last rule lets the traffic out, behind others that do not fit it. */
function configuration(rules: number): string {
  const others = Array.from({ length: rules - 1 }, (_, i) => ({
    action: "drop",
    from: "eth1",
    to: "eth0",
    source: `10.${(i >> 8) & 255}.${i & 255}.0/24`.replace("10.0.0.0/24", "10.200.0.0/24"),
    destination: `198.${18 + (i & 1)}.${(i >> 4) & 255}.0/24`,
    protocol: "udp",
    port: 1 + (i % 60000),
  }));
  return JSON.stringify({
    interfaces: { eth0: { address: "203.0.113.2/24" }, eth1: { address: "10.0.0.1/24" } },
    firewall: {
      state: { maxEntries: 131072 },
      nat: [{ type: "masquerade", to: "eth0" }],
      rules: [...others, { action: "accept", from: "eth1", to: "eth0" }],
    },
  });
}

async function heddle(rules: number) {
  const { elf } = await images("appliances/firewall", "firewall");
  return measure(async (folder) => {
    const bundle = join(folder, "config.json");
    writeFileSync(bundle, configuration(rules));
    return { kernel: elf, bundle, ready: /firewall: \d+ rules? between/ };
  });
}

const NAT = `table ip nat {
  chain out { type nat hook postrouting priority 100; oifname "wan" masquerade; }
}
`;

/** A ruleset whose forward chain has `rules` as its body. */
const ruleset = (rules: string, more = "") => `${NAT}table ip filter {
${more}  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
${rules}    iifname "lan" oifname "wan" accept
  }
}
`;
const linear = (count: number) =>
  Array.from(
    { length: count },
    (_, i) => `    ip saddr 10.${100 + (i >> 8)}.${i & 255}.0/24 udp dport ${1 + i} drop\n`,
  ).join("");
const set = (count: number) =>
  `  set bad { type ipv4_addr; elements = { ${Array.from({ length: count }, (_, i) => `10.${100 + (i >> 8)}.${i & 255}.7`).join(", ")} } }\n`;
const flowtable = `  flowtable fast { hook ingress priority 0; devices = { wan, lan }; }\n`;

async function linux(rules: string) {
  const system = await debian(console.log);
  const guest = await debianGuest(system, {
    programs: ["usr/sbin/nft"],
    modules: [
      "nf_tables",
      "nft_chain_nat",
      "nft_masq",
      "nft_ct",
      "nf_nat",
      "nf_conntrack",
      "nf_flow_table",
      "nf_flow_table_inet",
      "nft_flow_offload",
    ],
    // The kernel may find the cards in another order than the machine was given them.
    start: `for card in 00:wan 01:lan; do
  found=$(grep -l "52:54:00:68:64:\${card%:*}" /sys/class/net/*/address | cut -d/ -f5)
  ip link set "$found" name "\${card#*:}"
done
ip addr add 203.0.113.2/24 dev wan\nip addr add 10.0.0.1/24 dev lan\nip link set wan up\nip link set lan up
echo 1 > /proc/sys/net/ipv4/ip_forward\nnft -f /rules && echo ready\n`,
    files: { rules },
  });
  return measure(async (folder) => {
    const bundle = join(folder, "initrd");
    writeFileSync(bundle, guest.initrd);
    const machine = "microvm,acpi=on,rtc=on,pit=on,pic=on,isa-serial=on,x-option-roms=off,auto-kernel-cmdline=off";
    return {
      ...{ kernel: guest.kernel, bundle, ready: /^ready/m },
      change: (args) => [...args.map((arg) => (arg.startsWith("microvm,") ? machine : arg)), "-append", guest.append],
    };
  });
}

const shown: [keyof Figures, string, number | undefined][] = [
  ["single", "UDP packet of a known flow, one at a time", undefined],
  ["saturated", "UDP packet of a known flow, saturated", 1000],
  ["fresh", "first UDP packet of a flow", undefined],
  ["connection", "TCP connection, SYN to end", 12_000],
];

export async function firewall(): Promise<Report> {
  const rows: Row[] = [];
  const commands: string[] = [];
  const contestants: [string, () => Promise<{ figures: Figures; command: string }>, boolean][] = [
    ["Linux, a flowtable", () => linux(ruleset("    ip protocol { tcp, udp } flow add @fast\n", flowtable)), false],
    ["Heddle, 1 rule", () => heddle(1), true],
    ["Heddle, 10,000 rules", () => heddle(10_000), true],
    ["Linux, nftables, no other rules", () => linux(ruleset("")), false],
    ["Linux, a set of 5,000", () => linux(ruleset("    ip saddr @bad drop\n", set(5000))), false],
    ["Linux, 1,000 linear rules", () => linux(ruleset(linear(1000))), false],
  ];
  for (const [name, run, ours] of contestants) {
    const { figures, command } = await run();
    console.log(name, JSON.stringify(figures));
    commands.push(command);
    for (const [key, what, target] of shown)
      rows.push({
        what: `${name}: ${what}`,
        value: figures[key],
        unit: "instructions",
        target: ours ? target : undefined,
      });
  }
  return { rows, commands: [...new Set(commands.map((command) => `qemu-system-x86_64 ${command}`))].slice(0, 2) };
}
