import { initPackets, packetsFree, packetsTotal } from "../../../runtime";
import { datagramBytes, datagramSrcLo, Forwarder, ReversePath, RouteKind, Stack, Udp } from "../../../net";
import { SimDevice, Tap, World } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const A: u64 = 0xffff0a000001;
const ROUTER_A: u64 = 0xffff0a0000fe;
const B: u64 = 0xffff0a000101;
const ROUTER_B: u64 = 0xffff0a0001fe;
const NOWHERE: u64 = 0xffffc0000201;
const data: usize = heap.alloc(4000);

/** Keeps the IPv4 frames that a card sends. */
class Recorder extends Tap {
  frames: Array<StaticArray<u8>> = [];
  frame(from: SimDevice, bytes: StaticArray<u8>): bool {
    if (bytes[12] == 8 && bytes[13] == 0) this.frames.push(bytes);
    return true;
  }
}

/** 10.0.0.1 -- 10.0.0.254 router 10.0.1.254 -- 10.0.1.1 */
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
    const cardB = world.addDevice(b, "eth0", 0x525400000004, mtu);
    world.connect(cardA, west);
    world.connect(east, cardB);
    a.interfaces[0].addAddress(0, A, 120);
    a.interfaces[0].addGateway(0, ROUTER_A);
    router.interfaces[0].addAddress(0, ROUTER_A, 120);
    router.interfaces[1].addAddress(0, ROUTER_B, 120);
    router.ip.router = new Forwarder(router);
    b.interfaces[0].addAddress(0, B, 120);
    b.interfaces[0].addGateway(0, ROUTER_B);
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
  }

  run(): void {
    this.world.run(this.world.now_ns + SECOND);
  }

  /** Sends a datagram of so many bytes from A. */
  send(bytes: u32, to: u64): void {
    const socket = this.sender.open()!;
    this.a.now_ns = this.world.now_ns;
    expect(this.sender.sendBytes(socket, data, bytes, 0, to, 53)).toBe(0);
    this.run();
    this.sender.close(socket);
  }

  /** Sends the last frame that A sent once more, with another TTL and flags, its checksum mended. */
  replay(ttl: u8, flags: u8): void {
    const frames = this.fromA.frames;
    const bytes = frames[frames.length - 1].slice<StaticArray<u8>>();
    bytes[22] = ttl;
    bytes[20] = flags;
    bytes[24] = 0;
    bytes[25] = 0;
    let sum: u32 = 0;
    for (let i = 14; i < 34; i += 2) sum += ((<u32>bytes[i]) << 8) | bytes[i + 1];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    bytes[24] = <u8>(~sum >> 8);
    bytes[25] = <u8>~sum;
    this.world.inject(this.west, bytes);
    this.run();
  }
}

function last(recorder: Recorder): StaticArray<u8> {
  return recorder.frames[recorder.frames.length - 1];
}

describe("a router", () => {
  it("sends on what is for others, with its TTL one lower and a right checksum", () => {
    const net = new Routed();
    const to = net.receiver.open()!;
    expect(net.receiver.bind(to, 0, 0, 53)).toBe(0);
    for (let i = 0; i < 3; i++) {
      net.send(100, B);
      const p = net.receiver.receive(to);
      assert(p != null);
      expect(datagramBytes(p!)).toBe(100);
      expect(datagramSrcLo(p!)).toBe(A);
      p!.free();
      expect(last(net.toB)[22]).toBe(last(net.fromA)[22] - 1);
    }
    expect(net.router.counters.ipForwDatagrams).toBe(3);
    net.receiver.close(to);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("answers a packet whose TTL ends with time exceeded, and does not send it on", () => {
    const net = new Routed();
    net.send(100, B);
    const sent = net.toB.frames.length;
    net.replay(1, 0);
    expect(net.toB.frames.length).toBe(sent);
    const error = last(net.toA);
    expect(error[23]).toBe(1);
    expect(error[34]).toBe(11);
    expect(error[35]).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("says that a network is unreachable", () => {
    const net = new Routed();
    net.send(100, NOWHERE);
    const error = last(net.toA);
    expect(error[34]).toBe(3);
    expect(error[35]).toBe(0);
    expect(net.router.counters.ipInNoRoutes).toBe(1);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("drops for a blackhole without a word", () => {
    const net = new Routed();
    net.router.ip.addRoute(0, 0xffffc0000200, 120, RouteKind.BLACKHOLE, 0, 0, 0, 0, 0, 0);
    const before = net.toA.frames.length;
    net.send(100, NOWHERE);
    expect(net.toA.frames.length).toBe(before);
    expect(net.router.counters.ipInBlackholed).toBe(1);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("cuts for a smaller link what may be cut, and names its MTU for what may not", () => {
    const net = new Routed(1280);
    const to = net.receiver.open()!;
    expect(net.receiver.bind(to, 0, 0, 53)).toBe(0);
    net.send(100, B);
    net.receiver.receive(to)!.free();
    net.send(1400, B);
    // The first of that size had DF, if path MTU discovery is on for sockets: what is asked here is the router's part.
    const errors = net.toA.frames.length;
    net.replay(64, 0x40);
    expect(net.toA.frames.length).toBe(errors + 1);
    const error = last(net.toA);
    expect(error[34]).toBe(3);
    expect(error[35]).toBe(4);
    expect(((<u32>error[40]) << 8) | error[41]).toBe(1280);
    for (let p = net.receiver.receive(to); p != null; p = net.receiver.receive(to)) p.free();
    const pieces = net.toB.frames.length;
    net.replay(64, 0);
    expect(net.toB.frames.length).toBe(pieces + 2);
    const p = net.receiver.receive(to);
    assert(p != null);
    expect(datagramBytes(p!)).toBe(1400);
    p!.free();
    net.receiver.close(to);
    expect(packetsFree).toBe(packetsTotal);
  });

  it("does not take a source that belongs to another interface, when it checks the reverse path", () => {
    const net = new Routed();
    net.send(100, B);
    const sent = net.toB.frames.length;
    net.router.interfaces[0].reversePath = ReversePath.STRICT;
    const frames = net.fromA.frames;
    const bytes = frames[frames.length - 1];
    bytes[28] = 1; // 10.0.1.1: B's own
    net.replay(64, 0);
    expect(net.toB.frames.length).toBe(sent);
    expect(packetsFree).toBe(packetsTotal);
  });
});
