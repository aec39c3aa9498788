// Segments without a connection: the RST for what belongs to nothing, the SYN-ACK with a cookie, the ACK of TIME-WAIT.

import { allocPacket, Packet, PacketFlag } from "../../runtime";
import { isV4 } from "../ip/address";
import { newRoute, Route, RouteOption, ROUTE_BYTES } from "../ip/route";
import { sumPseudo } from "../wire/checksum";
import { Protocol } from "../wire/ipv4";
import { emitTcp, setTcpChecksum, TCP_BYTES, TCP_CHECKSUM, TcpFlag } from "../wire/tcp";
import { TcpCore } from "./core";
import { DEFAULT_MSS } from "./listener";
import { emitSynOptions, Options, synOptionBytes } from "./options";
import { TimeWait } from "./timewait";

const scratchRoute: Route = newRoute();

/** A Route for one packet. */
export function freshRoute(): Route {
  const route = scratchRoute;
  memory.fill(changetype<usize>(route), 0, ROUTE_BYTES);
  route.options = <u8>RouteOption.DONT_FRAGMENT;
  return route;
}

/** The answer to a segment that belongs to nothing (RFC 9293, 3.10.7.1). */
export function resetSegment(tcp: TcpCore, o: Options): void {
  if (!tcp.rates.reset()) {
    tcp.stack.counters.tcpOutRstsLimited++;
    return;
  }
  tcp.stack.counters.tcpOutRsts++;
  if (o.flags & TcpFlag.ACK) {
    sendBare(tcp, o, o.ack, 0, TcpFlag.RST, 0, 0, 0, 0);
  } else {
    const length = o.bytes + (o.flags & TcpFlag.SYN ? 1 : 0) + (o.flags & TcpFlag.FIN ? 1 : 0);
    sendBare(tcp, o, 0, o.seq + length, TcpFlag.RST | TcpFlag.ACK, 0, 0, 0, 0);
  }
}

/** A SYN-ACK for which nothing is kept. */
export function sendCookieSynAck(tcp: TcpCore, o: Options, isn: u32, present: u32, ts: u32, ecn: bool): void {
  const window = min<u32>(min(tcp.limits.receiveBytes, tcp.limits.receiveBytesMax), 65535);
  sendBare(tcp, o, isn, o.seq + 1, TcpFlag.SYN | TcpFlag.ACK | (ecn ? TcpFlag.ECE : 0), window, present, ts, o.tsVal);
}

// A segment to where `o` came from.
function sendBare(
  tcp: TcpCore,
  o: Options,
  seq: u32,
  ack: u32,
  bits: u32,
  window: u32,
  present: u32,
  ts: u32,
  echo: u32,
): void {
  const p = allocPacket();
  if (p == null) {
    tcp.stack.counters.noBuffers++;
    return;
  }
  const route = freshRoute();
  const options = present != 0 ? synOptionBytes(present) : 0;
  const at = p.append(TCP_BYTES + options);
  emitTcp(at, o.localPort, o.remotePort, seq, ack, TCP_BYTES + options, bits, window);
  if (present != 0)
    emitSynOptions(at + TCP_BYTES, present, localMss(tcp, route, o.remoteHi, o.remoteLo), tcp.windowShift, ts, echo);
  sendFrom(tcp, p, at, route, o.localHi, o.localLo, o.remoteHi, o.remoteLo);
}

/** The ACK of a connection in TIME-WAIT. */
export function sendTimeWaitAck(tcp: TcpCore, w: TimeWait): void {
  const p = allocPacket();
  if (p == null) {
    tcp.stack.counters.noBuffers++;
    return;
  }
  const options: u32 = w.timestamps ? 12 : 0;
  const at = p.append(TCP_BYTES + options);
  emitTcp(at, w.localPort, w.remotePort, w.snd_nxt, w.rcv_nxt, TCP_BYTES + options, TcpFlag.ACK, w.rcv_wnd);
  if (w.timestamps) {
    store<u32>(at, 0x0a080101, TCP_BYTES);
    store<u32>(at, bswap<u32>(<u32>(tcp.stack.now_ns / 1_000_000) + w.ts_offset), TCP_BYTES + 4);
    store<u32>(at, bswap<u32>(w.ts_recent), TCP_BYTES + 8);
  }
  sendFrom(tcp, p, at, freshRoute(), w.localHi, w.localLo, w.remoteHi, w.remoteLo);
}

function sendFrom(
  tcp: TcpCore,
  p: Packet,
  at: usize,
  route: Route,
  localHi: u64,
  localLo: u64,
  remoteHi: u64,
  remoteLo: u64,
): void {
  p.csumStart = 0;
  p.csumOffset = <u16>TCP_CHECKSUM;
  p.flags |= PacketFlag.CHECKSUM_PARTIAL;
  setTcpChecksum(at, <u16>sumPseudo(localHi, localLo, remoteHi, remoteLo, Protocol.TCP, p.totalLen));
  tcp.stack.counters.tcpOutSegs++;
  tcp.stack.ip.output(p, route, localHi, localLo, remoteHi, remoteLo, Protocol.TCP, 0);
}

/** The MSS to announce: what the interface takes, whatever the path's MTU (RFC 6691, RFC 1191 3.1). */
export function localMss(tcp: TcpCore, route: Route, hi: u64, lo: u64): u32 {
  if (tcp.stack.ip.resolve(route, hi, lo) < 0) return DEFAULT_MSS;
  const mtu = unchecked(tcp.stack.interfaces[route.iface]).mtu;
  const large = route.mtu > <u16>mtu ? <u32>route.mtu : mtu;
  return large - (isV4(hi, lo) ? 40 : 60);
}
