// Ports, initial sequence numbers and what a connection tells the neighbour cache, as scripts (RFC 6056, 6528, 6191, 4861).

import { initPackets } from "../../../runtime/memory/packet";
import { State } from "../../../net/index";
import { NeighbourState } from "../../../net/link/neighbour";
import { ADDRESS_B } from "../../sim/link";
import { ACK, FIN, MSS, SACK, Script, SYN, TS } from "../../sim/script";

function script(): Script {
  initPackets();
  return new Script();
}

describe("ephemeral ports (RFC 6056)", () => {
  it("are in their range, all different, and do not follow one another", () => {
    const s = script();
    const seen = new Set<u32>();
    let steps: u32 = 0;
    let last: u32 = 0;
    for (let i = 0; i < 200; i++) {
      const port: u32 = s.tcp.connect(0, ADDRESS_B, 5000)!.localPort;
      expect(port >= 32768 && port < 61000).toBe(true);
      expect(seen.has(port)).toBe(false);
      seen.add(port);
      if (port == last + 1) steps++;
      last = port;
    }
    expect(steps < 60).toBe(true);
  });
  it("a port that is in use is refused", () => {
    const s = script();
    expect(s.tcp.connect(0, ADDRESS_B, 5000, 0, 0, 40000) != null).toBe(true);
    expect(s.tcp.connect(0, ADDRESS_B, 5000, 0, 0, 40000) == null).toBe(true);
    expect(s.tcp.lastError).toBe(-98);
  });
});

describe("initial sequence numbers (RFC 6528)", () => {
  it("grow with time for the same endpoints, and differ for others", () => {
    const s = script();
    const first = s.tcp.connect(0, ADDRESS_B, 5000, 0, 0, 40000)!;
    const other = s.tcp.connect(0, ADDRESS_B, 5000, 0, 0, 40001)!;
    const iss = first.iss;
    expect(iss != other.iss).toBe(true);
    s.tcp.abort(first);
    s.wait(1000);
    const again = s.tcp.connect(0, ADDRESS_B, 5000, 0, 0, 40000)!;
    // A clock of 4.096 us, which ticks 244,140 or 244,141 times a second.
    expect((again.iss - iss) / 2).toBe(122070);
  });
});

describe("TIME-WAIT and connect (RFC 6191)", () => {
  it("the same endpoints are used again a second later, with timestamps and an ISN above the old numbers", () => {
    const s = script();
    s.connection = s.tcp.connect(0, ADDRESS_B, 5000, 0, 0, 40000);
    s.flush();
    s.localPort = 40000;
    s.tsEcr = s.next().tsVal;
    s.syn(MSS | SACK | TS, SYN | ACK, 1);
    s.timestamps = true;
    const old = s.c.iss;
    s.tcp.close(s.c);
    s.flush();
    s.send(ACK | FIN, 1, 2);
    expect(s.tcp.timeWaits.count).toBe(1);
    expect(s.tcp.connect(0, ADDRESS_B, 5000, 0, 0, 40000) == null).toBe(true);
    s.wait(1100);
    const c = s.tcp.connect(0, ADDRESS_B, 5000, 0, 0, 40000)!;
    expect(c.state).toBe(State.SYN_SENT);
    expect(<i32>(c.iss - old) > 2).toBe(true);
    expect(s.tcp.timeWaits.count).toBe(0);
  });
});

describe("forward progress (RFC 4861, 7.3.1)", () => {
  it("keeps the neighbour reachable, without a question", () => {
    const s = script();
    s.accept();
    let end: u32 = 1;
    for (let i = 0; i < 100; i++) {
      s.write(10);
      end += 10;
      s.send(ACK, 1, end);
      s.wait(1500);
      expect(s.c.route.neighbour!.state).toBe(NeighbourState.REACHABLE);
    }
  });
});
