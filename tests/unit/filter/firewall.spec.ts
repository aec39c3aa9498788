// The firewall as a whole, between stacks on simulated links: what passes, what it looks like on the other side, floods,
// reloads, and frames that make no sense.
//
//   10.0.0.5 client -- lan 10.0.0.1 [firewall] wan 203.0.113.2 -- 203.0.113.9 server

import { initPackets, packetsFree, packetsTotal } from "../../../runtime";
import { datagramSrcLo, datagramSrcPort, Forwarder, Stack, Udp, UdpEndpoint } from "../../../net";
import { Action, Firewall, FirewallSettings, LimitSpec, NatSpec, NatType, Reason, RuleSpec } from "../../../net/filter";
import { SimDevice, Tap, World } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const CLIENT: u64 = 0xffff0a000005;
const LAN: u64 = 0xffff0a000001;
const WAN: u64 = 0xffffcb007102;
const SERVER: u64 = 0xffffcb007109;
const data: usize = heap.alloc(4000);
const LAN_SIDE: i32 = 0;
const WAN_SIDE: i32 = 1;

/** Keeps the last IPv4 frame that a card sends, and how many. */
class Recorder extends Tap {
  last: StaticArray<u8> = new StaticArray<u8>(0);
  count: u32 = 0;
  frame(from: SimDevice, bytes: StaticArray<u8>): bool {
    if (bytes[12] == 8 && bytes[13] == 0) {
      this.last = bytes;
      this.count++;
    }
    return true;
  }
}

function rule(action: Action, from: i32, to: i32): RuleSpec {
  const spec = new RuleSpec();
  spec.action = action;
  if (from >= 0) spec.from.interfaces = [from];
  else spec.from.any = true;
  if (to >= 0) spec.to.interfaces = [to];
  else spec.to.any = true;
  return spec;
}

function masquerade(): NatSpec {
  const spec = new NatSpec();
  spec.type = NatType.MASQUERADE;
  spec.to.interfaces = [WAN_SIDE];
  return spec;
}

function office(): FirewallSettings {
  const settings = new FirewallSettings();
  settings.state.maxEntries = 512;
  settings.state.maxPerSource = 512;
  settings.rules = [rule(Action.ACCEPT, LAN_SIDE, WAN_SIDE)];
  settings.nat = [masquerade()];
  return settings;
}

class Net {
  readonly world: World;
  readonly client: Stack;
  readonly router: Stack;
  readonly server: Stack;
  readonly firewall: Firewall;
  readonly lan: SimDevice;
  readonly wan: SimDevice;
  readonly toLan: Recorder = new Recorder();
  readonly toWan: Recorder = new Recorder();
  readonly fromClient: Recorder = new Recorder();
  readonly fromServer: Recorder = new Recorder();
  readonly clientUdp: Udp;
  readonly serverUdp: Udp;

  constructor(settings: FirewallSettings) {
    initPackets();
    const world = new World(11);
    const client = world.addStack();
    const router = world.addStack();
    const server = world.addStack();
    const a = world.addDevice(client, "eth0", 0x525400000001);
    const lan = world.addDevice(router, "lan", 0x525400000002);
    const wan = world.addDevice(router, "wan", 0x525400000003);
    const b = world.addDevice(server, "eth0", 0x525400000004);
    world.connect(a, lan);
    world.connect(wan, b);
    client.interfaces[0].addAddress(0, CLIENT, 120);
    client.interfaces[0].addGateway(0, LAN);
    router.interfaces[0].addAddress(0, LAN, 120);
    router.interfaces[1].addAddress(0, WAN, 120);
    server.interfaces[0].addAddress(0, SERVER, 120);
    server.interfaces[0].addGateway(0, WAN);
    const firewall = new Firewall(router, settings);
    router.ip.router = new Forwarder(router);
    router.ip.filter = firewall;
    this.world = world;
    this.client = client;
    this.router = router;
    this.server = server;
    this.firewall = firewall;
    this.lan = lan;
    this.wan = wan;
    this.clientUdp = new Udp(client);
    this.serverUdp = new Udp(server);
    lan.tap = this.toLan;
    wan.tap = this.toWan;
    a.tap = this.fromClient;
    b.tap = this.fromServer;
  }

  run(time_ns: i64 = 50_000_000): void {
    this.world.run(this.world.now_ns + time_ns);
  }

