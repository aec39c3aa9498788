import { allocPacket, initPackets, packetsFree, packetsTotal } from "../../../runtime";
import { newRoute, Stack } from "../../../net";
import { checksumIcmp6 } from "../../../net/ip/icmpv6";
import { emitEthernet, EtherType } from "../../../net/wire/ethernet";
import { emitIcmp6 } from "../../../net/wire/icmpv6";
import { emitFragment, emitIpv6 } from "../../../net/wire/ipv6";
import { emitNd, NdOption } from "../../../net/wire/ndp";
import { SimLink } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const NET: u64 = 0x20010db800000000;

function ping(link: SimLink, from: Stack, toHi: u64, toLo: u64, bytes: u32): i32 {
  const p = allocPacket()!;
  const at = p.append(8 + bytes);
  emitIcmp6(at, 128, 0, 0x00010001);
  for (let i: u32 = 0; i < bytes; i++) store<u8>(at + 8 + i, <u8>i);
  const route = newRoute();
  from.now_ns = link.world.now_ns;
  if (from.ip.resolve(route, toHi, toLo) < 0) {
    p.free();
    return -1;
  }
  checksumIcmp6(p, route.srcHi, route.srcLo, toHi, toLo);
  return from.ip.output(p, route, route.srcHi, route.srcLo, toHi, toLo, 58, 0);
}

function fresh(seed: u64): SimLink {
  initPackets();
  const link = new SimLink(seed);
  expect(link.a.interfaces[0].addAddress(NET, 1, 64)).toBe(0);
  expect(link.b.interfaces[0].addAddress(NET, 2, 64)).toBe(0);
  link.run(5 * SECOND);
  return link;
}

/** A frame to B with `next` and `payload` from A's hardware address. */
function toB(link: SimLink, srcHi: u64, srcLo: u64, next: u32, hops: u32, payload: StaticArray<u8>): void {
  const bytes = payload.length;
  const frame = new StaticArray<u8>(54 + bytes);
  const at = changetype<usize>(frame);
  emitEthernet(at, 0x525400000002, 0x525400000001, EtherType.IPV6);
  emitIpv6(at + 14, 0, 0, bytes, next, hops, srcHi, srcLo, NET, 2);
  memory.copy(at + 54, changetype<usize>(payload), bytes);
  link.world.inject(link.deviceB, frame);
}

function echoBytes(link: SimLink, srcLo: u64, bytes: u32): StaticArray<u8> {
  const p = allocPacket()!;
  memory.fill(p.append(8 + bytes), 0x5a, 8 + bytes);
  emitIcmp6(p.data, 128, 0, 1);
  checksumIcmp6(p, NET, srcLo, NET, 2);
  const all = new StaticArray<u8>(8 + bytes);
  memory.copy(changetype<usize>(all), p.data, 8 + bytes);
  p.free();
  return all;
}

// A piece of an echo request with a fragment header.
function fragment(link: SimLink, id: u32, offset: u32, bytes: u32, more: bool): void {
  const whole = echoBytes(link, 1, 1192);
  const piece = new StaticArray<u8>(8 + bytes);
  emitFragment(changetype<usize>(piece), 58, offset | (more ? 1 : 0), id);
  if (offset + bytes <= 1200) memory.copy(changetype<usize>(piece) + 8, changetype<usize>(whole) + offset, bytes);
  toB(link, NET, 1, 44, 64, piece);
}

