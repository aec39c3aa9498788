// Basic authentication (RFC 7617) against PBKDF2-HMAC-SHA256 hashes. A hash is slow on purpose, so it never runs while a
// request waits for the loop: a fiber works in short pieces with pauses, at most QUEUED of them wait, and its verdict is
// remembered for a while under a keyed digest of the credentials. A request whose verdict is not known yet is held.
//
// Invariants
// 1. The memory holds digests under a key that is random per boot, never credentials; those lie in a job only until it is done.
// 2. An unknown user costs what a known one costs: the time of an answer does not tell who exists.
// clang: -Oz

import { equalDigests, HmacSha256, Pbkdf2, random, SHA256_BYTES } from "../../runtime";
import { now, sleep, spawn } from "../../fibers";
import { PathPattern } from "./policy";
import { matches } from "./syntax";

/** Bytes of an Authorization value; more is refused. */
const MAX_BYTES: u32 = 512;
/** Verdicts remembered; jobs that may wait. */
const REMEMBERED: u32 = 256;
const QUEUED: i32 = 64;
/** How long a verdict holds. */
const ALLOWED_NS: i64 = 300_000_000_000;
const DENIED_NS: i64 = 10_000_000_000;
/** Iterations between two pauses, about a millisecond, and a pause. */
const PIECE: u32 = 400;
const PAUSE_MS: i64 = 1;

export const enum Verdict {
  DENIED = 0,
  ALLOWED = 1,
  /** Being found out: ask again when the verifier says so. */
  UNKNOWN = 2,
  /** Too many wait. */
  BUSY = 3,
}

/** Bytes that a base64 text (RFC 4648, 4) stands for, with its padding; null when it is none. */
export function decodeBase64(at: usize, length: u32): ArrayBuffer | null {
  if (length == 0 || length % 4 != 0) return null;
  let padding: u32 = 0;
  if (load<u8>(at + length - 1) == 0x3d) padding = load<u8>(at + length - 2) == 0x3d ? 2 : 1;
  const out = new ArrayBuffer(<i32>((length / 4) * 3 - padding));
  let to = changetype<usize>(out);
  const end = to + out.byteLength;
  for (let i: u32 = 0; i < length; i += 4) {
    let word: u32 = 0;
    for (let k: u32 = 0; k < 4; k++) {
      const isPadding = i + k >= length - padding;
      const value = isPadding ? 0 : sextet(load<u8>(at + i + k));
      if (value < 0) return null;
      word = (word << 6) | value;
    }
    for (let shift = 16; shift >= 0 && to < end; shift -= 8) {
      store<u8>(to, <u8>(word >> shift));
      to++;
    }
  }
  return out;
}

function sextet(c: u32): i32 {
  if (c - 0x41 < 26) return c - 0x41;
  if (c - 0x61 < 26) return c - 0x61 + 26;
  if (c - 0x30 < 10) return c - 0x30 + 52;
  return c == 0x2b ? 62 : c == 0x2f ? 63 : -1;
}

export class User {
  readonly name: ArrayBuffer;

  constructor(
    name: string,
    readonly iterations: u32,
    readonly salt: ArrayBuffer,
    /** 32 bytes. */
    readonly hash: ArrayBuffer,
  ) {
    this.name = String.UTF8.encode(name);
  }
}

/** The slow hash of a user's entry, "pbkdf2-sha256:ITERATIONS:SALT:HASH"; null when it is none. */
export function parseUser(name: string, text: string): User | null {
  const parts = text.split(":");
  if (parts.length != 4 || parts[0] != "pbkdf2-sha256") return null;
  if (parts[1].length == 0 || parts[1].length > 7 || parts[1].charCodeAt(0) == 0x30) return null;
  let iterations: u32 = 0;
  for (let i = 0; i < parts[1].length; i++) {
    const digit = <u32>parts[1].charCodeAt(i) - 0x30;
    if (digit > 9) return null;
    iterations = iterations * 10 + digit;
  }
  if (iterations < 1000 || iterations > 1_000_000) return null;
  const salt = decodeText(parts[2]);
  const hash = decodeText(parts[3]);
  if (salt == null || hash == null || salt.byteLength < 8 || hash.byteLength != SHA256_BYTES) return null;
  return new User(name, iterations, salt, hash);
}

function decodeText(text: string): ArrayBuffer | null {
  const bytes = String.UTF8.encode(text);
  return decodeBase64(changetype<usize>(bytes), <u32>bytes.byteLength);
}

/** Users of a part of a site. */
export class BasicAuth {
  readonly pattern: PathPattern;
  readonly challenge: ArrayBuffer;
  readonly users: Array<User> = [];

  /** @param realm printable ASCII without quotes and backslashes */
  constructor(path: string, realm: string) {
    this.pattern = new PathPattern(path);
    this.challenge = String.UTF8.encode('WWW-Authenticate: Basic realm="' + realm + '", charset="UTF-8"\r\n');
  }
}

/** Told when verdicts are there. */
export abstract class VerdictSink {
  abstract judged(): void;
}