  /** Sends a datagram; the number of bytes that arrived, or -1. */
  send(from: Udp, socket: UdpEndpoint, to: Udp, target: UdpEndpoint, address: u64, port: u32, bytes: u32): bool {
    this.client.now_ns = this.world.now_ns;
    this.server.now_ns = this.world.now_ns;
    from.sendBytes(socket, data, bytes, 0, address, port);
    this.run();
    const p = to.receive(target);
    if (p == null) return false;
    lastLo = datagramSrcLo(p);
    lastPort = datagramSrcPort(p);
    p.free();
    return true;
  }

  atRest(): void {
    this.run(10 * SECOND);
    expect(packetsFree).toBe(packetsTotal);
  }

  /** Injects a UDP packet with a checksum of 0 from outside or inside. */
  raw(device: SimDevice, src: u32, srcPort: u32, dst: u32, dstPort: u32): void {
    this.world.inject(device, udpFrame(device, src, srcPort, dst, dstPort));
  }
}

let lastLo: u64 = 0;
let lastPort: u32 = 0;

function put16(bytes: StaticArray<u8>, at: i32, value: u32): void {
  bytes[at] = <u8>(value >> 8);
  bytes[at + 1] = <u8>value;
}

function put32(bytes: StaticArray<u8>, at: i32, value: u32): void {
  put16(bytes, at, value >> 16);
  put16(bytes, at + 2, value & 0xffff);
}

function get16(bytes: StaticArray<u8>, at: i32): u32 {
  return ((<u32>bytes[at]) << 8) | bytes[at + 1];
}

function sum(bytes: StaticArray<u8>, from: i32, to: i32): u32 {
  let total: u32 = 0;
  for (let i = from; i < to; i += 2) total += i + 1 < to ? get16(bytes, i) : (<u32>bytes[i]) << 8;
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return total;
}

function header(bytes: StaticArray<u8>, mac: u64, protocol: u32, src: u32, dst: u32): void {
  for (let i = 0; i < 6; i++) bytes[i] = <u8>(mac >> (40 - 8 * i));
  bytes[6] = 2;
  bytes[12] = 8;
  bytes[14] = 0x45;
  put16(bytes, 16, bytes.length - 14);
  bytes[22] = 64;
  bytes[23] = <u8>protocol;
  put32(bytes, 26, src);
  put32(bytes, 30, dst);
  put16(bytes, 24, ~sum(bytes, 14, 34) & 0xffff);
}

function udpFrame(device: SimDevice, src: u32, srcPort: u32, dst: u32, dstPort: u32): StaticArray<u8> {
  const bytes = new StaticArray<u8>(14 + 20 + 8 + 4);
  header(bytes, device.mac, 17, src, dst);
  put16(bytes, 34, srcPort);
  put16(bytes, 36, dstPort);
  put16(bytes, 38, 12);
  return bytes;
}

/** An ICMP error (type, code, rest) from `src` about the IPv4 packet in a frame. */
function errorFrame(
  device: SimDevice,
  src: u32,
  dst: u32,
  type: u32,
  code: u32,
  quoted: StaticArray<u8>,
): StaticArray<u8> {
  const n = min(quoted.length - 14, 28);
  const bytes = new StaticArray<u8>(14 + 20 + 8 + n);
  for (let i = 0; i < n; i++) bytes[42 + i] = quoted[14 + i];
  bytes[34] = <u8>type;
  bytes[35] = <u8>code;
  put16(bytes, 36, ~sum(bytes, 34, bytes.length) & 0xffff);
  header(bytes, device.mac, 1, src, dst);
  return bytes;
}

/** Is the UDP checksum of a sent frame right? */
function udpSums(bytes: StaticArray<u8>): bool {
  const length = get16(bytes, 38);
  let total = sum(bytes, 26, 34) + 17 + length + sum(bytes, 34, 34 + <i32>length);
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return total == 0xffff && sum(bytes, 14, 34) == 0xffff;
}

