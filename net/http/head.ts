// The head of a request: request line and fields (RFC 9112, 2 to 3 and 5; RFC 9110, 5 to 7), parsed in place, strictly.
// Nothing is copied or allocated: the parsed head points into the bytes that it was parsed from.
//
// What could be understood in two ways is refused, because somebody in front of us may understand it in the other: bare CR
// or LF, obs-fold, space before the colon, several or signed lengths, a length together with a transfer coding (RFC 9112,
// 6.1 and 6.3: request smuggling).
//
// Invariant: the parser reads only `at .. at + length`; a prefix of a valid head is never refused, only incomplete.

import { Char, equals, isChar, isSpace, matches } from "./syntax";

export const enum Method {
  GET = 1,
  HEAD = 2,
  OPTIONS = 3,
  /** A method of RFC 9110 or PATCH. */
  OTHER = 4,
  UNKNOWN = 5,
}

export const enum HeadFlag {
  /** The connection ends after the response. */
  CLOSE = 1,
  /** HTTP/1.0, and whether it asked to keep the connection. */
  HTTP10 = 2,
  KEEP_ALIVE = 4,
  CHUNKED = 8,
  EXPECT_CONTINUE = 16,
  HAS_LENGTH = 32,
  HAS_HOST = 64,
  HAS_RANGE = 128,
  HAS_TRANSFER_ENCODING = 256,
}

/** Bounds of a head. */
export class HeadLimits {
  constructor(
    public bytes: u32 = 16384,
    public targetBytes: u32 = 8192,
    public fields: u32 = 100,
  ) {}
}

/** What a field's bytes are: an address and a length, 0 when the field is absent. */
@unmanaged
export class RequestHead {
  method: u32;
  flags: u32;
  contentLength: u64;
  /** The path and the query after "?", as they stand in the target. */
  path: usize;
  pathLength: u32;
  queryLength: u32;
  query: usize;
  host: usize;
  hostLength: u32;
  ifNoneMatch: usize;
  ifNoneMatchLength: u32;
  ifMatch: usize;
  ifMatchLength: u32;
  ifRange: usize;
  ifRangeLength: u32;
  range: usize;
  rangeLength: u32;
  /** The request line without its CRLF. */
  line: usize;
  lineLength: u32;
  /** The fields' lines, for those who look for others. */
  fields: usize;
  fieldsLength: u32;


  @inline has(flag: u32): bool {
    return (this.flags & flag) != 0;
  }
}

export function newRequestHead(): RequestHead {
  const head = changetype<RequestHead>(heap.alloc(offsetof<RequestHead>()));
  memory.fill(changetype<usize>(head), 0, offsetof<RequestHead>());
  return head;
}

/** Bytes of empty lines that may precede a request line. */
const EMPTY_BYTES: usize = 16;

/** More bytes are needed. */
export const INCOMPLETE: i32 = 0;

/**
 * Parses a head from `length` bytes at `at`.
 * @returns its bytes; INCOMPLETE; or the negative of the status that refuses it
 */
export function parseHead(at: usize, length: u32, limits: HeadLimits, head: RequestHead): i32 {
  memory.fill(changetype<usize>(head), 0, offsetof<RequestHead>());
  const bound = min(length, limits.bytes);
  const end = at + bound;
  let p = at;
  // RFC 9112, 2.2: an empty line before the request line is ignored (some clients end a body with one).
  while (p < end && load<u8>(p) == 0x0d) {
    if (p + 1 == end) return short(length, limits, -431);
    if (load<u8>(p, 1) != 0x0a || p - at == EMPTY_BYTES) return -400;
    p += 2;
  }
  const next = parseRequestLine(p, end, limits, head);
  if (next <= 0) return next == INCOMPLETE ? short(length, limits, -414) : next;
  p += next;
  head.fields = p;
  let count: u32 = 0;
  for (;;) {
    if (p >= end) return short(length, limits, -431);
    if (load<u8>(p) == 0x0d) {
      if (p + 1 >= end) return short(length, limits, -431);
      if (load<u8>(p, 1) != 0x0a) return -400;
      break;
    }
    if (count++ == limits.fields) return -431;
    const used = parseField(p, end, head);
    if (used <= 0) return used == INCOMPLETE ? short(length, limits, -431) : used;
    p += used;
  }
  head.fieldsLength = <u32>(p - head.fields);
  const status = conclude(head);
  return status < 0 ? status : <i32>(p + 2 - at);
}

