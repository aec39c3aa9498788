// The firewall against Linux's nftables: the same random policies, translated, get the same random packets, and must give
// each the same verdict. Says how many packets each field and verdict of the rules decided.
//
//   judge -- near (10.255.255.1) -- router: Linux with nftables, or our image -- far (172.31.255.1) -- judge
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { hostedImage, root } from "../interop/lib/images.ts";
import { Network, sleep } from "../interop/lib/network.ts";

const POLICIES = Number(process.env["POLICIES"] ?? 12);
const PACKETS = Number(process.env["PACKETS"] ?? 3000);
/** Rejections are limited in rate, ours and Linux's; so slow none is missing. */
const GAP_US = 1600;
const MAC = Buffer.from("020000000001", "hex");
const JUDGE = Buffer.from("020000000099", "hex");

/** A small generator (xorshift32), so that a failure can be repeated. */
class Dice {
  private state: number;
  constructor(seed: number) {
    this.state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
  }
  below(bound: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    this.state >>>= 0;
    return this.state % bound;
  }
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}

interface Rule {
  action: "accept" | "drop" | "reject";
  from?: "eth0" | "eth1";
  to?: "eth0" | "eth1";
  source?: string[];
  destination?: string[];
  protocol?: string[];
  port?: string[];
  sourcePort?: string[];
  icmpType?: number[];
  tcpFlags?: string;
}

const v4 = (side: number, dice: Dice) =>
  side === 0 ? `10.${dice.below(4)}.${dice.below(4)}.${dice.below(256)}` : `172.16.${dice.below(4)}.${dice.below(256)}`;
const v6 = (side: number, dice: Dice) =>
  `fd00:${side === 0 ? "a" : "b"}::${dice.below(4).toString(16)}:${(1 + dice.below(250)).toString(16)}`;

/** Addresses of one version: single ones, networks, ranges. */
function addresses(dice: Dice, six: boolean): string[] {
  return Array.from({ length: 1 + dice.below(3) }, () => {
    const side = dice.below(2);
    if (six) {
      const base = v6(side, dice);
      return dice.chance(50) ? base : `fd00:${side === 0 ? "a" : "b"}::${dice.below(4).toString(16)}:0/112`;
    }
    const base = v4(side, dice);
    if (dice.chance(30)) return base;
    if (dice.chance(50)) {
      const bits = 14 + dice.below(12);
      const value = base.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
      const masked = Math.floor(value / 2 ** (32 - bits)) * 2 ** (32 - bits);
      return `${[24, 16, 8, 0].map((shift) => Math.floor(masked / 2 ** shift) % 256).join(".")}/${bits}`;
    }
    const [a, b, c, d] = base.split(".");
    return `${base}-${a}.${b}.${c}.${Math.min(255, Number(d) + dice.below(100))}`;
  });
}

const ports = (dice: Dice) =>
  Array.from({ length: 1 + dice.below(3) }, () => {
    const from = 1 + dice.below(100);
    return dice.chance(20) ? String(from) : `${from}-${from + 20 + dice.below(40)}`;
  });

const FLAGS: Record<string, number> = { syn: 2, psh: 8, urg: 32, ece: 64, cwr: 128 };

function randomRule(dice: Dice): Rule {
  const rule: Rule = { action: dice.of(["accept", "drop", "reject"]) };
  if (dice.chance(35)) rule.from = dice.of(["eth0", "eth1"]);
  if (dice.chance(35)) rule.to = dice.of(["eth0", "eth1"]);
  const kind = dice.below(10);
  if (kind < 4) rule.protocol = ["tcp"];
  else if (kind < 5) rule.protocol = ["udp"];
  else if (kind < 6) rule.protocol = ["tcp", "udp"];
  else if (kind < 9) rule.protocol = [dice.of(["icmp", "icmpv6"])];
  const six = rule.protocol?.[0] === "icmpv6" || (rule.protocol?.[0] !== "icmp" && dice.chance(35));
  // What has a field of its own needs addresses less; no rule takes everything, or those behind it would decide nothing.
  if (dice.chance(kind < 9 ? 40 : 70)) rule.source = addresses(dice, six);
  if (dice.chance(55) || (kind === 9 && !rule.source)) rule.destination = addresses(dice, six);
  if (kind < 6 && (dice.chance(80) || (!rule.source && !rule.destination))) rule.port = ports(dice);
  if (kind < 6 && dice.chance(50)) rule.sourcePort = ports(dice);
  if (kind >= 6 && kind < 9)
    rule.icmpType = rule.protocol![0] === "icmpv6" ? [128] : rule.source ? dice.of([[8], [8, 13]]) : [13];
  if (kind < 4 && dice.chance(70))
    rule.tcpFlags = dice.of(["syn/syn,ece", "syn,ece/syn,ece", "psh/psh", "none/urg,psh", "none/ece"]);
  return rule;
}