describe("masquerade", () => {
  it("gives the flow the external address, both ways, with right checksums", () => {
    const net = new Net(office());
    const socket = net.clientUdp.open()!;
    net.clientUdp.bind(socket, 0, 0, 5000);
    const target = net.serverUdp.open()!;
    net.serverUdp.bind(target, 0, 0, 53);
    for (let bytes: u32 = 0; bytes < 9; bytes++) {
      expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, bytes)).toBe(true);
      expect(lastLo).toBe(WAN);
      expect(lastPort).toBe(5000);
      expect(udpSums(net.toWan.last)).toBe(true);
      expect(net.send(net.serverUdp, target, net.clientUdp, socket, WAN, 5000, bytes)).toBe(true);
      expect(lastLo).toBe(SERVER);
      expect(udpSums(net.toLan.last)).toBe(true);
    }
    expect(net.firewall.table.count).toBe(1);
    expect(net.firewall.mappings.count).toBe(1);
    net.clientUdp.close(socket);
    net.serverUdp.close(target);
    net.atRest();
  });

  it("lets nobody in but who was called: address and port", () => {
    const net = new Net(office());
    const socket = net.clientUdp.open()!;
    net.clientUdp.bind(socket, 0, 0, 5000);
    const target = net.serverUdp.open()!;
    net.serverUdp.bind(target, 0, 0, 53);
    expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, 10)).toBe(true);
    const before = net.toLan.count;
    net.raw(net.wan, <u32>SERVER, 54, <u32>WAN, 5000);
    net.raw(net.wan, <u32>SERVER + 1, 53, <u32>WAN, 5000);
    net.run();
    expect(net.toLan.count).toBe(before);
    expect(net.firewall.dropped(Reason.DEFAULT)).toBe(2);
    net.raw(net.wan, <u32>SERVER, 53, <u32>WAN, 5000);
    net.run();
    expect(net.toLan.count).toBe(before + 1);
    net.clientUdp.close(socket);
    net.serverUdp.close(target);
    net.atRest();
  });
});

describe("another address of the interface", () => {
  it("ends the flows masqueraded behind the old one, and no others", () => {
    const net = new Net(office());
    const socket = net.clientUdp.open()!;
    net.clientUdp.bind(socket, 0, 0, 5000);
    const target = net.serverUdp.open()!;
    net.serverUdp.bind(target, 0, 0, 53);
    expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, 10)).toBe(true);
    net.router.now_ns = net.world.now_ns;
    net.router.interfaces[0].addAddress(0, LAN + 1, 120);
    expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, 10)).toBe(true);
    expect(lastLo).toBe(WAN);
    net.router.interfaces[1].addAddress(0, WAN + 1, 120);
    net.router.interfaces[1].removeAddress(0, WAN);
    expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, 10)).toBe(true);
    expect(lastLo).toBe(WAN + 1);
    expect(net.firewall.table.count).toBe(1);
    expect(net.firewall.mappings.count).toBe(1);
    net.clientUdp.close(socket);
    net.serverUdp.close(target);
    net.atRest();
  });
});

describe("ICMP errors", () => {
  it("of a known flow come back translated, inside and outside; of others they do not", () => {
    const net = new Net(office());
    const socket = net.clientUdp.open()!;
    net.clientUdp.bind(socket, 0, 0, 5000);
    const target = net.serverUdp.open()!;
    net.serverUdp.bind(target, 0, 0, 53);
    expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, 10)).toBe(true);
    const sent = net.toWan.last;
    const before = net.toLan.count;
    net.world.inject(net.wan, errorFrame(net.wan, 0xcb007163, <u32>WAN, 3, 1, sent));
    net.run();
    expect(net.toLan.count).toBe(before + 1);
    const error = net.toLan.last;
    // Outside: from the router on the way to the client. Inside: the client's own packet.
    expect(get16(error, 26)).toBe(0xcb00);
    expect(get16(error, 30)).toBe(0x0a00);
    expect(get16(error, 32)).toBe(0x0005);
    expect(get16(error, 54)).toBe(0x0a00);
    expect(get16(error, 56)).toBe(0x0005);
    expect(get16(error, 62)).toBe(5000);
    expect(sum(error, 34, error.length)).toBe(0xffff);
    expect(sum(error, 14, 34)).toBe(0xffff);

    const forged = StaticArray.fromArray(sent.slice<Array<u8>>());
    put16(forged, 36, 54);
    net.world.inject(net.wan, errorFrame(net.wan, 0xcb007163, <u32>WAN, 3, 1, forged));
    net.run();
    expect(net.toLan.count).toBe(before + 1);
    expect(net.firewall.dropped(Reason.UNRELATED)).toBe(1);
    net.clientUdp.close(socket);
    net.serverUdp.close(target);
    net.atRest();
  });
});

