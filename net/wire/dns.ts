// DNS messages (RFC 1035, 4; EDNS0: RFC 6891): a question out, an answer in. Everything in an answer is hostile: nothing is read
// behind its end, names are at most 255 bytes, and a compression pointer only ever leads backwards.
//
//   0    2       4         6         8          10       12
//   | id | flags | qdcount | ancount | nscount | arcount | question: name, type, class | records: name, type, class, TTL, data
//
// clang: -Oz

export const DNS_PORT: u32 = 53;
export const DNS_HEADER_BYTES: u32 = 12;
/** What servers may send by UDP: below every path's MTU, as fragments are easily forged (RFC 9715). */
export const DNS_UDP_BYTES: u32 = 1232;
/** Room for a question: the longest name, and the OPT record. */
export const DNS_QUESTION_BYTES: u32 = DNS_HEADER_BYTES + 255 + 4 + 11;

export const enum DnsType {
  A = 1,
  CNAME = 5,
  SOA = 6,
  AAAA = 28,
  OPT = 41,
}

export const enum DnsCode {
  OK = 0,
  FORMAT = 1,
  FAILED = 2,
  NO_NAME = 3,
  NOT_IMPLEMENTED = 4,
  REFUSED = 5,
}

const IN: u32 = 1;
const RECURSE: u32 = 0x0100;
const TRUNCATED: u32 = 0x0200;
const RESPONSE: u32 = 0x8000;
const OPCODE: u32 = 0x7800;


@inline
function word(at: usize): u32 {
  return <u32>bswap<u16>(load<u16>(at));
}


@inline
function setWord(at: usize, value: u32): void {
  store<u16>(at, bswap<u16>(<u16>value));
}

/**
 * Whether a name can be asked for: labels of 1 to 63 letters, digits, hyphens and underscores, 253 characters at most; a dot
 * may follow.
 */
