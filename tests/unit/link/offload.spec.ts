import { allocPacket, initPackets, PacketFlag, packetsFree, packetsTotal } from "../../../runtime";
import { newRoute, RouteOption } from "../../../net";
import { addRange } from "../../../net/range";
import { fold, sumBytes, sumPseudo } from "../../../net/wire/checksum";
import { checkIpv4, Ipv4Check, ipv4Total } from "../../../net/wire/ipv4";
import { ADDRESS_A, ADDRESS_B, SimDevice, SimLink, Tap } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;
const PAYLOAD: u32 = 5000;
const SEQ: u32 = 0xfffffc00;

// Looks at the TCP segments that leave: each one a whole packet of its own, together the payload in order.
class Segments extends Tap {
  count: u32 = 0;
  bytes: u32 = 0;
  wrong: string = "";
  fins: u32 = 0;
  cwrs: u32 = 0;
  frame(from: SimDevice, frame: StaticArray<u8>): bool {
    const ip = changetype<usize>(frame) + 14;
    if (load<u16>(ip - 2) != 0x0008 || load<u8>(ip + 9) != 6) return true;
    const there = <u32>frame.length - 14;
    if (checkIpv4(ip, there, there) != Ipv4Check.OK || ipv4Total(ip) != there) this.wrong += " ip";
    const tcp = ip + 20;
    const bytes = there - 20;
    const sum = sumPseudo(0, ADDRESS_A, 0, ADDRESS_B, 6, bytes) + fold(sumBytes(tcp, bytes));
    if ((sum & 0xffff) + (sum >> 16) != 0xffff) this.wrong += " checksum";
    if (bswap<u32>(load<u32>(tcp + 4)) != SEQ + this.bytes) this.wrong += " seq";
    for (let i: u32 = 0; i < bytes - 20; i++)
      if (load<u8>(tcp + 20 + i) != <u8>((this.bytes + i) * 31)) this.wrong += " data";
    this.count++;
    this.bytes += bytes - 20;
    if (load<u8>(tcp + 13) & 1) this.fins++;
    if (load<u8>(tcp + 13) & 0x80) this.cwrs++;
    return true;
  }
}

describe("segmentation without a device's help", () => {
  it("cuts a large segment into whole ones: sequence numbers over the wrap, flags where they belong, right checksums", () => {
    initPackets();
    const link = new SimLink(1);
    const tap = new Segments();
    link.deviceA.tap = tap;
    link.run(5 * SECOND);
    const p = allocPacket()!;
    const tcp = p.append(20);
    memory.fill(tcp, 0, 20);
    store<u16>(tcp, bswap<u16>(1000));
    store<u16>(tcp + 2, bswap<u16>(80));
    store<u32>(tcp + 4, bswap<u32>(SEQ));
    store<u8>(tcp + 12, 0x50);
    store<u8>(tcp + 13, 0x80 | 0x18 | 1);
    store<u16>(tcp + 16, <u16>sumPseudo(0, ADDRESS_A, 0, ADDRESS_B, 6, 20 + PAYLOAD));
    // The payload in slices of odd lengths.
    for (let done: u32 = 0; done < PAYLOAD;) {
      const q = allocPacket()!;
      const take = min<u32>(777, PAYLOAD - done);
      const at = q.append(take);
      for (let i: u32 = 0; i < take; i++) store<u8>(at + i, <u8>((done + i) * 31));
      expect(addRange(p, q, 0, take)).toBe(true);
      q.free();
      done += take;
    }
    p.flags = PacketFlag.CHECKSUM_PARTIAL | PacketFlag.GSO_TCP4;
    p.gsoSize = 1460;
    p.csumStart = 0;
    p.csumOffset = 16;
    const route = newRoute();
    route.options = <u8>RouteOption.DONT_FRAGMENT;
    link.a.now_ns = link.world.now_ns;
    expect(link.a.ip.output(p, route, 0, ADDRESS_A, 0, ADDRESS_B, 6, 0)).toBe(0);
    link.run(SECOND);
    expect(tap.wrong).toBe("");
    expect(tap.count).toBe(4);
    expect(tap.bytes).toBe(PAYLOAD);
    expect(tap.fins).toBe(1);
    expect(tap.cwrs).toBe(1);
    expect(packetsFree).toBe(packetsTotal);
  });
});
