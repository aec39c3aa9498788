// What TCP may hold. Everything follows from the packet pool, the resource that peers can make us spend.

import { packetsTotal } from "../../runtime";

export class TcpLimits {
  /** Connections, half-open ones included. About one for two buffers of the pool: an idle one holds no buffer at all. */
  connections: u32 = min<u32>(max<u32>(packetsTotal / 2, 64), 1 << 20);
  /** TIME-WAIT entries; above them the oldest goes (its sequence numbers are still guarded by the ISN clock and timestamps). */
  timeWaits: u32 = min<u32>(max<u32>(packetsTotal / 2, 64), 1 << 18);
  listeners: u32 = 256;
  /** Pool buffers that all send and receive queues together may hold. */
  packets: u32 = packetsTotal - packetsTotal / 4;
  /** Records of segments in flight: a window of full segments in most buffers of the pool. */
  segments: u32 = max<u32>(packetsTotal, 256);
  /** Bytes that one connection may be offered as receive window, and may queue for sending. Linux: tcp_rmem[2] 6 MiB, tcp_wmem[2] 4 MiB. */
  receiveBytesMax: u32 = min<u32>(max<u32>(packetsTotal * 256, 65536), 4 << 20);
  sendBytesMax: u32 = min<u32>(max<u32>(packetsTotal * 256, 65536), 4 << 20);
  /** Where both start. Linux: tcp_rmem[1] offers 64 KiB, tcp_wmem[1] is 16 KiB of which IW10 needs 14. */
  receiveBytes: u32 = 65536;
  sendBytes: u32 = 65536;
  /** Challenge ACKs a second (RFC 5961, 7; Linux: 1000) and segments of RST without a connection. */
  challengeAcksPerSecond: u32 = 1000;
  resetsPerSecond: u32 = 1000;
}
