// Decides what a request is answered with: the site by its host, the site's policy in a fixed order, the resource by its
// path. It reads the parsed head and tables, and allocates nothing.
//
//   limit -> HTTPS -> redirects -> authentication -> preflight -> rewrites -> resource -> fallback -> variant

import { Writer } from "./bytes";
import { BasicAuth, Verdict, Verifier } from "./basic-auth";
import { acceptedCodings, Coding, fieldAt, fieldLength, findField } from "./field";
import { Method, RequestHead } from "./head";
import { isPlainPath, normalisePath } from "./path";
import { MADE_FIELDS_BYTES, PathRule, SitePolicy } from "./policy";
import { Resource, Sites } from "./resource";

/** In place of a status: the answer is not known yet, the request is to be judged again when the sink was told. */
export const HOLD: i32 = 0;
const GO_ON: i32 = -1;

export class Judge {
  // ---- what `judge` has found besides the status
  resource: Resource | null = null;
  /** Number of the site, and of the origin that its CORS allows; 0: none. */
  site: u32 = 0;
  origin: u32 = 0;
  /** Fields of this response alone (Location, WWW-Authenticate, ...), each with CRLF. */
  readonly made: Writer = changetype<Writer>(heap.alloc(offsetof<Writer>()));

  readonly verifier: Verifier = new Verifier();
  /** Requests refused for want of credentials; for their rate. */
  unauthorised: u64 = 0;
  limited: u64 = 0;
  private readonly buffer: usize = heap.alloc(2 * MADE_FIELDS_BYTES);
  /** The normalised path; where one is made. */
  private path: usize = 0;
  private pathLength: i32 = 0;
  private readonly normal: usize;
  private readonly rewritten: usize = heap.alloc(2 * MADE_FIELDS_BYTES);

  constructor(
    private readonly sites: Sites,
    headBytes: u32,
  ) {
    this.normal = heap.alloc(headBytes);
    this.made.open(this.buffer);
  }

  /** @returns a status, or HOLD */
  judge(head: RequestHead, hi: u64, lo: u64, now_ns: i64, secure: bool): i32 {
    this.resource = null;
    this.site = 0;
    this.origin = 0;
    this.made.open(this.buffer);
    const site = this.sites.find(head.host, head.hostLength);
    const policy = site != null ? site.policy : null;
    this.locate(head);
    if (policy != null) {
      this.site = site!.number;
      const status = this.apply(policy, head, hi, lo, now_ns, secure);
      if (status != GO_ON) return status;
    }
    if (head.method == Method.UNKNOWN) return 501;
    if (head.method == Method.OTHER) return 405;
    if (head.method == Method.OPTIONS) return 204;
    if (site == null || this.pathLength < 0) return 404;
    let resource = site.find(this.path, this.pathLength);
    if (resource == null && policy != null) resource = policy.fallback;
    if (resource == null) return 404;
    if (resource.hasVariants) resource = variant(resource, head);
    this.resource = resource;
    return resource.status;
  }

  /** Finds the normalised path; length -1 when there is none. */
  private locate(head: RequestHead): void {
    this.path = head.path;
    this.pathLength = head.pathLength;
    if (head.pathLength == 0) {
      this.path = this.normal; // RFC 9110, 4.2.3: an empty path is "/"
      this.pathLength = 1;
      store<u8>(this.normal, 0x2f);
    } else if (!isPlainPath(head.path, head.pathLength)) {
      this.path = this.normal;
      this.pathLength = normalisePath(head.path, head.pathLength, this.normal);
    }
  }

