// Cutting an IPv6 packet of ours into fragments (RFC 8200, 4.5): headers of their own, slices of the original's payload.

import { allocPacket, Errno, Packet, PacketFlag } from "../../runtime";
import { completeChecksum } from "../link/offload";
import { addRange } from "../range";
import { Stack } from "../stack";
import { emitFragment, emitIpv6, FRAGMENT_BYTES, IPV6_BYTES, NextHeader } from "../wire/ipv6";
import { send6 } from "./ipv6";
import { Route } from "./route";

/** Sends a packet (`data` at the transport header) in fragments of at most the route's MTU. Owns it. */
export function fragment6(
  stack: Stack,
  p: Packet,
  route: Route,
  srcHi: u64,
  srcLo: u64,
  dstHi: u64,
  dstLo: u64,
  protocol: u32,
  trafficClass: u32,
  hopLimit: u32,
): i32 {
  const counters = stack.counters;
  // The checksum covers the whole: no device can complete it on fragments.
  if (p.flags & PacketFlag.CHECKSUM_PARTIAL) completeChecksum(p);
  const payload = p.totalLen;
  const header = IPV6_BYTES + FRAGMENT_BYTES;
  const step = (route.mtu - header) & ~7;
  // Random: not to be predicted (RFC 7739), and among 2^32 not repeated soon.
  const id = stack.random32();
  for (let offset: u32 = 0; offset < payload; offset += step) {
    const bytes = min(step, payload - offset);
    const f = allocPacket();
    if (f == null || !addRange(f, p, offset, bytes)) {
      // The rest is of no use without this one.
      counters.ipFragFails++;
      if (f != null) f.free();
      else counters.noBuffers++;
      p.free();
      return Errno.ENOBUFS;
    }
    const at = f.push(header);
    emitIpv6(at, trafficClass, 0, FRAGMENT_BYTES + bytes, NextHeader.FRAGMENT, hopLimit, srcHi, srcLo, dstHi, dstLo);
    emitFragment(at + IPV6_BYTES, protocol, offset | (offset + bytes < payload ? 1 : 0), id);
    f.iface = p.iface;
    counters.ipFragCreates++;
    send6(stack, f, route);
  }
  counters.ipFragOKs++;
  p.free();
  return 0;
}
