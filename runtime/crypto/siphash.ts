// SipHash (Aumasson and Bernstein, 2012), the 1-3 variant, over up to three 64-bit words: hash tables that a peer can
// fill, and
// the stack's random numbers, are keyed with it, so that neither collisions nor next values can be computed from
// outside.
//
// The message is the three words; its length is fixed, so the closing block is a constant.

const C0: u64 = 0x736f6d6570736575;
const C1: u64 = 0x646f72616e646f6d;
const C2: u64 = 0x6c7967656e657261;
const C3: u64 = 0x7465646279746573;
const LENGTH_BLOCK: u64 = (<u64>24) << 56;

/** SipHash-1-3 of (a, b, c) under the key (k0, k1). */
export function sipHash(k0: u64, k1: u64, a: u64, b: u64, c: u64): u64 {
  let v0 = C0 ^ k0;
  let v1 = C1 ^ k1;
  let v2 = C2 ^ k0;
  let v3 = C3 ^ k1;
  // Four message blocks of one round each, then three closing rounds.
  for (let i = 0; i < 7; i++) {
    const m = i == 0 ? a : i == 1 ? b : i == 2 ? c : i == 3 ? LENGTH_BLOCK : 0;
    if (i == 4) v2 ^= 0xff;
    v3 ^= m;
    v0 += v1;
    v1 = rotl<u64>(v1, 13) ^ v0;
    v0 = rotl<u64>(v0, 32);
    v2 += v3;
    v3 = rotl<u64>(v3, 16) ^ v2;
    v0 += v3;
    v3 = rotl<u64>(v3, 21) ^ v0;
    v2 += v1;
    v1 = rotl<u64>(v1, 17) ^ v2;
    v2 = rotl<u64>(v2, 32);
    v0 ^= m;
  }
  return v0 ^ v1 ^ v2 ^ v3;
}
