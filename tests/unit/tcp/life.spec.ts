// How connections and listeners end and what they may hold, as scripts: linger, drain, orphans, memory (RFC 9293, 3.9.1; RFC 1122, 4.2.2.13).

import { allocPacket, initPackets, Packet, packetsFree, packetsTotal } from "../../../runtime/memory/packet";
import { Connection, Event, Listener, State, TcpLimits } from "../../../net/index";
import { ACK, FIN, MSS, RST, SACK, Script, SYN } from "../../sim/script";

function open(limits: TcpLimits | null = null): Script {
  initPackets();
  const s = limits != null ? new Script(16, limits) : new Script();
  s.accept(MSS | SACK);
  s.clear();
  return s;
}

let writable: u32 = 0;
function onEvents(c: Connection, events: u32): void {
  if (events & Event.WRITABLE) writable++;
}

let drained: u32 = 0;
function onAccept(l: Listener): void {
  drained++;
}

describe("linger", () => {
  it("without it, what is queued is still sent after close, then FIN", () => {
    const s = open();
    s.write(100);
    s.clear();
    s.tcp.close(s.c);
    s.flush();
    expect(s.all()).toBe("FA 101 1 0");
  });
  it("of 0: close resets at once", () => {
    const s = open();
    s.tcp.setLinger(s.c, 0);
    s.write(100);
    s.clear();
    s.tcp.close(s.c);
    expect(s.all()).toBe("RA 101 1 0");
    expect(s.tcp.connections).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("of 5 s: what is not acknowledged by then is given up with a reset", () => {
    const s = open();
    s.tcp.setLinger(s.c, 5000);
    s.write(100);
    s.tcp.close(s.c);
    s.wait(4900);
    expect(s.tcp.connections).toBe(1);
    s.clear();
    s.wait(200);
    expect(s.next().flags & RST).toBe(RST);
    expect(s.tcp.connections).toBe(0);
  });
  it("does not disturb a peer that acknowledges in time", () => {
    const s = open();
    s.tcp.setLinger(s.c, 5000);
    s.write(100);
    s.tcp.close(s.c);
    s.flush();
    s.clear();
    s.send(ACK | FIN, 1, 102);
    s.wait(10000);
    expect(s.all()).toBe("A 102 2 0");
    expect(s.tcp.timeWaits.count).toBe(1);
  });
});

describe("draining a listener", () => {
  it("refuses new connections", () => {
    const s = open();
    s.tcp.drainListener(s.listener);
    s.remotePort = 6000;
    s.send(SYN, 0, 0);
    expect(s.next().flags & RST).toBe(RST);
  });
  it("completes those that have begun, which can be accepted", () => {
    initPackets();
    const s = new Script();
    s.syn(MSS);
    s.tcp.drainListener(s.listener);
    s.send(ACK, 1, 1);
    expect(s.tcp.accept(s.listener) != null).toBe(true);
  });
  it("says when the last is gone", () => {
    initPackets();
    const s = new Script();
    drained = 0;
    s.tcp.closeListener(s.listener);
    const l = s.tcp.listen(80, 0, 0, 16, onAccept, 0)!;
    s.syn(MSS);
    s.tcp.drainListener(l);
    expect(drained).toBe(0);
    s.send(RST, 1, 0);
    expect(drained).toBe(1);
  });
  it("leaves connections that were accepted alone", () => {
    const s = open();
    s.tcp.drainListener(s.listener);
    s.tcp.closeListener(s.listener);
    s.write(10);
    expect(s.all()).toBe("A 1 1 10");
    expect(s.c.state).toBe(State.ESTABLISHED);
  });
});

describe("memory", () => {
  it("a writer that was refused is woken when there is some, with nothing of its own on the way", () => {
    const s = open();
    writable = 0;
    s.tcp.setHandler(s.c, onEvents, 0);
    // Somebody else holds everything.
    let held: Packet | null = null;
    for (let p = allocPacket(); p != null; p = allocPacket()) {
      p.next = held;
      held = p;
    }
    expect(s.tcp.write(s.c, changetype<usize>(s), 8)).toBe(-11);
    s.wait(500);
    expect(writable).toBe(0);
    while (held != null) {
      const next: Packet | null = held.next;
      held.free();
      held = next;
    }
    s.wait(50);
    expect(writable).toBe(1);
    expect(s.write(10)).toBe(10);
  });
  it("one that ends meanwhile is forgotten", () => {
    const s = open();
    let held: Packet | null = null;
    for (let p = allocPacket(); p != null; p = allocPacket()) {
      p.next = held;
      held = p;
    }
    s.tcp.write(s.c, changetype<usize>(s), 8);
    s.tcp.abort(s.c);
    while (held != null) {
      const next: Packet | null = held.next;
      held.free();
      held = next;
    }
    s.wait(50);
    expect(s.tcp.connections).toBe(0);
    expect(packetsFree).toBe(packetsTotal);
  });
  it("no connections left: a SYN gets a cookie", () => {
    const limits = new TcpLimits();
    limits.connections = 1;
    const s = open(limits);
    s.remotePort = 6000;
    s.syn(MSS);
    expect(s.next().text()).toBe("SA 0 1 0");
    expect(s.stack.counters.tcpSynCookiesSent).toBe(1);
  });
  it("no records left: sending stops and goes on with the next acknowledgement", () => {
    const limits = new TcpLimits();
    limits.segments = 1;
    const s = open(limits);
    s.tcp.setNoDelay(s.c, true);
    s.write(10);
    s.write(10);
    expect(s.all()).toBe("A 1 1 10");
    s.send(ACK, 1, 11);
    expect(s.all()).toBe("A 11 1 10");
  });
});
