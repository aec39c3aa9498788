// The path and what is said about it, as scripts: ICMP errors (RFC 5927, 5461), path MTU (RFC 1191, 4821, 8899), spurious timeouts (RFC 5682,
// 3522), ECN (RFC 3168, 8511).

import { initPackets } from "../../../runtime/memory/packet";
import { IcmpError } from "../../../net/ip/transport";
import { State } from "../../../net/index";
import { emitTcp } from "../../../net/wire/tcp";
import { ADDRESS_A, ADDRESS_B } from "../../sim/link";
import { ACK, CWR, ECE, MSS, RST, SACK, Script, SYN, TS } from "../../sim/script";

function open(present: u32 = MSS | SACK): Script {
  initPackets();
  const s = new Script();
  s.accept(present);
  s.clear();
  return s;
}

function connecting(): Script {
  initPackets();
  const s = new Script();
  s.connection = s.tcp.connect(0, ADDRESS_B, 5000);
  s.flush();
  s.localPort = s.c.localPort;
  return s;
}

const quoted: usize = heap.alloc(20);

/** An ICMP error about the segment `seq`, relative to the stack's ISN. */
function icmp(s: Script, error: IcmpError, seq: u32, mtu: u32 = 0): void {
  emitTcp(quoted, s.localPort, s.remotePort, seq + s.iss, 0, 20, ACK, 0);
  s.tcp.icmpError(error, mtu, 0, ADDRESS_A, 0, ADDRESS_B, quoted, 8);
  s.flush();
}

/** Bytes of the largest segment seen, and how many bytes there were; clears them. */
let total: u32 = 0;
function largest(s: Script): u32 {
  let most: u32 = 0;
  total = 0;
  while (s.pending > 0) {
    const a = s.next();
    most = max(most, a.bytes);
    total += a.bytes;
  }
  return most;
}

describe("ICMP errors", () => {
  it("port unreachable ends an attempt to connect", () => {
    const s = connecting();
    icmp(s, IcmpError.PORT_UNREACHABLE, 0);
    expect(s.c.state).toBe(State.CLOSED);
    expect(s.c.error).toBe(-111);
  });
  it("host unreachable ends an attempt to connect", () => {
    const s = connecting();
    icmp(s, IcmpError.HOST_UNREACHABLE, 0);
    expect(s.c.error).toBe(-113);
  });
  it("time exceeded does not end an attempt", () => {
    const s = connecting();
    icmp(s, IcmpError.TIME_EXCEEDED, 0);
    expect(s.c.state).toBe(State.SYN_SENT);
  });
  it("an error that quotes another sequence number does not end an attempt", () => {
    const s = connecting();
    icmp(s, IcmpError.PORT_UNREACHABLE, 1);
    icmp(s, IcmpError.PORT_UNREACHABLE, <u32>-1);
    expect(s.c.state).toBe(State.SYN_SENT);
    expect(s.stack.counters.tcpOutOfWindowIcmps).toBe(2);
  });
  it("a hard error is soft for a connection that exists", () => {
    const s = open();
    s.write(1000);
    icmp(s, IcmpError.PORT_UNREACHABLE, 1);
    expect(s.c.state).toBe(State.ESTABLISHED);
    expect(s.c.soft_error).toBe(-111);
  });
  it("an error about nothing in flight is not believed", () => {
    const s = open();
    icmp(s, IcmpError.HOST_UNREACHABLE, 1);
    expect(s.c.soft_error).toBe(0);
  });
  it("a soft error is what a time-out reports", () => {
    const s = open(MSS);
    s.c.user_timeout_ms = 5000;
    s.write(1000);
    icmp(s, IcmpError.HOST_UNREACHABLE, 1);
    s.wait(60000);
    expect(s.c.state).toBe(State.CLOSED);
    expect(s.c.error).toBe(-113);
  });
  it("progress forgets a soft error", () => {
    const s = open();
    s.write(1000);
    icmp(s, IcmpError.NET_UNREACHABLE, 1);
    s.send(ACK, 1, 1001);
    expect(s.c.soft_error).toBe(0);
  });
});

describe("path MTU from ICMP (RFC 1191)", () => {
  it("what was larger goes out again at once, smaller", () => {
    const s = open();
    s.write(4380);
    s.clear();
    icmp(s, IcmpError.TOO_BIG, 1, 1000);
    expect(largest(s)).toBe(960);
    expect(total).toBe(4380);
  });
  it("without the window being reduced", () => {
    const s = open();
    s.write(14600);
    const before = s.c.cwnd;
    icmp(s, IcmpError.TOO_BIG, 1, 1400);
    s.send(ACK, 1, 1361);
    expect(s.c.cwnd >= before).toBe(true);
    expect(s.stack.counters.tcpFastRecoveries).toBe(0);
  });
  it("never below the floor of 552 bytes", () => {
    const s = open();
    s.write(1460);
    s.clear();
    icmp(s, IcmpError.TOO_BIG, 1, 68);
    expect(largest(s)).toBe(512);
  });
  it("an error about nothing in flight changes nothing", () => {
    const s = open();
    icmp(s, IcmpError.TOO_BIG, 1, 1000);
    s.write(1460);
    expect(largest(s)).toBe(1460);
  });
  it("a larger MTU than known changes nothing", () => {
    const s = open();
    s.write(1460);
    icmp(s, IcmpError.TOO_BIG, 1, 1000);
    icmp(s, IcmpError.TOO_BIG, 1, 1300);
    expect(s.c.mss).toBe(960);
  });
});

