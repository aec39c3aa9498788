// Data, loss and time, as scripts (RFC 9293 3.8, 5681, 2018, 2883, 6298, 7323, 8985, 3168).

import { initPackets, packetsFree, packetsTotal } from "../../../runtime/memory/packet";
import { CONNECTION_BYTES, State } from "../../../net/index";
import { ACK, CWR, ECE, FIN, MSS, SACK, SCALE, Script, SYN, TS } from "../../sim/script";

function open(present: u32 = MSS | SACK): Script {
  initPackets();
  const s = new Script();
  s.accept(present);
  s.clear();
  return s;
}

describe("memory", () => {
  it("an idle connection takes at most 1 KiB and no buffer", () => {
    const s = open();
    expect(CONNECTION_BYTES).toBeLessThan(1025);
    s.write(1000);
    s.send(ACK, 1, 1001, 500);
    s.read(1000);
    s.wait(100);
    expect(s.c.buffers).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
});

describe("receiving", () => {
  it("a lone segment is acknowledged at once at the start, then after 40 ms", () => {
    const s = open();
    for (let i: u32 = 0; i < 8; i++) s.send(ACK, 1 + i * 10, 1, 10);
    s.clear();
    s.send(ACK, 81, 1, 10);
    expect(s.all()).toBe("");
    s.wait(50);
    expect(s.all()).toBe("A 1 91 0");
  });
  it("every second full segment is acknowledged at once", () => {
    const s = open();
    for (let i: u32 = 0; i < 8; i++) s.send(ACK, 1 + i * 1000, 1, 1000);
    s.clear();
    s.send(ACK, 8001, 1, 1000);
    expect(s.all()).toBe("");
    s.send(ACK, 9001, 1, 1000);
    expect(s.all()).toBe("A 1 10001 0");
  });
  it("a gap is told by SACK, the newest block first", () => {
    const s = open();
    s.send(ACK, 1001, 1, 1000);
    let a = s.next();
    expect(a.ack).toBe(1);
    expect(a.sack.join(" ")).toBe("1001 2001");
    s.send(ACK, 3001, 1, 1000);
    a = s.next();
    expect(a.sack.join(" ")).toBe("3001 4001 1001 2001");
    s.send(ACK, 2001, 1, 1000);
    expect(s.next().sack.join(" ")).toBe("1001 4001");
    s.send(ACK, 1, 1, 1000);
    a = s.next();
    expect(a.ack).toBe(4001);
    expect(a.sack.length).toBe(0);
    expect(s.read(60000)).toBe(4000);
  });
  it("a duplicate is told by D-SACK", () => {
    const s = open();
    s.send(ACK, 1, 1, 1000);
    s.clear();
    s.send(ACK, 1, 1, 1000);
    const a = s.next();
    expect(a.ack).toBe(1001);
    expect(a.sack.join(" ")).toBe("1 1001");
  });
  it("overlapping segments: what came first counts, nothing twice", () => {
    const s = open();
    s.send(ACK, 501, 1, 1000);
    s.send(ACK, 301, 1, 2000);
    s.send(ACK, 1, 1, 400);
    expect(s.c.rcv_nxt - s.c.irs).toBe(2301);
    expect(s.read(60000)).toBe(2300);
  });
  it("what lies beyond the window is cut off", () => {
    const s = open();
    let seq: u32 = 1;
    while (seq + 1000 <= 65536) {
      s.send(ACK, seq, 1, 1000);
      seq += 1000;
    }
    s.send(ACK, seq, 1, 1000);
    expect(s.c.rq_bytes).toBe(65535);
    s.clear();
    s.send(ACK, 65536, 1, 1);
    const a = s.next();
    expect(a.window).toBe(0);
    expect(a.ack).toBe(65536);
  });
  it("reading opens a closed window", () => {
    const s = open();
    let seq: u32 = 1;
    for (; seq + 1400 <= 65536; seq += 1400) s.send(ACK, seq, 1, 1400);
    s.send(ACK, seq, 1, 65536 - seq);
    s.clear();
    s.read(30000);
    expect(s.next().window).toBe(30000);
  });
  it("many tiny segments are kept in few buffers", () => {
    const s = open();
    for (let i: u32 = 0; i < 1000; i++) s.send(ACK, 1 + i, 1, 1);
    expect(s.c.rq_bytes).toBe(1000);
    expect(s.c.buffers).toBeLessThan(4);
  });
  it("an old timestamp is refused (PAWS) and answered", () => {
    const s = open(MSS | TS);
    s.tsVal = 7100;
    s.send(ACK, 1, 1, 10);
    s.clear();
    s.tsVal = 7050;
    s.send(ACK, 11, 1, 10);
    expect(s.c.rq_bytes).toBe(10);
    expect(s.next().text()).toBe("A 1 11 0");
  });
  it("congestion marks are echoed until CWR", () => {
    const s = open();
    s.c.flags |= 1 << 7;
    s.c.flags |= 1 << 15;
    s.send(ACK, 1, 1, 10);
    expect(s.next().flags & ECE).toBe(ECE);
    s.send(ACK | CWR, 11, 1, 10);
    expect(s.next().flags & ECE).toBe(0);
  });
});

describe("sending", () => {
  it("ten segments at first (RFC 6928), then what the ACKs allow", () => {
    const s = open();
    s.write(40000);
    let bytes: u32 = 0;
    while (s.pending > 0) bytes += s.next().bytes;
    expect(bytes).toBe(14600);
    s.send(ACK, 1, 14601);
    bytes = 0;
    while (s.pending > 0) bytes += s.next().bytes;
    expect(bytes).toBe(25400);
  });
  it("a second small segment waits for the ACK of the first (Nagle, Minshall)", () => {
    const s = open();
    s.write(10);
    s.write(10);
    expect(s.all()).toBe("A 1 1 10");
    s.send(ACK, 1, 11);
    expect(s.all()).toBe("A 11 1 10");
  });
  it("without Nagle it does not", () => {
    const s = open();
    s.tcp.setNoDelay(s.c, true);
    s.write(10);
    s.write(10);
    expect(s.all()).toBe("A 1 1 10, A 11 1 10");
  });
  it("never more than the peer's window", () => {
    const s = open();
    s.window = 2000;
    s.send(ACK, 1, 1);
    s.write(10000);
    let bytes: u32 = 0;
    while (s.pending > 0) bytes += s.next().bytes;
    expect(bytes <= 2000).toBe(true);
    expect(bytes >= 1460).toBe(true);
  });
  it("a closed window is probed, with growing pauses, for ever", () => {
    const s = open();
    s.window = 0;
    s.send(ACK, 1, 1);
    s.write(1000);
    expect(s.all()).toBe("");
    for (let i = 0; i < 30; i++) {
      s.wait(125000);
      expect(s.pending > 0).toBe(true);
      expect(s.next().text()).toBe("A 0 1 0");
      s.clear();
      s.send(ACK, 1, 1);
    }
    expect(s.c.state).toBe(State.ESTABLISHED);
    s.window = 5000;
    s.send(ACK, 1, 1);
    expect(s.all()).toBe("A 1 1 1000");
  });
  it("probes without an answer end the connection after the user timeout", () => {
    const s = open();
    s.c.user_timeout_ms = 60000;
    s.window = 0;
    s.send(ACK, 1, 1);
    s.write(1000);
    s.wait(300000);
    expect(s.c.state).toBe(State.CLOSED);
    expect(s.c.error).toBe(-110);
  });
  it("keep-alive probes, and gives up after nine", () => {
    const s = open();
    s.tcp.setKeepAlive(s.c, true, 10000, 1000);
    s.wait(10100);
    expect(s.all()).toBe("A 0 1 0");
    s.send(ACK, 1, 1);
    s.wait(9000);
    expect(s.all()).toBe("");
    s.wait(20000);
    expect(s.c.state).toBe(State.CLOSED);
    expect(s.c.error).toBe(-110);
  });
});

describe("loss", () => {
  it("without SACK three duplicate ACKs retransmit (RFC 5681), two do not", () => {
    const s = open(MSS);
    s.write(14600);
    s.clear();
    s.send(ACK, 1, 1);
    s.send(ACK, 1, 1);
    expect(s.all().indexOf("A 1 1 ") < 0).toBe(true);
    s.send(ACK, 1, 1);
    expect(s.next().text()).toBe("A 1 1 1460");
  });
  it("limited transmit: each of the first duplicates lets a new segment out (RFC 3042)", () => {
    const s = open(MSS);
    s.write(30000);
    s.clear();
    s.send(ACK, 1, 1);
    expect(s.all()).toBe("A 14601 1 1460");
  });
  it("three segments SACKed above a hole retransmit it", () => {
    const s = open();
    s.write(14600);
    s.clear();
    s.sack(1, 1, [1461, 5841]);
    s.wait(3);
    const a = s.next();
    expect(a.seq).toBe(1);
    expect(a.bytes).toBe(1460);
  });
  it("one SACKed segment: RACK waits for a quarter of the RTT", () => {
    const s = open();
    s.write(14600);
    s.clear();
    s.wait(40);
    s.clear();
    s.sack(1, 1, [1461, 2921]);
    s.wait(100);
    expect(s.next().seq).toBe(1);
  });
  it("only what is missing is repeated", () => {
    const s = open();
    s.write(14600);
    s.clear();
    s.sack(1, 1, [1461, 4381, 5841, 14601]);
    s.wait(3);
    let repeated = "";
    while (s.pending > 0) {
      const a = s.next();
      repeated += a.seq.toString() + "+" + a.bytes.toString() + " ";
    }
    s.sack(1, 1461, [1461, 4381, 5841, 14601]);
    s.send(ACK, 1, 4381);
    while (s.pending > 0) {
      const a = s.next();
      repeated += a.seq.toString() + "+" + a.bytes.toString() + " ";
    }
    expect(repeated).toBe("1+1460 4381+1460 ");
  });
  it("a lost tail is probed before the timeout (RFC 8985, 7)", () => {
    const s = open();
    s.write(2920);
    s.send(ACK, 1, 2921);
    s.c.srtt_us = 20000;
    s.write(4380);
    s.clear();
    s.wait(35);
    expect(s.all()).toBe("");
    s.wait(10);
    expect(s.stack.counters.tcpLossProbes).toBe(1);
    expect(s.next().seq).toBe(5841);
  });
  it("the timeout repeats the first segment, doubles, and gives up after the user timeout", () => {
    const s = open(MSS);
    s.c.user_timeout_ms = 30000;
    s.write(1000);
    s.clear();
    s.wait(1500);
    expect(s.next().text()).toBe("A 1 1 1000");
    s.wait(120000);
    expect(s.c.state).toBe(State.CLOSED);
    expect(s.c.error).toBe(-110);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("after a timeout the window is one segment", () => {
    const s = open(MSS);
    s.write(14600);
    s.clear();
    s.wait(1100);
    expect(s.c.cwnd).toBe(1460);
    expect(s.stack.counters.tcpRtoTimeouts > 0).toBe(true);
  });
  it("SACK blocks of what was never sent are ignored", () => {
    const s = open();
    s.write(1000);
    s.sack(1, 1, [5000, 9000]);
    expect(s.c.sacked_bytes).toBe(0);
    s.sack(1, 1, [900, 100]);
    expect(s.c.sacked_bytes).toBe(0);
  });
  it("tiny SACK blocks do not shatter the records", () => {
    const s = open();
    s.write(14600);
    for (let i: u32 = 0; i < 1000; i++) s.sack(1, 1, [1461 + i * 2, 1462 + i * 2]);
    expect(s.tcp.segments.available + 12 > s.tcp.limits.segments).toBe(true);
  });
  it("ECE lowers the window to 0.85 once a round trip (RFC 8511), and CWR says so (RFC 3168)", () => {
    const s = open();
    s.c.flags |= 1 << 7;
    s.write(20000);
    s.clear();
    s.send(ACK | ECE, 1, 2921);
    expect(s.c.cwnd).toBe(12410);
    s.send(ACK | ECE, 1, 5841);
    expect(s.c.cwnd).toBe(12410);
    s.send(ACK, 1, 14601);
    expect(s.next().flags & CWR).toBe(CWR);
  });
});
