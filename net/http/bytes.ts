// Bytes: comparing, hashing, and writing them into a buffer of fixed size.

/** Whether two ranges hold the same bytes. */
export function equalBytes(a: usize, aLength: u32, b: usize, bLength: u32): bool {
  return aLength == bLength && memory.compare(a, b, aLength) == 0;
}

const P1: u64 = 0x9e3779b185ebca87;
const P2: u64 = 0xc2b2ae3d27d4eb4f;
const P3: u64 = 0x165667b19e3779f9;
const P4: u64 = 0x85ebca77c2b2ae63;
const P5: u64 = 0x27d4eb2f165667c5;


@inline
function round(lane: u64, word: u64): u64 {
  return rotl<u64>(lane + word * P2, 31) * P1;
}


@inline
function merge(hash: u64, lane: u64): u64 {
  return (hash ^ round(0, lane)) * P1 + P4;
}

/**
 * XXH64 (the xxHash specification, revision 0.1.1). It tells contents apart that were not made to collide: entity tags of
 * files that the machine's owner chose. It is no defence against somebody who chooses the bytes.
 */
export function hash64(at: usize, length: u32, seed: u64 = 0): u64 {
  const end = at + length;
  let hash: u64;
  if (length >= 32) {
    let a = seed + P1 + P2;
    let b = seed + P2;
    let c = seed;
    let d = seed - P1;
    for (; end - at >= 32; at += 32) {
      a = round(a, load<u64>(at));
      b = round(b, load<u64>(at, 8));
      c = round(c, load<u64>(at, 16));
      d = round(d, load<u64>(at, 24));
    }
    hash = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
    hash = merge(merge(merge(merge(hash, a), b), c), d);
  } else {
    hash = seed + P5;
  }
  hash += length;
  for (; end - at >= 8; at += 8) hash = rotl<u64>(hash ^ round(0, load<u64>(at)), 27) * P1 + P4;
  if (end - at >= 4) {
    hash = rotl<u64>(hash ^ (<u64>load<u32>(at) * P1), 23) * P2 + P3;
    at += 4;
  }
  for (; at < end; at++) hash = rotl<u64>(hash ^ (<u64>load<u8>(at) * P5), 11) * P1;
  hash = (hash ^ (hash >> 33)) * P2;
  hash = (hash ^ (hash >> 29)) * P3;
  return hash ^ (hash >> 32);
}

/** Writes ASCII and numbers one after the other; the caller gives a buffer that is large enough for what it writes. */
@unmanaged
export class Writer {
  start: usize;
  at: usize;

  open(buffer: usize): void {
    this.start = buffer;
    this.at = buffer;
  }


  @inline get length(): u32 {
    return <u32>(this.at - this.start);
  }


  @inline bytes(from: usize, length: u32): void {
    memory.copy(this.at, from, length);
    this.at += length;
  }
  ascii(text: string): void {
    const n = text.length;
    for (let i = 0; i < n; i++) store<u8>(this.at + i, load<u16>(changetype<usize>(text) + (i << 1)));
    this.at += n;
  }
  /** A number in decimal. */
  decimal(value: u32): void {
    let digits = 1;
    for (let rest = value / 10; rest > 0; rest /= 10) digits++;
    for (let i = digits - 1; i >= 0; i--) {
      store<u8>(this.at + i, 0x30 + (value % 10));
      value /= 10;
    }
    this.at += digits;
  }
  /** A byte as two hexadecimal digits. */
  hexByte(value: u32): void {
    store<u8>(this.at, hexChar(value >> 4));
    store<u8>(this.at, hexChar(value & 15), 1);
    this.at += 2;
  }
  /** Bytes of a path, percent-encoded where they may not stand in one (RFC 3986, 3.3): up to three for each. */
  path(from: usize, length: u32): void {
    for (let i: u32 = 0; i < length; i++) {
      const c = <u32>load<u8>(from + i);
      if (isPathChar(c)) {
        store<u8>(this.at, c);
        this.at++;
      } else {
        this.ascii("%");
        this.hexByte(c);
      }
    }
  }
}

function hexChar(digit: u32): u8 {
  return <u8>(digit < 10 ? 0x30 + digit : 0x37 + digit);
}

/** pchar and "/". */
function isPathChar(c: u32): bool {
  if (c - 0x30 < 10 || (c | 0x20) - 0x61 < 26) return true;
  switch (c) {
    case 0x21: // ! $ & ' ( ) * + , - . / : ; = @ _ ~
    case 0x24:
    case 0x26:
    case 0x27:
    case 0x28:
    case 0x29:
    case 0x2a:
    case 0x2b:
    case 0x2c:
    case 0x2d:
    case 0x2e:
    case 0x2f:
    case 0x3a:
    case 0x3b:
    case 0x3d:
    case 0x40:
    case 0x5f:
    case 0x7e:
      return true;
    default:
      return false;
  }
}
