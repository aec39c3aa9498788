import { initPackets, packetsFree, packetsTotal } from "../../../runtime/memory/packet";
import { Impairment } from "../../sim/link";
import { SECOND, TcpLink } from "../../sim/tcp";

describe("a stream between two stacks", () => {
  it("arrives intact over a clean link, and nothing is left", () => {
    initPackets();
    const t = new TcpLink(1);
    const x = t.exchange(100000, 50000, 10 * SECOND);
    expect(x.a.received).toBe(50000);
    expect(x.b.received).toBe(100000);
    expect(x.intact).toBe(true);
    t.finish(x);
    expect(t.atRest).toBe(true);
    expect(packetsFree).toBe(packetsTotal);
  });
});
