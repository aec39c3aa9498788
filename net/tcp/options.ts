// TCP options (RFC 9293, 3.1; RFC 7323; RFC 2018): parsed into one scratch record, written behind a header.
//
// Invariants
// 1. Parsing reads only header bytes, ends after at most 40 steps, and stops at the first malformed option; what stood before it counts.
// 2. An option of the wrong length is ignored (RFC 9293, MUST-7 demands that it does no harm).

import { TCP_BYTES } from "../wire/tcp";
import { Connection, Flag, SACK_BLOCKS } from "./connection";

const enum Kind {
  END = 0,
  NOP = 1,
  MSS = 2,
  WINDOW_SCALE = 3,
  SACK_PERMITTED = 4,
  SACK = 5,
  TIMESTAMPS = 8,
}

/** Bits of `Options.present`. */
export const enum Has {
  MSS = 1,
  WINDOW_SCALE = 2,
  SACK_PERMITTED = 4,
  TIMESTAMPS = 8,
}

/** Largest shift of a window (RFC 7323, 2.3). */
export const MAX_WINDOW_SHIFT: u32 = 14;

/** A segment that has arrived: header fields, options, endpoints. */
@unmanaged
export class Options {
  present: u32;
  mss: u32;
  windowShift: u32;
  tsVal: u32;
  tsEcr: u32;
  /** SACK blocks: where they stand in the header, and how many. */
  sackAt: usize;
  sackCount: u32;
  /** Header and segment, filled in by the input. */
  seq: u32;
  ack: u32;
  /** Payload bytes. */
  bytes: u32;
  flags: u32;
  /** The window field, not scaled. */
  window: u32;
  /** ECN field of the IP header. */
  ecn: u32;
  /** The four-tuple as seen from here, and its hash. */
  hash: u32;
  localHi: u64;
  localLo: u64;
  remoteHi: u64;
  remoteLo: u64;
  localPort: u32;
  remotePort: u32;


  @inline has(option: u32): bool {
    return (this.present & option) != 0;
  }


  @inline sackStart(i: u32): u32 {
    return bswap<u32>(load<u32>(this.sackAt + i * 8));
  }


  @inline sackEnd(i: u32): u32 {
    return bswap<u32>(load<u32>(this.sackAt + i * 8, 4));
  }
}

export function newOptions(): Options {
  const at = heap.alloc(offsetof<Options>());
  memory.fill(at, 0, offsetof<Options>());
  return changetype<Options>(at);
}

/** Parses the options of the header at `at`, `header_bytes` (20 to 60) long and all readable. */
export function parseOptions(at: usize, header_bytes: u32, o: Options): void {
  o.present = 0;
  o.sackCount = 0;
  const end = at + header_bytes;
  at += TCP_BYTES;
  // The layout that everybody sends with data: NOP NOP TIMESTAMPS.
  if (header_bytes == 32 && load<u32>(at) == 0x0a080101) {
    o.present = Has.TIMESTAMPS;
    o.tsVal = bswap<u32>(load<u32>(at, 4));
    o.tsEcr = bswap<u32>(load<u32>(at, 8));
    return;
  }
  while (at < end) {
    const kind = <i32>load<u8>(at);
    if (kind == Kind.END) return;
    if (kind == Kind.NOP) {
      at++;
      continue;
    }
    if (at + 2 > end) return;
    const length = <u32>load<u8>(at, 1);
    if (length < 2 || at + length > end) return;
    switch (kind) {
      case Kind.MSS:
        if (length == 4) {
          o.present |= Has.MSS;
          o.mss = bswap<u16>(load<u16>(at, 2));
        }
        break;
      case Kind.WINDOW_SCALE:
        if (length == 3) {
          o.present |= Has.WINDOW_SCALE;
          o.windowShift = min<u32>(load<u8>(at, 2), MAX_WINDOW_SHIFT);
        }
        break;
      case Kind.SACK_PERMITTED:
        if (length == 2) o.present |= Has.SACK_PERMITTED;
        break;
      case Kind.TIMESTAMPS:
        if (length == 10) {
          o.present |= Has.TIMESTAMPS;
          o.tsVal = bswap<u32>(load<u32>(at, 2));
          o.tsEcr = bswap<u32>(load<u32>(at, 6));
        }
        break;
      case Kind.SACK:
        if (length >= 10 && (length - 2) % 8 == 0) {
          o.sackAt = at + 2;
          o.sackCount = (length - 2) / 8;
        }
        break;
      default:
        break;
    }
    at += length;
  }
}