describe("IPv6 between two stacks", () => {
  it("is answered, through neighbour discovery", () => {
    const link = fresh(1);
    expect(ping(link, link.a, NET, 2, 56)).toBe(0);
    link.run(SECOND);
    expect(link.b.counters.icmp6InEchos).toBe(1);
    expect(link.b.counters.icmp6OutEchoReps).toBe(1);
    expect(link.a.counters.icmp6InCsumErrors).toBe(0);
    expect(link.a.counters.icmp6OutNeighborSolicits).toBeGreaterThan(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("reaches addresses of the link, and the group of all", () => {
    const link = fresh(2);
    const own = link.b.interfaces[0].v6!.addresses[0];
    expect(ping(link, link.a, own.hi, own.lo, 56)).toBe(0);
    ping(link, link.a, 0xff02000000000000, 1, 56);
    link.run(SECOND);
    expect(link.b.counters.icmp6OutEchoReps).toBe(2);
    expect(link.a.counters.icmp6InMsgs).toBeGreaterThan(2);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("tells who asks for a host that is not there", () => {
    const link = fresh(3);
    ping(link, link.a, NET, 0x99, 56);
    link.run(10 * SECOND);
    expect(link.a.counters.neighbourFailed).toBe(1);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("has no IPv6 where nobody asked for it", () => {
    initPackets();
    const link = new SimLink(4);
    link.a.interfaces[0].addAddress(NET, 1, 64);
    link.run(3 * SECOND);
    expect(link.b.counters.ip6InHdrErrors).toBeGreaterThan(0);
    expect(link.b.counters.icmp6OutMsgs).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
});

describe("duplicate addresses", () => {
  it("are given up when another station has them already", () => {
    const link = fresh(5);
    expect(link.b.interfaces[0].addAddress(NET, 1, 64)).toBe(0);
    link.run(3 * SECOND);
    expect(link.b.ip.isLocal(NET, 1)).toBe(false);
    expect(link.a.ip.isLocal(NET, 1)).toBe(true);
    expect(link.b.counters.ndDuplicates).toBeGreaterThan(0);
  });
});

describe("IPv6 fragments", () => {
  it("are joined in any order, and the whole is answered", () => {
    const link = fresh(6);
    fragment(link, 1, 0, 800, true);
    fragment(link, 1, 800, 400, false);
    fragment(link, 2, 800, 400, false);
    fragment(link, 2, 0, 800, true);
    link.run(SECOND);
    expect(link.b.counters.ip6ReasmOKs).toBe(2);
    expect(link.b.counters.icmp6OutEchoReps).toBe(2);
  });
  it("of one piece are packets of their own, whatever else has their identification", () => {
    const link = fresh(7);
    fragment(link, 1, 0, 800, true);
    fragment(link, 1, 0, 1200, false);
    expect(link.b.counters.icmp6InEchos).toBe(1);
    fragment(link, 1, 800, 400, false);
    expect(link.b.counters.icmp6InEchos).toBe(2);
  });
  it("that overlap take the datagram with them, and all that comes later of it", () => {
    const link = fresh(8);
    fragment(link, 1, 0, 800, true);
    fragment(link, 1, 792, 408, false);
    expect(link.b.counters.ip6ReasmOverlaps).toBe(1);
    fragment(link, 1, 0, 800, true);
    fragment(link, 1, 800, 400, false);
    expect(link.b.counters.icmp6InEchos).toBe(0);
    link.run(60 * SECOND);
    expect(link.b.ip.reassembly.count).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("without the transport's header in the first, or of odd length, are refused with an error", () => {
    const link = fresh(9);
    const before = link.b.counters.icmp6OutErrors;
    const chain = new StaticArray<u8>(16);
    emitFragment(changetype<usize>(chain), 60, 1, 7);
    chain[8] = 6;
    toB(link, NET, 1, 44, 64, chain);
    fragment(link, 3, 0, 801, true);
    expect(link.b.counters.ip6InHdrErrors).toBe(2);
    expect(link.b.counters.icmp6OutErrors - before).toBe(2);
  });
  it("leave us for what is longer than the path's MTU", () => {
    const link = fresh(10);
    link.a.interfaces[0].mtu = 1280;
    link.a.ip.changed();
    ping(link, link.a, NET, 2, 1400);
    link.run(SECOND);
    expect(link.b.counters.ip6ReasmOKs).toBe(1);
    expect(link.b.counters.icmp6OutEchoReps).toBe(1);
    expect(packetsFree).toBe(packetsTotal);
  });
});

describe("hostile IPv6", () => {
  it("chains of headers end after eight", () => {
    const link = fresh(11);
    const echo = echoBytes(link, 1, 56);
    for (let n = 1; n <= 9; n++) {
      const payload = new StaticArray<u8>(n * 8 + echo.length);
      for (let i = 0; i < n; i++) {
        payload[i * 8] = <u8>(i == n - 1 ? 58 : 60);
        payload[i * 8 + 2] = 1;
        payload[i * 8 + 3] = 4;
      }
      memory.copy(changetype<usize>(payload) + n * 8, changetype<usize>(echo), echo.length);
      toB(link, NET, 1, 60, 64, payload);
      expect(link.b.counters.icmp6InEchos).toBe(min(n, 8));
    }
    expect(link.b.counters.ip6InHdrErrors).toBe(1);
  });
  it("sources that stand for IPv4, groups and the loopback are martians", () => {
    const link = fresh(12);
    const echo = echoBytes(link, 1, 8);
    toB(link, 0, 0xffff0a000001, 58, 64, echo);
    toB(link, 0xff02000000000000, 1, 58, 64, echo);
    toB(link, 0, 1, 58, 64, echo);
    expect(link.b.counters.ip6InMartians).toBe(3);
  });
  it("neighbour discovery from beyond the link is nothing", () => {
    const link = fresh(13);
    const p = allocPacket()!;
    p.append(emitNd(p.data, 135, 0, NET, 2, NdOption.SOURCE_MAC, 0x525400000066));
    checksumIcmp6(p, NET, 0x66, NET, 2);
    const message = new StaticArray<u8>(p.len);
    memory.copy(changetype<usize>(message), p.data, p.len);
    p.free();
    toB(link, NET, 0x66, 58, 254, message);
    expect(link.b.counters.ndInErrors).toBe(1);
    expect(link.b.neighbours.find(0, NET, 0x66) == null).toBe(true);
    toB(link, NET, 0x66, 58, 255, message);
    expect(link.b.neighbours.find(0, NET, 0x66) != null).toBe(true);
  });
  it("a flood of solicitations from made-up sources holds a bounded cache, and others are still served", () => {
    const link = fresh(14);
    for (let i: u64 = 0; i < 5000; i++) {
      const p = allocPacket()!;
      p.append(emitNd(p.data, 135, 0, NET, 2, NdOption.SOURCE_MAC, 0x020000000000 | i));
      checksumIcmp6(p, NET, 0x10000 + i, NET, 2);
      const message = new StaticArray<u8>(p.len);
      memory.copy(changetype<usize>(message), p.data, p.len);
      p.free();
      toB(link, NET, 0x10000 + i, 58, 255, message);
    }
    expect(link.b.neighbours.count).toBeLessThanOrEqual(link.b.limits.neighbours);
    ping(link, link.a, NET, 2, 56);
    link.run(SECOND);
    expect(link.b.counters.icmp6OutEchoReps).toBe(1);
    expect(packetsFree).toBe(packetsTotal);
  });
});
