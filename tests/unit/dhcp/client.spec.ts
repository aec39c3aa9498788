import { initPackets, packetsFree, packetsTotal } from "../../../runtime";
import { DhcpClient, DhcpState, datagramCopy, datagramBytes, Stack, Udp, UdpEndpoint } from "../../../net";
import { Impairment, SimDevice, World } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const buffer: usize = heap.alloc(2048);
const OFFERED: u64 = 0xffff0a00000f;

// A server of one address on 10.0.0.2, with leases of a given length, that can be told to refuse.
class Server {
  socket: UdpEndpoint;
  requests: i32 = 0;
  declines: i32 = 0;
  refuse: bool = false;
  silent: bool = false;
  /** An option 121, whole. */
  routes: StaticArray<u8> = [];
  constructor(
    readonly udp: Udp,
    readonly lease_s: u32,
  ) {
    this.socket = udp.open()!;
    udp.bind(this.socket, 0, 0, 67);
  }
  poll(): void {
    for (let p = this.udp.receive(this.socket); p != null; p = this.udp.receive(this.socket)) {
      const n = datagramBytes(p);
      memory.fill(buffer, 0, 2048);
      datagramCopy(p, buffer, 0, n);
      p.free();
      const type = load<u8>(buffer + 242);
      if (type == 4) this.declines++;
      if (type == 3) this.requests++;
      if (this.silent || (type != 1 && type != 3)) continue;
      store<u8>(buffer, 2);
      store<u32>(buffer + 16, bswap<u32>(<u32>OFFERED));
      const answer: u32 = type == 1 ? 2 : this.refuse ? 6 : 5;
      let at = buffer + 240;
      store<u8>(at, 53);
      store<u8>(at + 1, 1);
      store<u8>(at + 2, <u8>answer);
      at = option(at + 3, 54, 0x0a000002);
      at = option(at, 1, 0xffffff00);
      at = option(at, 3, 0x0a000002);
      at = option(at, 51, this.lease_s);
      memory.copy(at, changetype<usize>(this.routes), this.routes.length);
      at += this.routes.length;
      store<u8>(at, 255);
      this.udp.sendBytes(this.socket, buffer, <u32>(at + 1 - buffer), 0, 0xffffffffffff, 68);
    }
  }
}

function option(at: usize, code: u8, value: u32): usize {
  store<u8>(at, code);
  store<u8>(at + 1, 4);
  store<u32>(at + 2, bswap<u32>(value));
  return at + 6;
}

class Net {
  world: World;
  client: Stack;
  dhcp: DhcpClient;
  server: Server;
  serverStack: Stack;
  constructor(seed: u64, lease_s: u32, loss: u32) {
    initPackets();
    const world = new World(seed);
    const a = world.addStack();
    const b = world.addStack();
    const deviceA: SimDevice = world.addDevice(a, "eth0", 0x525400000001);
    const deviceB: SimDevice = world.addDevice(b, "eth0", 0x525400000002);
    world.connect(deviceA, deviceB);
    const impairment = new Impairment();
    impairment.loss = loss;
    deviceA.impairment = impairment;
    deviceB.impairment = impairment;
    b.interfaces[0].addAddress(0, 0xffff0a000002, 120);
    this.server = new Server(new Udp(b), lease_s);
    this.dhcp = new DhcpClient(a.interfaces[0]);
    this.world = world;
    this.client = a;
    this.serverStack = b;
    this.dhcp.start();
  }
  run(duration_ns: i64): void {
    const until = this.world.now_ns + duration_ns;
    while (this.world.now_ns < until) {
      this.world.run(min(this.world.now_ns + 5_000_000, until));
      this.server.poll();
    }
  }
}

describe("the DHCP client", () => {
  it("gets, uses and renews an address", () => {
    const net = new Net(1, 600, 0);
    net.run(SECOND);
    expect(net.dhcp.state).toBe(DhcpState.BOUND);
    expect(net.client.ip.isLocal(0, OFFERED)).toBe(true);
    expect(net.client.ip.table.lookup(0, 0xffff08080808)!.hopLo).toBe(0xffff0a000002);
    expect(net.server.requests).toBe(1);
    net.run(310 * SECOND);
    expect(net.server.requests).toBe(2, "renewed at half the lease");
    expect(net.dhcp.state).toBe(DhcpState.BOUND);
    net.run(10 * SECOND);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("gets there over a link that loses a third", () => {
    for (let seed: u64 = 10; seed < 15; seed++) {
      const net = new Net(seed, 100000, 333_333);
      net.run(600 * SECOND);
      expect(net.dhcp.state).toBe(DhcpState.BOUND, seed.toString());
    }
  });
  it("gives the address up when the lease ends and nobody answers, and looks again", () => {
    const net = new Net(2, 600, 0);
    net.run(SECOND);
    net.server.silent = true;
    net.run(590 * SECOND);
    expect(net.client.ip.isLocal(0, OFFERED)).toBe(true);
    expect(net.dhcp.state).toBe(DhcpState.REBINDING);
    net.run(20 * SECOND);
    expect(net.client.ip.isLocal(0, OFFERED)).toBe(false);
    net.server.silent = false;
    net.run(70 * SECOND);
    expect(net.dhcp.state).toBe(DhcpState.BOUND);
  });
  it("takes the routes of a lease instead of its router, and gives them back (RFC 3442)", () => {
    const net = new Net(6, 600, 0);
    // 10.7.0.0/16 by 10.0.0.3; 10.8.0.0/15 on the link; the default by 10.0.0.4; one by a router that is not on the link; cut off.
    net.server.routes = [
      121, 34, 16, 10, 7, 10, 0, 0, 3, 15, 10, 8, 0, 0, 0, 0, 0, 10, 0, 0, 4, 24, 10, 9, 9, 192, 0, 2, 1, 8, 11, 10, 0,
      0, 5, 40,
    ];
    net.run(SECOND);
    const table = net.client.ip.table;
    expect(table.lookup(0, 0xffff0a070001)!.hopLo).toBe(0xffff0a000003);
    expect(table.lookup(0, 0xffff0a090001)!.hopLo).toBe(0, "on the link");
    expect(table.lookup(0, 0xffff08080808)!.hopLo).toBe(0xffff0a000004);
    expect(table.lookup(0, 0xffff0a090901)!.hopLo).toBe(0);
    const routes = table.count;
    net.run(310 * SECOND);
    expect(net.server.requests).toBe(2);
    expect(table.count).toBe(routes, "the same after a renewal");
    net.server.routes = [];
    net.run(310 * SECOND);
    expect(table.lookup(0, 0xffff0a070001)!.hopLo).toBe(0xffff0a000002);
    expect(table.count).toBe(routes - 3);
  });
  it("lets go at a refusal", () => {
    const net = new Net(3, 600, 0);
    net.run(SECOND);
    net.server.refuse = true;
    net.run(301 * SECOND);
    expect(net.client.ip.isLocal(0, OFFERED)).toBe(false);
    net.server.refuse = false;
    net.run(10 * SECOND);
    expect(net.dhcp.state).toBe(DhcpState.BOUND);
  });
  it("declines an address that somebody has", () => {
    const net = new Net(4, 600, 0);
    net.serverStack.interfaces[0].addAddress(0, OFFERED, 120);
    net.run(5 * SECOND);
    expect(net.server.declines).toBe(1);
    expect(net.client.ip.isLocal(0, OFFERED)).toBe(false);
    net.serverStack.interfaces[0].removeAddress(0, OFFERED);
    net.run(30 * SECOND);
    expect(net.dhcp.state).toBe(DhcpState.BOUND);
  });
});