/** Incomplete, or too long when everything that may be there is there. */
@inline
function short(length: u32, limits: HeadLimits, status: i32): i32 {
  return length >= limits.bytes ? status : INCOMPLETE;
}

/** method SP request-target SP HTTP-version CRLF; returns its bytes, INCOMPLETE or the negative status. */
function parseRequestLine(start: usize, end: usize, limits: HeadLimits, head: RequestHead): i32 {
  let p = start;
  while (p < end && isChar(load<u8>(p), Char.TOKEN)) p++;
  const methodLength = <u32>(p - start);
  if (methodLength > 32) return -501;
  if (p == end) return INCOMPLETE;
  if (methodLength == 0 || load<u8>(p) != 0x20) return -400;
  const target = ++p;
  while (p < end && isChar(load<u8>(p), Char.TARGET)) p++;
  if (<u32>(p - target) > limits.targetBytes) return -414;
  if (p == end) return INCOMPLETE;
  if (p == target || load<u8>(p) != 0x20) return -400;
  const targetLength = <u32>(p - target);
  p++;
  const version = p;
  while (p < end && load<u8>(p) != 0x0d) {
    // Anything but "HTTP/d.d" is no version; it is at most 8 bytes long.
    if (p - version == 8 || load<u8>(p) == 0x0a) return -400;
    p++;
  }
  if (p == end) return INCOMPLETE;
  if (
    p - version != 8 ||
    load<u32>(version) != 0x50545448 ||
    load<u8>(version, 4) != 0x2f ||
    load<u8>(version, 6) != 0x2e
  )
    return -400;
  const major = <u32>load<u8>(version, 5) - 0x30;
  const minor = <u32>load<u8>(version, 7) - 0x30;
  if (major > 9 || minor > 9) return -400;
  if (p + 1 == end) return INCOMPLETE;
  if (load<u8>(p, 1) != 0x0a) return -400;
  if (major != 1) return -505;
  if (minor == 0) head.flags |= HeadFlag.HTTP10;
  head.method = methodOf(start, methodLength);
  head.line = start;
  head.lineLength = <u32>(p - start);
  const status = parseTarget(target, targetLength, head, equals(start, methodLength, "CONNECT"));
  return status < 0 ? status : <i32>(p + 2 - start);
}

/** Methods are case-sensitive (RFC 9110, 9.1). */
function methodOf(at: usize, length: u32): u32 {
  if (equals(at, length, "GET")) return Method.GET;
  if (equals(at, length, "HEAD")) return Method.HEAD;
  if (equals(at, length, "OPTIONS")) return Method.OPTIONS;
  if (
    equals(at, length, "POST") ||
    equals(at, length, "PUT") ||
    equals(at, length, "DELETE") ||
    equals(at, length, "PATCH") ||
    equals(at, length, "TRACE") ||
    equals(at, length, "CONNECT")
  ) {
    return Method.OTHER;
  }
  return Method.UNKNOWN;
}

