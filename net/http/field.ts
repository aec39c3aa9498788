// Fields of a request's head that only some requests need: looked up in the head's lines when they are wanted, so that the
// parser pays nothing for them. The parser has accepted the lines: each is "name:" OWS value OWS CRLF.

import { RequestHead } from "./head";
import { isSpace, matches } from "./syntax";

/** The value that the last look-up found. Valid as long as the head is. */
export let fieldAt: usize = 0;
export let fieldLength: u32 = 0;
let nextLine: usize = 0;

/** Finds the first field of that name (lower case); false when there is none. */
export function findField(head: RequestHead, name: string): bool {
  nextLine = head.fields;
  return findNextField(head, name);
}

/** Finds the field of that name after the one that was found last. */
export function findNextField(head: RequestHead, name: string): bool {
  const end = head.fields + head.fieldsLength;
  const nameLength = <u32>name.length;
  let p = nextLine;
  while (p < end) {
    const line = p;
    while (load<u8>(p) != 0x3a) p++;
    const found = matches(line, <u32>(p - line), name);
    let value = p + 1;
    while (load<u8>(p) != 0x0d) p++;
    const last = p;
    p += 2;
    if (!found) continue;
    nextLine = p;
    while (value < last && isSpace(load<u8>(value))) value++;
    let stop = last;
    while (stop > value && isSpace(load<u8>(stop - 1))) stop--;
    fieldAt = value;
    fieldLength = <u32>(stop - value);
    return true;
  }
  fieldAt = 0;
  fieldLength = 0;
  nextLine = end;
  return false;
}

/** Codings that a request accepts besides identity, as bits. */
export const enum Coding {
  GZIP = 1,
  BROTLI = 2,
}

/**
 * The codings that Accept-Encoding lists with a weight above 0 (RFC 9110, 12.5.3); "*" stands for those that it does not
 * name. Malformed elements count as absent.
 */
export function acceptedCodings(head: RequestHead): u32 {
  let accepted: u32 = 0;
  let named: u32 = 0;
  let star = false;
  for (let more = findField(head, "accept-encoding"); more; more = findNextField(head, "accept-encoding")) {
    const end = fieldAt + fieldLength;
    let p = fieldAt;
    while (p < end) {
      while (p < end && (isSpace(load<u8>(p)) || load<u8>(p) == 0x2c)) p++;
      const start = p;
      while (p < end && load<u8>(p) != 0x2c && load<u8>(p) != 0x3b && !isSpace(load<u8>(p))) p++;
      const length = <u32>(p - start);
      const weight = p;
      while (p < end && load<u8>(p) != 0x2c) p++;
      const wanted = hasWeight(weight, p);
      if (length == 1 && load<u8>(start) == 0x2a) star = wanted;
      let bit: u32 = 0;
      if (matches(start, length, "gzip") || matches(start, length, "x-gzip")) bit = Coding.GZIP;
      else if (matches(start, length, "br")) bit = Coding.BROTLI;
      named |= bit;
      if (wanted) accepted |= bit;
    }
  }
  return star ? accepted | ((Coding.GZIP | Coding.BROTLI) & ~named) : accepted;
}

/** Whether parameters (";q=0.5") give a weight above 0; none give 1. */
function hasWeight(at: usize, end: usize): bool {
  while (at < end && load<u8>(at) != 0x3d) at++;
  if (at >= end) return true;
  for (at++; at < end; at++) if (<u32>load<u8>(at) - 0x31 < 9) return true;
  return false;
}
