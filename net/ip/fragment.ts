// Cutting an IPv4 packet into fragments (RFC 791, 2.3; RFC 1812, 5.2.6): headers of their own, slices of the original's
// payload. A fragment can be cut again; options that are not marked to be copied stay with the first piece.

import { allocPacket, Errno, Packet, PacketFlag } from "../../runtime";
import { completeChecksum } from "../link/offload";
import { addRange } from "../range";
import { Stack } from "../stack";
import {
  copiedHeaderBytes,
  copyFragmentHeader,
  IPV4_MF,
  ipv4Fragment,
  ipv4HeaderBytes,
  ipv4Id,
  rewriteIpv4,
} from "../wire/ipv4";
import { Route } from "./route";
import { send4 } from "./ipv4";

/** Sends a packet (`data` at its IPv4 header) in fragments of at most `mtu` bytes, 68 or more. Owns it. */
export function fragment4(stack: Stack, p: Packet, route: Route, mtu: u32): i32 {
  const counters = stack.counters;
  // The checksum covers the whole: no device can complete it on fragments.
  if (p.flags & PacketFlag.CHECKSUM_PARTIAL) completeChecksum(p);
  let header = ipv4HeaderBytes(p.data);
  const first = header;
  const payload = p.totalLen - header;
  const id = ipv4Id(p.data);
  const word = ipv4Fragment(p.data);
  for (let offset: u32 = 0; offset < payload;) {
    const bytes = min((mtu - header) & ~7, payload - offset);
    const last = offset + bytes == payload;
    const f = allocPacket();
    if (f == null || !addRange(f, p, first + offset, bytes)) {
      // The rest is of no use without this one.
      counters.ipFragFails++;
      if (f != null) f.free();
      else counters.noBuffers++;
      p.free();
      return Errno.ENOBUFS;
    }
    const at = f.push(header);
    if (offset == 0) memory.copy(at, p.data, header);
    else copyFragmentHeader(at, p.data);
    const more = last ? word & IPV4_MF : IPV4_MF;
    rewriteIpv4(at, header + bytes, id, more | ((word & 0x1fff) + (offset >> 3)));
    counters.ipFragCreates++;
    send4(stack, f, route);
    if (offset == 0) header = copiedHeaderBytes(p.data);
    offset += bytes;
  }
  counters.ipFragOKs++;
  p.free();
  return 0;
}
