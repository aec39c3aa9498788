// SHA-256 (FIPS 180-4, 6.2), for digests of tokens and what is built on it: HMAC, PBKDF2. Whole messages or pieces.
//
// Timing does not depend on the bytes, only on their number.

const K: StaticArray<u32> = [
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
];

export const SHA256_BYTES: i32 = 32;
const BLOCK_BYTES: u32 = 64;

/** Eight words of state and one block's schedule; `digest` ends it, `reset` begins anew. */
export class Sha256 {
  private readonly state: StaticArray<u32> = new StaticArray<u32>(8);
  private readonly words: StaticArray<u32> = new StaticArray<u32>(64);
  private readonly block: StaticArray<u8> = new StaticArray<u8>(BLOCK_BYTES);
  private total: u64 = 0;

  constructor() {
    this.reset();
  }

  reset(): void {
    const h = this.state;
    h[0] = 0x6a09e667;
    h[1] = 0xbb67ae85;
    h[2] = 0x3c6ef372;
    h[3] = 0xa54ff53a;
    h[4] = 0x510e527f;
    h[5] = 0x9b05688c;
    h[6] = 0x1f83d9ab;
    h[7] = 0x5be0cd19;
    this.total = 0;
  }

  /** Goes on from where another one is. */
  copyFrom(other: Sha256): void {
    memory.copy(changetype<usize>(this.state), changetype<usize>(other.state), 32);
    memory.copy(changetype<usize>(this.block), changetype<usize>(other.block), BLOCK_BYTES);
    this.total = other.total;
  }

  update(from: usize, length: u32): void {
    const block = changetype<usize>(this.block);
    let filled = <u32>(this.total & 63);
    this.total += length;
    while (length > 0) {
      const take = min(BLOCK_BYTES - filled, length);
      memory.copy(block + filled, from, take);
      from += take;
      length -= take;
      filled += take;
      if (filled < BLOCK_BYTES) return;
      this.compress();
      filled = 0;
    }
  }

  /** Ends the message and writes 32 bytes to `to`. */
  digest(to: usize): void {
    const block = changetype<usize>(this.block);
    const bits = this.total << 3;
    const filled = <u32>(this.total & 63);
    store<u8>(block + filled, 0x80);
    memory.fill(block + filled + 1, 0, BLOCK_BYTES - 1 - filled);
    if (filled >= 56) {
      this.compress();
      memory.fill(block, 0, BLOCK_BYTES);
    }
    store<u64>(block, bswap<u64>(bits), 56);
    this.compress();
    for (let i = 0; i < 8; i++) store<u32>(to + (i << 2), bswap<u32>(unchecked(this.state[i])));
  }

  private compress(): void {
    const w = this.words;
    const block = changetype<usize>(this.block);
    for (let i = 0; i < 16; i++) unchecked((w[i] = bswap<u32>(load<u32>(block + (i << 2)))));
    for (let i = 16; i < 64; i++) {
      const x = unchecked(w[i - 15]);
      const y = unchecked(w[i - 2]);
      const s0 = rotr<u32>(x, 7) ^ rotr<u32>(x, 18) ^ (x >> 3);
      const s1 = rotr<u32>(y, 17) ^ rotr<u32>(y, 19) ^ (y >> 10);
      unchecked((w[i] = w[i - 16] + s0 + w[i - 7] + s1));
    }
    const h = this.state;
    let a = unchecked(h[0]);
    let b = unchecked(h[1]);
    let c = unchecked(h[2]);
    let d = unchecked(h[3]);
    let e = unchecked(h[4]);
    let f = unchecked(h[5]);
    let g = unchecked(h[6]);
    let last = unchecked(h[7]);
    for (let i = 0; i < 64; i++) {
      const s1 = rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25);
      const t1 = last + s1 + ((e & f) ^ (~e & g)) + unchecked(K[i]) + unchecked(w[i]);
      const s0 = rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22);
      const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      last = g;
      g = f;
      f = e;
      e = d + t1;
      d = c;
      c = b;
      b = a;
      a = t1 + t2;
    }
    unchecked((h[0] += a));
    unchecked((h[1] += b));
    unchecked((h[2] += c));
    unchecked((h[3] += d));
    unchecked((h[4] += e));
    unchecked((h[5] += f));
    unchecked((h[6] += g));
    unchecked((h[7] += last));
  }
}

/** The digest of `length` bytes at `from`, to `to`. */
export function sha256(from: usize, length: u32, to: usize): void {
  const hash = new Sha256();
  hash.update(from, length);
  hash.digest(to);
}

/** Whether two ranges of equal length hold the same bytes, in a time that does not tell where they differ. */
export function equalDigests(a: usize, b: usize, length: u32): bool {
  let difference: u32 = 0;
  for (let i: u32 = 0; i < length; i++) difference |= load<u8>(a + i) ^ load<u8>(b + i);
  return difference == 0;
}
