// The path of a target as a name to look up: percent-decoded, without dot segments and empty segments (RFC 3986, 5.2.4 and
// 6.2.2), so that each resource has one name. Looking up is in a fixed table: no path leads outside it whatever it says.

import { hexDigit } from "./syntax";

/** Whether a path can be looked up as it stands: no escapes, no segment that begins with a dot, no empty segment. */
export function isPlainPath(at: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) {
    const c = load<u8>(at + i);
    if (c == 0x25) return false;
    if (c == 0x2f && i + 1 < length) {
      const next = load<u8>(at + i, 1);
      if (next == 0x2f || next == 0x2e) return false;
    }
  }
  return true;
}

/**
 * Writes the name of an absolute path to `out`, which has room for `length` bytes.
 * @returns its bytes; -1 when the path holds an encoded slash or NUL, or climbs above the root: no resource has such a name
 */
export function normalisePath(at: usize, length: u32, out: usize): i32 {
  const end = at + length;
  let to = out;
  while (at < end) {
    let c = <u32>load<u8>(at);
    at++;
    if (c == 0x25) {
      c = (hexDigit(load<u8>(at)) << 4) | hexDigit(load<u8>(at, 1)); // the parser has seen two digits
      at += 2;
      if (c == 0 || c == 0x2f) return -1;
    } else if (c == 0x2f) {
      const left = endSegment(out, to, true);
      if (left == 0) return -1;
      to = left;
      continue;
    }
    store<u8>(to++, c);
  }
  to = endSegment(out, to, false);
  return to == 0 ? -1 : <i32>(to - out);
}

/** Ends the segment that ends at `to`, with a slash when another follows; gives where the next one starts, 0 above the root. */
function endSegment(out: usize, to: usize, slash: bool): usize {
  let start = to;
  while (start > out && load<u8>(start - 1) != 0x2f) start--;
  const length = to - start;
  if (length == 1 && load<u8>(start) == 0x2e) return start;
  if (length == 2 && load<u16>(start) == 0x2e2e) {
    if (start - out < 2) return 0;
    start--; // behind the slash before "..": back to behind the one before that
    while (load<u8>(start - 1) != 0x2f) start--;
    return start;
  }
  if (length == 0 && to > out) return to;
  if (slash) store<u8>(to++, 0x2f);
  return to;
}
