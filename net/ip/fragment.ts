// Cutting an IPv4 packet into fragments (RFC 791, 2.3): headers of their own, slices of the original's payload.

import { allocPacket, Errno, Packet, PacketFlag } from "../../runtime";
import { completeChecksum } from "../link/offload";
import { addRange } from "../range";
import { Stack } from "../stack";
import { IPV4_BYTES, IPV4_MF, ipv4Id, rewriteIpv4 } from "../wire/ipv4";
import { Route } from "./route";
import { send4 } from "./ipv4";

/**
 * Sends a packet of ours (`data` at its IPv4 header without options) in fragments of at most the route's MTU. Owns it.
 */
export function fragment4(stack: Stack, p: Packet, route: Route): i32 {
  const counters = stack.counters;
  // The checksum covers the whole: no device can complete it on fragments.
  if (p.flags & PacketFlag.CHECKSUM_PARTIAL) completeChecksum(p);
  const payload = p.totalLen - IPV4_BYTES;
  const step = (route.mtu - IPV4_BYTES) & ~7;
  const id = ipv4Id(p.data);
  for (let offset: u32 = 0; offset < payload; offset += step) {
    const bytes = min(step, payload - offset);
    const f = allocPacket();
    if (f == null || !addRange(f, p, IPV4_BYTES + offset, bytes)) {
      // The rest is of no use without this one.
      counters.ipFragFails++;
      if (f != null) f.free();
      else counters.noBuffers++;
      p.free();
      return Errno.ENOBUFS;
    }
    memory.copy(f.push(IPV4_BYTES), p.data, IPV4_BYTES);
    const more = offset + bytes < payload ? IPV4_MF : 0;
    rewriteIpv4(f.data, IPV4_BYTES + bytes, id, more | (offset >> 3));
    counters.ipFragCreates++;
    send4(stack, f, route);
  }
  counters.ipFragOKs++;
  p.free();
  return 0;
}
