import { initPackets } from "../../../runtime";
import { Steering } from "../../../net/steering";
import { readSnapshot, snapshotBytes, writeSnapshot } from "../../../net/snapshot";
import { ADDRESS_A, SimLink } from "../../sim/link";

const V4: u64 = 0xffff00000000;
const ALL: u64 = 0b1111;

function fresh(serving: u64): Steering {
  initPackets();
  const steering = new Steering(new SimLink(1).a, 0, 4);
  steering.deal(serving);
  return steering;
}

/** The owner of the n-th of many flows between hosts in 10/8 and a server. */
function flow(steering: Steering, n: u32, back: bool): u32 {
  const client = V4 | (0x0a000000 + n * 7919);
  const server = V4 | 0xc0000201;
  const port = 1024 + n * 31;
  return back
    ? steering.owner(false, 0, client, 0, server, port, 80)
    : steering.owner(false, 0, server, 0, client, 80, port);
}

describe("steering", () => {
  it("leaves everything to core 0 until others serve", () => {
    const steering = fresh(1);
    for (let n: u32 = 0; n < 100; n++) expect(flow(steering, n, false)).toBe(0);
    expect(steering.owner(true, 0, V4 | 1, 0, V4 | 2, 40001, 80)).toBe(0);
  });

  it("gives both directions of a flow one owner, and each core its part of the flows", () => {
    const steering = fresh(ALL);
    const counts = new StaticArray<i32>(4);
    for (let n: u32 = 0; n < 2000; n++) {
      const owner = flow(steering, n, false);
      expect(flow(steering, n, true)).toBe(owner);
      counts[owner]++;
    }
    for (let core = 0; core < 4; core++) {
      expect(counts[core]).toBeGreaterThan(400);
      expect(counts[core]).toBeLessThan(600);
    }
  });

  it("does the same for IPv6", () => {
    const steering = fresh(ALL);
    let seen: u32 = 0;
    for (let n: u32 = 0; n < 500; n++) {
      const a: u64 = 0x20010db800000000;
      const forth = steering.owner(false, a, 1, a, 2 + n, 443, 1024 + n);
      const back = steering.owner(false, a, 2 + n, a, 1, 1024 + n, 443);
      expect(back).toBe(forth);
      seen |= 1 << forth;
    }
    expect(seen).toBe(15);
  });

  it("sends what comes to a port that a core draws to that core, if it serves, and DHCP's to core 0", () => {
    const steering = fresh(0b0111);
    expect(steering.owner(true, 0, V4 | 1, 0, V4 | 2, 40001, 80)).toBe(1);
    expect(steering.owner(true, 0, V4 | 1, 0, V4 | 2, 40002, 80)).toBe(2);
    expect(steering.owner(true, 0, V4 | 1, 0, V4 | 2, 40003, 80)).toBe(0);
    expect(steering.owner(true, 0, V4 | 1, 0, V4 | 2, 68, 67)).toBe(0);
  });

  it("takes slots only from core 0 and from cores that have died", () => {
    const steering = fresh(ALL);
    const before = new StaticArray<u32>(500);
    for (let n: u32 = 0; n < 500; n++) before[n] = flow(steering, n, false);
    steering.deal(0b1011);
    let moved = 0;
    for (let n: u32 = 0; n < 500; n++) {
      const now = flow(steering, n, false);
      expect(now).not.toBe(2);
      if (before[n] == 2) moved++;
      else if (before[n] != 0) expect(now).toBe(before[n]);
    }
    expect(moved).toBeGreaterThan(0);
  });

  it("reads the table that another core has written", () => {
    const steering = fresh(ALL);
    const other = new Steering(new SimLink(2).a, 3, 4);
    const at = heap.alloc(1024);
    steering.write(at);
    other.read(at);
    for (let n: u32 = 0; n < 200; n++) expect(flow(other, n, true)).toBe(flow(steering, n, false));
  });

  it("lets a core draw only ports that lead to it, all of them", () => {
    const link = new SimLink(3);
    link.a.steering = new Steering(link.a, 2, 3);
    const seen = new Set<u32>();
    for (let draw: u32 = 0; draw < 1000; draw++) {
      const port = link.a.portOf(32768, 300, draw);
      expect(port % 3).toBe(2);
      expect(port >= 32768 && port < 33068).toBe(true);
      seen.add(port);
    }
    expect(seen.size).toBe(100);
  });
});

describe("a snapshot of addresses and routes", () => {
  it("gives another core the same", () => {
    initPackets();
    const from = new SimLink(1);
    from.a.interfaces[0].addAddress(0x20010db800000000, 5, 64);
    from.a.interfaces[0].addGateway(0, V4 | 0x0a000063);
    const to = new SimLink(2);
    const bytes = snapshotBytes(from.a);
    const at = heap.alloc(bytes);
    writeSnapshot(from.a, at);
    expect(readSnapshot(to.b, at, bytes)).toBe(true);
    const iface = to.b.interfaces[0];
    expect(iface.firstV4).toBe(ADDRESS_A);
    expect(iface.find(0x20010db800000000, 5) != null).toBe(true);
    expect(to.b.ip.isLocal(0, ADDRESS_A)).toBe(true);
    expect(to.b.ip.table.count).toBe(from.a.ip.table.count);
    expect(to.b.ip.table.lookup(0, V4 | 0x08080808)!.hopLo).toBe(V4 | 0x0a000063);
    const again = heap.alloc(bytes);
    expect(snapshotBytes(to.b)).toBe(bytes);
    writeSnapshot(to.b, again);
    expect(memory.compare(at, again, bytes)).toBe(0);
  });

  it("is refused as a whole when its counts do not fill it", () => {
    initPackets();
    const link = new SimLink(1);
    const bytes = snapshotBytes(link.a);
    const at = heap.alloc(bytes + 64);
    writeSnapshot(link.a, at);
    const before = link.b.ip.generation;
    for (let length: u32 = 0; length < bytes; length += 4) expect(readSnapshot(link.b, at, length)).toBe(false);
    expect(readSnapshot(link.b, at, bytes + 8)).toBe(false);
    store<u32>(at, 2);
    expect(readSnapshot(link.b, at, bytes)).toBe(false);
    store<u32>(at, 1);
    store<u32>(at, 0x80000000, 4);
    expect(readSnapshot(link.b, at, bytes)).toBe(false);
    expect(link.b.ip.generation).toBe(before);
  });
});