/** Bytes of the options of a SYN with the given bits of `Has`. */
@inline
export function synOptionBytes(present: u32): u32 {
  return (
    4 + (present & Has.TIMESTAMPS ? 12 : present & Has.SACK_PERMITTED ? 4 : 0) + (present & Has.WINDOW_SCALE ? 4 : 0)
  );
}

/** Writes the options of a SYN, `synOptionBytes` of them. */
export function emitSynOptions(at: usize, present: u32, mss: u32, shift: u32, tsVal: u32, tsEcr: u32): void {
  store<u16>(at, 0x0402);
  store<u16>(at, bswap<u16>(<u16>mss), 2);
  at += 4;
  if (present & Has.TIMESTAMPS) {
    // SACK-permitted takes the place of the two NOPs that align the timestamps.
    store<u16>(at, present & Has.SACK_PERMITTED ? 0x0204 : 0x0101);
    store<u16>(at, 0x0a08, 2);
    store<u32>(at, bswap<u32>(tsVal), 4);
    store<u32>(at, bswap<u32>(tsEcr), 8);
    at += 12;
  } else if (present & Has.SACK_PERMITTED) {
    store<u32>(at, 0x02040101);
    at += 4;
  }
  if (present & Has.WINDOW_SCALE) store<u32>(at, 0x00030301 | (shift << 24));
}

/** Bytes of the options of a segment that is no SYN, now. */
export function optionBytes(c: Connection): u32 {
  let bytes: u32 = c.has(Flag.TIMESTAMPS) ? 12 : 0;
  const blocks = sackBlocks(c, bytes);
  if (blocks > 0) bytes += 4 + 8 * blocks;
  return bytes;
}

// SACK blocks to send: the D-SACK first (RFC 2883, 4), then as many as fit the 40 bytes of options.
@inline
function sackBlocks(c: Connection, used: u32): u32 {
  const blocks = c.sack_count + (c.has(Flag.DSACK) ? 1 : 0);
  return min<u32>(blocks, used > 0 ? SACK_BLOCKS - 1 : SACK_BLOCKS);
}

/** Writes these options, `optionBytes` of them. The D-SACK is told once. */
export function emitOptions(c: Connection, at: usize, tsVal: u32): void {
  let used: u32 = 0;
  if (c.has(Flag.TIMESTAMPS)) {
    store<u32>(at, 0x0a080101);
    store<u32>(at, bswap<u32>(tsVal), 4);
    store<u32>(at, bswap<u32>(c.ts_recent), 8);
    used = 12;
  }
  let blocks = sackBlocks(c, used);
  if (blocks == 0) return;
  at += used;
  store<u32>(at, 0x00050101 | ((2 + 8 * blocks) << 24));
  at += 4;
  if (c.has(Flag.DSACK)) {
    c.clear(Flag.DSACK);
    store<u32>(at, bswap<u32>(c.dsack_start));
    store<u32>(at, bswap<u32>(c.dsack_end), 4);
    at += 8;
    blocks--;
  }
  for (let i: u32 = 0; i < blocks; i++) {
    store<u32>(at, bswap<u32>(c.sackStart(i)));
    store<u32>(at, bswap<u32>(c.sackEnd(i)), 4);
    at += 8;
  }
}
