// The hashes of the balancer's choice, keyed by `hashSeed` of the configuration: the same configuration gives the same table and
// the same choice on every instance. They index only tables whose size the
// configuration fixes; tables that a peer fills are keyed per boot.
//
//   key = SHA-256("heddle/balance/1:" seed), its first 16 bytes        k0, k1: little-endian
//   SipHash-1-3 under it, of three words of 64 bits

import { sha256, SHA256_BYTES, sipHash } from "../../runtime";

/** What a hash is for: hashes of different kinds have nothing to do with each other. */
const enum Kind {
  OFFSET = 1,
  SKIP = 2,
  SOURCE = 3,
  FLOW = 4,
}

export class HashSeed {
  private readonly k0: u64;
  private readonly k1: u64;

  constructor(seed: string) {
    const digest = new StaticArray<u64>(SHA256_BYTES / 8);
    digestOf("heddle/balance/1:" + seed, digest);
    this.k0 = digest[0];
    this.k1 = digest[1];
  }

  /** Where a backend's permutation begins, and by what it steps, before either is reduced to the table's size. */
  offset(name: string): u64 {
    return this.ofName(name, Kind.OFFSET);
  }
  skip(name: string): u64 {
    return this.ofName(name, Kind.SKIP);
  }

  private ofName(name: string, kind: u64): u64 {
    const digest = new StaticArray<u64>(SHA256_BYTES / 8);
    digestOf(name, digest);
    return sipHash(this.k0, this.k1, digest[0], digest[1], kind);
  }

  /** Of a source address. */
  source(hi: u64, lo: u64): u32 {
    return <u32>sipHash(this.k0, this.k1, hi, lo, Kind.SOURCE);
  }

  /** Of a source address and port. */
  flow(hi: u64, lo: u64, port: u32): u32 {
    return <u32>sipHash(this.k0, this.k1, hi, lo, ((<u64>port) << 8) | Kind.FLOW);
  }
}

function digestOf(text: string, to: StaticArray<u64>): void {
  const bytes = String.UTF8.encode(text);
  sha256(changetype<usize>(bytes), bytes.byteLength, changetype<usize>(to));
}
