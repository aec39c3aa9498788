// Who may do what: bearer tokens (RFC 6750) compared by their SHA-256, and sources that guess are made to wait.
//
// Invariants
// 1. Every token's digest is compared, each in constant time: how long it takes tells nothing of them.
// 2. What sources can make the machine remember is bounded: SOURCES of them, the one that failed longest ago gives way.
// clang: -Oz

import { equalDigests, sha256 } from "../../runtime";
import { now } from "../../fibers";
import { ManagementSettings, Role } from "./settings";

const SOURCES: i32 = 64;
/** Failures of a source that are let pass at once, and how long it takes until one is forgotten. */
const FAILURES: u32 = 8;
const FORGET_NS: i64 = 10_000_000_000;

class Source {
  hi: u64 = 0;
  lo: u64 = 0;
  failures: u32 = 0;
  last_ns: i64 = 0;
}

export class Access {
  private readonly sources: Array<Source> = new Array<Source>();
  /** Tokens that were wrong, and requests that were refused for too many of them. */
  failed: u64 = 0;
  limited: u64 = 0;

  /** Whether a source has failed too often of late. */
  isLimited(hi: u64, lo: u64): bool {
    const source = this.find(hi, lo);
    if (source == null) return false;
    this.forget(source);
    if (source.failures < FAILURES) return false;
    this.limited++;
    return true;
  }

  /** The role of what an Authorization field gives; NONE for none, or a wrong one, which is counted for its source. */
  roleOf(authorization: string | null, settings: ManagementSettings, hi: u64, lo: u64): Role {
    if (authorization == null) return Role.NONE;
    const text: string = authorization;
    let role: Role = Role.NONE;
    if (text.length > 7 && text.substring(0, 7).toLowerCase() == "bearer ") {
      const token = String.UTF8.encode(text.substring(7).trim());
      const digest = new StaticArray<u8>(32);
      sha256(changetype<usize>(token), token.byteLength, changetype<usize>(digest));
      for (let i = 0; i < settings.tokens.length; i++) {
        const known = settings.tokens[i];
        if (equalDigests(changetype<usize>(digest), changetype<usize>(known.digest), 32)) role = known.role;
      }
    }
    if (role == Role.NONE) this.fail(hi, lo);
    return role;
  }

  private fail(hi: u64, lo: u64): void {
    this.failed++;
    let source = this.find(hi, lo);
    if (source == null) {
      if (this.sources.length < SOURCES) {
        source = new Source();
        this.sources.push(source);
      } else {
        source = this.sources[0];
        for (let i = 1; i < this.sources.length; i++)
          if (this.sources[i].last_ns < source.last_ns) source = this.sources[i];
      }
      source.hi = hi;
      source.lo = lo;
      source.failures = 0;
    }
    this.forget(source);
    source.failures++;
    source.last_ns = now();
  }

  private find(hi: u64, lo: u64): Source | null {
    for (let i = 0; i < this.sources.length; i++)
      if (this.sources[i].hi == hi && this.sources[i].lo == lo) return this.sources[i];
    return null;
  }

  private forget(source: Source): void {
    const steps = (now() - source.last_ns) / FORGET_NS;
    if (steps <= 0) return;
    source.failures = <i64>source.failures > steps ? source.failures - <u32>steps : 0;
    source.last_ns += steps * FORGET_NS;
  }
}