/** A rule of ours in nft's words: one line or, where a version of IP has to be named, as many as it needs. */
function nft(rule: Rule, number: number): string {
  const parts: string[] = [];
  if (rule.from) parts.push(`iifname "${rule.from === "eth0" ? "near" : "far"}"`);
  if (rule.to) parts.push(`oifname "${rule.to === "eth0" ? "near" : "far"}"`);
  const six = [...(rule.source ?? []), ...(rule.destination ?? [])].some((address) => address.includes(":"));
  const family = six ? "ip6" : "ip";
  const set = (list: string[]) => `{ ${list.join(", ")} }`;
  if (rule.source) parts.push(`${family} saddr ${set(rule.source)}`);
  if (rule.destination) parts.push(`${family} daddr ${set(rule.destination)}`);
  if (rule.protocol) parts.push(`meta l4proto ${set(rule.protocol)}`);
  if (rule.port) parts.push(`th dport ${set(rule.port)}`);
  if (rule.sourcePort) parts.push(`th sport ${set(rule.sourcePort)}`);
  if (rule.icmpType) parts.push(`${rule.protocol![0]} type ${set(rule.icmpType.map(String))}`);
  if (rule.tcpFlags) {
    const [value, mask] = rule.tcpFlags
      .split("/")
      .map((text) => (text === "none" ? 0 : text.split(",").reduce((sum, name) => sum | FLAGS[name]!, 0)));
    parts.push(`tcp flags & ${mask} == ${value}`);
  }
  const matched = [...parts, `counter name r${number}`].join(" ");
  if (rule.action !== "reject") return `    ${matched} ${rule.action}`;
  return `    ${matched} jump refuse`;
}

const ruleset = (rules: Rule[]) => `table inet t {
${rules.map((_, i) => `  counter r${i} {}\n`).join("")}  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
${rules.map(nft).join("\n")}
  }
}
`;

