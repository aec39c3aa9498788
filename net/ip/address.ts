// IP addresses as pairs (hi, lo) of 64 bits in host order: IPv6 as it is, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2),
// so that
// everything above the IP layer handles one kind. Classes of addresses (RFC 6890), text (RFC 4291, RFC 5952, CIDR).
// clang: -Oz

import { unzoned } from "../wire/ipv6";

/** `lo` of ::ffff:0.0.0.0; `hi` is 0. */
export const V4_PREFIX: u64 = 0xffff00000000;

/** `lo` of an IPv4 address; its `hi` is 0. */
@inline
export function v4(address: u32): u64 {
  return V4_PREFIX | (<u64>address);
}


@inline
export function isV4(hi: u64, lo: u64): bool {
  return hi == 0 && lo >> 32 == 0xffff;
}

/** 0.0.0.0 or ::. */
@inline
export function isUnspecified(hi: u64, lo: u64): bool {
  return hi == 0 && (lo == 0 || lo == V4_PREFIX);
}


@inline
export function isV4Multicast(address: u32): bool {
  return address >> 28 == 14;
}


@inline
export function isV4Loopback(address: u32): bool {
  return address >> 24 == 127;
}


@inline
export function isMulticast(hi: u64, lo: u64): bool {
  return hi >> 56 == 0xff || (isV4(hi, lo) && isV4Multicast(<u32>lo));
}
/** fe80::/10 or 169.254/16. */
@inline
export function isLinkLocal(hi: u64, lo: u64): bool {
  return hi >> 54 == 0x3fa || (hi == 0 && lo >> 16 == 0xffffa9fe);
}

/** The network mask of an IPv4 prefix of 0 to 32 bits. */
@inline
export function v4Mask(bits: u32): u32 {
  return bits == 0 ? 0 : u32.MAX_VALUE << (32 - bits);
}
/** Masks of the two halves for a prefix of 0 to 128 bits. */
@inline
export function maskHi(bits: u32): u64 {
  return bits == 0 ? 0 : bits >= 64 ? u64.MAX_VALUE : u64.MAX_VALUE << (64 - bits);
}


@inline
export function maskLo(bits: u32): u64 {
  return bits <= 64 ? 0 : bits >= 128 ? u64.MAX_VALUE : u64.MAX_VALUE << (128 - bits);
}
/** Do two addresses share their first `bits` bits? */
@inline
export function samePrefix(aHi: u64, aLo: u64, bHi: u64, bLo: u64, bits: u32): bool {
  return (((aHi ^ bHi) & maskHi(bits)) | ((aLo ^ bLo) & maskLo(bits))) == 0;
}

// ---- text

/** An address, with the prefix length where the text had one; `ok` false when the text is none. */
export class ParsedAddress {
  ok: bool = false;
  hi: u64 = 0;
  lo: u64 = 0;
  /** Prefix length as pair bits (IPv4: 96 more than written); -1 when the text has no "/". */
  prefix: i32 = -1;
}

/** Parses "192.0.2.1", "2001:db8::1", each with or without "/bits". Strict: no leading zeros, no spaces, no zone. */
export function parseAddress(text: string): ParsedAddress {
  const result = new ParsedAddress();
  let end = text.length;
  const slash = text.indexOf("/");
  let bits = -1;
  if (slash >= 0) {
    bits = parseDecimal(text, slash + 1, end, 128);
    if (bits < 0) return result;
    end = slash;
  }
  const colon = text.indexOf(":");
  if (colon < 0 || colon >= end) {
    const address = parseV4(text, 0, end);
    if (address < 0 || bits > 32) return result;
    result.lo = v4(<u32>address);
    result.prefix = bits < 0 ? -1 : bits + 96;
    result.ok = true;
    return result;
  }
  if (!parseV6(text, end, result)) return result;
  result.prefix = bits;
  result.ok = true;
  return result;
}

// Decimal digits of text[from, to): the value, or -1 when it is none, above `limit`, or begins with a superfluous 0.
function parseDecimal(text: string, from: i32, to: i32, limit: i32): i32 {
  if (from >= to || to - from > 3) return -1;
  if (text.charCodeAt(from) == 48 && to - from > 1) return -1;
  let value = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value > limit ? -1 : value;
}

