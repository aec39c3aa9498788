// What a site does besides giving files: rules that the configuration names. All texts are made bytes once; judging a
// request allocates nothing.
//
// A path pattern is a normalised path, or one that ends in "*" and stands for every path that begins so; the star of a
// target takes what the pattern's star stood for.

import { equalBytes, Writer } from "./bytes";
import { BasicAuth } from "./basic-auth";
import { RateLimit } from "./rate-limit";
import { Resource } from "./resource";

/** Room for the fields of one response that a policy makes. */
export const MADE_FIELDS_BYTES: u32 = 4096;

export class PathPattern {
  private readonly bytes: ArrayBuffer;
  private readonly prefix: bool;

  constructor(text: string) {
    const prefix = text.endsWith("*");
    this.prefix = prefix;
    this.bytes = String.UTF8.encode(prefix ? text.substring(0, text.length - 1) : text);
  }

  /** Bytes in front of the star. */
  get fixed(): u32 {
    return <u32>this.bytes.byteLength;
  }

  matches(path: usize, length: u32): bool {
    const own = this.fixed;
    return (
      (this.prefix ? length >= own : length == own) && memory.compare(path, changetype<usize>(this.bytes), own) == 0
    );
  }
}

/** A redirect (`status` above 0) or a rewrite. */
export class PathRule {
  readonly pattern: PathPattern;
  private readonly to: ArrayBuffer;
  private readonly star: bool;

  constructor(
    from: string,
    to: string,
    readonly status: i32,
  ) {
    this.pattern = new PathPattern(from);
    const star = to.endsWith("*");
    this.star = star;
    this.to = String.UTF8.encode(star ? to.substring(0, to.length - 1) : to);
  }

  /** The first rule for a path, or null. */
  static find(rules: Array<PathRule>, path: usize, length: u32): PathRule | null {
    for (let i = 0; i < rules.length; i++) {
      const rule = unchecked(rules[i]);
      if (rule.pattern.matches(path, length)) return rule;
    }
    return null;
  }

  /** Bytes that `write` may need for a path of that length. */
  room(length: u32): u32 {
    return <u32>this.to.byteLength + 3 * length;
  }

  /** Whether the target has a query already. */
  get hasQuery(): bool {
    for (let i = 0; i < this.to.byteLength; i++) if (load<u8>(changetype<usize>(this.to) + i) == 0x3f) return true;
    return false;
  }

  /** Writes the target for a path that the pattern matches; `encode`: what the star takes is percent-encoded. */
  write(w: Writer, path: usize, length: u32, encode: bool): void {
    w.bytes(changetype<usize>(this.to), <u32>this.to.byteLength);
    if (!this.star) return;
    const fixed = this.pattern.fixed;
    if (fixed >= length) return;
    if (encode) w.path(path + fixed, length - fixed);
    else w.bytes(path + fixed, length - fixed);
  }
}

/** Cross-origin sharing (the Fetch standard, "CORS protocol") for a list of origins or for all. */
export class Cors {
  private readonly origins: Array<ArrayBuffer> = [];
  readonly any: bool;
  private methods: ArrayBuffer = new ArrayBuffer(0);

  constructor(origins: Array<string>, methods: Array<string>, maxAge_s: i64) {
    this.any = origins.length == 1 && origins[0] == "*";
    for (let i = 0; i < origins.length; i++) this.origins.push(String.UTF8.encode(origins[i]));
    this.methods = String.UTF8.encode(
      "Access-Control-Allow-Methods: " +
        methods.join(", ") +
        "\r\nAccess-Control-Max-Age: " +
        maxAge_s.toString() +
        "\r\n",
    );
  }

  /** Number of an allowed origin, from 1; 0 for others. Origins compare byte by byte. */
  find(origin: usize, length: u32): u32 {
    if (this.any) return 1;
    for (let i = 0; i < this.origins.length; i++) {
      const own = unchecked(this.origins[i]);
      if (equalBytes(changetype<usize>(own), <u32>own.byteLength, origin, length)) return i + 1;
    }
    return 0;
  }

  /** The fields of any response; `origin` as `find` gave it. */
  write(w: Writer, origin: u32): void {
    if (origin > 0 && <i32>origin <= this.origins.length) {
      const own = unchecked(this.origins[origin - 1]);
      w.ascii("Access-Control-Allow-Origin: ");
      w.bytes(changetype<usize>(own), <u32>own.byteLength);
      w.ascii("\r\n");
    }
    // A cache must not give one origin's answer to another.
    if (!this.any) w.ascii("Vary: Origin\r\n");
  }

  /** What the answer to a preflight request says besides. */
  writePreflight(w: Writer): void {
    w.bytes(changetype<usize>(this.methods), <u32>this.methods.byteLength);
  }
}

/** Pages for statuses. */
class ErrorPage {
  constructor(
    readonly status: i32,
    readonly page: Resource,
  ) {}
}

export class SitePolicy {
  /** Fields of every response, each line with CRLF. */
  private fields: ArrayBuffer = new ArrayBuffer(0);
  redirects: Array<PathRule> = [];
  rewrites: Array<PathRule> = [];
  cors: Cors | null = null;
  auth: Array<BasicAuth> = [];
  limit: RateLimit | null = null;
  httpsRedirect: bool = false;
  /** Given with 200 for what is not there. */
  fallback: Resource | null = null;
  private pages: Array<ErrorPage> = [];

  /** Adds a field; the caller has checked name and value. */
  addField(name: string, value: string): void {
    const before = String.UTF8.decode(this.fields);
    this.fields = String.UTF8.encode(before + name + ": " + value + "\r\n");
  }

  addPage(status: i32, page: Resource): void {
    this.pages.push(new ErrorPage(status, page));
  }
  page(status: i32): Resource | null {
    for (let i = 0; i < this.pages.length; i++) {
      const one = unchecked(this.pages[i]);
      if (one.status == status) return one.page;
    }
    return null;
  }

  /** Bytes that a response of the site needs at most for fields that others do not have. */
  get room(): u32 {
    return <u32>this.fields.byteLength + 512 + MADE_FIELDS_BYTES;
  }
  /** The fields that each of the site's responses has. */
  writeFields(w: Writer, origin: u32): void {
    w.bytes(changetype<usize>(this.fields), <u32>this.fields.byteLength);
    const cors = this.cors;
    if (cors != null) cors.write(w, origin);
  }

  /** The authentication that a path needs, or null. */
  authFor(path: usize, length: u32): BasicAuth | null {
    for (let i = 0; i < this.auth.length; i++) {
      const one = unchecked(this.auth[i]);
      if (one.pattern.matches(path, length)) return one;
    }
    return null;
  }
}
