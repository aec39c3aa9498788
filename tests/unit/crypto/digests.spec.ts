// Digests against published vectors: FIPS 180-4's examples (NIST), RFC 4231, RFC 7914 (11), and SipHash's paper (appendix A).

import { equalDigests, HmacSha256, Pbkdf2, Sha256, sha256, sipHash } from "../../../runtime/crypto";

const out = new StaticArray<u8>(32);
const at = changetype<usize>(out);

function hex(): string {
  let text = "";
  for (let i = 0; i < 32; i++) text += out[i].toString(16).padStart(2, "0");
  return text;
}
function hashOf(text: string): string {
  const bytes = String.UTF8.encode(text);
  sha256(changetype<usize>(bytes), bytes.byteLength, at);
  return hex();
}
function hmacOf(key: string, text: string): string {
  const k = String.UTF8.encode(key);
  const bytes = String.UTF8.encode(text);
  new HmacSha256(changetype<usize>(k), k.byteLength).sign(changetype<usize>(bytes), bytes.byteLength, at);
  return hex();
}
function pbkdf2Of(password: string, salt: string, iterations: u32, step: u32): string {
  const p = String.UTF8.encode(password);
  const s = String.UTF8.encode(salt);
  const derivation = new Pbkdf2(changetype<usize>(p), p.byteLength, changetype<usize>(s), s.byteLength, iterations);
  while (!derivation.step(step)) {}
  memory.copy(at, derivation.result, 32);
  return hex();
}

describe("SHA-256", () => {
  it("gives NIST's digests", () => {
    expect(hashOf("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(hashOf("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(hashOf("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).toBe(
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    );
    expect(hashOf("a".repeat(1000000))).toBe("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  });
  it("does not depend on how the message is cut", () => {
    const bytes = String.UTF8.encode("0123456789".repeat(30));
    const whole = hashOf("0123456789".repeat(30));
    for (let piece = 1; piece < 130; piece++) {
      const hash = new Sha256();
      for (let from = 0; from < 300; from += piece)
        hash.update(changetype<usize>(bytes) + from, min(piece, 300 - from));
      hash.digest(at);
      expect(hex()).toBe(whole);
    }
  });
});

describe("HMAC-SHA-256", () => {
  it("gives the codes of RFC 4231", () => {
    expect(hmacOf("Jefe", "what do ya want for nothing?")).toBe(
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    expect(hmacOf("\x0b".repeat(20), "Hi There")).toBe(
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    );
  });
  it("hashes a key that is longer than a block", () => {
    // RFC 4231, 4.7, has 131 bytes of 0xaa.
    const key = new StaticArray<u8>(131);
    memory.fill(changetype<usize>(key), 0xaa, 131);
    const text = String.UTF8.encode("Test Using Larger Than Block-Size Key - Hash Key First");
    new HmacSha256(changetype<usize>(key), 131).sign(changetype<usize>(text), text.byteLength, at);
    expect(hex()).toBe("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  });
});

describe("PBKDF2-HMAC-SHA-256", () => {
  it("gives the keys of RFC 7914, in steps of any size", () => {
    const passwd = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
    expect(pbkdf2Of("passwd", "salt", 1, 1)).toBe(passwd);
    const nacl = "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56";
    expect(pbkdf2Of("Password", "NaCl", 80000, 80000)).toBe(nacl);
    expect(pbkdf2Of("Password", "NaCl", 80000, 777)).toBe(nacl);
  });
});

describe("comparing digests", () => {
  it("sees every byte", () => {
    const a = new StaticArray<u8>(32);
    const b = new StaticArray<u8>(32);
    expect(equalDigests(changetype<usize>(a), changetype<usize>(b), 32)).toBe(true);
    for (let i = 0; i < 32; i++) {
      b[i] = 1;
      expect(equalDigests(changetype<usize>(a), changetype<usize>(b), 32)).toBe(false);
      b[i] = 0;
    }
  });
});

/** SipHash-c-d of bytes as the paper has it, slowly: what the fast one is compared with. */
function plainSipHash(k0: u64, k1: u64, bytes: StaticArray<u8>, length: i32, c: i32, d: i32): u64 {
  const v = new StaticArray<u64>(4);
  v[0] = k0 ^ 0x736f6d6570736575;
  v[1] = k1 ^ 0x646f72616e646f6d;
  v[2] = k0 ^ 0x6c7967656e657261;
  v[3] = k1 ^ 0x7465646279746573;
  for (let block = 0; block <= length / 8; block++) {
    let m: u64 = 0;
    for (let i = 0; i < 8 && block * 8 + i < length; i++) m |= (<u64>bytes[block * 8 + i]) << (8 * i);
    if (block == length / 8) m |= (<u64>length) << 56;
    v[3] ^= m;
    for (let i = 0; i < c; i++) sipRound(v);
    v[0] ^= m;
  }
  v[2] ^= 0xff;
  for (let i = 0; i < d; i++) sipRound(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}
function sipRound(v: StaticArray<u64>): void {
  v[0] += v[1];
  v[1] = rotl<u64>(v[1], 13) ^ v[0];
  v[0] = rotl<u64>(v[0], 32);
  v[2] += v[3];
  v[3] = rotl<u64>(v[3], 16) ^ v[2];
  v[0] += v[3];
  v[3] = rotl<u64>(v[3], 21) ^ v[0];
  v[2] += v[1];
  v[1] = rotl<u64>(v[1], 17) ^ v[2];
  v[2] = rotl<u64>(v[2], 32);
}

describe("SipHash-1-3", () => {
  it("is the paper's function with one and three rounds", () => {
    const bytes = new StaticArray<u8>(24);
    for (let i = 0; i < 24; i++) bytes[i] = <u8>i;
    const k0: u64 = 0x0706050403020100;
    const k1: u64 = 0x0f0e0d0c0b0a0908;
    // The slow one is right: appendix A's SipHash-2-4 of 00 01 ... 0e.
    expect(plainSipHash(k0, k1, bytes, 15, 2, 4)).toBe(0xa129ca6149be45e5);
    const word = changetype<usize>(bytes);
    expect(sipHash(k0, k1, load<u64>(word), load<u64>(word, 8), load<u64>(word, 16))).toBe(
      plainSipHash(k0, k1, bytes, 24, 1, 3),
    );
  });
});
