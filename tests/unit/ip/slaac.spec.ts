import { allocPacket, initPackets, packetsFree, packetsTotal } from "../../../runtime";
import { formatAddress, Forwarder, newRoute } from "../../../net";
import { checksumIcmp6 } from "../../../net/ip/icmpv6";
import { Slaac } from "../../../net/ip/slaac";
import { emitEthernet, EtherType } from "../../../net/wire/ethernet";
import { emitIcmp6 } from "../../../net/wire/icmpv6";
import { emitIpv6, storeAddress } from "../../../net/wire/ipv6";
import { emitRa, emitRaMac, emitRaMtu, emitRaPrefix } from "../../../net/wire/ra";
import { SimLink } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const LINK: u64 = 0xfe80000000000000;
const NET: u64 = 0x20010db800050000;
const ALL: u64 = 0xff02000000000000;
const room: usize = heap.alloc(2000);

/** A link on whose B end SLAAC runs; A is silent, tests speak for routers. */
class Host {
  readonly link: SimLink;
  readonly slaac: Slaac;

  constructor() {
    initPackets();
    const link = new SimLink(5);
    const slaac = new Slaac(link.b.interfaces[0]);
    slaac.start();
    link.run(3 * SECOND);
    this.link = link;
    this.slaac = slaac;
  }

  /** Sends the message in [room, end) from a router. */
  send(end: usize, fromHi: u64 = LINK, fromLo: u64 = 0xabc, hops: u32 = 255): void {
    const bytes = <u32>(end - room);
    const p = allocPacket()!;
    memory.copy(p.append(bytes), room, bytes);
    checksumIcmp6(p, fromHi, fromLo, ALL, 1);
    const frame = new StaticArray<u8>(54 + bytes);
    const at = changetype<usize>(frame);
    emitEthernet(at, 0x333300000001, 0x525400000099, EtherType.IPV6);
    emitIpv6(at + 14, 0, 0, bytes, 58, hops, fromHi, fromLo, ALL, 1);
    memory.copy(at + 54, p.data, bytes);
    p.free();
    this.link.world.inject(this.link.deviceB, frame);
    this.link.run(SECOND / 10);
  }

  /** An advertisement with one prefix. */
  advertise(router_s: u32, hi: u64, valid_s: u32, preferred_s: u32, fromLo: u64 = 0xabc): void {
    this.send(emitRaPrefix(emitRaMac(emitRa(room, router_s), 0x525400000099), hi, valid_s, preferred_s), LINK, fromLo);
  }

  get addresses(): i32 {
    let count = 0;
    const all = this.link.b.interfaces[0].addresses;
    for (let i = 0; i < all.length; i++) if (all[i].hi == NET) count++;
    return count;
  }

  hasDefault(): bool {
    return this.link.b.ip.table.lookup(0x20010db8ffff0000, 1) != null;
  }
}

