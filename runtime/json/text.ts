// Strings of a document that the parser has accepted: decoding a token to a string, and back.
// Safety: `decodeString` relies on the parser having seen the closing quote, four hex digits after \u and valid UTF-8.
// clang: -Oz

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;

/** Value of a hexadecimal digit, or -1. */
export function hexDigit(c: u32): i32 {
  if (c - 0x30 < 10) return c - 0x30;
  const lower = c | 0x20;
  return lower - 0x61 < 6 ? lower - 0x57 : -1;
}

/** Value of four hexadecimal digits, or -1. */
export function hex4(at: usize): i32 {
  const value =
    (hexDigit(load<u8>(at)) << 12) |
    (hexDigit(load<u8>(at, 1)) << 8) |
    (hexDigit(load<u8>(at, 2)) << 4) |
    hexDigit(load<u8>(at, 3));
  return value < 0 ? -1 : value; // one -1 makes the whole negative
}

/** The string whose opening quote stands at `at`. */
export function decodeString(at: usize): string {
  at++;
  let end = at;
  let escaped = false;
  for (;;) {
    const c = load<u8>(end);
    if (c == QUOTE) break;
    if (c == BACKSLASH) {
      escaped = true;
      end++;
    }
    end++;
  }
  return escaped ? decodeEscaped(at, end) : String.UTF8.decodeUnsafe(at, end - at);
}

/** The same for a string with escapes. Each byte of the token gives at most one UTF-16 unit, so the room is known. */
function decodeEscaped(at: usize, end: usize): string {
  const units = heap.alloc((end - at) << 1);
  let out = units;
  while (at < end) {
    let plain = at;
    while (at < end && load<u8>(at) != BACKSLASH) at++;
    if (at > plain) {
      const run = String.UTF8.decodeUnsafe(plain, at - plain);
      memory.copy(out, changetype<usize>(run), run.length << 1);
      out += run.length << 1;
      continue;
    }
    const escape = load<u8>(at, 1);
    const unicode = escape == 0x75;
    store<u16>(out, unicode ? hex4(at + 2) : unescape(escape));
    out += 2;
    at += unicode ? 6 : 2;
  }
  const result = String.UTF16.decodeUnsafe(units, out - units);
  heap.free(units);
  return result;
}

/** What stands for the character after a backslash, or -1 (RFC 8259, section 7); not for `u`. */
export function unescape(c: u32): i32 {
  switch (c) {
    case 0x22: // "
    case 0x5c: // backslash
    case 0x2f: // /
      return c;
    case 0x62: // b
      return 0x08;
    case 0x66: // f
      return 0x0c;
    case 0x6e: // n
      return 0x0a;
    case 0x72: // r
      return 0x0d;
    case 0x74: // t
      return 0x09;
    default:
      return -1;
  }
}

/**
 * Length in bytes of the UTF-8 character at `at`, of which at most `available` bytes may be looked at; 0 when it is not
 * well-formed (RFC 3629: shortest form, no surrogates, nothing above U+10FFFF).
 */
export function utf8Length(at: usize, available: u32): u32 {
  const c = <u32>load<u8>(at);
  if (c < 0x80) return 1;
  const n: u32 = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
  if (n == 0 || available < n) return 0;
  for (let i: u32 = 1; i < n; i++) if ((load<u8>(at + i) & 0xc0) != 0x80) return 0;
  const second = <u32>load<u8>(at, 1);
  if (c == 0xe0 && second < 0xa0) return 0;
  if (c == 0xed && second >= 0xa0) return 0;
  if (c == 0xf0 && second < 0x90) return 0;
  if (c == 0xf4 && second >= 0x90) return 0;
  return n;
}

/** Characters of a string that a message repeats. */
const SHOWN: i32 = 64;

/** A string as it is shown in a message: a JSON token, cut when it is long. */
export function quote(text: string): string {
  return text.length <= SHOWN ? encodeString(text) : encodeString(text.substring(0, SHOWN)) + "...";
}

/** A string as a JSON token, in ASCII where it matters: also a lone surrogate gives valid JSON in valid UTF-8. */
export function encodeString(text: string): string {
  const pieces: Array<string> = ['"'];
  let plain = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x20 && c != 0x22 && c != 0x5c && c != 0x7f && (c & 0xf800) != 0xd800) continue;
    if (i > plain) pieces.push(text.substring(plain, i));
    plain = i + 1;
    if (c == 0x22) pieces.push('\\"');
    else if (c == 0x5c) pieces.push("\\\\");
    else if (c == 0x0a) pieces.push("\\n");
    else if (c == 0x0d) pieces.push("\\r");
    else if (c == 0x09) pieces.push("\\t");
    else pieces.push("\\u" + c.toString(16).padStart(4, "0"));
  }
  pieces.push(text.substring(plain));
  pieces.push('"');
  return pieces.join("");
}