describe("hygiene", () => {
  it("drops land, impossible TCP flags, wrong checksums and ports of 0, each counted", () => {
    const net = new Net(office());
    net.raw(net.lan, <u32>CLIENT, 7, <u32>CLIENT, 7);
    expect(net.firewall.dropped(Reason.LAND)).toBe(1);
    const bad = udpFrame(net.lan, <u32>CLIENT, 7, <u32>SERVER, 7);
    put16(bad, 40, 1);
    net.world.inject(net.lan, bad);
    expect(net.firewall.dropped(Reason.CHECKSUM)).toBe(1);
    const flags: Array<u8> = [0, 1, 3, 6, 0x29, 5, 0x3f];
    for (let i = 0; i < flags.length; i++) {
      const bytes = new StaticArray<u8>(54);
      put16(bytes, 34, 1000);
      put16(bytes, 36, 80);
      bytes[46] = 0x50;
      bytes[47] = flags[i];
      header(bytes, net.lan.mac, 6, <u32>CLIENT, <u32>SERVER);
      net.world.inject(net.lan, bytes);
    }
    expect(net.firewall.dropped(Reason.TCP_FLAGS)).toBe(flags.length);
    expect(net.firewall.table.count).toBe(0);
    expect(net.toWan.count).toBe(0);
    net.atRest();
  });
});

describe("under a flood of tuples", () => {
  it("flows that have had a reply go on, the table stays at its limit, and memory returns to rest", () => {
    const net = new Net(office());
    const socket = net.clientUdp.open()!;
    net.clientUdp.bind(socket, 0, 0, 5000);
    const target = net.serverUdp.open()!;
    net.serverUdp.bind(target, 0, 0, 53);
    expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, 10)).toBe(true);
    expect(net.send(net.serverUdp, target, net.clientUdp, socket, WAN, 5000, 10)).toBe(true);
    for (let i: u32 = 0; i < 5000; i++) {
      net.raw(net.lan, 0x0a000010 + (i % 64), 1024 + i, <u32>SERVER, 9);
      if (i % 1000 == 0) {
        expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, 10)).toBe(true);
        expect(net.send(net.serverUdp, target, net.clientUdp, socket, WAN, 5000, 10)).toBe(true);
      }
    }
    expect(net.firewall.table.count).toBe(512);
    expect(net.firewall.table.evicted).toBeGreaterThan(4000);
    expect(net.firewall.mappings.count).toBe(512);
    net.run(400 * SECOND);
    expect(net.firewall.table.count).toBe(0);
    expect(net.firewall.mappings.count).toBe(0);
    net.clientUdp.close(socket);
    net.serverUdp.close(target);
    net.atRest();
  });
});

describe("limits", () => {
  it("let a burst through and then the rate, for each source by itself", () => {
    const settings = office();
    settings.rules[0].limit = new LimitSpec(10_000, 5, true);
    const net = new Net(settings);
    for (let i: u32 = 0; i < 20; i++) net.raw(net.lan, 0x0a000010, 2000 + i, <u32>SERVER, 9);
    expect(net.firewall.table.count).toBe(5);
    for (let i: u32 = 0; i < 20; i++) net.raw(net.lan, 0x0a000011, 2000 + i, <u32>SERVER, 9);
    expect(net.firewall.table.count).toBe(10);
    net.run(SECOND);
    for (let i: u32 = 0; i < 20; i++) net.raw(net.lan, 0x0a000010, 3000 + i, <u32>SERVER, 9);
    expect(net.firewall.table.count).toBe(15);
    expect(net.firewall.dropped(Reason.LIMIT)).toBe(45);
    net.atRest();
  });
});