describe("autoconfiguration", () => {
  it("takes an address, the network on the link, a default router and the MTU, and gives all back at their end", () => {
    const host = new Host();
    host.send(emitRaMtu(emitRaPrefix(emitRa(room, 60), NET, 30, 20), 1400));
    expect(host.addresses).toBe(1);
    expect(host.hasDefault()).toBe(true);
    expect(host.link.b.interfaces[0].mtu).toBe(1400);
    const entry = host.link.b.ip.table.lookup(NET, 0x1234);
    expect(entry != null && entry.hopLo == 0).toBe(true, "the network is on the link");
    host.link.run(3 * SECOND);
    const route = newRoute();
    expect(host.link.b.ip.resolve(route, 0x20010db8ffff0000, 1)).toBe(0);
    expect(route.srcHi).toBe(NET);
    host.link.run(29 * SECOND);
    expect(host.addresses).toBe(0);
    expect(host.hasDefault()).toBe(true, "the router lasts longer");
    host.link.run(30 * SECOND);
    expect(host.hasDefault()).toBe(false);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("keeps an address for two hours, whatever an advertisement says (RFC 4862, 5.5.3 (e))", () => {
    const host = new Host();
    host.advertise(60, NET, 86400, 86400);
    host.advertise(60, NET, 0, 0);
    host.link.run(7000 * SECOND);
    expect(host.addresses).toBe(1);
    host.link.run(300 * SECOND);
    expect(host.addresses).toBe(0);
  });

  it("gives a router up that says it is none any more", () => {
    const host = new Host();
    host.send(emitRa(room, 600));
    expect(host.hasDefault()).toBe(true);
    host.send(emitRa(room, 0));
    expect(host.hasDefault()).toBe(false);
  });

  it("prefers a router with a higher preference, and takes routes from one (RFC 4191)", () => {
    const host = new Host();
    host.send(emitRa(room, 600), LINK, 0xabc);
    const end = emitRa(room, 600);
    store<u8>(room, 0x08, 5);
    store<u64>(end, 0);
    store<u8>(end, 24);
    store<u8>(end, 2, 1);
    store<u8>(end, 48, 2);
    store<u32>(end, bswap<u32>(600), 4);
    store<u64>(end, bswap<u64>(0x20010db800770000), 8);
    host.send(end + 16, LINK, 0xdef);
    const table = host.link.b.ip.table;
    expect(table.lookup(0x20010db8ffff0000, 1)!.hopLo).toBe(0xdef);
    host.send(emitRa(room, 600), LINK, 0xabc);
    expect(table.lookup(0x20010db800770000, 1)!.hopLo).toBe(0xdef);
  });

  it("is told of name servers for a time (RFC 8106)", () => {
    const host = new Host();
    const end = emitRa(room, 600);
    memory.fill(end, 0, 24);
    store<u8>(end, 25);
    store<u8>(end, 3, 1);
    store<u32>(end, bswap<u32>(10), 4);
    storeAddress(end + 8, NET, 0x53);
    host.send(end + 24);
    const servers = host.link.b.interfaces[0].nameServers6;
    expect(servers.length).toBe(2);
    expect(formatAddress(servers[0], servers[1])).toBe("2001:db8:5::53");
    host.link.run(11 * SECOND);
    expect(servers.length).toBe(0);
  });
});

describe("against those who lie", () => {
  it("a flood of advertisements makes no more than a few entries, and what was there stays", () => {
    const host = new Host();
    host.advertise(600, NET, 600, 600);
    const routes = host.link.b.ip.table.count;
    for (let i: u64 = 1; i < 300; i++) host.advertise(600, NET + (i << 16), 600, 600, 0x1000 + i);
    expect(host.addresses).toBe(1);
    expect(host.link.b.interfaces[0].addresses.length).toBeLessThan(12);
    expect(host.link.b.ip.table.count).toBeLessThan(routes + 40);
    expect(host.link.b.counters.ndInIgnored).toBeGreaterThan(500);
    expect(host.link.b.ip.table.lookup(0x20010db8ffff0000, 1)!.hopLo).toBe(0xabc);
    host.link.run(700 * SECOND);
    expect(host.link.b.interfaces[0].addresses.length).toBe(1, "its own from the simulation");
    expect(packetsFree).toBe(packetsTotal);
  });

  it("what came over a router, from no address of the link, or is malformed changes nothing", () => {
    const host = new Host();
    const before = host.link.b.counters.ndInErrors;
    host.send(emitRaPrefix(emitRa(room, 600), NET, 600, 600), LINK, 0xabc, 254);
    host.send(emitRaPrefix(emitRa(room, 600), NET, 600, 600), NET, 0xabc);
    host.send(emitRaPrefix(emitRa(room, 600), NET, 600, 600) - 8);
    const zero = emitRa(room, 600);
    store<u64>(zero, 3);
    host.send(zero + 8);
    host.send(room + 12);
    expect(host.link.b.counters.ndInErrors).toBe(before + 5);
    expect(host.addresses).toBe(0);
    expect(host.hasDefault()).toBe(false);
    // Prefixes that nobody can have: of the link, of groups, preferred longer than valid.
    host.advertise(0, LINK, 600, 600);
    host.advertise(0, ALL, 600, 600);
    host.advertise(0, NET, 600, 700);
    expect(host.addresses).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("a redirect counts only from the router that is asked", () => {
    const host = new Host();
    host.send(emitRa(room, 600));
    const dst: u64 = 0x20010db8ffff0000;
    emitIcmp6(room, 137, 0, 0);
    storeAddress(room + 8, LINK, 0x777);
    storeAddress(room + 24, dst, 1);
    host.send(room + 40, LINK, 0xbad);
    expect(host.link.b.ip.table.lookup(dst, 1)!.hopLo).toBe(0xabc);
    host.send(room + 40);
    expect(host.link.b.ip.table.lookup(dst, 1)!.hopLo).toBe(0x777);
    expect(host.link.b.ip.table.lookup(dst, 2)!.hopLo).toBe(0xabc);
    // A router takes none.
    host.link.b.ip.router = new Forwarder(host.link.b);
    storeAddress(room + 24, dst, 9);
    host.send(room + 40);
    expect(host.link.b.ip.table.lookup(dst, 9)!.hopLo).toBe(0xabc);
    host.link.run(601 * SECOND);
    expect(packetsFree).toBe(packetsTotal);
  });
});
