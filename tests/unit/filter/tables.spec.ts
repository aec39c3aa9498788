// The connection table and the mappings of source NAT: caps, ages, who goes first, ports.

import { initPackets } from "../../../runtime";
import { Flow, FLOW_BYTES, FlowTable, FlowWatcher, Mappings, ORIGINAL, PortKeeper, REPLY } from "../../../net/filter";
import { Stack } from "../../../net";
import { turnHalf } from "../../../net/filter/flow";
import { World } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const A: u64 = 0xffff0a000001;
const B: u64 = 0xffffcb007109;
const EXTERNAL: u64 = 0xffffcb007102;
const UDP: u32 = 17;
const TCP: u32 = 6;

class Ended extends FlowWatcher {
  count: u32 = 0;
  last: u32 = 0;
  ended(flow: Flow): void {
    this.count++;
    this.last = flow.half(ORIGINAL).srcPort;
  }
}

class Bench {
  readonly world: World;
  readonly stack: Stack;
  readonly ended: Ended;
  readonly table: FlowTable;

  constructor(limit: u32, perSource: u32 = 1000000) {
    initPackets();
    const world = new World(3);
    const stack = world.addStack();
    const ended = new Ended();
    this.world = world;
    this.stack = stack;
    this.ended = ended;
    this.table = new FlowTable(stack, limit, perSource, ended);
  }

  /** A flow of A's port, or null when there is no room. */
  flow(port: u32, life_s: i64 = 60, source: u64 = A): Flow | null {
    const flow = this.table.take();
    if (flow == null) return null;
    const half = flow.half(ORIGINAL);
    half.srcLo = source;
    half.dstLo = B;
    half.srcPort = <u16>port;
    half.dstPort = 53;
    half.tag = <u16>UDP;
    turnHalf(flow.half(REPLY), half);
    flow.expires_ns = this.stack.now_ns + life_s * SECOND;
    if (this.table.add(flow)) return flow;
    this.table.untake(flow);
    return null;
  }

  has(port: u32, source: u64 = A): bool {
    return this.table.lookup(0, source, 0, B, port, 53, UDP) != null;
  }
}

describe("the connection table", () => {
  it("finds a flow by either direction, and tells which", () => {
    const bench = new Bench(1000);
    const flow = bench.flow(7)!;
    const original = bench.table.lookup(0, A, 0, B, 7, 53, UDP)!;
    const reply = bench.table.lookup(0, B, 0, A, 53, 7, UDP)!;
    expect(original.flow == flow).toBe(true);
    expect(reply.flow == flow).toBe(true);
    expect(original.direction).toBe(<u16>ORIGINAL);
    expect(reply.direction).toBe(<u16>REPLY);
    expect(bench.table.lookup(0, A, 0, B, 7, 53, TCP) == null).toBe(true);
  });

  it("lets flows live as long as they should, and a second longer at most", () => {
    const bench = new Bench(1000);
    bench.flow(1, 5);
    bench.flow(2, 1500);
    const moved = bench.flow(3, 5)!;
    const start = bench.world.now_ns;
    bench.world.run(start + 4 * SECOND);
    expect(bench.has(1)).toBe(true);
    bench.table.expire(moved, bench.stack.now_ns + 100 * SECOND);
    bench.world.run(start + 7 * SECOND);
    expect(bench.has(1)).toBe(false);
    expect(bench.has(2)).toBe(true);
    expect(bench.has(3)).toBe(true);
    // A shorter life is a shorter life, wherever the wheel has put it.
    bench.table.expire(moved, bench.stack.now_ns + 1 * SECOND);
    bench.world.run(bench.world.now_ns + 3 * SECOND);
    expect(bench.has(3)).toBe(false);
    bench.world.run(start + 1499 * SECOND);
    expect(bench.has(2)).toBe(true);
    bench.world.run(start + 1503 * SECOND);
    expect(bench.has(2)).toBe(false);
    expect(bench.table.count).toBe(0);
    expect(bench.stack.wheel.nextDeadline() == i64.MAX_VALUE || bench.stack.wheel.count <= 1).toBe(true);
  });

  it("is full at its limit: the oldest without a reply goes, and when all have one, the new one is refused", () => {
    const bench = new Bench(300);
    for (let port: u32 = 1; port <= 300; port++) {
      const flow = bench.flow(port)!;
      if (port <= 100) bench.table.settle(flow);
    }
    expect(bench.flow(1000) != null).toBe(true);
    expect(bench.has(100)).toBe(true);
    expect(bench.has(101)).toBe(false);
    expect(bench.table.evicted).toBe(1);
    expect(bench.table.count).toBe(300);
    for (let port: u32 = 102; port <= 300; port++)
      bench.table.settle(bench.table.lookup(0, A, 0, B, port, 53, UDP)!.flow);
    bench.table.settle(bench.table.lookup(0, A, 0, B, 1000, 53, UDP)!.flow);
    expect(bench.flow(2000) == null).toBe(true);
    expect(bench.has(1000)).toBe(true);
  });

  it("counts each source's flows, and forgets sources without any", () => {
    const bench = new Bench(1000, 3);
    for (let port: u32 = 1; port <= 3; port++) expect(bench.flow(port) != null).toBe(true);
    expect(bench.flow(4) == null).toBe(true);
    expect(bench.flow(4, 60, A + 1) != null).toBe(true);
    bench.table.remove(bench.table.lookup(0, A, 0, B, 2, 53, UDP)!.flow);
    expect(bench.flow(4) != null).toBe(true);
    expect(bench.ended.last).toBe(2);
  });

  it("is full at its limit: a connection that has ended goes before one without a reply", () => {
    const bench = new Bench(300);
    for (let port: u32 = 1; port <= 300; port++) bench.flow(port);
    for (let port: u32 = 200; port <= 300; port++)
      bench.table.settle(bench.table.lookup(0, A, 0, B, port, 53, UDP)!.flow);
    bench.table.retire(bench.table.lookup(0, A, 0, B, 250, 53, UDP)!.flow);
    expect(bench.flow(1000) != null).toBe(true);
    expect(bench.has(250)).toBe(false);
    expect(bench.has(1)).toBe(true);
    expect(bench.flow(1001) != null).toBe(true);
    expect(bench.has(1)).toBe(false);
    expect(bench.table.count).toBe(300);
  });

  it("has a million flows in less than 256 MiB", () => {
    // Flow, two buckets of 4 bytes at 2^20 of them for 10^6, a source, a quarter of buckets for those.
    const bytes = 1_000_000 * (<u64>FLOW_BYTES + 24) + (1 << 20) * 4 + (1 << 18) * 4;
    expect(bytes).toBeLessThan(256 << 20);
  });

  it("stays right through 200,000 random steps", () => {
    const bench = new Bench(500, 200);
    const dice = bench.world.dice;
    const alive = new Map<u32, bool>();
    for (let step = 0; step < 200_000; step++) {
      const port = 1 + dice.below(800);
      const source = A + <u64>(port & 3);
      const half = bench.table.lookup(0, source, 0, B, port, 53, UDP);
      if (half == null) bench.flow(port, 1 + dice.below(30), source);
      else if (dice.below(3) == 0) bench.table.remove(half.flow);
      else if (dice.below(2) == 0) bench.table.settle(half.flow);
      else if (!half.flow.young) bench.table.retire(half.flow);
      else bench.table.expire(half.flow, bench.stack.now_ns + <i64>dice.below(40) * SECOND);
      if (dice.below(50) == 0) bench.world.run(bench.world.now_ns + <i64>dice.below(3000) * 1_000_000);
    }
    let found: u32 = 0;
    for (let port: u32 = 1; port <= 800; port++) if (bench.has(port, A + <u64>(port & 3))) found++;
    expect(found).toBe(bench.table.count);
    bench.world.run(bench.world.now_ns + 100 * SECOND);
    expect(bench.table.count).toBe(0);
    expect(bench.table.young).toBe(0);
  });
});

