// The source address of an IPv6 packet whose sender has none (RFC 6724, 5), among the addresses of the interface it leaves by:
// rules 1 (the same address), 2 (scope), 3 (one still being checked counts as deprecated: RFC 4429, 3.1), 6 (label) and 8
// (longest common prefix, within 64 bits). The others do not apply: no home addresses, one interface.
//
// clang: -Oz

import { Ipv6Address, Ipv6Interface } from "./ipv6-interface";

/** The best source for a destination, or null when there is no address. */
export function selectSource(v6: Ipv6Interface, hi: u64, lo: u64): Ipv6Address | null {
  const addresses = v6.addresses;
  let best: Ipv6Address | null = null;
  let bestScore = -1;
  const local = hi >> 54 == 0x3fa || hi >> 48 == 0xff02;
  const label = labelOf(hi, lo);
  for (let i = 0, n = addresses.length; i < n; i++) {
    const a = unchecked(addresses[i]);
    if (a.lo == lo && a.hi == hi) return a;
    let score = min<i32>(<i32>clz<u64>(a.hi ^ hi), 64);
    if (labelOf(a.hi, a.lo) == label) score += 128;
    if (!a.tentative && !a.deprecated) score += 256;
    // An address of the link reaches nobody beyond it; any other is only second best on it.
    if ((a.hi >> 54 == 0x3fa) == local) score += 512;
    else if (!local) continue;
    if (score > bestScore) {
      best = a;
      bestScore = score;
    }
  }
  return best;
}

// The policy table (RFC 6724, 2.1), as far as it tells addresses of hosts from each other.
function labelOf(hi: u64, lo: u64): u32 {
  if (hi >> 57 == 0x7e) return 13;
  if (hi >> 48 == 0x2002) return 2;
  if (hi >> 32 == 0x20010000) return 5;
  return 1;
}