class Job {
  readonly digest: StaticArray<u8> = new StaticArray<u8>(SHA256_BYTES);
  constructor(
    readonly auth: BasicAuth,
    /** user ":" password, as it came. */
    readonly credentials: ArrayBuffer,
  ) {}
}

const ENTRY_BYTES: usize = SHA256_BYTES + 16;

export class Verifier {
  /** Slow hashes computed. */
  computed: u64 = 0;
  sink: VerdictSink | null = null;
  private readonly mac: HmacSha256;
  private readonly digest: usize = heap.alloc(SHA256_BYTES);
  private readonly input: usize = heap.alloc(MAX_BYTES + 8);
  /** Direct-mapped by the digest: digest, when it ends, verdict. */
  private readonly memory: usize = heap.alloc(REMEMBERED * ENTRY_BYTES);
  private readonly jobs: Array<Job> = [];
  private running: bool = false;

  constructor() {
    const key = new StaticArray<u8>(32);
    random(changetype<usize>(key), 32);
    this.mac = new HmacSha256(changetype<usize>(key), 32);
    memory.fill(this.memory, 0, REMEMBERED * ENTRY_BYTES);
  }

  /**
   * Judges an Authorization value.
   * @param value its bytes; length 0: the field is absent
   */
  judge(auth: BasicAuth, value: usize, length: u32, now_ns: i64): Verdict {
    if (length < 7 || length > MAX_BYTES || !matches(value, 6, "basic ")) return Verdict.DENIED;
    // The digest stands for the part of the site too: each has its own users.
    const input = this.input;
    store<u64>(input, <u64>changetype<usize>(auth));
    memory.copy(input + 8, value + 6, length - 6);
    this.mac.sign(input, length + 2, this.digest);
    const entry = this.entry(this.digest);
    if (load<i64>(entry, SHA256_BYTES) > now_ns && equalDigests(entry, this.digest, SHA256_BYTES))
      return load<u32>(entry, SHA256_BYTES + 8) == 1 ? Verdict.ALLOWED : Verdict.DENIED;
    for (let i = 0; i < this.jobs.length; i++)
      if (equalDigests(changetype<usize>(this.jobs[i].digest), this.digest, SHA256_BYTES)) return Verdict.UNKNOWN;
    return this.enqueue(auth, value + 6, length - 6);
  }

  private enqueue(auth: BasicAuth, value: usize, length: u32): Verdict {
    const credentials = decodeBase64(value, length);
    if (credentials == null) return Verdict.DENIED;
    if (this.jobs.length >= QUEUED) return Verdict.BUSY;
    const job = new Job(auth, credentials);
    memory.copy(changetype<usize>(job.digest), this.digest, SHA256_BYTES);
    this.jobs.push(job);
    if (!this.running) {
      if (spawn<Verifier>(verifyAll, this) == null) {
        this.jobs.pop();
        return Verdict.BUSY;
      }
      this.running = true;
    }
    return Verdict.UNKNOWN;
  }

  private entry(digest: usize): usize {
    return this.memory + <usize>(load<u32>(digest) % REMEMBERED) * ENTRY_BYTES;
  }

  /** The fiber: one job after the other, until none is left. */
  work(): void {
    while (this.jobs.length > 0) {
      const job = this.jobs[0];
      const allowed = this.verify(job);
      const entry = this.entry(changetype<usize>(job.digest));
      memory.copy(entry, changetype<usize>(job.digest), SHA256_BYTES);
      store<i64>(entry, now() + (allowed ? ALLOWED_NS : DENIED_NS), SHA256_BYTES);
      store<u32>(entry, allowed ? 1 : 0, SHA256_BYTES + 8);
      this.jobs.shift();
      const sink = this.sink;
      if (sink != null) sink.judged();
    }
    this.running = false;
  }

  private verify(job: Job): bool {
    const from = changetype<usize>(job.credentials);
    const length = <u32>job.credentials.byteLength;
    let colon: u32 = 0;
    while (colon < length && load<u8>(from + colon) != 0x3a) colon++;
    if (colon == length || job.auth.users.length == 0) return false;
    let user = job.auth.users[0];
    let known = false;
    for (let i = 0; i < job.auth.users.length; i++) {
      const name = job.auth.users[i].name;
      if (<u32>name.byteLength != colon || memory.compare(changetype<usize>(name), from, colon) != 0) continue;
      user = job.auth.users[i];
      known = true;
    }
    const password = from + colon + 1;
    const salt = user.salt;
    const hash = new Pbkdf2(
      password,
      length - colon - 1,
      changetype<usize>(salt),
      <u32>salt.byteLength,
      user.iterations,
    );
    while (!hash.step(PIECE)) sleep(PAUSE_MS);
    memory.fill(from, 0, length);
    this.computed++;
    return equalDigests(hash.result, changetype<usize>(user.hash), SHA256_BYTES) && known;
  }
}

function verifyAll(verifier: Verifier): void {
  verifier.work();
}