// Dotted quad text[from, to): the address, or -1.
function parseV4(text: string, from: i32, to: i32): i64 {
  let address: i64 = 0;
  for (let i = 0; i < 4; i++) {
    let dot = from;
    while (dot < to && text.charCodeAt(dot) != 46) dot++;
    if ((dot == to) != (i == 3)) return -1;
    const octet = parseDecimal(text, from, dot, 255);
    if (octet < 0) return -1;
    address = (address << 8) | octet;
    from = dot + 1;
  }
  return address;
}

function hexValue(code: i32): i32 {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function parseV6(text: string, end: i32, out: ParsedAddress): bool {
  const groups = new StaticArray<u16>(8);
  let count = 0;
  let gap = -1;
  let i = 0;
  if (end >= 2 && text.charCodeAt(0) == 58) {
    if (text.charCodeAt(1) != 58) return false;
    gap = 0;
    i = 2;
  }
  while (i < end) {
    if (count == 8) return false;
    let value = 0;
    let digits = 0;
    const start = i;
    for (; i < end; i++, digits++) {
      const digit = hexValue(text.charCodeAt(i));
      if (digit < 0) break;
      value = (value << 4) | digit;
      if (digits == 4) return false;
    }
    if (i < end && text.charCodeAt(i) == 46) {
      // The last 32 bits as a dotted quad.
      const tail = parseV4(text, start, end);
      if (tail < 0 || count > 6) return false;
      groups[count++] = <u16>(tail >> 16);
      groups[count++] = <u16>tail;
      i = end;
      break;
    }
    if (digits == 0) return false;
    groups[count++] = <u16>value;
    if (i == end) break;
    if (text.charCodeAt(i++) != 58) return false;
    if (i == end) return false;
    if (text.charCodeAt(i) == 58) {
      if (gap >= 0) return false;
      gap = count;
      i++;
    }
  }
  if (gap < 0 ? count != 8 : count > 7) return false;
  for (let g = 0; g < 8; g++) {
    const shift = 8 - count;
    const value: u64 = gap < 0 || g < gap ? <u64>groups[g] : g < gap + shift ? 0 : <u64>groups[g - shift];
    if (g < 4) out.hi |= value << (48 - 16 * g);
    else out.lo |= value << (112 - 16 * g);
  }
  return true;
}

/** An address as it stands in a URL (RFC 3986, 3.2.2): IPv6 in brackets. */
export function formatHost(hi: u64, lo: u64): string {
  const text = formatAddress(hi, lo);
  return isV4(hi, lo) ? text : "[" + text + "]";
}

/** Dotted quad, or the canonical form of RFC 5952. */
export function formatAddress(hi: u64, lo: u64): string {
  if (isV4(hi, lo)) {
    const a = <u32>lo;
    return (
      (a >> 24).toString() +
      "." +
      ((a >> 16) & 255).toString() +
      "." +
      ((a >> 8) & 255).toString() +
      "." +
      (a & 255).toString()
    );
  }
  // An address of a link carries the number of its interface, which is nobody else's business (wire/ipv6.ts).
  hi = unzoned(hi);
  // The longest run of at least two zero groups, the first of equals, becomes "::" (RFC 5952, 4.2).
  let best = -1;
  let bestCount = 1;
  for (let g = 0; g < 8;) {
    let n = 0;
    while (g + n < 8 && group(hi, lo, g + n) == 0) n++;
    if (n > bestCount) {
      best = g;
      bestCount = n;
    }
    g += max(n, 1);
  }
  let text = "";
  for (let g = 0; g < 8; g++) {
    if (g == best) {
      text += "::";
      g += bestCount - 1;
      continue;
    }
    if (g > 0 && (best < 0 || g != best + bestCount)) text += ":";
    text += group(hi, lo, g).toString(16);
  }
  return text;
}

function group(hi: u64, lo: u64, index: i32): u32 {
  return (<u32>(index < 4 ? hi >> (48 - 16 * index) : lo >> (112 - 16 * index))) & 0xffff;
}
