// The SNTP client (RFC 4330; what of RFC 5905 keeps a client from being misled): a fiber that asks several servers now and then
// and sets the time of day by those that agree.
//
//   ask each --> samples: offset, and how far it can be off --> the one that most agree with --> the time of day
//
// Invariants
// 1. An answer counts when it repeats a drawn number, comes from the server that was asked, and makes sense.
// 2. Of three samples or more, more than half must agree, else the time is left as it is, and people are told.
// 3. No server is asked more often than each 15 s; one that refuses (RFC 5905, 7.4) is not asked again.
//
// clang: -Oz

import { clockMonotonic, formatTime, log, LogLevel, random, setWallTime, wallTime } from "../../runtime";
import { now, sleep, spawn } from "../../fibers";
import { formatAddress } from "../ip/address";
import { coreStack } from "../source";
import { resolve } from "../socket/resolve";
import { UdpSocket } from "../socket/udp";
import {
  checkNtp,
  emitNtp,
  NTP_BYTES,
  NTP_PORT,
  NtpAnswer,
  ntpDistance_ns,
  ntpReceived_ns,
  ntpTransmitted_ns,
} from "../wire/ntp";

const SECOND_NS: i64 = 1_000_000_000;
const PATIENCE_NS: i64 = 3 * SECOND_NS;
/** Servers that are asked at a time. */
const MOST_SERVERS: i32 = 4;
/** How often: first, while there is no answer; and when the time is known. */
const RETRY_MS: i64 = 15_000;
const POLL_MS: i64 = 1_024_000;
/** Errors of the way there and back that are not counted in its time. */
const GRAIN_NS: i64 = 1_000_000;
/** A correction that people are told of. */
const STEP_NS: i64 = 500_000_000;

class Sample {
  constructor(
    readonly hi: u64,
    readonly lo: u64,
    /** Time of day less monotonic time, and how far that can be off. */
    readonly offset_ns: i64,
    readonly error_ns: i64,
  ) {}

  agrees(other: Sample): bool {
    const apart = this.offset_ns - other.offset_ns;
    return (apart < 0 ? -apart : apart) <= this.error_ns + other.error_ns + GRAIN_NS;
  }
}

/** Called when the time of day was set: it is the monotonic time and this. */
export type TimeHandler = (offset_ns: i64) => void;

export class SntpClient {
  private known: bool = false;
  private offset_ns: i64 = 0;
  private slower: bool = false;
  private readonly denied: Array<u64> = [];
  private readonly message: StaticArray<u8> = new StaticArray<u8>(NTP_BYTES + 20);

  constructor(
    /** Names or addresses; none: those that DHCP tells of. */
    private readonly servers: Array<string>,
    private readonly onTime: TimeHandler,
  ) {}

  /** Runs for ever, in a fiber of its own. */
  start(): void {
    spawn<SntpClient>(runClient, this);
  }

  run(): void {
    let wait_ms: i64 = RETRY_MS;
    for (;;) {
      this.slower = false;
      const done = this.synchronise();
      if (done) wait_ms = POLL_MS;
      else if (!this.known) wait_ms = min(wait_ms * 2, POLL_MS);
      if (this.slower) wait_ms = min(wait_ms * 2, 16 * POLL_MS);
      // Not all machines at once.
      const drawn = new StaticArray<u32>(1);
      random(changetype<usize>(drawn), 4);
      sleep(wait_ms + <i64>(drawn[0] % 1024) * (wait_ms / 8192));
    }
  }

  private synchronise(): bool {
    const samples: Array<Sample> = [];
    const asked: Array<u64> = [];
    const servers = this.servers;
    for (let i = 0; i < servers.length; i++) {
      const found = resolve(servers[i], now() + 2 * PATIENCE_NS);
      for (let k = 0; found != null && k < found.length; k++) this.ask(found.hi[k], found.lo[k], asked, samples);
    }
    const stack = coreStack();
    for (let i = 0; stack != null && servers.length == 0 && i < stack.interfaces.length; i++) {
      const told = stack.interfaces[i].timeServers;
      for (let k = 0; k + 1 < told.length; k += 2) this.ask(told[k], told[k + 1], asked, samples);
    }
    if (samples.length == 0) {
      if (asked.length > 0) log(LogLevel.WARN, "time: no server answers; the time is " + formatTime(wallTime()));
      return false;
    }
    let best = samples[0];
    let most = 0;
    for (let i = 0; i < samples.length; i++) {
      let agreeing = 0;
      for (let k = 0; k < samples.length; k++) if (samples[i].agrees(samples[k])) agreeing++;
      if (agreeing < most || (agreeing == most && samples[i].error_ns >= best.error_ns)) continue;
      best = samples[i];
      most = agreeing;
    }
    if (samples.length > 2 && most * 2 <= samples.length) {
      log(LogLevel.ERROR, "time: the servers do not agree; the time is left as it is, " + formatTime(wallTime()));
      return false;
    }
    this.set(best);
    return true;
  }

  private set(sample: Sample): void {
    const apart = sample.offset_ns - this.offset_ns;
    const step = !this.known || apart > STEP_NS || apart < -STEP_NS;
    this.known = true;
    this.offset_ns = sample.offset_ns;
    setWallTime(sample.offset_ns);
    this.onTime(sample.offset_ns);
    if (step) log(LogLevel.INFO, "time: " + formatTime(wallTime()) + " from " + formatAddress(sample.hi, sample.lo));
  }

  // Asks one server, unless enough were asked, or it has refused.
  private ask(hi: u64, lo: u64, asked: Array<u64>, samples: Array<Sample>): void {
    if (asked.length >= 2 * MOST_SERVERS || includes(asked, hi, lo) || includes(this.denied, hi, lo)) return;
    asked.push(hi);
    asked.push(lo);
    const socket = UdpSocket.connectTo(hi, lo, NTP_PORT);
    if (socket == null) return;
    const drawn = new StaticArray<u64>(1);
    random(changetype<usize>(drawn), 8);
    const nonce = drawn[0];
    const at = changetype<usize>(this.message);
    emitNtp(at, nonce);
    const sent_ns = clockMonotonic();
    let result = socket.send(at, NTP_BYTES);
    while (result >= 0) {
      result = socket.receive(at, NTP_BYTES + 20, sent_ns + PATIENCE_NS);
      const received_ns = clockMonotonic();
      const answer = result < 0 ? NtpAnswer.STRANGER : checkNtp(at, result, nonce);
      if (answer == NtpAnswer.STRANGER) continue;
      if (answer == NtpAnswer.RATE) this.slower = true;
      if (answer == NtpAnswer.DENIED) {
        this.denied.push(hi);
        this.denied.push(lo);
        log(LogLevel.WARN, "time: " + formatAddress(hi, lo) + " refuses; it is not asked again");
      }
      if (answer == NtpAnswer.OK) {
        const there = ntpReceived_ns(at);
        const back = ntpTransmitted_ns(at);
        const way_ns = max<i64>(received_ns - sent_ns - (back - there), 0);
        const offset_ns = (there - sent_ns) / 2 + (back - received_ns) / 2;
        samples.push(new Sample(hi, lo, offset_ns, way_ns / 2 + ntpDistance_ns(at)));
      }
      break;
    }
    socket.close();
  }
}

function includes(pairs: Array<u64>, hi: u64, lo: u64): bool {
  for (let i = 0; i + 1 < pairs.length; i += 2) if (pairs[i] == hi && pairs[i + 1] == lo) return true;
  return false;
}

function runClient(client: SntpClient): void {
  client.run();
}
