// Which core owns a flow: the same for a packet of either direction, before and after each kind of translation, on every core.
//
//   lan 10.0.0.1 [router] wan 203.0.113.2; 203.0.113.7 is 10.0.0.7; 203.0.113.2:8080 is 10.0.0.5:80

import { initPackets } from "../../../runtime";
import { Stack } from "../../../net";
import { Steering } from "../../../net/steering";
import { Nat } from "../../../net/filter/nat";
import { Key, Mappings, NatSpec, NatType, newKey, Owners, Ranges } from "../../../net/filter";
import { World } from "../../sim/link";

const CORES: u32 = 4;
const TCP: u32 = 6;
const UDP: u32 = 17;
const ICMP: u32 = 1;
const GRE: u32 = 47;
const WAN: u64 = 0xffffcb007102;
const ONE: u64 = 0xffffcb007107;
const POOL: u64 = 0xffffc6336401;
const SERVER: u64 = 0xffff0a000005;
const INTERNAL: u64 = 0xffff0a000007;
const LAN_SIDE: i32 = 0;
const WAN_SIDE: i32 = 1;

function specs(): Array<NatSpec> {
  const forward = new NatSpec();
  forward.type = NatType.PORT_FORWARD;
  forward.from.interfaces = [WAN_SIDE];
  forward.protocols = [TCP, UDP];
  forward.port = new Ranges();
  forward.port!.addSmall(8080, 8080);
  forward.targetLo = SERVER;
  forward.targetPort = 80;
  forward.hairpin = true;
  const one = new NatSpec();
  one.type = NatType.ONE_TO_ONE;
  one.from.interfaces = [WAN_SIDE];
  one.hasExternal = true;
  one.externalLo = ONE;
  one.externalLastLo = ONE;
  one.targetLo = INTERNAL;
  const pool = new NatSpec();
  pool.type = NatType.SOURCE;
  pool.to.interfaces = [WAN_SIDE];
  pool.source = new Ranges();
  pool.source!.add(0, 0xffff0a000080, 0, 0xffff0a0000ff);
  pool.hasExternal = true;
  pool.externalLo = POOL;
  pool.externalLastLo = POOL;
  const out = new NatSpec();
  out.type = NatType.MASQUERADE;
  out.to.interfaces = [WAN_SIDE];
  out.source = new Ranges();
  out.source!.add(0, 0xffff0a000000, 0, 0xffff0a0000ff);
  return [forward, one, pool, out];
}

class Machine {
  readonly stack: Stack;
  readonly steering: Steering;
  readonly nat: Nat;
  readonly owners: Owners;

  constructor(self: u32, table: usize) {
    const world = new World(5);
    const stack = world.addStack();
    const other = world.addStack();
    const lan = world.addDevice(stack, "lan", 0x525400000001);
    const wan = world.addDevice(stack, "wan", 0x525400000002);
    world.connect(lan, world.addDevice(other, "eth0", 0x525400000003));
    world.connect(wan, world.addDevice(other, "eth1", 0x525400000004));
    stack.interfaces[0].addAddress(0, 0xffff0a000001, 120);
    stack.interfaces[1].addAddress(0, WAN, 120);
    stack.interfaces[1].addAddress(0, ONE, 128);
    stack.interfaces[1].addGateway(0, 0xffffcb007101);
    const steering = new Steering(stack, self, CORES);
    if (self == 0) {
      steering.deal(0b1111);
      steering.write(table);
    } else {
      steering.read(table);
    }
    const nat = new Nat(specs(), 2);
    this.stack = stack;
    this.steering = steering;
    this.nat = nat;
    this.owners = new Owners(stack, steering, nat);
  }
}

let machines: Array<Machine> = [];

function start(): void {
  if (machines.length > 0) return;
  initPackets();
  const table = heap.alloc(1024);
  for (let self: u32 = 0; self < CORES; self++) machines.push(new Machine(self, table));
}

const key: Key = newKey();

/** The owner of a packet: all cores must agree. */
function owner(protocol: u32, src: u64, srcPort: u32, dst: u64, dstPort: u32, from: i32, answer: bool = false): u32 {
  key.protocol = protocol;
  key.tag = answer ? protocol | 0x8000 : protocol;
  key.srcHi = 0;
  key.srcLo = src;
  key.srcPort = srcPort;
  key.dstHi = 0;
  key.dstLo = dst;
  key.dstPort = dstPort;
  key.selector = dstPort;
  const first = machines[0].owners.of(key, from);
  for (let self: u32 = 1; self < CORES; self++) expect(machines[self].owners.of(key, from)).toBe(first);
  // Once more, from memory.
  expect(machines[0].owners.of(key, from)).toBe(first);
  return first;
}

function remote(n: u32): u64 {
  return 0xffff08000000 | (<u64>(n * 7919));
}

function all(seen: u32): void {
  expect(seen).toBe((1 << CORES) - 1);
}