/** RFC 9112, 3.2: origin-form, absolute-form, "*" for OPTIONS, authority-form for CONNECT. */
function parseTarget(at: usize, length: u32, head: RequestHead, connect: bool): i32 {
  const end = at + length;
  let path = at;
  if (connect) {
    if (!isHost(at, length)) return -400;
    path = end;
  } else if (load<u8>(at) == 0x2a) {
    if (length != 1 || head.method != Method.OPTIONS) return -400;
  } else if (load<u8>(at) != 0x2f) {
    const scheme: u32 = length > 7 && matches(at, 7, "http://") ? 7 : length > 8 && matches(at, 8, "https://") ? 8 : 0;
    if (scheme == 0) return -400;
    const host = at + scheme;
    path = host;
    while (path < end && load<u8>(path) != 0x2f && load<u8>(path) != 0x3f) path++;
    // RFC 9112, 3.2.2: the target's host replaces the field's; an http URI without a host is invalid (RFC 9110, 4.2.1).
    if (path == host || !isHost(host, <u32>(path - host))) return -400;
    head.host = host;
    head.hostLength = <u32>(path - host);
  }
  let query = path;
  for (; query < end && load<u8>(query) != 0x3f; query++) {
    // A percent sign begins an encoded byte or nothing valid.
    if (load<u8>(query) == 0x25) {
      if (end - query < 3 || !isChar(load<u8>(query, 1), Char.HEX) || !isChar(load<u8>(query, 2), Char.HEX))
        return -400;
    }
  }
  head.path = path;
  head.pathLength = <u32>(query - path);
  if (query < end) {
    head.query = query + 1;
    head.queryLength = <u32>(end - query - 1);
  }
  return 0;
}

/** field-name ":" OWS field-value OWS CRLF; returns its bytes, INCOMPLETE or the negative status. */
function parseField(start: usize, end: usize, head: RequestHead): i32 {
  let p = start;
  while (p < end && isChar(load<u8>(p), Char.TOKEN)) p++;
  if (p == end) return INCOMPLETE;
  if (p == start || load<u8>(p) != 0x3a) return -400; // obs-fold, an empty name, space before the colon, a bare LF
  const nameLength = <u32>(p - start);
  p++;
  while (p < end && isSpace(load<u8>(p))) p++;
  const value = p;
  while (p < end && isChar(load<u8>(p), Char.VALUE)) p++;
  if (p == end) return INCOMPLETE;
  if (load<u8>(p) != 0x0d) return -400;
  if (p + 1 == end) return INCOMPLETE;
  if (load<u8>(p, 1) != 0x0a) return -400;
  let last = p;
  while (last > value && isSpace(load<u8>(last - 1))) last--;
  const status = noteField(start, nameLength, value, <u32>(last - value), head);
  return status < 0 ? status : <i32>(p + 2 - start);
}

/** Takes what we act on. */
function noteField(name: usize, nameLength: u32, value: usize, length: u32, head: RequestHead): i32 {
  switch (nameLength) {
    case 4:
      if (matches(name, 4, "host")) return noteHost(value, length, head);
      break;
    case 5:
      if (matches(name, 5, "range")) {
        // RFC 9110, 14.2: a Range that is not understood is ignored; two are not understood.
        head.range = head.has(HeadFlag.HAS_RANGE) ? 0 : value;
        head.rangeLength = length;
        head.flags |= HeadFlag.HAS_RANGE;
      }
      break;
    case 6:
      if (matches(name, 6, "expect")) {
        if (!matches(value, length, "100-continue")) return -417;
        head.flags |= HeadFlag.EXPECT_CONTINUE;
      }
      break;
    case 8:
      if (matches(name, 8, "if-match")) {
        head.ifMatch = value;
        head.ifMatchLength = length;
      } else if (matches(name, 8, "if-range")) {
        head.ifRange = value;
        head.ifRangeLength = length;
      }
      break;
    case 10:
      if (matches(name, 10, "connection")) noteConnection(value, length, head);
      break;
    case 13:
      if (matches(name, 13, "if-none-match")) {
        head.ifNoneMatch = value;
        head.ifNoneMatchLength = length;
      }
      break;
    case 14:
      if (matches(name, 14, "content-length")) return noteLength(value, length, head);
      break;
    case 17:
      if (matches(name, 17, "transfer-encoding")) {
        // RFC 9112, 6.1: a coding that we do not know is 501; chunked twice, or several fields, are nothing we understand.
        if (head.has(HeadFlag.HAS_TRANSFER_ENCODING)) return -400;
        head.flags |= HeadFlag.HAS_TRANSFER_ENCODING;
        if (!matches(value, length, "chunked")) return -501;
        head.flags |= HeadFlag.CHUNKED;
      }
      break;
  }
  return 0;
}

