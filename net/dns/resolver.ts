// The resolver (RFC 1034, 5.3.1: a stub, which asks servers that recurse): addresses of names, for fibers.
//
//   lookup: cache? -- ask each server in turn, 1 s, then 2, then 4 each --> CNAME: from its target on, at most CHAIN times
//   ask:    a socket of its own by UDP --> the answer
//               | cut off, or somebody guesses --> the same by TCP
//
// Against forged answers (RFC 5452): each question has a socket of its own on a drawn port that hears only its server, a drawn
// id, and letters whose case is drawn. Who answers the wrong way is taken for an attacker, and the question repeated by TCP.
//
// clang: -Oz

import { Errno, random } from "../../runtime";
import { now } from "../../fibers";
import { NO_DEADLINE } from "../socket/stream";
import { TcpStream } from "../socket/tcp-stream";
import { UdpSocket } from "../socket/udp";
import { coreTcp, socketError } from "../socket/core";
import {
  DNS_HEADER_BYTES,
  DNS_PORT,
  DNS_QUESTION_BYTES,
  DNS_UDP_BYTES,
  DnsCode,
  dnsCode,
  DnsMatch,
  DnsReader,
  dnsTruncated,
  DnsType,
  emitDnsQuestion,
  matchDnsAnswer,
} from "../wire/dns";
import { Answer, Cache } from "./cache";

const SECOND_NS: i64 = 1_000_000_000;
const ROUNDS: u32 = 3;
/** Aliases that are followed for one name, and addresses taken. */
const CHAIN: u32 = 8;
const ADDRESSES: i32 = 16;
/** Datagrams that do not answer the question, after which TCP is asked. */
const STRANGERS: u32 = 4;
/** Longest answer by TCP. */
const MOST_BYTES: u32 = 16384;

/** One exchange with one server. */
class Exchange {
  readonly question: StaticArray<u8> = new StaticArray<u8>(DNS_QUESTION_BYTES);
  question_bytes: u32 = 0;
  answer: StaticArray<u8> = new StaticArray<u8>(DNS_UDP_BYTES);
  answer_bytes: u32 = 0;
  edns: bool = true;

  constructor(
    private readonly serverHi: u64,
    private readonly serverLo: u64,
    private readonly name: string,
    private readonly type: DnsType,
  ) {}

  private prepare(): void {
    const drawn = new StaticArray<u64>(2);
    random(changetype<usize>(drawn), 16);
    const at = changetype<usize>(this.question);
    this.question_bytes = emitDnsQuestion(at, (<u32>drawn[0]) & 0xffff, this.name, this.type, drawn[1], this.edns);
  }

  private matches(bytes: u32): DnsMatch {
    const question = changetype<usize>(this.question);
    return matchDnsAnswer(changetype<usize>(this.answer), bytes, question, this.question_bytes, this.edns);
  }

  /** 0 with `answer`, or why there is none. */
  run(deadline_ns: i64): i32 {
    let result = this.byUdp(deadline_ns);
    if (result == 0 && this.edns) {
      // Old servers do not know EDNS (RFC 6891, 7).
      const code = dnsCode(changetype<usize>(this.answer));
      if (code == DnsCode.FORMAT || code == DnsCode.NOT_IMPLEMENTED) {
        this.edns = false;
        result = this.byUdp(deadline_ns);
      }
    }
    return result;
  }

  private byUdp(deadline_ns: i64): i32 {
    this.prepare();
    const socket = UdpSocket.connectTo(this.serverHi, this.serverLo, DNS_PORT);
    if (socket == null) return socketError();
    let result = socket.send(changetype<usize>(this.question), this.question_bytes);
    let strangers: u32 = 0;
    while (result >= 0) {
      result = socket.receive(changetype<usize>(this.answer), DNS_UDP_BYTES, deadline_ns);
      if (result < 0) break;
      const match = this.matches(result);
      if (match == DnsMatch.YES && !socket.truncated && !dnsTruncated(changetype<usize>(this.answer))) break;
      if (match == DnsMatch.NO && ++strangers < STRANGERS) continue;
      socket.close();
      return this.byTcp(deadline_ns);
    }
    socket.close();
    this.answer_bytes = max(result, 0);
    return min(result, 0);
  }

  private byTcp(deadline_ns: i64): i32 {
    if (coreTcp() == null) return Errno.EPROTO;
    this.prepare();
    const stream = TcpStream.connectTo(this.serverHi, this.serverLo, DNS_PORT, deadline_ns);
    if (stream == null) return socketError();
    const result = this.exchange(stream, deadline_ns);
    stream.close();
    return result;
  }

  // RFC 7766: each message has its length before it.
  private exchange(stream: TcpStream, deadline_ns: i64): i32 {
    const bytes = this.question_bytes;
    const out = new StaticArray<u8>(2 + bytes);
    store<u16>(changetype<usize>(out), bswap<u16>(<u16>bytes));
    memory.copy(changetype<usize>(out) + 2, changetype<usize>(this.question), bytes);
    const sent = stream.write(changetype<usize>(out), 2 + bytes, deadline_ns);
    if (sent < <i32>(2 + bytes)) return sent < 0 ? sent : Errno.ETIMEDOUT;
    const prefix = new StaticArray<u8>(2);
    let result = readAll(stream, changetype<usize>(prefix), 2, deadline_ns);
    if (result < 0) return result;
    const length: u32 = bswap<u16>(load<u16>(changetype<usize>(prefix)));
    if (length < DNS_HEADER_BYTES || length > MOST_BYTES) return Errno.EPROTO;
    this.answer = new StaticArray<u8>(length);
    result = readAll(stream, changetype<usize>(this.answer), length, deadline_ns);
    if (result < 0) return result;
    this.answer_bytes = length;
    // By TCP the sender has seen the question: the case of letters proves nothing more.
    return this.matches(length) == DnsMatch.NO ? Errno.EPROTO : 0;
  }
}

