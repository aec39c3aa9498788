// What a path names: bytes that lie in memory for ever, with the head of their response made beforehand, or a redirect.
// A site is a table of them by path; a host selects a site.

import { hash64, equalBytes, Writer } from "./bytes";
import { Coding } from "./field";
import { SitePolicy } from "./policy";
import { statusPhrase } from "./status";


@unmanaged
export class Resource {
  /** The key: a normalised path. */
  path: usize;
  pathLength: u32;
  hash: u32;
  /** The next resource in the same slot of the table. */
  next: Resource | null;
  /** 200, or 301. */
  status: i32;
  bodyLength: u32;
  body: usize;
  /** Status line and fields of a whole response, without Date, Connection and the empty line. */
  head: usize;
  headLength: u32;
  /** The same for 304. */
  notModifiedLength: u32;
  notModified: usize;
  /** Fields that 206 repeats. */
  fields: usize;
  fieldsLength: u32;
  /** Entity tag with its quotes; none for a redirect. */
  tagLength: u32;
  tag: usize;
  /** The same content in other codings (RFC 9110, 8.4), or null. */
  gzip: Resource | null;
  brotli: Resource | null;
  /** The content lies where devices cannot read it: it is copied when it is sent. */
  copied: bool;


  @inline get hasVariants(): bool {
    return this.gzip != null || this.brotli != null;
  }
}

/** Text as bytes that are never freed. */
function keep(text: string): usize {
  const bytes = heap.alloc(max(String.UTF8.byteLength(text), 1));
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, bytes);
  return bytes;
}

export function statusLine(status: i32): string {
  return "HTTP/1.1 " + status.toString() + " " + statusPhrase(status) + "\r\nServer: heddle\r\n";
}

/** A representation: its media type, its bytes, which stay for ever, and how they are coded. The content gives the tag. */
export function fileResource(
  type: string,
  body: usize,
  length: u32,
  coding: u32 = 0,
  negotiated: bool = false,
): Resource {
  const tag = '"' + hash64(body, length, coding).toString(16).padStart(16, "0") + '"';
  let varying = "ETag: " + tag + "\r\n";
  if (negotiated) varying += "Vary: Accept-Encoding\r\n";
  let fields = "Content-Type: " + type + "\r\n" + varying + "Accept-Ranges: bytes\r\n";
  if (coding != 0) fields += "Content-Encoding: " + (coding == Coding.GZIP ? "gzip" : "br") + "\r\n";
  const head = statusLine(200) + fields + "Content-Length: " + length.toString() + "\r\n";
  const notModified = statusLine(304) + varying;
  const resource = newResource(200, body, length, head);
  resource.notModified = keep(notModified);
  resource.notModifiedLength = notModified.length;
  resource.fields = keep(fields);
  resource.fieldsLength = fields.length;
  resource.tag = keep(tag);
  resource.tagLength = tag.length;
  return resource;
}

/** A page that the machine made: its bytes lie in the heap. */
export function madeResource(type: string, text: string): Resource {
  const resource = fileResource(type, keep(text), <u32>String.UTF8.byteLength(text));
  resource.copied = true;
  return resource;
}

/** The page of a status: the content of a file, without its conditions, ranges and codings. */
export function pageResource(status: i32, type: string, file: Resource): Resource {
  const head =
    statusLine(status) + "Content-Type: " + type + "\r\nContent-Length: " + file.bodyLength.toString() + "\r\n";
  const resource = newResource(status, file.body, file.bodyLength, head);
  resource.copied = file.copied;
  return resource;
}

/** A permanent redirect to a path of the same host, percent-encoded as needed. */
export function redirectResource(target: string): Resource {
  const head = statusLine(301) + "Location: " + encodePath(target) + "\r\nContent-Length: 0\r\n";
  return newResource(301, 0, 0, head);
}

function newResource(status: i32, body: usize, length: u32, head: string): Resource {
  const resource = changetype<Resource>(heap.alloc(offsetof<Resource>()));
  memory.fill(changetype<usize>(resource), 0, offsetof<Resource>());
  resource.status = status;
  resource.body = body;
  resource.bodyLength = length;
  resource.head = keep(head);
  resource.headLength = head.length;
  return resource;
}

/** Percent-encodes what may not stand in a path. */
export function encodePath(path: string): string {
  const bytes = String.UTF8.encode(path);
  const out = heap.alloc(3 * bytes.byteLength + 1);
  const w = changetype<Writer>(heap.alloc(offsetof<Writer>()));
  w.open(out);
  w.path(changetype<usize>(bytes), <u32>bytes.byteLength);
  const text = String.UTF8.decodeUnsafe(out, w.length);
  heap.free(changetype<usize>(w));
  heap.free(out);
  return text;
}

