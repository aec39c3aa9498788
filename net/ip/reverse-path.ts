// Whether a packet's source is where it came from (RFC 3704): against forged sources at the edge of a network.

import { Interface } from "../link/interface";
import { Stack } from "../stack";
import { RouteKind } from "./route";
import { RouteEntry } from "./routes";

/**
 * Does the way back to the source leave through the interface that the packet came in on? Any route to the source's prefix
 * counts, not only that with the best metric (RFC 3704, 2.3: feasible paths); with `loose` through any interface. A source behind a
 * blackhole route comes from nowhere.
 */
export function reversePathHolds(
  stack: Stack,
  iface: Interface,
  loose: bool,
  srcHi: u64,
  srcLo: u64,
  dstHi: u64,
  dstLo: u64,
): bool {
  for (let entry = stack.ip.table.lookupFrom(srcHi, srcLo, dstHi, dstLo); entry != null;) {
    if (entry.kind == RouteKind.UNICAST && (loose || entry.iface == iface.index)) return true;
    const next: RouteEntry | null = entry.next;
    entry = next;
  }
  return false;
}