export function isDnsName(name: string): bool {
  let end = name.length;
  if (end > 0 && name.charCodeAt(end - 1) == 46) end--;
  if (end == 0 || end > 253) return false;
  let label = 0;
  for (let i = 0; i < end; i++) {
    const c = name.charCodeAt(i);
    if (c == 46) {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const lower = c | 32;
    if (!((lower >= 97 && lower <= 122) || (c >= 48 && c <= 57) || c == 45 || c == 95)) return false;
    if (++label > 63) return false;
  }
  return label > 0;
}

/**
 * Writes a question to room for DNS_QUESTION_BYTES.
 * @param name of `isDnsName`, without a dot at its end
 * @param cases random bits: which letters are capitals, so that an answer's sender must have seen the question (draft-vixie-dnsext-dns0x20)
 * @param edns with an OPT record
 * @returns its bytes
 */
export function emitDnsQuestion(at: usize, id: u32, name: string, type: DnsType, cases: u64, edns: bool): u32 {
  setWord(at, id);
  setWord(at + 2, RECURSE);
  setWord(at + 4, 1);
  setWord(at + 6, 0);
  setWord(at + 8, 0);
  setWord(at + 10, edns ? 1 : 0);
  let to = at + DNS_HEADER_BYTES;
  let label = to++;
  for (let i = 0, n = name.length; i < n; i++) {
    let c = name.charCodeAt(i);
    if (c == 46) {
      store<u8>(label, <u8>(to - label - 1));
      label = to;
      to++;
      continue;
    }
    const lower = c | 32;
    if (lower >= 97 && lower <= 122) {
      c = cases & 1 ? lower & ~32 : lower;
      cases = rotr<u64>(cases, 1);
    }
    store<u8>(to, <u8>c);
    to++;
  }
  store<u8>(label, <u8>(to - label - 1));
  store<u8>(to, 0);
  setWord(to + 1, type);
  setWord(to + 3, IN);
  to += 5;
  if (edns) {
    store<u8>(to, 0);
    setWord(to + 1, DnsType.OPT);
    setWord(to + 3, DNS_UDP_BYTES);
    store<u32>(to, 0, 5);
    setWord(to + 9, 0);
    to += 11;
  }
  return <u32>(to - at);
}

/** How a message fits a question. */
export const enum DnsMatch {
  /** Somebody else's, or forged. */
  NO = 0,
  /** Only the case of letters differs: a careless server, or somebody who guesses. */
  CASE = 1,
  YES = 2,
}

/** Whether a message answers a question of `question_bytes` bytes, of which the first `name_bytes` behind the header are its name. */
export function matchDnsAnswer(at: usize, bytes: u32, question: usize, question_bytes: u32, edns: bool): DnsMatch {
  const asked = question_bytes - DNS_HEADER_BYTES - (edns ? 11 : 0);
  if (bytes < DNS_HEADER_BYTES || load<u16>(at) != load<u16>(question)) return DnsMatch.NO;
  const flags = word(at + 2);
  if ((flags & RESPONSE) == 0 || (flags & OPCODE) != 0) return DnsMatch.NO;
  // A server that does not understand a question may leave it out (RFC 6891, 7).
  const code = flags & 15;
  const refuses = code == DnsCode.FORMAT || code == DnsCode.NOT_IMPLEMENTED || code == DnsCode.REFUSED;
  if (word(at + 4) == 0 && refuses) return DnsMatch.YES;
  if (word(at + 4) != 1 || bytes < DNS_HEADER_BYTES + asked) return DnsMatch.NO;
  const a = at + DNS_HEADER_BYTES;
  const b = question + DNS_HEADER_BYTES;
  if (memory.compare(a, b, asked) == 0) return DnsMatch.YES;
  for (let i: usize = 0; i < asked; i++) {
    const x = load<u8>(a + i);
    const y = load<u8>(b + i);
    if (x != y && ((x ^ y) != 32 || (x | 32) < 97 || (x | 32) > 122)) return DnsMatch.NO;
  }
  return DnsMatch.CASE;
}


@inline
export function dnsCode(at: usize): u32 {
  return word(at + 2) & 15;
}


@inline
export function dnsTruncated(at: usize): bool {
  return (word(at + 2) & TRUNCATED) != 0;
}

/** Reads the records of a message whose question matched, one after the other. */
export class DnsReader {
  private offset: u32;
  private left: u32;
  private readonly answers: u32;
  private read: u32 = 0;

  /** The record that `next` came to: its name in lower case, type, class, seconds to live, and where its data lies. */
  name: string = "";
  type: u32 = 0;
  ttl_s: u32 = 0;
  data: u32 = 0;
  data_bytes: u32 = 0;
  /** Whether it stands among the answers, not the authorities. */
  isAnswer: bool = false;

  constructor(
    private readonly at: usize,
    private readonly bytes: u32,
  ) {
    this.answers = word(at + 6);
    this.left = this.answers + word(at + 8);
    this.offset = DNS_HEADER_BYTES;
    if (word(at + 4) == 1 && this.skipName()) this.offset += 4;
  }

  /** Goes to the next answer or authority of class IN; false at the end, and where a record is malformed. */
  next(): bool {
    while (this.left > 0) {
      this.left--;
      this.isAnswer = this.read++ < this.answers;
      const name = this.nameAt(this.offset);
      if (name == null || !this.skipName() || this.offset + 10 > this.bytes) break;
      const at = this.at + this.offset;
      this.type = word(at);
      const class_ = word(at + 2);
      const ttl = bswap<u32>(load<u32>(at, 4));
      // RFC 2181, 8: a number with the highest bit set is 0.
      this.ttl_s = ttl >> 31 != 0 ? 0 : ttl;
      this.data = this.offset + 10;
      this.data_bytes = word(at + 8);
      if (this.data + this.data_bytes > this.bytes) break;
      this.offset = this.data + this.data_bytes;
      this.name = name;
      if (class_ == IN) return true;
    }
    this.left = 0;
    return false;
  }

  /** Moves behind the name that begins at `offset`. */
  private skipName(): bool {
    let at = this.offset;
    while (at < this.bytes) {
      const length = <u32>load<u8>(this.at + at);
      if (length >= 0xc0) {
        this.offset = at + 2;
        return this.offset <= this.bytes;
      }
      if (length > 63) return false;
      at += 1 + length;
      if (length == 0) {
        this.offset = at;
        return true;
      }
    }
    return false;
  }

  /** The name at an offset, in lower case; null when it is malformed or no `isDnsName`. The root is "". */
  nameAt(offset: u32): string | null {
    let text = "";
    let total: u32 = 0;
    // A pointer must lead before where the part that holds it begins: so there are no loops.
    let begin = offset;
    for (;;) {
      if (offset >= this.bytes) return null;
      const length = <u32>load<u8>(this.at + offset);
      if (length >= 0xc0) {
        if (offset + 2 > this.bytes) return null;
        const target = word(this.at + offset) & 0x3fff;
        if (target >= begin || target < DNS_HEADER_BYTES) return null;
        begin = target;
        offset = target;
        continue;
      }
      if (length > 63 || offset + 1 + length > this.bytes) return null;
      if (length == 0) break;
      total += 1 + length;
      if (total > 254) return null;
      if (text.length > 0) text += ".";
      for (let i: u32 = 1; i <= length; i++) {
        const c = <i32>load<u8>(this.at + offset + i);
        text += String.fromCharCode(c >= 65 && c <= 90 ? c | 32 : c);
      }
      offset += 1 + length;
    }
    return text.length == 0 || isDnsName(text) ? text : null;
  }

  /** The name in the record's data (CNAME). */
  target(): string | null {
    return this.data_bytes > 0 ? this.nameAt(this.data) : null;
  }

  /** Of an SOA record: how long may be remembered that something is not there, s (RFC 2308, 5). */
  negative_s(): u32 {
    if (this.data_bytes < 22) return 0;
    const minimum = bswap<u32>(load<u32>(this.at + this.data + this.data_bytes - 4));
    return min(this.ttl_s, minimum >> 31 != 0 ? 0 : minimum);
  }

  get hi(): u64 {
    return this.type == DnsType.AAAA && this.data_bytes == 16 ? bswap<u64>(load<u64>(this.at + this.data)) : 0;
  }

  /** Of an A or AAAA record: its address; 0 where it is malformed. */
  get lo(): u64 {
    const at = this.at + this.data;
    if (this.type == DnsType.A && this.data_bytes == 4) return 0xffff00000000 | (<u64>bswap<u32>(load<u32>(at)));
    return this.type == DnsType.AAAA && this.data_bytes == 16 ? bswap<u64>(load<u64>(at, 8)) : 0;
  }
}