/** A connection that has found a black hole: its segments have 1,160 bytes. */
function hole(): Script {
  const s = open();
  s.write(60000);
  s.wait(8000);
  s.clear();
  return s;
}

describe("black holes (RFC 8899)", () => {
  it("three timeouts of full segments lead to segments for 1,200 bytes", () => {
    const s = hole();
    expect(s.stack.counters.tcpMtuBlackHoles).toBe(1);
    expect(s.c.mss).toBe(1160);
  });
  it("timeouts of small segments are no black hole", () => {
    const s = open();
    s.write(500);
    s.wait(20000);
    expect(s.stack.counters.tcpMtuBlackHoles).toBe(0);
  });
  it("then a larger segment is tried, alone", () => {
    const s = hole();
    for (let i = 0; i < 200 && s.stack.counters.tcpMtuProbes == 0; i++) {
      s.send(ACK, 1, s.c.snd_nxt - s.c.iss);
      s.write(30000);
    }
    expect(s.stack.counters.tcpMtuProbes).toBe(1);
    expect(largest(s)).toBe(1310);
  });
  it("a probe that arrives raises the MSS, for the whole path", () => {
    const s = hole();
    for (let i = 0; i < 200 && s.stack.counters.tcpMtuProbesOk == 0; i++) {
      s.send(ACK, 1, s.c.snd_nxt - s.c.iss);
      s.write(30000);
    }
    expect(s.c.mss).toBe(1310);
    expect(s.stack.ip.pathMtus.lookup(0, ADDRESS_B)).toBe(1350);
  });
  it("a probe that is lost is repaired without reducing the window", () => {
    const s = hole();
    for (let i = 0; i < 200 && s.stack.counters.tcpMtuProbes == 0; i++) {
      s.send(ACK, 1, s.c.snd_nxt - s.c.iss);
      s.write(30000);
    }
    const before = s.c.cwnd;
    const recoveries = s.stack.counters.tcpFastRecoveries;
    const start = s.c.probe_start - s.c.iss;
    const end = s.c.probe_end - s.c.iss;
    s.send(ACK, 1, start);
    s.sack(1, start, [end, s.c.snd_nxt - s.c.iss]);
    s.wait(1);
    expect(s.stack.counters.tcpFastRecoveries).toBe(recoveries);
    expect(s.c.cwnd >= before).toBe(true);
    expect(s.c.mss).toBe(1160);
    s.clear();
    s.send(ACK, 1, s.c.snd_nxt - s.c.iss);
    expect(s.c.lost_bytes).toBe(0);
  });
  it("a path without limit is found again in full", () => {
    const s = hole();
    for (let i = 0; i < 3000 && s.c.mss < 1440; i++) {
      s.send(ACK, 1, s.c.snd_nxt - s.c.iss);
      s.write(30000);
    }
    expect(s.c.mss >= 1440).toBe(true);
  });
});

describe("spurious timeouts", () => {
  it("with timestamps: an echo older than the retransmission takes the reduction back (RFC 3522)", () => {
    const s = open(MSS | SACK | TS);
    s.write(14000);
    const sent = s.next().tsVal;
    const before = s.c.cwnd;
    s.wait(1300);
    expect(s.c.cwnd < before).toBe(true);
    s.tsEcr = sent;
    s.send(ACK, 1, 1449);
    expect(s.stack.counters.tcpSpuriousRecoveries).toBe(1);
    expect(s.c.cwnd >= before).toBe(true);
  });
  it("without: something sent once, before it, arrives after all (RFC 5682)", () => {
    const s = open();
    s.write(14600);
    const before = s.c.cwnd;
    s.wait(1300);
    s.send(ACK, 1, 2921);
    expect(s.stack.counters.tcpSpuriousRecoveries).toBe(1);
    expect(s.c.cwnd >= before).toBe(true);
  });
  it("a real one stays: only what was sent again is acknowledged", () => {
    const s = open();
    s.write(14600);
    s.wait(1300);
    s.send(ACK, 1, 1461);
    expect(s.stack.counters.tcpSpuriousRecoveries).toBe(0);
    expect(s.c.cwnd < 14600).toBe(true);
  });
});

describe("ECN (RFC 3168)", () => {
  it("is accepted when the SYN asks for it", () => {
    initPackets();
    const s = new Script();
    s.syn(MSS, SYN | ECE | CWR);
    expect(s.next().flags & (ECE | CWR)).toBe(ECE);
  });
  it("is not when it does not", () => {
    initPackets();
    const s = new Script();
    s.syn(MSS);
    expect(s.next().flags & (ECE | CWR)).toBe(0);
  });
  it("is not for a SYN with ECE alone", () => {
    initPackets();
    const s = new Script();
    s.syn(MSS, SYN | ECE);
    expect(s.next().flags & (ECE | CWR)).toBe(0);
  });
  it("is not asked for by default", () => {
    expect(connecting().next().flags & (ECE | CWR)).toBe(0);
  });
  it("is asked for when wanted, and not by a SYN that is repeated", () => {
    initPackets();
    const s = new Script();
    s.tcp.requestEcn = true;
    s.connection = s.tcp.connect(0, ADDRESS_B, 5000);
    s.flush();
    expect(s.next().flags & (ECE | CWR)).toBe(ECE | CWR);
    s.wait(1100);
    expect(s.next().flags & (ECE | CWR)).toBe(0);
  });
  it("a RST closes whatever ECN said", () => {
    const s = open();
    s.send(RST | ECE, 1, 0);
    expect(s.c.state).toBe(State.CLOSED);
  });
});
