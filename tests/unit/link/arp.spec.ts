import { allocPacket, initPackets, packetsFree, packetsTotal } from "../../../runtime";
import { newRoute } from "../../../net";
import { NeighbourState } from "../../../net/link/neighbour";
import { emitArp } from "../../../net/wire/arp";
import { emitEthernet, EtherType } from "../../../net/wire/ethernet";
import { ADDRESS_A, ADDRESS_B, SimLink } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const STRANGER: u64 = 0x525400000066;

function arp(link: SimLink, op: u32, mac: u64, sender: u32, target: u32): void {
  const frame = new StaticArray<u8>(42);
  const at = changetype<usize>(frame);
  emitEthernet(at, 0x525400000001, mac, EtherType.ARP);
  emitArp(at + 14, op, mac, sender, 0, target);
  link.world.inject(link.deviceA, frame);
}

function send(link: SimLink, lo: u64): void {
  const p = allocPacket()!;
  memory.fill(p.append(16), 0, 16);
  link.a.now_ns = link.world.now_ns;
  link.a.ip.output(p, newRoute(), 0, ADDRESS_A, 0, lo, 253, 0);
}

function fresh(seed: u64): SimLink {
  initPackets();
  const link = new SimLink(seed);
  link.run(5 * SECOND);
  return link;
}

describe("the neighbour cache", () => {
  it("asks three times, holds a bounded number of packets meanwhile, then gives up", () => {
    const link = fresh(1);
    const before = link.a.counters.arpOutRequests;
    for (let i = 0; i < 100; i++) send(link, 0xffff0a000063);
    expect(link.a.neighbours.waiting).toBe(link.a.limits.neighbourQueue);
    link.run(10 * SECOND);
    expect(link.a.counters.arpOutRequests - before).toBe(3);
    expect(link.a.counters.neighbourFailed).toBe(1);
    expect(link.a.neighbours.waiting).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("does not grow with a scan of the prefix", () => {
    const link = fresh(2);
    for (let i: u32 = 0; i < 250; i++) send(link, 0xffff0a000003 + <u64>i);
    expect(link.a.neighbours.count).toBeLessThanOrEqual(link.a.limits.neighbours);
    expect(link.a.neighbours.waiting).toBeLessThanOrEqual(link.a.limits.neighbourPackets);
    link.run(10 * SECOND);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("makes no entry for replies and announcements that nobody asked for", () => {
    const link = fresh(3);
    arp(link, 2, STRANGER, 0x0a000042, 0x0a000001);
    arp(link, 1, STRANGER, 0x0a000042, 0x0a000042);
    expect(link.a.neighbours.find(0, 0, 0xffff0a000042) == null).toBe(true);
    arp(link, 1, STRANGER, 0x0a000042, 0x0a000001);
    expect(link.a.neighbours.find(0, 0, 0xffff0a000042)!.state).toBe(NeighbourState.STALE);
  });
  it("believes nobody outside the prefix, no group address and no zero", () => {
    const link = fresh(4);
    arp(link, 1, STRANGER, 0x0b000042, 0x0a000001);
    arp(link, 1, 0, 0x0a000042, 0x0a000001);
    expect(link.a.neighbours.count).toBe(0);
    expect(link.a.counters.arpInIgnored).toBe(1);
    expect(link.a.counters.arpInErrors).toBe(1);
  });
  it("does not replace an address confirmed a moment ago", () => {
    const link = fresh(5);
    send(link, ADDRESS_B);
    link.run(100_000_000);
    arp(link, 2, STRANGER, 0x0a000002, 0x0a000001);
    expect(link.a.neighbours.find(0, 0, ADDRESS_B)!.mac).toBe(0x525400000002);
    link.run(2 * SECOND);
    arp(link, 2, STRANGER, 0x0a000002, 0x0a000001);
    expect(link.a.neighbours.find(0, 0, ADDRESS_B)!.state).toBe(NeighbourState.STALE, "used, but to be verified");
  });
  it("defends an own address at most every ten seconds, and keeps it", () => {
    const link = fresh(6);
    for (let i = 0; i < 20; i++) arp(link, 2, STRANGER, 0x0a000001, 0x0a000001);
    expect(link.a.counters.arpConflicts).toBe(20);
    expect(link.a.neighbours.count).toBe(0);
    expect(link.a.ip.isLocal(0, ADDRESS_A)).toBe(true);
  });
});
