import { allocPacket, initPackets, packetsFree, packetsTotal } from "../../../runtime/memory/packet";
import { newRoute } from "../../../net/index";
import { emitIcmp, ICMP_CHECKSUM } from "../../../net/wire/icmp";
import { finish, sumBytes } from "../../../net/wire/checksum";
import { ADDRESS_A, ADDRESS_B, SimLink } from "../../sim/link";

const SECOND: i64 = 1_000_000_000;

function ping(link: SimLink, bytes: u32): void {
  const p = allocPacket()!;
  const at = p.append(8 + bytes);
  emitIcmp(at, 8, 0, 0x00010001);
  for (let i: u32 = 0; i < bytes; i++) store<u8>(at + 8 + i, <u8>i);
  store<u16>(at, finish(sumBytes(at, 8 + bytes)), ICMP_CHECKSUM);
  link.a.now_ns = link.world.now_ns;
  link.a.ip.output(p, newRoute(), 0, ADDRESS_A, 0, ADDRESS_B, 1, 0);
}

describe("ICMP echo between two stacks", () => {
  it("is answered, through ARP", () => {
    initPackets();
    const link = new SimLink(1);
    ping(link, 56);
    link.run(SECOND);
    expect(link.b.counters.icmpInEchos).toBe(1);
    expect(link.b.counters.icmpOutEchoReps).toBe(1);
    expect(link.a.counters.icmpInMsgs).toBe(1);
    expect(link.a.counters.icmpInCsumErrors).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
});
