// Cutting an IPv6 packet into fragments (RFC 8200, 4.5): headers of their own, slices of the original's payload. Packets of
// ours, and what was joined here on its way to others.

import { allocPacket, BUFFER_DATA_BYTES, Errno, HEADROOM_BYTES, Packet, PacketFlag } from "../../runtime";
import { completeChecksum } from "../link/offload";
import { addRange } from "../range";
import { Stack } from "../stack";
import { emitFragment, FRAGMENT_BYTES, IPV6_BYTES, setIpv6Payload, NextHeader } from "../wire/ipv6";
import { send6 } from "./ipv6";
import { unfragmentable, walkTypeAt } from "./ipv6-headers";
import { Route } from "./route";

/** Sends a packet (`data` at the IPv6 header) in fragments of at most `limit` bytes. Owns it. */
export function fragment6(stack: Stack, p: Packet, route: Route, limit: u32): i32 {
  const counters = stack.counters;
  const head = unfragmentable(p);
  const typeAt = walkTypeAt;
  const header = head + FRAGMENT_BYTES;
  if (head == 0 || header + 8 > limit || <usize>header > BUFFER_DATA_BYTES - HEADROOM_BYTES) {
    counters.ip6FragFails++;
    p.free();
    return Errno.EMSGSIZE;
  }
  // The checksum covers the whole: no device can complete it on fragments.
  if (p.flags & PacketFlag.CHECKSUM_PARTIAL) completeChecksum(p);
  const type = load<u8>(p.data + typeAt);
  const payload = p.totalLen - head;
  const step = (limit - header) & ~7;
  // Random: not to be predicted (RFC 7739), and among 2^32 not repeated soon.
  const id = stack.random32();
  for (let offset: u32 = 0; offset < payload; offset += step) {
    const bytes = min(step, payload - offset);
    const f = allocPacket();
    const at = f != null ? f.append(header) : 0;
    if (f == null || !addRange(f, p, head + offset, bytes)) {
      // The rest is of no use without this one.
      counters.ip6FragFails++;
      if (f != null) f.free();
      else counters.noBuffers++;
      p.free();
      return Errno.ENOBUFS;
    }
    memory.copy(at, p.data, head);
    store<u8>(at + typeAt, <u8>NextHeader.FRAGMENT);
    setIpv6Payload(at, header - IPV6_BYTES + bytes);
    emitFragment(at + head, type, offset | (offset + bytes < payload ? 1 : 0), id);
    f.iface = p.iface;
    counters.ip6FragCreates++;
    send6(stack, f, route);
  }
  counters.ip6FragOKs++;
  p.free();
  return 0;
}
