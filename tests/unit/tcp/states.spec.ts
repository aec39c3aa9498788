// States (RFC 9293, 3.10), as scripts: each names the segments that go in and expects those that come out.

import { initPackets, packetsFree, packetsTotal } from "../../../runtime/memory/packet";
import { Event, State } from "../../../net/index";
import { ADDRESS_B } from "../../sim/link";
import { ACK, CWR, ECE, FIN, MSS, PSH, RST, SACK, SCALE, Script, SYN, TS } from "../../sim/script";

function script(backlog: u32 = 16): Script {
  initPackets();
  return new Script(backlog);
}

describe("LISTEN and SYN-RECEIVED", () => {
  it("answers a SYN with a SYN-ACK of its own MSS", () => {
    const s = script();
    s.syn(MSS);
    const a = s.next();
    expect(a.text()).toBe("SA 0 1 0");
    expect(a.mss).toBe(1460);
    expect(a.hasTs).toBe(false);
  });
  it("echoes the timestamp of the SYN", () => {
    const s = script();
    s.syn(MSS | TS);
    const a = s.next();
    expect(a.hasTs).toBe(true);
    expect(a.tsEcr).toBe(7000);
  });
  it("is established by the ACK and can be accepted", () => {
    const s = script();
    s.accept();
    expect(s.c.state).toBe(State.ESTABLISHED);
    expect(s.all()).toBe("");
  });
  it("repeats the SYN-ACK after a second, then after two", () => {
    const s = script();
    s.syn(MSS);
    s.next();
    s.wait(1010);
    expect(s.all()).toBe("SA 0 1 0");
    s.wait(1900);
    expect(s.all()).toBe("");
    s.wait(110);
    expect(s.all()).toBe("SA 0 1 0");
  });
  it("gives a half-open connection up after 63 s", () => {
    const s = script();
    s.syn(MSS);
    s.wait(70000);
    expect(s.tcp.connections).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("answers a repeated SYN with the same SYN-ACK", () => {
    const s = script();
    s.syn(MSS);
    s.next();
    s.syn(MSS);
    expect(s.all()).toBe("SA 0 1 0");
    expect(s.tcp.connections).toBe(1);
  });
  it("forgets a half-open connection on RST", () => {
    const s = script();
    s.syn(MSS);
    s.clear();
    s.send(RST, 1, 0);
    expect(s.tcp.connections).toBe(0);
    expect(s.all()).toBe("");
  });
  it("resets an ACK of something else in SYN-RECEIVED", () => {
    const s = script();
    s.syn(MSS);
    s.clear();
    s.send(ACK, 1, 77);
    expect(s.all()).toBe("R 77 0 0");
    expect(s.tcp.connections).toBe(1);
  });
  it("takes data with the ACK of the handshake", () => {
    const s = script();
    s.syn(MSS);
    s.clear();
    s.send(ACK, 1, 1, 100);
    s.connection = s.tcp.accept(s.listener);
    expect(s.read(1000)).toBe(100);
  });
  it("ignores SYN with FIN", () => {
    const s = script();
    s.send(SYN | FIN, 0, 0);
    expect(s.all()).toBe("");
    expect(s.tcp.connections).toBe(0);
  });
  it("resets an ACK that no connection knows", () => {
    const s = script();
    s.send(ACK, 1, 500);
    expect(s.all()).toBe("R 500 0 0");
  });
  it("answers a SYN to a closed port with RST and ACK", () => {
    const s = script();
    s.localPort = 81;
    s.syn(MSS);
    expect(s.all()).toBe("RA " + (<i32>(0 - s.iss)).toString() + " 1 0");
  });
  it("never answers a RST", () => {
    const s = script();
    s.localPort = 81;
    s.send(RST, 0, 0);
    s.send(RST | ACK, 5, 5);
    expect(s.all()).toBe("");
  });
  it("drops a SYN while the accept queue is full", () => {
    const s = script(1);
    s.accept();
    s.tcp.closeListener(s.listener);
    const l = s.tcp.listen(80, 0, 0, 1, null, 0)!;
    s.remotePort = 6001;
    s.syn(MSS);
    s.send(ACK, 1, 1);
    s.clear();
    s.remotePort = 6002;
    s.syn(MSS);
    expect(s.all()).toBe("");
    expect(l.accepting).toBe(1);
  });
});

describe("SYN cookies", () => {
  it("take over when too many are half-open, and keep MSS, scale and SACK in timestamps", () => {
    const s = script();
    s.listener.halfOpenMax = 1;
    s.syn(MSS);
    s.clear();
    s.remotePort = 6000;
    s.syn(MSS | SACK | SCALE | TS);
    const a = s.next();
    expect(a.text()).toBe("SA 0 1 0");
    expect(s.tcp.connections).toBe(1);
    s.timestamps = true;
    s.tsEcr = a.tsVal;
    s.send(ACK, 1, 1, 10);
    s.connection = s.tcp.accept(s.listener);
    expect(s.connection != null).toBe(true);
    expect(s.c.peer_mss).toBe(1460);
    expect(s.c.snd_wscale).toBe(7);
    expect(s.c.state).toBe(State.ESTABLISHED);
    expect(s.read(100)).toBe(10);
  });
  it("refuse an ACK that was not given one", () => {
    const s = script();
    s.listener.halfOpenMax = 0;
    s.syn(MSS);
    s.next();
    s.send(ACK, 1, 12345);
    expect(s.all()).toBe("R 12345 0 0");
    expect(s.tcp.connections).toBe(0);
  });
  it("expire", () => {
    const s = script();
    s.listener.halfOpenMax = 0;
    s.syn(MSS);
    s.next();
    s.wait(300000);
    s.send(ACK, 1, 1);
    expect(s.all()).toBe("R 1 0 0");
  });
});

function connecting(): Script {
  const s = script();
  s.connection = s.tcp.connect(0, ADDRESS_B, 5000);
  s.flush();
  s.localPort = s.c.localPort;
  return s;
}

describe("SYN-SENT", () => {
  it("opens with MSS, timestamps, SACK and scale", () => {
    const s = connecting();
    const a = s.next();
    expect(a.text()).toBe("S 0 0 0");
    expect(a.mss).toBe(1460);
    expect(a.hasTs).toBe(true);
  });
  it("is established by a SYN-ACK and acknowledges it", () => {
    const s = connecting();
    s.clear();
    s.syn(MSS, SYN | ACK, 1);
    expect(s.all()).toBe("A 1 1 0");
    expect(s.c.state).toBe(State.ESTABLISHED);
  });
  it("is refused by RST with ACK", () => {
    const s = connecting();
    s.send(RST | ACK, 0, 1);
    expect(s.c.state).toBe(State.CLOSED);
    expect(s.c.error).toBe(-111);
  });
  it("ignores a RST that acknowledges nothing of it", () => {
    const s = connecting();
    s.send(RST, 0, 0);
    s.send(RST | ACK, 0, 9);
    expect(s.c.state).toBe(State.SYN_SENT);
  });
  it("resets a SYN-ACK of another SYN", () => {
    const s = connecting();
    s.clear();
    s.send(SYN | ACK, 0, 55);
    expect(s.all()).toBe("R 55 0 0");
    expect(s.c.state).toBe(State.SYN_SENT);
  });
  it("repeats the SYN with growing pauses and gives up", () => {
    const s = connecting();
    s.clear();
    s.wait(3100);
    expect(s.all()).toBe("S 0 0 0, S 0 0 0");
    s.wait(400000);
    expect(s.c.state).toBe(State.CLOSED);
    expect(s.c.error).toBe(-110);
  });
  it("opens simultaneously", () => {
    const s = connecting();
    s.clear();
    s.syn(MSS);
    expect(s.all()).toBe("SA 0 1 0");
    expect(s.c.state).toBe(State.SYN_RCVD);
    s.send(ACK, 1, 1);
    expect(s.c.state).toBe(State.ESTABLISHED);
  });
  it("opens simultaneously when the peer answers with SYN-ACK", () => {
    const s = connecting();
    s.syn(MSS);
    s.clear();
    s.syn(MSS, SYN | ACK, 1);
    expect(s.c.state).toBe(State.ESTABLISHED);
  });
});

describe("RST, SYN and ACK in ESTABLISHED (RFC 5961)", () => {
  it("RST at the exact number resets", () => {
    const s = script();
    s.accept();
    s.send(RST, 1, 0);
    expect(s.c.state).toBe(State.CLOSED);
    expect(s.c.error).toBe(-104);
    expect(s.all()).toBe("");
  });
  it("RST elsewhere in the window is challenged", () => {
    const s = script();
    s.accept();
    s.send(RST, 100, 0);
    expect(s.all()).toBe("A 1 1 0");
    expect(s.c.state).toBe(State.ESTABLISHED);
  });
  it("RST outside the window is ignored", () => {
    const s = script();
    s.accept();
    s.send(RST, 900000, 0);
    expect(s.all()).toBe("");
    expect(s.c.state).toBe(State.ESTABLISHED);
  });
  it("SYN is challenged, once in half a second", () => {
    const s = script();
    s.accept();
    s.send(SYN, 10, 0);
    s.send(SYN, 10, 0);
    expect(s.all()).toBe("A 1 1 0");
    s.wait(600);
    s.send(SYN, 10, 0);
    expect(s.all()).toBe("A 1 1 0");
  });
  it("an ACK of what was never sent is challenged, its data dropped", () => {
    const s = script();
    s.accept();
    s.send(ACK, 1, 500, 20);
    expect(s.all()).toBe("A 1 1 0");
    expect(s.c.rq_bytes).toBe(0);
  });
  it("a segment without ACK is dropped", () => {
    const s = script();
    s.accept();
    s.send(PSH, 1, 0, 10);
    expect(s.c.rq_bytes).toBe(0);
  });
});

describe("closing", () => {
  it("first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, then nothing", () => {
    const s = script();
    s.accept();
    s.tcp.shutdown(s.c);
    s.flush();
    expect(s.all()).toBe("FA 1 1 0");
    expect(s.c.state).toBe(State.FIN_WAIT_1);
    s.send(ACK, 1, 2);
    expect(s.c.state).toBe(State.FIN_WAIT_2);
    s.send(ACK | FIN, 1, 2);
    expect(s.all()).toBe("A 2 2 0");
    expect(s.tcp.timeWaits.count).toBe(1);
    s.tcp.close(s.c);
    s.wait(61000);
    expect(s.tcp.timeWaits.count).toBe(0);
    expect(s.tcp.connections).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("second: CLOSE-WAIT, LAST-ACK, CLOSED", () => {
    const s = script();
    s.accept();
    s.send(ACK | FIN, 1, 1);
    expect(s.all()).toBe("A 1 2 0");
    expect(s.c.state).toBe(State.CLOSE_WAIT);
    expect(s.read(10)).toBe(0);
    s.tcp.close(s.c);
    s.flush();
    expect(s.all()).toBe("FA 1 2 0");
    s.send(ACK, 2, 2);
    expect(s.tcp.connections).toBe(0);
    expect(s.tcp.timeWaits.count).toBe(0);
  });
  it("both at once: CLOSING, TIME-WAIT", () => {
    const s = script();
    s.accept();
    s.tcp.shutdown(s.c);
    s.flush();
    s.clear();
    s.send(ACK | FIN, 1, 1);
    expect(s.c.state).toBe(State.CLOSING);
    expect(s.all()).toBe("A 2 2 0");
    s.send(ACK, 2, 2);
    expect(s.tcp.timeWaits.count).toBe(1);
  });
  it("FIN and ACK of ours in one segment", () => {
    const s = script();
    s.accept();
    s.tcp.shutdown(s.c);
    s.flush();
    s.clear();
    s.send(ACK | FIN, 1, 2);
    expect(s.all()).toBe("A 2 2 0");
    expect(s.tcp.timeWaits.count).toBe(1);
  });
  it("half: after our FIN the peer's data is still read", () => {
    const s = script();
    s.accept();
    s.tcp.shutdown(s.c);
    s.flush();
    s.send(ACK, 1, 2, 300);
    expect(s.read(1000)).toBe(300);
  });
  it("half: after the peer's FIN we still send", () => {
    const s = script();
    s.accept();
    s.send(ACK | FIN, 1, 1);
    s.clear();
    expect(s.write(50)).toBe(50);
    expect(s.all()).toBe("A 1 2 50");
  });
  it("write after shutdown gives EPIPE", () => {
    const s = script();
    s.accept();
    s.tcp.shutdown(s.c);
    expect(s.write(1)).toBe(-32);
  });
  it("repeats a lost FIN", () => {
    const s = script();
    s.accept();
    s.tcp.shutdown(s.c);
    s.flush();
    s.clear();
    s.wait(1500);
    expect(s.next().text()).toBe("FA 1 1 0");
  });
  it("FIN behind a gap waits for what is missing", () => {
    const s = script();
    s.accept();
    s.send(ACK | FIN, 101, 1, 100);
    expect(s.c.state).toBe(State.ESTABLISHED);
    s.send(ACK, 1, 1, 100);
    expect(s.c.state).toBe(State.CLOSE_WAIT);
    expect(s.read(1000)).toBe(200);
    expect(s.read(1000)).toBe(0);
  });
  it("with unread data resets", () => {
    const s = script();
    s.accept();
    s.send(ACK, 1, 1, 100);
    s.clear();
    s.tcp.close(s.c);
    expect(s.all()).toBe("RA 1 101 0");
    expect(s.tcp.connections).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("data for a connection that nobody reads resets it", () => {
    const s = script();
    s.accept();
    s.tcp.close(s.c);
    s.flush();
    s.clear();
    s.send(ACK, 1, 2, 100);
    expect(s.next().flags & RST).toBe(RST);
    expect(s.tcp.connections).toBe(0);
  });
  it("an orphan in FIN-WAIT-2 is gone after a minute", () => {
    const s = script();
    s.accept();
    s.tcp.close(s.c);
    s.flush();
    s.send(ACK, 1, 2);
    expect(s.tcp.connections).toBe(1);
    s.wait(61000);
    expect(s.tcp.connections).toBe(0);
  });
  it("abort sends RST", () => {
    const s = script();
    s.accept();
    s.tcp.abort(s.c);
    expect(s.all()).toBe("RA 1 1 0");
    expect(s.tcp.connections).toBe(0);
  });
});

function waiting(): Script {
  const s = script();
  s.accept();
  s.tcp.close(s.c);
  s.flush();
  s.send(ACK | FIN, 1, 2);
  s.clear();
  return s;
}

describe("TIME-WAIT", () => {
  it("answers the repeated FIN", () => {
    const s = waiting();
    s.send(ACK | FIN, 1, 2);
    expect(s.all()).toBe("A 2 2 0");
  });
  it("ignores RST (RFC 1337)", () => {
    const s = waiting();
    s.send(RST, 2, 0);
    expect(s.tcp.timeWaits.count).toBe(1);
  });
  it("gives way to a SYN above the old numbers, with an ISN above the old one", () => {
    const s = waiting();
    const old = s.iss;
    s.send(SYN, 500, 0);
    const a = s.next();
    expect(a.flags).toBe(SYN | ACK);
    expect(<i32>(s.iss - old) > 2).toBe(true);
    expect(s.tcp.timeWaits.count).toBe(0);
  });
  it("does not give way to an old SYN", () => {
    const s = waiting();
    s.send(SYN, <u32>-100, 0);
    expect(s.tcp.timeWaits.count).toBe(1);
    expect(s.next().text()).toBe("A 2 2 0");
  });
});
