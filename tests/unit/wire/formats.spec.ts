import { addRange } from "../../../net/range";
import { allocPacket, initPackets, Packet, packetsFree, packetsTotal } from "../../../runtime/memory/packet";
import { finish, fold, sumBytes, sumPacket, sumPseudo } from "../../../net/wire/checksum";
import { ARP_BYTES, arpSenderIp, arpSenderMac, arpTargetIp, emitArp, isArp } from "../../../net/wire/arp";
import { formatMac, loadMac, storeMac } from "../../../net/wire/ethernet";
import {
  checkIpv4,
  emitIpv4,
  Ipv4Check,
  ipv4Dst,
  ipv4Src,
  ipv4SourceRouted,
  rewriteIpv4,
} from "../../../net/wire/ipv4";
import { icmpIsError } from "../../../net/wire/icmp";
import { DHCP_MESSAGE_BYTES, DhcpMessage, DhcpType, emitDhcp, parseDhcp } from "../../../net/wire/dhcp";
import { Dice } from "../../sim/link";

const buffer: usize = heap.alloc(4096);

// The sum as RFC 1071 defines it: big-endian words, carries added back.
function plainSum(at: usize, bytes: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < bytes; i++) {
    sum += i & 1 ? <u32>load<u8>(at + i) : (<u32>load<u8>(at + i)) << 8;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

function same(a: u32, b: u32): bool {
  // Both zeros of one's complement are one number.
  return (a == 0xffff ? 0 : a) == (b == 0xffff ? 0 : b);
}

describe("the Internet checksum", () => {
  it("agrees with its definition for every length and alignment", () => {
    const dice = new Dice(1);
    for (let n: u32 = 0; n < 200; n++) {
      const at = buffer + (n & 3);
      for (let i: u32 = 0; i < n; i++) store<u8>(at + i, <u8>dice.next());
      expect(same(<u32>bswap<u16>(<u16>fold(sumBytes(at, n))), plainSum(at, n))).toBe(true, n.toString());
    }
  });
  it("is the same over a packet cut into slices at odd places", () => {
    initPackets();
    const dice = new Dice(2);
    for (let round = 0; round < 50; round++) {
      const whole = allocPacket()!;
      const bytes: u32 = 1 + dice.below(1000);
      const at = whole.append(bytes);
      for (let i: u32 = 0; i < bytes; i++) store<u8>(at + i, <u8>dice.next());
      const cut = allocPacket()!;
      let done: u32 = dice.below(bytes);
      memory.copy(cut.append(done), at, done);
      for (let n = 0; n < 10 && done < bytes; n++) {
        const take: u32 = n == 9 ? bytes - done : 1 + dice.below(bytes - done);
        expect(addRange(cut, whole, done, take)).toBe(true);
        done += take;
      }
      const from = dice.below(bytes);
      const all = bytes - from;
      expect(same(sumPacket(cut, from, all), fold(sumBytes(at + from, all)))).toBe(true);
      cut.free();
      whole.free();
    }
    expect(packetsFree).toBe(packetsTotal);
  });
  it("makes a pseudo header of IPv4 and of IPv6 (a known packet each)", () => {
    // UDP 10.0.0.1:1 -> 10.0.0.2:2, no payload: 0a00 0001 0a00 0002 0011 0008 | 0001 0002 0008 0000.
    const v4Sum = sumPseudo(0, 0xffff0a000001, 0, 0xffff0a000002, 17, 8);
    expect(bswap<u16>(<u16>v4Sum)).toBe(0x0a00 + 1 + 0x0a00 + 2 + 0x11 + 8);
    const v6Sum = sumPseudo(0x20010db800000000, 1, 0x20010db800000000, 2, 58, 16);
    expect(bswap<u16>(<u16>v6Sum)).toBe(2 * (0x2001 + 0x0db8) + 3 + 58 + 16);
  });
});

describe("an IPv4 header", () => {
  it("is accepted as written, and says what was written", () => {
    emitIpv4(buffer, 0, 40, 7, 0x4000, 64, 6, 0x0a000001, 0x0a000002);
    expect(checkIpv4(buffer, 40, 40)).toBe(Ipv4Check.OK);
    expect(ipv4Src(buffer)).toBe(0x0a000001);
    expect(ipv4Dst(buffer)).toBe(0x0a000002);
  });
  it("is refused when any of its bits is wrong", () => {
    for (let bit: u32 = 0; bit < 160; bit++) {
      emitIpv4(buffer, 0, 40, 7, 0x4000, 64, 6, 0x0a000001, 0x0a000002);
      const mask: u32 = 1 << (bit & 7);
      store<u8>(buffer + (bit >> 3), load<u8>(buffer + (bit >> 3)) ^ (<u8>mask));
      expect(checkIpv4(buffer, 40, 40)).not.toBe(Ipv4Check.OK, bit.toString());
    }
  });
  it("is refused when lengths do not fit, each with a right checksum", () => {
    for (let words: u32 = 0; words < 16; words++) {
      memory.fill(buffer, 0, 60);
      emitIpv4(buffer, 0, 40, 7, 0, 64, 6, 1, 2);
      store<u8>(buffer, <u8>(0x40 | words));
      rewriteIpv4(buffer, 40, 7, 0);
      expect(checkIpv4(buffer, 40, 40) == Ipv4Check.OK).toBe(words >= 5 && words <= 10, words.toString());
    }
    emitIpv4(buffer, 0, 41, 7, 0, 64, 6, 1, 2);
    expect(checkIpv4(buffer, 40, 40)).toBe(Ipv4Check.MALFORMED, "longer than the packet");
    emitIpv4(buffer, 0, 19, 7, 0, 64, 6, 1, 2);
    expect(checkIpv4(buffer, 40, 40)).toBe(Ipv4Check.MALFORMED, "shorter than its header");
    expect(checkIpv4(buffer, 19, 40)).toBe(Ipv4Check.MALFORMED, "cut");
    expect(checkIpv4(buffer, 0, 0)).toBe(Ipv4Check.MALFORMED, "empty");
  });
  it("has its options walked without leaving them", () => {
    // Every option byte, with every length byte behind it.
    for (let kind: u32 = 0; kind < 256; kind++) {
      for (let length: u32 = 0; length < 8; length++) {
        emitIpv4(buffer, 0, 24, 7, 0, 64, 6, 1, 2);
        store<u8>(buffer, 0x46);
        store<u32>(buffer + 20, kind | (length << 8));
        const refused = ipv4SourceRouted(buffer);
        if (kind == 131 || kind == 137) expect(refused).toBe(true);
        else if (kind > 1) expect(refused).toBe(length < 2 || length > 4, kind.toString() + " " + length.toString());
        else if (kind == 0) expect(refused).toBe(false);
      }
    }
  });
});

describe("ARP and hardware addresses", () => {
  it("are read as written", () => {
    storeMac(buffer, 0x525400abcdef);
    expect(loadMac(buffer)).toBe(0x525400abcdef);
    expect(formatMac(0x525400abcdef)).toBe("52:54:00:ab:cd:ef");
    emitArp(buffer, 1, 0x525400000001, 0x0a000001, 0, 0x0a000002);
    expect(isArp(buffer, ARP_BYTES)).toBe(true);
    expect(isArp(buffer, ARP_BYTES - 1)).toBe(false);
    expect(arpSenderMac(buffer)).toBe(0x525400000001);
    expect(arpSenderIp(buffer)).toBe(0x0a000001);
    expect(arpTargetIp(buffer)).toBe(0x0a000002);
  });
  it("of other hardware, protocols and lengths are refused", () => {
    for (let i: u32 = 0; i < 6; i++) {
      emitArp(buffer, 1, 1, 2, 3, 4);
      store<u8>(buffer + i, load<u8>(buffer + i) ^ 0x20);
      expect(isArp(buffer, ARP_BYTES)).toBe(false, i.toString());
    }
  });
});

describe("ICMP types", () => {
  it("count as errors unless they are known queries, so that an unknown one is never answered by an error", () => {
    expect(icmpIsError(8)).toBe(false);
    expect(icmpIsError(0)).toBe(false);
    expect(icmpIsError(13)).toBe(false);
    expect(icmpIsError(3)).toBe(true);
    expect(icmpIsError(5)).toBe(true);
    expect(icmpIsError(11)).toBe(true);
    expect(icmpIsError(200)).toBe(true);
  });
});

const MAC: u64 = 0x525400000001;
const out = changetype<DhcpMessage>(heap.alloc(DHCP_MESSAGE_BYTES));

// A client's message turned into a server's, with the options given as bytes behind it.
function reply(options: StaticArray<u8>): u32 {
  emitDhcp(buffer, DhcpType.DISCOVER, 0x12345678, 0, MAC, 0, 0, 0, 1500);
  store<u8>(buffer, 2);
  memory.fill(buffer + 240, 0, 200);
  memory.copy(buffer + 240, changetype<usize>(options), options.length);
  return 240 + options.length;
}

describe("a DHCP message", () => {
  it("is read, also with pads and what nobody asked for", () => {
    const n = reply([
      53, 1, 5, 0, 0, 1, 4, 255, 255, 255, 0, 200, 2, 1, 1, 3, 8, 10, 0, 0, 1, 10, 0, 0, 9, 51, 4, 0, 0, 14, 16, 255,
    ]);
    expect(parseDhcp(buffer, n, 0x12345678, MAC, out)).toBe(true);
    expect(out.type).toBe(5);
    expect(out.mask).toBe(0xffffff00);
    expect(out.router).toBe(0x0a000001);
    expect(out.lease_s).toBe(3600);
  });
  it("of somebody else is not read", () => {
    const n = reply([53, 1, 5, 255]);
    expect(parseDhcp(buffer, n, 0x12345679, MAC, out)).toBe(false);
    expect(parseDhcp(buffer, n, 0x12345678, MAC + 1, out)).toBe(false);
    store<u8>(buffer, 1);
    expect(parseDhcp(buffer, n, 0x12345678, MAC, out)).toBe(false);
  });
  it("cut anywhere is read up to there and no further", () => {
    const n = reply([53, 1, 2, 1, 4, 255, 255, 255, 0, 51, 4, 0, 0, 0, 60]);
    // What lies behind the message must not be seen.
    memory.fill(buffer + n, 0xff, 64);
    for (let cut: u32 = 0; cut <= n; cut++) {
      const read = parseDhcp(buffer, cut, 0x12345678, MAC, out);
      expect(read).toBe(cut >= 243, cut.toString());
      expect(out.mask).toBe(cut >= 249 ? 0xffffff00 : 0, cut.toString());
      expect(out.lease_s).toBe(cut >= 255 ? 60 : 0, cut.toString());
    }
  });
  it("with option lengths that lie is read without harm", () => {
    for (let length: u32 = 0; length < 256; length++) {
      const n = reply([53, 1, 2, 1, <u8>length, 255, 255, 255, 0]);
      expect(parseDhcp(buffer, n, 0x12345678, MAC, out)).toBe(true);
      expect(out.mask).toBe(length == 4 ? 0xffffff00 : 0);
    }
  });
  it("may go on in the fields for names, once", () => {
    const n = reply([53, 1, 2, 52, 1, 3, 255]);
    // file: the mask, and an overload that must not be followed again; sname: the lease.
    store<u32>(buffer + 108, 0xffff0401);
    store<u16>(buffer + 112, 0x00ff);
    store<u32>(buffer + 114, 0xff030134);
    store<u32>(buffer + 44, 0x00000433);
    store<u16>(buffer + 48, 0x3c00);
    expect(parseDhcp(buffer, n, 0x12345678, MAC, out)).toBe(true);
    expect(out.mask).toBe(0xffffff00);
    expect(out.lease_s).toBe(60);
  });
});
