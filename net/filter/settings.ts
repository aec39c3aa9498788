// What a firewall is told to do, in the terms of the machine. The appliance's reader fills it in.
// clang: -Oz

import { Action, Ranges, RuleSpec } from "./rules";
import { NatSpec } from "./nat";

const SECOND_NS: i64 = 1_000_000_000;

/** TCP without a known connection: after a reboot, or by a way that we do not see whole. */
export const enum Midstream {
  REJECT = 0,
  DROP = 1,
  PICKUP = 2,
}

export class StateSettings {
  maxEntries: u32 = 16384;
  maxPerSource: u32 = 16384;
  /** Whether a new policy judges the flows that it finds. */
  recheck: bool = true;
  midstream: Midstream = Midstream.REJECT;
  strictTcp: bool = true;
  /** TCP that is opening or closing (RFC 5382, 5: at least 4 minutes), and open (2 hours 4 minutes). */
  tcpTransitory_ns: i64 = 240 * SECOND_NS;
  tcpEstablished_ns: i64 = 7440 * SECOND_NS;
  /** UDP before and after a reply (RFC 4787, 4.3: at least 2 minutes). */
  udp_ns: i64 = 120 * SECOND_NS;
  udpReplied_ns: i64 = 300 * SECOND_NS;
  /** RFC 5508, 3.2: at least 60 s. */
  icmp_ns: i64 = 60 * SECOND_NS;
}

export class FirewallSettings {
  rules: Array<RuleSpec> = [];
  nat: Array<NatSpec> = [];
  /** For what no rule speaks of. */
  fallback: Action = Action.DROP;
  state: StateSettings = new StateSettings();
  /** Whether sources must be where they come from: a value of ReversePath, for all interfaces. */
  reversePath: u32 = 0;
  /** Interfaces on which private and reserved sources are dropped. */
  bogons: Array<i32> = [];
  /** MSS clamping: -1 off, 0 to the path's MTU, else to so many bytes. */
  mssClamp: i32 = -1;
}

/** Adds what no packet from outside may have as its source (RFC 6890): bogons. */
export function bogonRanges(): Ranges {
  const ranges = new Ranges();
  for (let i = 0; i < BOGONS4.length; i += 2) {
    const base = 0xffff00000000 | (<u64>BOGONS4[i]);
    ranges.add(0, base, 0, base | (<u64>(((<u32>1) << (32 - BOGONS4[i + 1])) - 1)));
  }
  // ::/16 (but for IPv4), 100::/64, 2001::/32 (Teredo), 2001:10::/28, 2001:db8::/32, fc00::/7, fec0::/10
  ranges.add(0, 0, 0, 0xfffeffffffff);
  ranges.add(0, 0x1000000000000, 0x0000ffffffffffff, u64.MAX_VALUE);
  ranges.add(0x0100000000000000, 0, 0x0100000000000000, u64.MAX_VALUE);
  ranges.add(0x2001001000000000, 0, 0x2001001fffffffff, u64.MAX_VALUE);
  ranges.add(0x20010db800000000, 0, 0x20010db8ffffffff, u64.MAX_VALUE);
  ranges.add(0xfc00000000000000, 0, 0xfdffffffffffffff, u64.MAX_VALUE);
  ranges.add(0xfec0000000000000, 0, 0xfeffffffffffffff, u64.MAX_VALUE);
  return ranges;
}

// 0/8, 10/8, 100.64/10, 127/8, 169.254/16, 172.16/12, 192.0.0/24, 192.0.2/24, 192.168/16, 198.18/15, 198.51.100/24,
// 203.0.113/24, 240/4
const BOGONS4: StaticArray<u32> = [
  0x00000000, 8, 0x0a000000, 8, 0x64400000, 10, 0x7f000000, 8, 0xa9fe0000, 16, 0xac100000, 12, 0xc0000000, 24,
  0xc0000200, 24, 0xc0a80000, 16, 0xc6120000, 15, 0xc6336400, 24, 0xcb007100, 24, 0xf0000000, 4,
];
