// Initial sequence numbers (RFC 6528, RFC 9293 3.4.1), timestamp offsets (RFC 7323, 5.4) and ephemeral ports (RFC 6056).
//
//   (1) ISN = M + F(four-tuple, secret),  M a clock of 4 us (here 4.096): it turns round in 4.9 hours, far above any segment's life
//   (2) timestamp = ms clock + G(addresses, secret): monotonic for a pair of hosts, so that TIME-WAIT can be reused by it (RFC 6191)
//   (3) port = MIN + (F'(remote endpoint, secret) + counter) mod RANGE     RFC 6056, 3.3.3 (algorithm 3) with random increments (3.3.5)

import { Stack } from "../stack";

/** RFC 6335: the dynamic ports are 49152 and up; Linux begins at 32768, which lasts longer behind one address. */
export const PORT_MIN: u32 = 32768;
export const PORT_RANGE: u32 = 28232;

/** (1), given the hash F. */
@inline
export function initialSequence(stack: Stack, f: u32): u32 {
  return <u32>(stack.now_ns >> 12) + f;
}

/** F of (1): not the flow table's hash, whose bits a bucket's collisions could tell. */
export function sequenceHash(
  stack: Stack,
  localHi: u64,
  localLo: u64,
  remoteHi: u64,
  remoteLo: u64,
  localPort: u32,
  remotePort: u32,
): u32 {
  const first = stack.hash(localHi ^ 0x69736e, localLo, remoteHi);
  return stack.hash(((<u64>first) << 32) | ((<u64>localPort) << 16) | (<u64>remotePort), remoteLo, 0x69736e31);
}

/** G of (2). */
export function timestampOffset(stack: Stack, localHi: u64, localLo: u64, remoteHi: u64, remoteLo: u64): u32 {
  const first = stack.hash(localHi ^ 0x74736f, localLo, remoteHi);
  return stack.hash(<u64>first, remoteLo, 0x74736f31);
}

/** F' of (3). */
export function portOffset(stack: Stack, localLo: u64, remoteHi: u64, remoteLo: u64, remotePort: u32): u32 {
  const first = stack.hash(localLo ^ 0x706f7274, remoteHi, remoteLo);
  return stack.hash(<u64>first, <u64>remotePort, 0x706f7274);
}
