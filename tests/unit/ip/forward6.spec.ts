import { allocPacket, initPackets, Packet, PacketFlag, packetsFree, packetsTotal } from "../../../runtime";
import {
  datagramBytes,
  datagramSrcHi,
  datagramSrcLo,
  Forwarder,
  Interface,
  newRoute,
  PacketFilter,
  ReversePath,
  RouteKind,
  Stack,
  Udp,
} from "../../../net";
import { carryOffload, segmentBytes } from "../../../net/ip/carry";
import { fold, sumBytes, sumPseudo } from "../../../net/wire/checksum";
import { emitIpv4 } from "../../../net/wire/ipv4";
import { emitIpv6, ipv6HopLimit, ipv6Next, ipv6Total } from "../../../net/wire/ipv6";
import { SimDevice, Tap, World } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const WEST: u64 = 0x20010db800010000;
const EAST: u64 = 0x20010db800020000;
const NOWHERE: u64 = 0x20010db800030000;
const LINK: u64 = 0xfe80000000000000;
const data: usize = heap.alloc(8000);

/** Keeps the IPv6 packets other than neighbour discovery and group reports that a card sends. */
class Recorder extends Tap {
  frames: Array<StaticArray<u8>> = [];
  frame(from: SimDevice, bytes: StaticArray<u8>): bool {
    if (bytes[12] != 0x86 || bytes[20] == 0 || (bytes[20] == 58 && bytes[54] >= 133)) return true;
    this.frames.push(bytes);
    return true;
  }
}

/** Lets everything pass and keeps count of what it saw whole. */
class Watcher extends PacketFilter {
  preRoutes: u32 = 0;
  forwards: u32 = 0;
  inputs: u32 = 0;
  outputs: u32 = 0;
  postRoutes: u32 = 0;
  largest: u32 = 0;
  deny: bool = false;
  preRoute(stack: Stack, from: Interface, p: Packet): bool {
    this.preRoutes++;
    return true;
  }
  input(stack: Stack, from: Interface, p: Packet): bool {
    this.inputs++;
    return true;
  }
  forward(stack: Stack, from: Interface, to: Interface, p: Packet): bool {
    this.forwards++;
    this.largest = max(this.largest, ipv6Total(p.data));
    if (this.deny) p.free();
    return !this.deny;
  }
  output(stack: Stack, to: Interface, p: Packet): bool {
    this.outputs++;
    return true;
  }
  postRoute(stack: Stack, to: Interface, p: Packet): bool {
    this.postRoutes++;
    return true;
  }
}

/** WEST::1 -- WEST::fe router EAST::fe -- EAST::1 */
class Routed {
  readonly world: World;
  readonly a: Stack;
  readonly router: Stack;
  readonly b: Stack;
  readonly fromA: Recorder = new Recorder();
  readonly toA: Recorder = new Recorder();
  readonly toB: Recorder = new Recorder();
  readonly sender: Udp;
  readonly receiver: Udp;
  readonly west: SimDevice;

  constructor(mtu: u32 = 1500) {
    initPackets();
    const world = new World(7);
    const a = world.addStack();
    const router = world.addStack();
    const b = world.addStack();
    const cardA = world.addDevice(a, "eth0", 0x525400000001);
    const west = world.addDevice(router, "eth0", 0x525400000002);
    const east = world.addDevice(router, "eth1", 0x525400000003, mtu);
    const cardB = world.addDevice(b, "eth0", 0x525400000004);
    world.connect(cardA, west);
    world.connect(east, cardB);
    router.ip.router = new Forwarder(router);
    expect(a.interfaces[0].addAddress(WEST, 1, 64)).toBe(0);
    expect(router.interfaces[0].addAddress(WEST, 0xfe, 64)).toBe(0);
    expect(router.interfaces[1].addAddress(EAST, 0xfe, 64)).toBe(0);
    expect(b.interfaces[0].addAddress(EAST, 1, 64)).toBe(0);
    expect(a.interfaces[0].addGateway(WEST, 0xfe)).toBe(0);
    expect(b.interfaces[0].addGateway(EAST, 0xfe)).toBe(0);
    this.world = world;
    this.a = a;
    this.router = router;
    this.b = b;
    this.west = west;
    this.sender = new Udp(a);
    this.receiver = new Udp(b);
    cardA.tap = this.fromA;
    west.tap = this.toA;
    east.tap = this.toB;
    world.run(5 * SECOND);
  }

