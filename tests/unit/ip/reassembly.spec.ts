import { initPackets, packetsFree, packetsTotal } from "../../../runtime";
import { emitIpv4, IPV4_MF } from "../../../net/wire/ipv4";
import { emitEthernet, EtherType } from "../../../net/wire/ethernet";
import { emitIcmp, ICMP_CHECKSUM } from "../../../net/wire/icmp";
import { finish, sumBytes } from "../../../net/wire/checksum";
import { SimLink } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const PAYLOAD: u32 = 2000;
const message: usize = heap.alloc(PAYLOAD);

// A fragment of an echo request from 10.0.0.1 to 10.0.0.2, as it arrives at B.
function fragment(link: SimLink, id: u32, offset: u32, bytes: u32, more: bool): void {
  emitIcmp(message, 8, 0, 1);
  memory.fill(message + 8, 0x5a, PAYLOAD - 8);
  store<u16>(message, finish(sumBytes(message, PAYLOAD)), ICMP_CHECKSUM);
  const frame = new StaticArray<u8>(34 + bytes);
  const at = changetype<usize>(frame);
  emitEthernet(at, 0x525400000002, 0x525400000001, EtherType.IPV4);
  emitIpv4(at + 14, 0, 20 + bytes, id, (more ? IPV4_MF : 0) | (offset >> 3), 64, 1, 0x0a000001, 0x0a000002);
  const there = offset < PAYLOAD ? min(bytes, PAYLOAD - offset) : 0;
  memory.copy(at + 34, message + offset, there);
  link.world.inject(link.deviceB, frame);
}

function fresh(seed: u64): SimLink {
  initPackets();
  const link = new SimLink(seed);
  link.run(5 * SECOND);
  return link;
}

describe("reassembly", () => {
  it("joins fragments in any order, and the whole is answered", () => {
    const link = fresh(1);
    fragment(link, 1, 0, 800, true);
    fragment(link, 1, 800, 800, true);
    fragment(link, 1, 1600, 400, false);
    fragment(link, 2, 1600, 400, false);
    fragment(link, 2, 0, 800, true);
    fragment(link, 2, 800, 800, true);
    expect(link.b.counters.ipReasmOKs).toBe(2);
    link.run(SECOND);
    expect(link.b.counters.icmpOutEchoReps).toBe(2);
    expect(link.a.counters.ipReasmOKs).toBe(2, "the reply is fragmented and joined in turn");
    expect(link.a.counters.icmpInCsumErrors).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("ignores a duplicate, and drops the datagram at an overlap", () => {
    const link = fresh(2);
    fragment(link, 1, 0, 800, true);
    fragment(link, 1, 0, 800, true);
    fragment(link, 1, 800, 1200, false);
    expect(link.b.counters.ipReasmOKs).toBe(1);
    fragment(link, 2, 0, 800, true);
    fragment(link, 2, 792, 800, true);
    expect(link.b.counters.ipReasmOverlaps).toBe(1);
    fragment(link, 2, 800, 1200, false);
    expect(link.b.counters.ipReasmOKs).toBe(1);
    link.run(40 * SECOND);
    expect(link.b.ip.reassembly.count).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("refuses what is longer than a packet can be, odd lengths and ends that contradict", () => {
    const link = fresh(3);
    fragment(link, 1, 65528, 400, false);
    fragment(link, 2, 0, 801, true);
    fragment(link, 3, 0, 800, false);
    expect(link.b.counters.ipReasmFails).toBe(2);
    fragment(link, 4, 800, 400, false);
    fragment(link, 4, 1600, 400, false);
    expect(link.b.counters.ipReasmFails).toBe(3);
    link.run(40 * SECOND);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("joins the largest packet there can be, from the fragments of an Ethernet, and answers it in fragments", () => {
    const link = fresh(5);
    // B asks for A's hardware address: not more than a few packets wait for the answer.
    fragment(link, 1, 0, PAYLOAD, false);
    link.run(SECOND);
    const bytes: u32 = 65515;
    const whole = heap.alloc(bytes);
    for (let i: u32 = 0; i < bytes; i++) store<u8>(whole + i, <u8>(i * 13));
    store<u32>(whole, 8);
    store<u16>(whole, finish(sumBytes(whole, bytes)), 2);
    for (let offset: u32 = 0; offset < bytes; offset += 1480) {
      const part = min<u32>(1480, bytes - offset);
      const frame = new StaticArray<u8>(34 + part);
      const at = changetype<usize>(frame);
      emitEthernet(at, 0x525400000002, 0x525400000001, EtherType.IPV4);
      const more = offset + part < bytes ? IPV4_MF : 0;
      emitIpv4(at + 14, 0, 20 + part, 9, more | (offset >> 3), 64, 1, 0x0a000001, 0x0a000002);
      memory.copy(at + 34, whole + offset, part);
      link.world.inject(link.deviceB, frame);
    }
    heap.free(whole);
    link.run(SECOND);
    expect(link.b.counters.ipReasmOKs).toBe(1, "joined");
    expect(link.b.counters.icmpInCsumErrors).toBe(0);
    expect(link.b.counters.icmpOutEchoReps).toBe(2, "answered");
    expect(link.a.counters.ipReasmOKs).toBe(2, "and joined again");
    expect(link.a.counters.icmpInCsumErrors).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("holds a bounded number of datagrams and lets them go in time, telling the sender", () => {
    const link = fresh(4);
    for (let id: u32 = 0; id < 500; id++) fragment(link, id, 0, 800, true);
    expect(link.b.ip.reassembly.count).toBeLessThanOrEqual(link.b.limits.reassemblies);
    expect(link.b.ip.reassembly.buffers).toBeLessThanOrEqual(link.b.limits.reassemblyPackets);
    link.run(40 * SECOND);
    expect(link.b.ip.reassembly.count).toBe(0);
    expect(link.b.counters.ipReasmTimeout).toBeGreaterThan(0);
    expect(link.b.counters.icmpOutErrors).toBeGreaterThan(0);
    expect(packetsFree).toBe(packetsTotal);
  });
});
