// Giving a packet a range of another one's bytes without copying them: fragmentation and segmentation are made of it.

import { Packet } from "../runtime";

/**
 * Adds `bytes` bytes from `offset` of `source` (linear part and slices, the range lies in it) as slices of `target`,
 * which holds references on the
 * buffers from then on. False when `target` has too few slices left; it then has some of them, and is to be freed.
 */
export function addRange(target: Packet, source: Packet, offset: u32, bytes: u32): bool {
  if (bytes > 0 && offset < source.len) {
    const take = min(bytes, source.len - offset);
    if (!target.addSlice(source.data + offset, take, source)) return false;
    bytes -= take;
    offset = 0;
  } else {
    offset -= source.len;
  }
  for (let i: u32 = 0; bytes > 0; i++) {
    const len = source.sliceLen(i);
    if (offset >= len) {
      offset -= len;
      continue;
    }
    const take = min(bytes, len - offset);
    if (!target.addSlice(source.sliceAddress(i) + offset, take, source.sliceOwner(i))) return false;
    bytes -= take;
    offset = 0;
  }
  return true;
}