  run(): void {
    this.world.run(this.world.now_ns + SECOND);
  }

  /** Sends a datagram of so many bytes from A. */
  send(bytes: u32, toHi: u64): void {
    const socket = this.sender.open()!;
    this.a.now_ns = this.world.now_ns;
    expect(this.sender.sendBytes(socket, data, bytes, toHi, 1, 53)).toBe(0);
    this.run();
    this.sender.close(socket);
  }

  /** Sends the last packet that A sent once more, with another hop limit and source. */
  replay(hops: u8, srcHi: u64, srcLo: u64): void {
    const frames = this.fromA.frames;
    const bytes = frames[frames.length - 1].slice<StaticArray<u8>>();
    bytes[21] = hops;
    store<u64>(changetype<usize>(bytes) + 22, bswap<u64>(srcHi));
    store<u64>(changetype<usize>(bytes) + 30, bswap<u64>(srcLo));
    this.world.inject(this.west, bytes);
    this.run();
  }
}

function last(recorder: Recorder): StaticArray<u8> {
  return recorder.frames[recorder.frames.length - 1];
}

function word(bytes: StaticArray<u8>, at: i32): u32 {
  return bswap<u32>(load<u32>(changetype<usize>(bytes) + at));
}

describe("a router of IPv6", () => {
  it("sends on what is for others, with its hop limit one lower", () => {
    const net = new Routed();
    const to = net.receiver.open()!;
    expect(net.receiver.bind(to, 0, 0, 53)).toBe(0);
    for (let i = 0; i < 3; i++) {
      net.send(100, EAST);
      const p = net.receiver.receive(to);
      assert(p != null);
      expect(datagramBytes(p!)).toBe(100);
      expect(datagramSrcHi(p!)).toBe(WEST);
      expect(datagramSrcLo(p!)).toBe(1);
      p!.free();
      expect(last(net.toB)[21]).toBe(last(net.fromA)[21] - 1);
    }
    expect(net.router.counters.ip6OutForwDatagrams).toBe(3);
    expect(net.router.counters.ipForwDatagrams).toBe(0);
    net.receiver.close(to);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("answers a packet whose hop limit ends with time exceeded, and does not send it on", () => {
    const net = new Routed();
    net.send(100, EAST);
    const sent = net.toB.frames.length;
    net.replay(1, WEST, 1);
    net.replay(0, WEST, 1);
    expect(net.toB.frames.length).toBe(sent);
    expect(last(net.toA)[54]).toBe(3);
    expect(last(net.toA)[55]).toBe(0);
    // From its own address on the link of the sender.
    expect(word(last(net.toA), 34)).toBe(0xfe);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("says that there is no route", () => {
    const net = new Routed();
    net.send(100, NOWHERE);
    expect(last(net.toA)[54]).toBe(1);
    expect(last(net.toA)[55]).toBe(0);
    expect(net.router.counters.ip6InNoRoutes).toBe(1);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("drops for a blackhole without a word", () => {
    const net = new Routed();
    net.router.ip.addRoute(NOWHERE, 0, 64, RouteKind.BLACKHOLE, 0, 0, 0, 0, 0, 0);
    const before = net.toA.frames.length;
    net.send(100, NOWHERE);
    expect(net.toA.frames.length).toBe(before);
    expect(net.router.counters.ip6InBlackholed).toBe(1);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("names the MTU of a smaller link, and cuts nothing", () => {
    const net = new Routed(1300);
    net.send(100, EAST);
    const sent = net.toB.frames.length;
    net.send(1400, EAST);
    expect(net.toB.frames.length).toBe(sent);
    const error = last(net.toA);
    expect(error[54]).toBe(2);
    expect(word(error, 58)).toBe(1300);
    expect(net.router.counters.ip6InTooBigErrors).toBe(1);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("keeps addresses of the link, our own and nobody's on their link", () => {
    const net = new Routed();
    net.send(100, EAST);
    const sent = net.toB.frames.length;
    const told = net.toA.frames.length;
    const errors = net.router.counters.ip6InAddrErrors;
    net.replay(64, LINK, 0x1234);
    net.replay(64, EAST, 0xfe);
    net.replay(64, 0, 0);
    expect(net.toB.frames.length).toBe(sent);
    expect(net.toA.frames.length).toBe(told, "and to nobody who cannot be asked for");
    expect(net.router.counters.ip6InAddrErrors).toBe(errors + 3);
    net.run();
    expect(packetsFree).toBe(packetsTotal);
  });

  it("does not take a source that belongs to another interface, when it checks the reverse path", () => {
    const net = new Routed();
    net.send(100, EAST);
    const sent = net.toB.frames.length;
    net.router.interfaces[0].reversePath = ReversePath.STRICT;
    net.replay(64, EAST, 1);
    expect(net.toB.frames.length).toBe(sent);
    expect(net.router.counters.ip6InReversePath).toBe(1);
    net.send(100, EAST);
    expect(net.toB.frames.length).toBe(sent + 1, "the honest still pass");
    expect(packetsFree).toBe(packetsTotal);
  });
});

describe("a scan of a network behind the router (RFC 6583)", () => {
  it("pushes out no neighbour in use, delays nobody, and leaves nothing behind", () => {
    const net = new Routed();
    const to = net.receiver.open()!;
    expect(net.receiver.bind(to, 0, 0, 53)).toBe(0);
    net.send(100, EAST);
    net.receiver.receive(to)!.free();
    const serial = net.router.neighbours.find(1, EAST, 1)!.serial;
    const frame = last(net.fromA).slice<StaticArray<u8>>();
    for (let i: u64 = 0; i < 5000; i++) {
      const scan = frame.slice<StaticArray<u8>>();
      store<u64>(changetype<usize>(scan) + 46, bswap<u64>(0x10000 + i));
      net.world.inject(net.west, scan);
      net.world.run(net.world.now_ns + 100_000);
    }
    const known = net.router.neighbours.find(1, EAST, 1);
    expect(known != null && known.serial == serial).toBe(true);
    const before = net.toB.frames.length;
    net.world.inject(net.west, frame);
    net.world.run(net.world.now_ns + 1_000_000);
    expect(net.toB.frames.length).toBe(before + 1);
    expect(net.router.neighbours.count <= net.router.limits.neighbours).toBe(true);
    for (let p = net.receiver.receive(to); p != null; p = net.receiver.receive(to)) p.free();
    net.world.run(net.world.now_ns + 10 * SECOND);
    for (let p = net.receiver.receive(to); p != null; p = net.receiver.receive(to)) p.free();
    net.receiver.close(to);
    expect(packetsFree).toBe(packetsTotal);
  });
});

describe("a filter in the way of IPv6", () => {
  it("sees what is forwarded, also what came in fragments, whole; it leaves in fragments no larger", () => {
    const net = new Routed();
    const filter = new Watcher();
    net.router.ip.filter = filter;
    const to = net.receiver.open()!;
    expect(net.receiver.bind(to, 0, 0, 53)).toBe(0);
    for (let i = 0; i < 4000; i++) store<u8>(data + i, <u8>(i * 7));
    net.send(4000, EAST);
    expect(filter.forwards).toBe(1);
    expect(filter.largest).toBe(4048);
    expect(net.toB.frames.length).toBe(net.fromA.frames.length);
    for (let i = 0; i < net.toB.frames.length; i++) expect(net.toB.frames[i].length <= 1514).toBe(true);
    const p = net.receiver.receive(to);
    assert(p != null);
    expect(datagramBytes(p!)).toBe(4000);
    const copy = heap.alloc(4000);
    p!.copyTo(copy, p!.l4 + 8, 4000);
    expect(memory.compare(copy, data, 4000)).toBe(0);
    heap.free(copy);
    p!.free();
    expect(net.router.counters.ip6ReasmOKs).toBe(1);
    expect(net.router.counters.ip6FragOKs).toBe(1);
    net.receiver.close(to);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("stops what it refuses, and judges what goes to and comes from the router itself", () => {
    const net = new Routed();
    const filter = new Watcher();
    filter.deny = true;
    net.router.ip.filter = filter;
    net.send(100, EAST);
    expect(net.toB.frames.length).toBe(0);
    // An error of our own: neither forwarded nor answered.
    net.replay(1, WEST, 1);
    expect(filter.outputs).toBe(1);
    expect(filter.inputs).toBeGreaterThan(0, "neighbour discovery is for us");
    expect(packetsFree).toBe(packetsTotal);
  });
});

/** A TCP packet of `payload` bytes with the flags of a received one. */
function received(six: bool, payload: u32, flags: u32, gso: u16): Packet {
  const header: u32 = six ? 40 : 20;
  const p = allocPacket()!;
  const at = p.append(header + 20 + payload);
  memory.fill(at, 0x3c, header + 20 + payload);
  if (six) emitIpv6(at, 0, 0, 20 + payload, 6, 64, WEST, 1, EAST, 1);
  else emitIpv4(at, 0, 40 + payload, 1, 0, 64, 6, 0x0a000001, 0x0a000101);
  store<u8>(at + header + 12, 0x50);
  p.flags = flags;
  p.gsoSize = gso;
  return p;
}

describe("what a card said of a received packet", () => {
  it("becomes what is asked of the next card: cut a merged packet, with a pseudo-header sum in place", () => {
    initPackets();
    for (let six = 0; six < 2; six++) {
      const header: u32 = six ? 40 : 20;
      const gso = six ? PacketFlag.GSO_TCP6 : PacketFlag.GSO_TCP4;
      const p = received(six != 0, 1000, gso | PacketFlag.CHECKSUM_OK, 400);
      expect(segmentBytes(p, header, p.totalLen)).toBe(header + 20 + 400);
      expect(carryOffload(p, header, 6)).toBe(true);
      expect(p.flags).toBe(gso | PacketFlag.CHECKSUM_PARTIAL);
      expect(p.csumStart).toBe(<u16>header);
      expect(p.csumOffset).toBe(16);
      const wanted = six
        ? sumPseudo(WEST, 1, EAST, 1, 6, 1020)
        : sumPseudo(0, 0xffff0a000001, 0, 0xffff0a000101, 6, 1020);
      expect(load<u16>(p.data + header, 16)).toBe(<u16>wanted);
      p.free();
    }
    expect(packetsFree).toBe(packetsTotal);
  });

  it("is refused where it does not fit the packet", () => {
    initPackets();
    const ok = PacketFlag.CHECKSUM_OK;
    const pending = PacketFlag.CHECKSUM_PENDING;
    // A merged packet of the other version, of size 0, of another protocol, with a header length that lies.
    let p = received(true, 100, PacketFlag.GSO_TCP4 | ok, 50);
    expect(carryOffload(p, 40, 6)).toBe(false);
    p.free();
    p = received(false, 100, PacketFlag.GSO_TCP6 | ok, 50);
    expect(carryOffload(p, 20, 6)).toBe(false);
    p.free();
    p = received(true, 100, PacketFlag.GSO_TCP6 | ok, 0);
    expect(carryOffload(p, 40, 6)).toBe(false);
    p.free();
    p = received(true, 100, PacketFlag.GSO_TCP6 | ok, 50);
    expect(carryOffload(p, 40, 17)).toBe(false);
    p.free();
    p = received(true, 8, PacketFlag.GSO_TCP6 | ok, 50);
    store<u8>(p.data + 52, 0xf0);
    expect(carryOffload(p, 40, 6)).toBe(false);
    p.free();
    // A checksum field before the transport header, or behind the end.
    p = received(true, 100, pending, 0);
    p.csumStart = 8;
    p.csumOffset = 0;
    expect(carryOffload(p, 40, 6)).toBe(false);
    p.free();
    p = received(true, 100, pending, 0);
    p.csumStart = 150;
    p.csumOffset = 10;
    expect(carryOffload(p, 40, 6)).toBe(false);
    p.free();
    expect(packetsFree).toBe(packetsTotal);
  });

  it("a checksum that was left out is completed on the way out", () => {
    initPackets();
    const p = received(true, 100, PacketFlag.CHECKSUM_PENDING, 0);
    p.csumStart = 40;
    p.csumOffset = 16;
    expect(carryOffload(p, 40, 6)).toBe(true);
    expect(p.flags).toBe(PacketFlag.CHECKSUM_PARTIAL);
    expect(p.csumStart).toBe(40);
    p.free();
    expect(packetsFree).toBe(packetsTotal);
  });
});