function checksum(parts: Buffer[]): number {
  const data = Buffer.concat(parts);
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += (data[i]! << 8) | (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const bytes4 = (address: string) => Buffer.from(address.split(".").map(Number));
function bytes6(address: string): Buffer {
  const [head, tail] = address.split("::").map((half) => half.split(":").filter(Boolean));
  const groups = [...head!, ...Array(8 - head!.length - tail!.length).fill("0"), ...tail!];
  return Buffer.from(groups.map((group: string) => group.padStart(4, "0")).join(""), "hex");
}

/** Frame `index` (from 1) of a run: the first packet of a flow of its own. */
function frame(dice: Dice, index: number): { side: number; bytes: Buffer } {
  const side = dice.below(2);
  const six = dice.chance(40);
  const [source, destination] = six
    ? [bytes6(v6(side, dice)), bytes6(v6(1 - side, dice))]
    : [bytes4(v4(side, dice)), bytes4(v4(1 - side, dice))];
  const kind = dice.of(["tcp", "tcp", "udp", "icmp"]);
  const protocol = kind === "tcp" ? 6 : kind === "udp" ? 17 : six ? 58 : 1;
  const payload = Buffer.from("HEDDLE  ");
  const pseudo = (length: number) =>
    Buffer.concat([source, destination, Buffer.from([0, protocol, length >> 8, length & 255])]);
  let l4: Buffer;
  if (kind === "tcp") {
    l4 = Buffer.alloc(20);
    l4.writeUInt16BE(1 + dice.below(150), 0);
    l4.writeUInt16BE(1 + dice.below(150), 2);
    l4.writeUInt32BE((index << 8) >>> 0, 4);
    l4[12] = 0x50;
    l4[13] = 2 | dice.of([0, 0, 8, 32, 64, 192, 72]);
    l4.writeUInt16BE(1000, 14);
    l4.writeUInt16BE(checksum([pseudo(28), l4, payload]), 16);
  } else if (kind === "udp") {
    l4 = Buffer.alloc(8);
    l4.writeUInt16BE(1 + dice.below(150), 0);
    l4.writeUInt16BE(1 + dice.below(150), 2);
    l4.writeUInt16BE(16, 4);
    l4.writeUInt16BE(checksum([pseudo(16), l4, payload]) || 0xffff, 6);
  } else {
    // A timestamp has no room for less than 12 bytes behind its identifier.
    const type = six ? 128 : dice.of([8, 8, 13]);
    l4 = Buffer.alloc(type === 13 ? 12 : 8);
    l4[0] = type;
    l4.writeUInt16BE(index, 4);
    l4.writeUInt16BE(checksum(six ? [pseudo(16), l4, payload] : [l4, payload]), 2);
  }
  const length = l4.length + payload.length;
  let ip: Buffer;
  if (six) {
    ip = Buffer.alloc(40);
    ip.writeUInt32BE((0x60000000 | index) >>> 0, 0);
    ip.writeUInt16BE(length, 4);
    ip[6] = protocol;
    ip[7] = 64;
    source.copy(ip, 8);
    destination.copy(ip, 24);
  } else {
    ip = Buffer.alloc(20);
    ip[0] = 0x45;
    ip.writeUInt16BE(20 + length, 2);
    ip.writeUInt16BE(index, 4);
    ip[8] = 64;
    ip[9] = protocol;
    source.copy(ip, 12);
    destination.copy(ip, 16);
    ip.writeUInt16BE(checksum([ip]), 10);
  }
  const ethernet = Buffer.concat([MAC, JUDGE, Buffer.from(six ? "86dd" : "0800", "hex")]);
  return { side, bytes: Buffer.concat([ethernet, ip, l4, payload]) };
}

/** Frames whose flows are all different, in either direction, so that no verdict follows from an earlier one. */
function frames(dice: Dice): { side: number; bytes: Buffer }[] {
  const list: { side: number; bytes: Buffer }[] = [];
  const seen = new Set<string>();
  while (list.length < PACKETS) {
    const one = frame(dice, list.length + 1);
    const six = one.bytes[12] === 0x86;
    const at = 14 + (six ? 40 : 20);
    const [a, b] = six
      ? [one.bytes.subarray(22, 38), one.bytes.subarray(38, 54)]
      : [one.bytes.subarray(26, 30), one.bytes.subarray(30, 34)];
    const protocol = one.bytes[six ? 20 : 23]!;
    const ported = protocol === 6 || protocol === 17;
    const ends = [
      a.toString("hex") + (ported ? one.bytes.subarray(at, at + 2).toString("hex") : ""),
      b.toString("hex") + (ported ? one.bytes.subarray(at + 2, at + 4).toString("hex") : ""),
    ];
    const key = `${protocol} ${ends.sort().join(" ")} ${ported ? "" : list.length}`;
    if (seen.has(key)) continue;
    seen.add(key);
    list.push(one);
  }
  return list;
}

let image: string;
let judge: string;
let folder: string;

before(async () => {
  image = await hostedImage("appliances/firewall", "firewall");
  folder = mkdtempSync(join(tmpdir(), "heddle-nft-"));
  judge = join(folder, "judge");
  const flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];
  execFileSync("clang", [...flags, join(root, "tests/long/native/judge.c"), "-o", judge]);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** The verdicts of a judge whose links are `jn` and `jf` of a network. */
async function verdicts(network: Network, file: string): Promise<string> {
  const text = await network.must("sh", ["-c", `${judge} jn jf ${GAP_US} < ${file}`], 120_000);
  return text.split("\n")[1]!;
}

async function linux(rules: Rule[], file: string): Promise<{ verdicts: string; hits: number[] }> {
  const network = await Network.create();
  try {
    const router = network.start("unshare", ["-n", "sh", "-c", "echo pid $$; exec sleep 100000"]);
    const pid = (await router.until(/pid (\d+)/))[1]!;
    for (const [outer, inner] of [
      ["jn", "near"],
      ["jf", "far"],
    ] as const) {
      await network.must("ip", ["link", "add", outer, "type", "veth", "peer", "name", inner]);
      await network.must("ip", ["link", "set", inner, "address", "02:00:00:00:00:01", "netns", pid]);
      await network.must("ip", ["link", "set", outer, "up"]);
    }
    const rulesFile = join(folder, "rules.nft");
    writeFileSync(rulesFile, ruleset(rules));
    const script = [
      "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0",
      "ip addr add 10.255.255.1/30 dev near && ip addr add 172.31.255.1/30 dev far",
      "ip addr add fd00:aa::1/64 dev near nodad && ip addr add fd00:bb::1/64 dev far nodad",
      "ip link set near up && ip link set far up && ip link set lo up",
      "ip route add 10.0.0.0/9 via 10.255.255.2 && ip route add 172.16.0.0/13 via 172.31.255.2",
      "ip route add fd00:a::/32 via fd00:aa::2 && ip route add fd00:b::/32 via fd00:bb::2",
      "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
      "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0",
      `nft -f ${rulesFile}`,
    ].join(" && ");
    await network.must("nsenter", [`--net=/proc/${pid}/ns/net`, "sh", "-c", script]);
    await sleep(2500);
    const found = await verdicts(network, file);
    const listed = await network.must("nsenter", [`--net=/proc/${pid}/ns/net`, "nft", "-j", "list", "counters"]);
    const hits = new Array<number>(rules.length).fill(0);
    for (const { counter } of JSON.parse(listed).nftables)
      if (counter) hits[Number(counter.name.slice(1))] = counter.packets;
    return { verdicts: found, hits };
  } finally {
    await network.close();
  }
}

async function heddle(rules: Rule[], file: string): Promise<string> {
  const network = await Network.create();
  try {
    for (const [outer, inner] of [
      ["jn", "near"],
      ["jf", "far"],
    ] as const) {
      await network.veth(outer, inner);
      await network.must("ip", ["link", "set", inner, "address", "02:00:00:00:00:01"]);
    }
    const config = {
      interfaces: {
        eth0: { address: ["10.255.255.1/30", "fd00:aa::1/64"] },
        eth1: { address: ["172.31.255.1/30", "fd00:bb::1/64"] },
      },
      routes: [
        { to: "10.0.0.0/9", via: "10.255.255.2" },
        { to: "172.16.0.0/13", via: "172.31.255.2" },
        { to: "fd00:a::/32", via: "fd00:aa::2" },
        { to: "fd00:b::/32", via: "fd00:bb::2" },
      ],
      firewall: {
        hygiene: { reversePath: "off" },
        rules: rules.map((rule) => ({
          ...rule,
          ...(rule.port && { port: rule.port.map((port) => (port.includes("-") ? port : Number(port))) }),
          ...(rule.sourcePort && {
            sourcePort: rule.sourcePort.map((port) => (port.includes("-") ? port : Number(port))),
          }),
        })),
      },
    };
    const path = join(folder, "config.json");
    writeFileSync(path, JSON.stringify(config));
    const running = network.start(image, ["--packet", "near", "--packet", "far", "--config", path]);
    await running.until(/firewall: \d+ rules? between/);
    // Until its IPv6 addresses are known to be nobody else's.
    await sleep(2500);
    return await verdicts(network, file);
  } finally {
    await network.close();
  }
}

test(`${POLICIES} random policies give ${PACKETS} random packets each the verdicts that nftables gives`, async () => {
  const fields: Record<string, number> = {};
  const actions: Record<string, number> = { accept: 0, drop: 0, reject: 0, default: 0 };
  let decided = 0;
  for (let seed = 1; seed <= POLICIES; seed++) {
    const dice = new Dice(seed);
    const rules = Array.from({ length: 30 + dice.below(60) }, () => randomRule(dice));
    const list = frames(dice);
    const file = join(folder, "frames");
    writeFileSync(file, list.map(({ side, bytes }) => `${side} ${bytes.toString("hex")}\n`).join(""));
    const [theirs, ours] = [await linux(rules, file), await heddle(rules, file)];
    assert.equal(theirs.verdicts.length, PACKETS);
    for (let i = 0; i < PACKETS; i++) {
      if (theirs.verdicts[i] === ours[i]) continue;
      const { side, bytes } = list[i]!;
      assert.fail(
        `policy ${seed}, packet ${i} on side ${side}, ${bytes.toString("hex")}: nftables ${theirs.verdicts[i]}, ours ${ours[i]}\n${ruleset(rules)}`,
      );
    }
    rules.forEach((rule, i) => {
      const hits = theirs.hits[i]!;
      decided += hits;
      actions[rule.action]! += hits;
      for (const key of Object.keys(rule)) if (key !== "action") fields[key] = (fields[key] ?? 0) + hits;
    });
    actions["default"]! += PACKETS - theirs.hits.reduce((sum, hits) => sum + hits, 0);
  }
  const share = (n: number) => `${((100 * n) / (POLICIES * PACKETS)).toFixed(1)} %`;
  console.log(
    `${POLICIES * PACKETS} packets; ${Object.entries({ ...actions, ...fields })
      .map(([key, n]) => `${key} ${share(n)}`)
      .join(", ")}`,
  );
  assert.ok(decided > 0);
  for (const [key, n] of Object.entries({ ...actions, ...fields }))
    assert.ok(
      n * 20 >= POLICIES * PACKETS || process.env["POLICIES"],
      `${key} decides ${share(n)} of the packets: too few`,
    );
});