describe("a new policy", () => {
  it("lets flows go on that it allows, and ends those that it does not", () => {
    const net = new Net(office());
    const socket = net.clientUdp.open()!;
    net.clientUdp.bind(socket, 0, 0, 5000);
    const target = net.serverUdp.open()!;
    net.serverUdp.bind(target, 0, 0, 53);
    expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, 10)).toBe(true);
    const same = office();
    same.rules.unshift(rule(Action.DROP, WAN_SIDE, LAN_SIDE));
    net.firewall.replace(same);
    expect(net.send(net.serverUdp, target, net.clientUdp, socket, WAN, 5000, 10)).toBe(true);
    expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, 10)).toBe(true);
    const other = office();
    other.rules.unshift(rule(Action.DROP, LAN_SIDE, WAN_SIDE));
    other.rules[0].protocols = [17];
    net.firewall.replace(other);
    expect(net.send(net.serverUdp, target, net.clientUdp, socket, WAN, 5000, 10)).toBe(false);
    expect(net.firewall.dropped(Reason.RECHECK)).toBe(1);
    expect(net.firewall.table.count).toBe(0);
    net.firewall.replace(office());
    expect(net.send(net.clientUdp, socket, net.serverUdp, target, SERVER, 53, 10)).toBe(true);
    const keep = office();
    keep.state.recheck = false;
    keep.rules = [];
    net.firewall.replace(keep);
    expect(net.send(net.serverUdp, target, net.clientUdp, socket, WAN, 5000, 10)).toBe(true);
    net.clientUdp.close(socket);
    net.serverUdp.close(target);
    net.atRest();
  });
});

describe("frames that make no sense", () => {
  it("end nothing and keep nothing: 200,000 of them, mutated from real ones, with state", () => {
    const settings = office();
    settings.rules[0].log = true;
    const net = new Net(settings);
    const dice = net.world.dice;
    const seeds = new Array<StaticArray<u8>>();
    seeds.push(udpFrame(net.lan, <u32>CLIENT, 5000, <u32>SERVER, 53));
    seeds.push(errorFrame(net.wan, <u32>SERVER, <u32>WAN, 3, 4, udpFrame(net.wan, <u32>WAN, 5000, <u32>SERVER, 53)));
    const tcp = new StaticArray<u8>(14 + 20 + 24 + 6);
    put16(tcp, 34, 4000);
    put16(tcp, 36, 80);
    tcp[46] = 0x60;
    tcp[47] = 2;
    tcp[54] = 2;
    tcp[55] = 4;
    put16(tcp, 56, 1460);
    header(tcp, net.lan.mac, 6, <u32>CLIENT, <u32>SERVER);
    seeds.push(tcp);
    const ping = new StaticArray<u8>(14 + 20 + 8 + 8);
    ping[34] = 8;
    put16(ping, 36, ~0x800 & 0xffff);
    header(ping, net.lan.mac, 1, <u32>CLIENT, <u32>SERVER);
    seeds.push(ping);
    for (let i = 0; i < 200_000; i++) {
      const bytes = StaticArray.fromArray(seeds[dice.below(seeds.length)].slice<Array<u8>>());
      const inside = dice.below(2) == 0;
      const device = inside ? net.lan : net.wan;
      for (let k = 0; k < 6; k++) bytes[k] = <u8>(device.mac >> (40 - 8 * k));
      for (let n = dice.below(5); n > 0; n--) bytes[14 + dice.below(bytes.length - 14)] = <u8>dice.next();
      // Mostly with a right header, and half of them with a right transport checksum, so that they come further.
      if (dice.below(8) != 0) {
        put16(bytes, 24, 0);
        put16(bytes, 24, ~sum(bytes, 14, 34) & 0xffff);
      }
      if (bytes[23] == 1 && dice.below(2) == 0) {
        put16(bytes, 36, 0);
        put16(bytes, 36, ~sum(bytes, 34, bytes.length) & 0xffff);
      } else if (bytes[23] == 6 && bytes.length >= 54 && dice.below(2) == 0) {
        put16(bytes, 50, 0);
        let total = sum(bytes, 26, 34) + 6 + (bytes.length - 34) + sum(bytes, 34, bytes.length);
        while (total >> 16) total = (total & 0xffff) + (total >> 16);
        put16(bytes, 50, ~total & 0xffff);
      }
      net.world.inject(device, bytes);
      if (i % 5000 == 0) net.run(SECOND);
    }
    // They have come as far as the table, and each way out was taken.
    expect(net.firewall.accepted).toBeGreaterThan(500);
    const seen = [
      Reason.MALFORMED,
      Reason.CHECKSUM,
      Reason.TCP_FLAGS,
      Reason.DEFAULT,
      Reason.MIDSTREAM,
      Reason.UNRELATED,
    ];
    for (let i = 0; i < seen.length; i++) expect(net.firewall.dropped(seen[i])).toBeGreaterThan(20);
    net.run(600 * SECOND);
    expect(net.firewall.table.count).toBe(0);
    expect(net.firewall.mappings.count).toBe(0);
    net.atRest();
  });
});