function readAll(stream: TcpStream, to: usize, bytes: u32, deadline_ns: i64): i32 {
  for (let done: u32 = 0; done < bytes;) {
    const got = stream.read(to + done, bytes - done, deadline_ns);
    if (got <= 0) return got < 0 ? got : Errno.ECONNRESET;
    done += got;
  }
  return 0;
}

/** Servers, in the order in which they are asked, and what they have said. */
export class Resolver {
  private readonly cache: Cache = new Cache();
  /** Addresses of the servers, high and low half by turns. */
  servers: StaticArray<u64> = [];
  /** Why the last `lookup` gave null. */
  error: i32 = 0;

  /**
   * Addresses of a name, of one version of IP.
   * @param name absolute, of `isDnsName`, in lower case, without a dot at its end
   * @returns the addresses, at most 16; none when there are no such addresses. Null with `error`: ENOENT (no such name),
   *   ETIMEDOUT, ENETDOWN (no server is known), EPROTO (answers without sense), or why no server could be asked
   */
  lookup(name: string, type: DnsType, deadline_ns: i64): Answer | null {
    const key = (type == DnsType.A ? "4" : "6") + name;
    const known = this.cache.get(key, now());
    if (known != null) return this.checked(known);
    const answer = new Answer();
    answer.ttl_s = u32.MAX_VALUE;
    let current = name;
    for (let n: u32 = 0; n <= CHAIN; n++) {
      const exchange = this.ask(current, type, deadline_ns);
      if (exchange == null) return null;
      const next = this.take(exchange, current, type, answer);
      if (next == null) break;
      if (next.length == 0) {
        this.cache.put(key, answer, now());
        return this.checked(answer);
      }
      current = next;
    }
    this.error = Errno.EPROTO;
    return null;
  }

  private checked(answer: Answer): Answer | null {
    if (!answer.absent) return answer;
    this.error = Errno.ENOENT;
    return null;
  }

  /** Forgets everything. */
  forget(): void {
    this.cache.clear();
  }

  // Asks the servers in turn until one answers.
  private ask(name: string, type: DnsType, deadline_ns: i64): Exchange | null {
    const servers = this.servers;
    this.error = Errno.ENETDOWN;
    for (let round: u32 = 0; round < ROUNDS; round++) {
      for (let i = 0; i + 1 < servers.length; i += 2) {
        const patience = now() + (SECOND_NS << round);
        const exchange = new Exchange(servers[i], servers[i + 1], name, type);
        const result = exchange.run(min(deadline_ns, patience));
        if (result == 0) {
          const code = dnsCode(changetype<usize>(exchange.answer));
          if (code == DnsCode.OK || code == DnsCode.NO_NAME) return exchange;
          this.error = Errno.EPROTO;
        } else {
          this.error = result;
        }
        if (deadline_ns != NO_DEADLINE && now() >= deadline_ns) {
          this.error = Errno.ETIMEDOUT;
          return null;
        }
      }
    }
    return null;
  }

  // Takes the addresses of a name out of an answer, or the alias on whose target it says nothing; null for aliases in a
  // circle.
  private take(exchange: Exchange, name: string, type: DnsType, answer: Answer): string | null {
    const at = changetype<usize>(exchange.answer);
    let current = name;
    for (let n: u32 = 0; n <= CHAIN; n++) {
      const reader = new DnsReader(at, exchange.answer_bytes);
      let alias = "";
      let negative: i64 = -1;
      while (reader.next()) {
        if (!reader.isAnswer) {
          // How long a zone lets be remembered that something is not there; only a zone that the name is in.
          if (reader.type == DnsType.SOA && isBelow(current, reader.name)) negative = reader.negative_s();
          continue;
        }
        if (reader.name != current) continue;
        if (reader.type == type && (reader.lo | reader.hi) != 0) {
          if (answer.lo.length == ADDRESSES) continue;
          answer.hi.push(reader.hi);
          answer.lo.push(reader.lo);
          answer.ttl_s = min(answer.ttl_s, reader.ttl_s);
        } else if (reader.type == DnsType.CNAME && alias.length == 0) {
          const target = reader.target();
          if (target == null || target.length == 0) continue;
          alias = target;
          answer.ttl_s = min(answer.ttl_s, reader.ttl_s);
        }
      }
      if (answer.lo.length > 0) return "";
      if (alias.length == 0) {
        if (current != name && dnsCode(at) == DnsCode.OK && negative < 0) return current;
        answer.absent = dnsCode(at) == DnsCode.NO_NAME;
        answer.ttl_s = negative < 0 ? 0 : min(answer.ttl_s, <u32>negative);
        return "";
      }
      current = alias;
    }
    return null;
  }
}

/** Whether a name is a zone's or below it. */
function isBelow(name: string, zone: string): bool {
  return zone.length == 0 || name == zone || name.endsWith("." + zone);
}
