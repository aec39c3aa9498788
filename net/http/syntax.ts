// The characters of HTTP/1.1 (RFC 9110, 5.6.2 and 5.5; RFC 3986, appendix A) as one table of bits, and comparing of tokens.

export const enum Char {
  /** tchar: method and field names. */
  TOKEN = 1,
  /** pchar, "/", "?", "%" and the brackets of IPv6: what a target is made of; and {}|^, which browsers do not escape in queries. */
  TARGET = 2,
  /** VCHAR, obs-text, SP, HTAB: field values. */
  VALUE = 4,
  /** uri-host and port. */
  HOST = 8,
  HEX = 16,
}

const table: usize = makeTable();


@inline
export function isChar(c: u32, kind: u32): bool {
  return (load<u8>(table + c) & kind) != 0;
}

function makeTable(): usize {
  const at = heap.alloc(256);
  memory.fill(at, 0, 256);
  for (let c: u32 = 0x20; c < 256; c++) if (c != 0x7f) store<u8>(at + c, Char.VALUE);
  store<u8>(at + 9, Char.VALUE);
  mark(at, "0123456789", Char.TOKEN | Char.TARGET | Char.HOST | Char.HEX);
  mark(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", Char.TOKEN | Char.TARGET | Char.HOST);
  mark(at, "abcdefABCDEF", Char.HEX);
  mark(at, "!#$%&'*+-.^_`|~", Char.TOKEN);
  mark(at, "-._~%!$&'()*+,;=:@/?[]{}|^", Char.TARGET);
  mark(at, "-._~%!$&'()*+,;=:[]", Char.HOST);
  return at;
}

function mark(at: usize, chars: string, kind: u32): void {
  for (let i = 0; i < chars.length; i++) {
    const c = <u32>chars.charCodeAt(i);
    store<u8>(at + c, <u8>(load<u8>(at + c) | kind));
  }
}

/** Whether `length` bytes equal a word of lower-case letters, digits and hyphens, in any case. */
export function matches(at: usize, length: u32, word: string): bool {
  if (length != <u32>word.length) return false;
  for (let i: u32 = 0; i < length; i++) {
    let c = <u32>load<u8>(at + i);
    if (c - 0x41 < 26) c |= 0x20;
    if (c != <u32>load<u16>(changetype<usize>(word) + (i << 1))) return false;
  }
  return true;
}

/** Whether `length` bytes equal a word of ASCII exactly. */
export function equals(at: usize, length: u32, word: string): bool {
  if (length != <u32>word.length) return false;
  for (let i: u32 = 0; i < length; i++) {
    if (<u32>load<u8>(at + i) != <u32>load<u16>(changetype<usize>(word) + (i << 1))) return false;
  }
  return true;
}

/** Optional white space (RFC 9110, 5.6.3). */
@inline
export function isSpace(c: u32): bool {
  return c == 0x20 || c == 0x09;
}

/** Value of a hexadecimal digit, or -1. */
@inline
export function hexDigit(c: u32): i32 {
  if (c - 0x30 < 10) return c - 0x30;
  const lower = c | 0x20;
  return lower - 0x61 < 6 ? lower - 0x57 : -1;
}
