import { Errno, initPackets, packetsFree, packetsTotal } from "../../../runtime";
import { datagramBytes, datagramCopy, datagramSrcLo, datagramSrcPort, Udp } from "../../../net";
import { ADDRESS_A, ADDRESS_B, SimLink } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const data: usize = heap.alloc(20000);

describe("UDP between two stacks", () => {
  it("carries datagrams of every kind of length, fragmented where needed", () => {
    initPackets();
    const link = new SimLink(1);
    const a = new Udp(link.a);
    const b = new Udp(link.b);
    const from = a.open()!;
    const to = b.open()!;
    expect(b.bind(to, 0, 0, 53)).toBe(0);
    const sizes: StaticArray<u32> = [0, 1, 2, 1471, 1472, 1473, 3001, 15000];
    for (let i = 0; i < sizes.length; i++) {
      for (let n: u32 = 0; n < sizes[i]; n++) store<u8>(data + n, <u8>(n * 7 + i));
      link.a.now_ns = link.world.now_ns;
      expect(a.sendBytes(from, data, sizes[i], 0, ADDRESS_B, 53)).toBe(0);
      link.run(SECOND);
      const p = b.receive(to);
      assert(p != null);
      expect(datagramBytes(p!)).toBe(sizes[i]);
      expect(datagramSrcLo(p!)).toBe(ADDRESS_A);
      expect(datagramSrcPort(p!)).toBe(from.localPort);
      memory.fill(data, 0, sizes[i]);
      datagramCopy(p!, data, 0, sizes[i]);
      let right = true;
      for (let n: u32 = 0; n < sizes[i]; n++) if (load<u8>(data + n) != <u8>(n * 7 + i)) right = false;
      expect(right).toBe(true, sizes[i].toString());
      p!.free();
    }
    expect(packetsFree).toBe(packetsTotal);
  });
  it("tells a connected socket that nobody listens", () => {
    initPackets();
    const link = new SimLink(2);
    const a = new Udp(link.a);
    new Udp(link.b);
    const s = a.open()!;
    expect(a.connect(s, 0, ADDRESS_B, 9)).toBe(0);
    expect(a.sendBytes(s, data, 4, 0, 0, 0)).toBe(0);
    link.run(SECOND);
    expect(s.takeError()).toBe(Errno.ECONNREFUSED);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("holds no more than its limit for a reader that does not read", () => {
    initPackets();
    const link = new SimLink(3);
    const a = new Udp(link.a);
    const b = new Udp(link.b);
    const from = a.open()!;
    const to = b.open()!;
    b.bind(to, 0, 0, 53);
    for (let i = 0; i < 200; i++) {
      link.a.now_ns = link.world.now_ns;
      a.sendBytes(from, data, 1, 0, ADDRESS_B, 53);
      link.run(10_000_000);
    }
    expect(to.queueBytes).toBeLessThanOrEqual(to.receiveLimit);
    expect(link.b.counters.udpRcvbufErrors).toBeGreaterThan(0);
    b.close(to);
    link.run(SECOND);
    expect(packetsFree).toBe(packetsTotal);
    expect(b.queued).toBe(0);
  });
  it("gives a port to one socket only", () => {
    initPackets();
    const link = new SimLink(4);
    const a = new Udp(link.a);
    const s = a.open()!;
    const t = a.open()!;
    expect(a.bind(s, 0, 0, 53)).toBe(0);
    expect(a.bind(t, 0, ADDRESS_A, 53)).toBe(Errno.EADDRINUSE);
    expect(a.bind(t, 0, ADDRESS_B, 54)).toBe(Errno.EADDRNOTAVAIL);
    a.close(s);
    expect(a.bind(t, 0, ADDRESS_A, 53)).toBe(0);
  });
});