function noteHost(value: usize, length: u32, head: RequestHead): i32 {
  if (head.has(HeadFlag.HAS_HOST) || (length > 0 && !isHost(value, length))) return -400;
  head.flags |= HeadFlag.HAS_HOST;
  if (head.hostLength == 0) {
    head.host = value;
    head.hostLength = length;
  }
  return 0;
}

/** uri-host [ ":" port ]: brackets only as "[v6]" in front, one colon outside them, a port of digits; no user information. */
export function isHost(at: usize, length: u32): bool {
  const end = at + length;
  let p = at;
  if (p < end && load<u8>(p) == 0x5b) {
    for (p++; p < end && load<u8>(p) != 0x5d; p++) {
      const c = <u32>load<u8>(p);
      if (!isChar(c, Char.HEX) && c != 0x3a && c != 0x2e) return false;
    }
    if (p == end || p == at + 1) return false;
    p++;
  } else {
    for (; p < end && load<u8>(p) != 0x3a; p++) {
      const c = <u32>load<u8>(p);
      if (!isChar(c, Char.HOST) || c == 0x5b || c == 0x5d) return false;
    }
    if (p == at) return false;
  }
  if (p == end) return true;
  if (load<u8>(p) != 0x3a) return false;
  for (p++; p < end; p++) if (<u32>load<u8>(p) - 0x30 > 9) return false;
  return true;
}

/** Digits only, one field, below 2^53 (RFC 9112, 6.3: anything else is unrecoverable). */
function noteLength(value: usize, length: u32, head: RequestHead): i32 {
  if (head.has(HeadFlag.HAS_LENGTH) || length == 0 || length > 15) return -400;
  let n: u64 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const digit = <u32>load<u8>(value + i) - 0x30;
    if (digit > 9) return -400;
    n = n * 10 + digit;
  }
  head.flags |= HeadFlag.HAS_LENGTH;
  head.contentLength = n;
  return 0;
}

/** A list of options (RFC 9110, 7.6.1); those that we know. */
function noteConnection(value: usize, length: u32, head: RequestHead): void {
  const end = value + length;
  let p = value;
  while (p < end) {
    while (p < end && (isSpace(load<u8>(p)) || load<u8>(p) == 0x2c)) p++;
    const start = p;
    while (p < end && load<u8>(p) != 0x2c) p++;
    let last = p;
    while (last > start && isSpace(load<u8>(last - 1))) last--;
    if (matches(start, <u32>(last - start), "close")) head.flags |= HeadFlag.CLOSE;
    else if (matches(start, <u32>(last - start), "keep-alive")) head.flags |= HeadFlag.KEEP_ALIVE;
  }
}

/** What only the whole head tells. */
function conclude(head: RequestHead): i32 {
  const old = head.has(HeadFlag.HTTP10);
  // RFC 9112, 3.2: HTTP/1.1 without Host is refused.
  if (!old && !head.has(HeadFlag.HAS_HOST)) return -400;
  // RFC 9112, 6.1: transfer codings do not exist in 1.0; 6.3: with a length beside them somebody is being deceived.
  if (head.has(HeadFlag.CHUNKED) && (old || head.has(HeadFlag.HAS_LENGTH))) return -400;
  if (old) {
    head.flags &= ~HeadFlag.EXPECT_CONTINUE; // RFC 9110, 10.1.1: ignored from 1.0
    if (!head.has(HeadFlag.KEEP_ALIVE)) head.flags |= HeadFlag.CLOSE;
  }
  return 0;
}