  private apply(policy: SitePolicy, head: RequestHead, hi: u64, lo: u64, now_ns: i64, secure: bool): i32 {
    const limit = policy.limit;
    if (limit != null && !limit.take(hi, lo, now_ns)) {
      this.limited++;
      this.made.ascii("Retry-After: ");
      this.made.decimal(limit.retry_s);
      this.made.ascii("\r\n");
      return 429;
    }
    this.findOrigin(policy, head);
    if (policy.httpsRedirect && !secure) return this.toHttps(head);
    if (this.pathLength < 0) return GO_ON;
    const redirect = PathRule.find(policy.redirects, this.path, this.pathLength);
    if (redirect != null) return this.redirect(redirect, head);
    // A preflight request carries no credentials (Fetch, 4.8): it is answered before authentication.
    const cors = policy.cors;
    if (cors != null && this.origin != 0 && head.method == Method.OPTIONS) {
      if (findField(head, "access-control-request-method")) {
        cors.writePreflight(this.made);
        return 204;
      }
    }
    if (policy.auth.length > 0) {
      const status = this.authenticate(policy.authFor(this.path, this.pathLength), head, now_ns);
      if (status != GO_ON) return status;
    }
    const rewrite = PathRule.find(policy.rewrites, this.path, this.pathLength);
    if (rewrite == null) return GO_ON;
    if (rewrite.room(this.pathLength) > 2 * MADE_FIELDS_BYTES) return 414;
    const w = this.made;
    w.open(this.rewritten);
    rewrite.write(w, this.path, this.pathLength, false);
    this.path = this.rewritten;
    this.pathLength = w.length;
    w.open(this.buffer);
    // What a rewrite leads to is guarded as if it had been asked for.
    return policy.auth.length > 0 ? this.authenticate(policy.authFor(this.path, this.pathLength), head, now_ns) : GO_ON;
  }

  private findOrigin(policy: SitePolicy, head: RequestHead): void {
    const cors = policy.cors;
    if (cors != null && findField(head, "origin")) this.origin = cors.find(fieldAt, fieldLength);
  }

  private toHttps(head: RequestHead): i32 {
    // Without the port: that of HTTPS is the default one.
    let host = head.hostLength;
    for (let i = head.hostLength; i > 0; i--) {
      const c = load<u8>(head.host + i - 1);
      if (c == 0x5d) break;
      if (c == 0x3a) host = i - 1;
    }
    if (host == 0) return 400;
    if (host + head.pathLength + head.queryLength + 64 > MADE_FIELDS_BYTES) return 414;
    const w = this.made;
    w.ascii("Location: https://");
    w.bytes(head.host, host);
    if (head.pathLength == 0) w.ascii("/");
    else w.bytes(head.path, head.pathLength);
    this.query(head);
    w.ascii("\r\n");
    // 308 keeps the method (RFC 9110, 15.4.9).
    return head.method == Method.GET || head.method == Method.HEAD ? 301 : 308;
  }

  private redirect(rule: PathRule, head: RequestHead): i32 {
    if (rule.room(this.pathLength) + head.queryLength + 64 > MADE_FIELDS_BYTES) return 414;
    this.made.ascii("Location: ");
    rule.write(this.made, this.path, this.pathLength, true);
    if (!rule.hasQuery) this.query(head);
    this.made.ascii("\r\n");
    return rule.status;
  }

  private query(head: RequestHead): void {
    if (head.query == 0) return;
    this.made.ascii("?");
    this.made.bytes(head.query, head.queryLength);
  }

  private authenticate(auth: BasicAuth | null, head: RequestHead, now_ns: i64): i32 {
    if (auth == null) return GO_ON;
    findField(head, "authorization");
    const verdict = this.verifier.judge(auth, fieldAt, fieldLength, now_ns);
    if (verdict == Verdict.ALLOWED) return GO_ON;
    if (verdict == Verdict.UNKNOWN) return HOLD;
    if (verdict == Verdict.BUSY) {
      this.made.ascii("Retry-After: 1\r\n");
      return 503;
    }
    this.unauthorised++;
    this.made.bytes(changetype<usize>(auth.challenge), <u32>auth.challenge.byteLength);
    return 401;
  }
}

/** The variant of a file that the request accepts: the smallest coding first. */
function variant(resource: Resource, head: RequestHead): Resource {
  const accepted = acceptedCodings(head);
  const brotli = resource.brotli;
  if (brotli != null && (accepted & Coding.BROTLI) != 0) return brotli;
  const gzip = resource.gzip;
  if (gzip != null && (accepted & Coding.GZIP) != 0) return gzip;
  return resource;
}