describe("the owner of a flow", () => {
  it("is for masqueraded ones that of the internal end, whose ports the core gives out", () => {
    start();
    let seen: u32 = 0;
    for (let n: u32 = 0; n < 200; n++) {
      const protocol = n % 3 == 0 ? ICMP : n % 3 == 1 ? TCP : UDP;
      const port = 20000 + n;
      const core = owner(protocol, 0xffff0a000014 + (n & 31), port, remote(n), 443, LAN_SIDE);
      // One internal end, one core, wherever it speaks to.
      expect(owner(protocol, 0xffff0a000014 + (n & 31), port, remote(n + 1), 53, LAN_SIDE)).toBe(core);
      const m = machines[core];
      const mappings = new Mappings(m.stack, 1000, m.nat, core, CORES);
      const mapping = mappings.acquire(protocol, 0, 0xffff0a000014 + (n & 31), port, 0, WAN)!;
      expect(mapping.externalPort & 1).toBe(port & 1, "parity");
      expect(owner(protocol, remote(n), 443, WAN, mapping.externalPort, WAN_SIDE, protocol == ICMP)).toBe(core);
      seen |= 1 << core;
    }
    all(seen);
  });

  it("is found by the port when the external address is of no interface", () => {
    start();
    const core = owner(UDP, 0xffff0a000090, 5000, remote(1), 53, LAN_SIDE);
    const m = machines[core];
    const mapping = new Mappings(m.stack, 1000, m.nat, core, CORES).acquire(UDP, 0, 0xffff0a000090, 5000, 0, POOL)!;
    expect(owner(UDP, remote(1), 53, POOL, mapping.externalPort, WAN_SIDE)).toBe(core);
  });

  it("is for a port forward the same before and after it, with the hairpin's answers by the port", () => {
    start();
    let seen: u32 = 0;
    for (let n: u32 = 0; n < 100; n++) {
      const core = owner(TCP, remote(n), 1024 + n, WAN, 8080, WAN_SIDE);
      expect(owner(TCP, SERVER, 80, remote(n), 1024 + n, LAN_SIDE)).toBe(core);
      const inside = owner(TCP, 0xffff0a000009, 3000 + n, WAN, 8080, LAN_SIDE);
      const m = machines[inside];
      const mapping = new Mappings(m.stack, 9, m.nat, inside, CORES).acquire(TCP, 0, 0xffff0a000009, 3000 + n, 0, WAN)!;
      expect(owner(TCP, SERVER, 80, WAN, mapping.externalPort, LAN_SIDE)).toBe(inside);
      seen |= 1 << core;
    }
    all(seen);
  });

  it("is for one-to-one the same on both sides, whoever begins", () => {
    start();
    let seen: u32 = 0;
    for (let n: u32 = 0; n < 100; n++) {
      const protocol = n & 1 ? TCP : ICMP;
      const core = owner(protocol, remote(n), 2000 + n, ONE, 8, WAN_SIDE);
      expect(owner(protocol, INTERNAL, 8, remote(n), 2000 + n, LAN_SIDE, protocol == ICMP)).toBe(core);
      const out = owner(protocol, INTERNAL, 2000 + n, remote(n), 8, LAN_SIDE);
      expect(owner(protocol, remote(n), 8, ONE, 2000 + n, WAN_SIDE, protocol == ICMP)).toBe(out);
      seen |= 1 << core;
    }
    all(seen);
  });

  it("is for routed flows the same both ways, also where their answers alone would be masqueraded", () => {
    start();
    let seen: u32 = 0;
    for (let n: u32 = 0; n < 100; n++) {
      const core = owner(TCP, remote(n), 1024 + n, 0xffff0a000030, 22, WAN_SIDE);
      expect(owner(TCP, 0xffff0a000030, 22, remote(n), 1024 + n, LAN_SIDE)).toBe(core);
      const routed = owner(UDP, 0xffff0a010000 + n, 1024, 0xffff0a000030 + n, 53, WAN_SIDE);
      expect(owner(UDP, 0xffff0a000030 + n, 53, 0xffff0a010000 + n, 1024, LAN_SIDE)).toBe(routed);
      seen |= 1 << routed;
    }
    all(seen);
  });

  it("is for masqueraded protocols without ports that of the other end", () => {
    start();
    let seen: u32 = 0;
    for (let n: u32 = 0; n < 100; n++) {
      const core = owner(GRE, 0xffff0a000014, 0, remote(n), 0, LAN_SIDE);
      expect(owner(GRE, remote(n), 0, WAN, 0, WAN_SIDE)).toBe(core);
      seen |= 1 << core;
    }
    all(seen);
  });

  it("is core 0 for what is to ourselves, below the ports that are given out", () => {
    start();
    for (let n: u32 = 0; n < 50; n++) expect(owner(TCP, remote(n), 1024 + n, WAN, 22, WAN_SIDE)).toBe(0);
  });
});
