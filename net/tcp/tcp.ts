// TCP of one stack (RFC 9293): what IP calls.
//
//   ip -> input -> flow table -> connection | TIME-WAIT | listener | RST          events -> handlers
//   applications -> calls.ts -> list of connections with something to send -> turn -> ip.output

import { Packet, PacketFlag } from "../../runtime";
import { isMulticast, isUnspecified } from "../ip/address";
import { IcmpError } from "../ip/transport";
import { Stack } from "../stack";
import { fold, sumPacket, sumPseudo } from "../wire/checksum";
import { Protocol } from "../wire/ipv4";
import { TCP_BYTES, tcpAck, tcpDst, TcpFlag, tcpFlags, tcpHeaderBytes, tcpSeq, tcpSrc, tcpWindow } from "../wire/tcp";
import { TcpFlows } from "./holder";
import { resetSegment } from "./bare";
import { TcpCalls } from "./calls";
import { Connection } from "./connection";
import { coreAt } from "./core";
import { FlowKind } from "./flow";
import { icmpArrives } from "./icmp";
import { segmentArrives } from "./input";
import { TcpLimits } from "./limits";
import { listenInput } from "./listener";
import { newOptions, Options, parseOptions } from "./options";
import { flowHash } from "./table";
import { TimeWait, timeWaitInput } from "./timewait";

/** The TCP of the stack with an id. */
@inline
export function tcpAt(stackId: u32): TcpModule {
  return changetype<TcpModule>(coreAt(stackId));
}

export class TcpModule extends TcpCalls {
  // Scratch of the segment being processed.
  private readonly segment: Options = newOptions();

  constructor(stack: Stack, limits: TcpLimits) {
    super(stack, limits);
    stack.ip.register(Protocol.TCP, this);
    stack.flows = new TcpFlows(stack, this.table);
  }

  input(p: Packet, srcHi: u64, srcLo: u64, dstHi: u64, dstLo: u64, tos: u32): void {
    const counters = this.stack.counters;
    counters.tcpInSegs++;
    const l4: u32 = p.l4;
    if (!p.pull(l4 + TCP_BYTES)) {
      counters.tcpInErrs++;
      p.free();
      return;
    }
    const at = p.data + l4;
    const header = tcpHeaderBytes(at);
    if (header < TCP_BYTES || !p.pull(l4 + header)) {
      counters.tcpInErrs++;
      p.free();
      return;
    }
    const length = p.totalLen - l4;
    if ((p.flags & PacketFlag.CHECKSUM_OK) == 0) {
      const sum = <u64>sumPacket(p, l4, length) + <u64>sumPseudo(srcHi, srcLo, dstHi, dstLo, Protocol.TCP, length);
      if (fold(sum) != 0xffff) {
        counters.tcpInCsumErrors++;
        counters.tcpInErrs++;
        p.free();
        return;
      }
    }
    // RFC 1122, 4.2.3.10: no connection with a group.
    if (
      (p.flags & (PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST)) != 0 ||
      isMulticast(dstHi, dstLo) ||
      isUnspecified(srcHi, srcLo)
    ) {
      counters.tcpInErrs++;
      p.free();
      return;
    }
    const o = this.segment;
    o.seq = tcpSeq(at);
    o.ack = tcpAck(at);
    o.flags = tcpFlags(at);
    o.window = tcpWindow(at);
    o.bytes = length - header;
    o.ecn = tos & 3;
    o.localHi = dstHi;
    o.localLo = dstLo;
    o.remoteHi = srcHi;
    o.remoteLo = srcLo;
    o.localPort = tcpDst(at);
    o.remotePort = tcpSrc(at);
    parseOptions(at, header, o);
    p.l4 = <u16>(l4 + header);
    const hash = flowHash(this.stack, dstHi, dstLo, srcHi, srcLo, o.localPort, o.remotePort);
    o.hash = hash;

    let floor: u32 = 0;
    let hasFloor = false;
    const f = this.table.find(hash, dstHi, dstLo, srcHi, srcLo, o.localPort, o.remotePort);
    if (f != null) {
      if (f.kind == FlowKind.CONNECTION) {
        this.arrives(changetype<Connection>(f), p, o);
        return;
      }
      const w = changetype<TimeWait>(f);
      if (!timeWaitInput(this, w, o) || this.listeners.match(o.localPort, dstHi, dstLo) == null) {
        p.free();
        return;
      }
      floor = w.snd_nxt;
      hasFloor = true;
      this.timeWaits.remove(this, w);
    }
    const l = this.listeners.match(o.localPort, dstHi, dstLo);
    if (l == null) {
      if ((o.flags & TcpFlag.RST) == 0) resetSegment(this, o);
      p.free();
      return;
    }
    this.replay = null;
    listenInput(this, l, o, floor, hasFloor);
    const c = this.replay;
    this.replay = null;
    if (c != null) this.arrives(c, p, o);
    else p.free();
  }

  private arrives(c: Connection, p: Packet, o: Options): void {
    this.accepted = false;
    const l = c.listener;
    segmentArrives(this, c, p, o);
    if (this.accepted && l != null) {
      this.accepted = false;
      if (l.handler != 0) call_indirect<void>(l.handler, l);
    }
    this.settle(c);
  }

  icmpError(
    error: IcmpError,
    mtu: u32,
    srcHi: u64,
    srcLo: u64,
    dstHi: u64,
    dstLo: u64,
    header: usize,
    header_bytes: u32,
  ): void {
    if (header_bytes < 8) return;
    const localPort = tcpSrc(header);
    const remotePort = tcpDst(header);
    const hash = flowHash(this.stack, srcHi, srcLo, dstHi, dstLo, localPort, remotePort);
    const f = this.table.find(hash, srcHi, srcLo, dstHi, dstLo, localPort, remotePort);
    if (f == null || f.kind != FlowKind.CONNECTION) return;
    icmpArrives(this, changetype<Connection>(f), error, mtu, tcpSeq(header));
  }
}