/** The resources of a site by path. */
export class Site {
  private slots: StaticArray<usize>;
  count: i32 = 0;
  /** What it does besides giving files; null when it does nothing. */
  policy: SitePolicy | null = null;
  /** Number in its Sites, from 1. */
  number: u32 = 0;

  constructor(expected: i32) {
    let size = 8;
    while (size < 2 * expected) size <<= 1;
    this.slots = new StaticArray<usize>(size);
  }

  /** Adds a resource under a path; the first of a path stays, and false is returned. */
  add(path: string, resource: Resource): bool {
    const bytes = keep(path);
    const length = <u32>String.UTF8.byteLength(path);
    if (this.find(bytes, length) != null) return false;
    // One file can have two paths (a directory and its index): each gets its own node with the same content.
    const node = changetype<Resource>(heap.alloc(offsetof<Resource>()));
    memory.copy(changetype<usize>(node), changetype<usize>(resource), offsetof<Resource>());
    node.path = bytes;
    node.pathLength = length;
    node.hash = <u32>hash64(bytes, length);
    const slot = node.hash & (this.slots.length - 1);
    node.next = changetype<Resource | null>(this.slots[slot]);
    this.slots[slot] = changetype<usize>(node);
    this.count++;
    return true;
  }

  /** The resource of a path given as text, or null. */
  get(path: string): Resource | null {
    const bytes = String.UTF8.encode(path);
    return this.find(changetype<usize>(bytes), bytes.byteLength);
  }
  /** The resource of a path, or null. */
  find(path: usize, length: u32): Resource | null {
    const hash = <u32>hash64(path, length);
    let node = changetype<Resource | null>(unchecked(this.slots[hash & (this.slots.length - 1)]));
    while (node != null) {
      if (node.hash == hash && equalBytes(node.path, node.pathLength, path, length)) return node;
      node = node.next;
    }
    return null;
  }
}

/** A host that a site answers for: a name, "*.name" (any label in front), or "*". */
class HostPattern {
  wildcard: bool;
  /** The name or, of a wildcard, what must follow: ".example.org". Lower case. */
  bytes: ArrayBuffer;

  constructor(
    pattern: string,
    readonly site: Site,
  ) {
    const wildcard = pattern.startsWith("*");
    this.wildcard = wildcard;
    this.bytes = String.UTF8.encode(wildcard ? pattern.substring(1) : pattern);
  }

  matches(host: usize, length: u32): bool {
    const own = <u32>this.bytes.byteLength;
    if (this.wildcard ? length < own || (own > 0 && length == own) : length != own) return false;
    const from = host + (length - own);
    for (let i: u32 = 0; i < own; i++) {
      let c = <u32>load<u8>(from + i);
      if (c - 0x41 < 26) c |= 0x20;
      if (c != <u32>load<u8>(changetype<usize>(this.bytes) + i)) return false;
    }
    return true;
  }
}

/** The sites of a server by host. A name goes before wildcards, a longer wildcard before a shorter one. */
export class Sites {
  private patterns: Array<HostPattern> = [];
  private sites: Array<Site> = [];

  /** The site of that number, or null. */
  at(number: u32): Site | null {
    return number > 0 && <i32>number <= this.sites.length ? unchecked(this.sites[number - 1]) : null;
  }
  /** Bytes that the fields of any site need at most in a response. */
  get room(): u32 {
    let most: u32 = 0;
    for (let i = 0; i < this.sites.length; i++) {
      const policy = this.sites[i].policy;
      if (policy != null) most = max(most, policy.room);
    }
    return most;
  }

  /** Adds a site for a host (lower case). */
  add(host: string, site: Site): void {
    if (!this.sites.includes(site)) site.number = this.sites.push(site);
    this.patterns.push(new HostPattern(host, site));
    this.patterns.sort((a, b) =>
      a.wildcard != b.wildcard ? (a.wildcard ? 1 : -1) : b.bytes.byteLength - a.bytes.byteLength,
    );
  }

  /** The site for a Host value (port included), or null. */
  find(host: usize, length: u32): Site | null {
    const patterns = this.patterns;
    const n = patterns.length;
    if (n == 1) {
      const only = unchecked(patterns[0]);
      if (only.wildcard && only.bytes.byteLength == 0) return only.site;
    }
    // Without the port: behind the bracket of an IPv6 address, else behind the only colon.
    let end = length;
    for (let i: u32 = length; i > 0; i--) {
      const c = load<u8>(host + i - 1);
      if (c == 0x5d) break;
      if (c == 0x3a) {
        end = i - 1;
        break;
      }
    }
    for (let i = 0; i < n; i++) {
      const pattern = unchecked(patterns[i]);
      if (pattern.matches(host, end)) return pattern.site;
    }
    return null;
  }
}
