// Conditional requests and ranges (RFC 9110, 13 and 14) for representations with a strong entity tag.

import { equalBytes } from "./bytes";
import { isSpace } from "./syntax";

/**
 * Whether a list of entity tags (If-None-Match, If-Match) is "*" or has this tag, quotes included.
 * @param weak compare weakly (RFC 9110, 8.8.3.2), as If-None-Match does; strongly, W/ never matches
 */
export function listHasTag(at: usize, length: u32, tag: usize, tagLength: u32, weak: bool): bool {
  const end = at + length;
  if (length == 1 && load<u8>(at) == 0x2a) return true;
  let p = at;
  while (p < end) {
    while (p < end && (isSpace(load<u8>(p)) || load<u8>(p) == 0x2c)) p++;
    let isWeak = false;
    if (end - p >= 2 && load<u16>(p) == 0x2f57) {
      isWeak = true;
      p += 2;
    }
    if (p >= end || load<u8>(p) != 0x22) return false;
    const start = p++;
    while (p < end && load<u8>(p) != 0x22) p++;
    if (p == end) return false;
    p++;
    if ((weak || !isWeak) && equalBytes(start, <u32>(p - start), tag, tagLength)) return true;
  }
  return false;
}

/** What a Range field asks for: the whole, a part (`rangeFirst` to `rangeLast`), or nothing there is. */
export const enum RangeKind {
  WHOLE = 0,
  PART = 1,
  UNSATISFIABLE = 2,
}
export let rangeFirst: u32 = 0;
export let rangeLast: u32 = 0;

/**
 * Reads "bytes=first-last", "bytes=first-" or "bytes=-last-n" for a representation of `size` bytes. Other units, several
 * ranges and what is malformed are ignored, as RFC 9110, 14.2 allows: the whole is the answer.
 */
export function parseRange(at: usize, length: u32, size: u32): RangeKind {
  // bytes=
  if (length < 8 || load<u32>(at) != 0x65747962 || load<u16>(at, 4) != 0x3d73) return RangeKind.WHOLE;
  const end = at + length;
  let p = at + 6;
  let first: i64 = -1;
  let last: i64 = -1;
  for (; p < end && <u32>load<u8>(p) - 0x30 < 10; p++)
    first = min<i64>(max<i64>(first, 0) * 10 + load<u8>(p) - 0x30, (<i64>1) << 40);
  if (p == end || load<u8>(p) != 0x2d) return RangeKind.WHOLE;
  for (p++; p < end && <u32>load<u8>(p) - 0x30 < 10; p++)
    last = min<i64>(max<i64>(last, 0) * 10 + load<u8>(p) - 0x30, (<i64>1) << 40);
  if (p != end || (first < 0 && last < 0)) return RangeKind.WHOLE;
  if (first < 0) {
    if (last == 0 || size == 0) return RangeKind.UNSATISFIABLE;
    rangeFirst = last >= <i64>size ? 0 : size - <u32>last;
    rangeLast = size - 1;
    return RangeKind.PART;
  }
  if (last >= 0 && last < first) return RangeKind.WHOLE;
  if (first >= <i64>size) return RangeKind.UNSATISFIABLE;
  rangeFirst = <u32>first;
  rangeLast = last < 0 || last >= <i64>size ? size - 1 : <u32>last;
  return RangeKind.PART;
}