class Kept extends PortKeeper {
  port: u32 = 0;
  kept(protocol: u32, hi: u64, lo: u64, port: u32): bool {
    return port == this.port;
  }
}

describe("mappings of source NAT", () => {
  it("keep the port, and give one endpoint one port for all destinations (RFC 4787)", () => {
    const bench = new Bench(16);
    const mappings = new Mappings(bench.stack, 1000, new Kept());
    const one = mappings.acquire(UDP, 0, A, 5000, 0, EXTERNAL)!;
    expect(one.externalPort).toBe(5000);
    expect(mappings.acquire(UDP, 0, A, 5000, 0, EXTERNAL) == one).toBe(true);
    expect(one.flows).toBe(2);
    mappings.release(one);
    expect(mappings.holder(UDP, 0, EXTERNAL, 5000) == one).toBe(true);
    mappings.release(one);
    expect(mappings.holder(UDP, 0, EXTERNAL, 5000) == null).toBe(true);
    expect(mappings.count).toBe(0);
  });

  it("give another port of the same parity when it is taken, kept for somebody, or privileged", () => {
    const bench = new Bench(16);
    const kept = new Kept();
    kept.port = 8080;
    const mappings = new Mappings(bench.stack, 1000, kept);
    mappings.acquire(UDP, 0, A, 5000, 0, EXTERNAL);
    const ports = [5000, 8080, 53];
    for (let i = 0; i < 3; i++) {
      const m = mappings.acquire(UDP, 0, A + 1, ports[i], 0, EXTERNAL)!;
      expect(m.externalPort).not.toBe(<u16>ports[i]);
      expect(m.externalPort).toBeGreaterThan(1023);
      expect(m.externalPort & 1).toBe(<u16>(ports[i] & 1));
    }
    // Another protocol and another external address are other spaces.
    expect(mappings.acquire(TCP, 0, A + 2, 5000, 0, EXTERNAL)!.externalPort).toBe(5000);
    expect(mappings.acquire(UDP, 0, A + 2, 5000, 0, EXTERNAL + 1)!.externalPort).toBe(5000);
  });

  it("use all ports of an address, then refuse, and never give one to two", () => {
    const bench = new Bench(16);
    const mappings = new Mappings(bench.stack, 1_000_000, new Kept());
    for (let i: u32 = 0; i < 64512; i++) {
      const m = mappings.acquire(UDP, 0, A + (i >> 4), 1024 + (i & 15), 0, EXTERNAL);
      if (m == null) expect(i).toBe(64512);
      else expect(mappings.holder(UDP, 0, EXTERNAL, m.externalPort) == m).toBe(true);
    }
    expect(mappings.count).toBe(64512);
    expect(mappings.acquire(UDP, 0, A + 99999, 7, 0, EXTERNAL) == null).toBe(true);
  });
});
