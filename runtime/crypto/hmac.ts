// HMAC-SHA-256 (RFC 2104, FIPS 198-1) and PBKDF2 with it (RFC 8018, 5.2), the slow hash of passwords.

import { Sha256, SHA256_BYTES, sha256 } from "./sha256";

const BLOCK_BYTES: u32 = 64;

/** HMAC under one key: the states after the key's two blocks are kept, so that each message costs only itself. */
export class HmacSha256 {
  private readonly inner: Sha256 = new Sha256();
  private readonly outer: Sha256 = new Sha256();
  private readonly hash: Sha256 = new Sha256();
  private readonly digest: StaticArray<u8> = new StaticArray<u8>(SHA256_BYTES);

  constructor(key: usize, length: u32) {
    const block = new StaticArray<u8>(BLOCK_BYTES);
    const at = changetype<usize>(block);
    if (length > BLOCK_BYTES) sha256(key, length, at);
    else memory.copy(at, key, length);
    for (let i: u32 = 0; i < BLOCK_BYTES; i++) block[i] ^= 0x36;
    this.inner.update(at, BLOCK_BYTES);
    for (let i: u32 = 0; i < BLOCK_BYTES; i++) block[i] ^= 0x36 ^ 0x5c;
    this.outer.update(at, BLOCK_BYTES);
  }

  /** The code of `length` bytes at `from`, and of `tail` when it is not 0 (four bytes, as PBKDF2 appends), to `to`. */
  sign(from: usize, length: u32, to: usize, tail: usize = 0): void {
    const hash = this.hash;
    const digest = changetype<usize>(this.digest);
    hash.copyFrom(this.inner);
    hash.update(from, length);
    if (tail != 0) hash.update(tail, 4);
    hash.digest(digest);
    hash.copyFrom(this.outer);
    hash.update(digest, SHA256_BYTES);
    hash.digest(to);
  }
}

/** One derivation of 32 bytes, in steps, so that nobody waits for a whole one: the caller lets others run in between. */
export class Pbkdf2 {
  private readonly hmac: HmacSha256;
  private readonly last: StaticArray<u8> = new StaticArray<u8>(SHA256_BYTES);
  private readonly sum: StaticArray<u8> = new StaticArray<u8>(SHA256_BYTES);
  private left: u32;

  /** @param iterations 1 and more */
  constructor(password: usize, passwordLength: u32, salt: usize, saltLength: u32, iterations: u32) {
    this.hmac = new HmacSha256(password, passwordLength);
    const number = new StaticArray<u8>(4);
    number[3] = 1;
    const last = changetype<usize>(this.last);
    this.hmac.sign(salt, saltLength, last, changetype<usize>(number));
    memory.copy(changetype<usize>(this.sum), last, SHA256_BYTES);
    this.left = iterations - 1;
  }

  /** Does up to `iterations` more; true when it is done. */
  step(iterations: u32): bool {
    const last = changetype<usize>(this.last);
    const sum = changetype<usize>(this.sum);
    const n = min(iterations, this.left);
    for (let i: u32 = 0; i < n; i++) {
      this.hmac.sign(last, SHA256_BYTES, last);
      for (let k = 0; k < SHA256_BYTES; k += 8) store<u64>(sum + k, load<u64>(sum + k) ^ load<u64>(last + k));
    }
    this.left -= n;
    return this.left == 0;
  }

  /** Where the 32 bytes lie, once `step` has given true. */
  get result(): usize {
    return changetype<usize>(this.sum);
  }
}
