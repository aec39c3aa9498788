// The face of a network card as the stack sees it: frames out, a few facts. Drivers and the simulated link implement
// it.
// Frames come in through `Stack.receive`.

import { Packet } from "../runtime";

/** What a device takes over; bits of `NetDevice.offloads`. */
export const enum Offload {
  /** Completes the transport checksum of a packet with CHECKSUM_PARTIAL. */
  CSUM_TX = 1,
  /** Cuts TCP segments over IPv4 (GSO_TCP4) and IPv6 (GSO_TCP6) at `gsoSize`. */
  TSO4 = 2,
  TSO6 = 4,
  /** Verifies transport checksums and says so by CHECKSUM_OK. */
  CSUM_RX = 8,
  /** Merges received TCP segments. */
  GRO = 16,
  /** TSO of segments with CWR set (RFC 3168, 6.1.2: CWR only on the first). */
  TSO_ECN = 32,
}

export abstract class NetDevice {
  /** Hardware address, first octet in bits 40 to 47. */
  mac: u64 = 0;
  /** Largest IP packet that a frame carries, bytes. */
  mtu: u32 = 1500;
  /** Bits of `Offload`. */
  offloads: u32 = 0;

  /**
   * Takes a frame: `data` at the Ethernet header, `csumStart` from there. The device owns the packet and frees it when
   * it is sent or dropped.
   * Only what `offloads` says is left to the device. The frame leaves with the next `flush`.
   */
  abstract transmit(p: Packet): void;

  /** Sends what was queued, with one notification. Once a turn. */
  abstract flush(): void;
}
