// Packets that rules log. The packet path leaves a record of fixed size; a timer makes lines of them a little later.
//
// Invariant: at most RECORDS wait. What comes on top is counted and said in one line, so that a flood cannot fill the log.
// clang: -Oz

import { Timer } from "../../runtime";
import { formatAddress, formatHost } from "../ip/address";
import { NoticeLevel } from "../notice";
import { Stack, stackAt } from "../stack";
import { Protocol } from "../wire/ipv4";
import { Key } from "./key";
import { NO_RULE } from "./policy";
import { REASON_NAMES } from "./reason";

const RECORDS: u32 = 64;
const DELAY_NS: i64 = 50_000_000;


@unmanaged
class LogRecord {
  srcHi: u64;
  srcLo: u64;
  dstHi: u64;
  dstLo: u64;
  srcPort: u16;
  dstPort: u16;
  selector: u16;
  protocol: u16;
  bytes: u32;
  rule: u32;
  reason: u32;
  from: u16;
  to: u16;
}

/** "tcp 10.0.0.5:1234 -> 1.2.3.4:25". */
export function describeFlow(
  protocol: u32,
  srcHi: u64,
  srcLo: u64,
  srcPort: u32,
  dstHi: u64,
  dstLo: u64,
  dstPort: u32,
  selector: u32,
): string {
  if (protocol == Protocol.TCP || protocol == Protocol.UDP) {
    const name = protocol == Protocol.TCP ? "tcp " : "udp ";
    const source = formatHost(srcHi, srcLo) + ":" + srcPort.toString();
    return name + source + " -> " + formatHost(dstHi, dstLo) + ":" + dstPort.toString();
  }
  const ends = formatAddress(srcHi, srcLo) + " -> " + formatAddress(dstHi, dstLo);
  if (protocol == Protocol.ICMP) return "icmp " + ends + " type " + (selector >> 8).toString();
  if (protocol == Protocol.ICMPV6) return "icmpv6 " + ends + " type " + (selector >> 8).toString();
  return "protocol " + protocol.toString() + " " + ends;
}

let logs: Array<PacketLog> = [];

export class PacketLog {
  private readonly records: usize = heap.alloc(RECORDS * offsetof<LogRecord>());
  private count: u32 = 0;
  private lost: u64 = 0;
  private readonly timer: Timer;
  /** Names of the rules that the numbers in waiting records mean. */
  names: Array<string> = [];

  constructor(private readonly stackId: u32) {
    const timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));
    timer.init(onTimer, logs.length);
    this.timer = timer;
    logs.push(this);
  }

  /** Leaves a record. `to`: number of the interface it would leave through, or of the machine itself. */
  add(key: Key, from: u32, to: u32, rule: u32, reason: u32): void {
    if (this.count == RECORDS) {
      this.lost++;
      return;
    }
    const r = changetype<LogRecord>(this.records + <usize>this.count * offsetof<LogRecord>());
    r.srcHi = key.srcHi;
    r.srcLo = key.srcLo;
    r.dstHi = key.dstHi;
    r.dstLo = key.dstLo;
    r.srcPort = <u16>key.srcPort;
    r.dstPort = <u16>key.dstPort;
    r.selector = <u16>key.selector;
    r.protocol = <u16>key.protocol;
    r.bytes = key.bytes + key.l4;
    r.rule = rule;
    r.reason = reason;
    r.from = <u16>from;
    r.to = <u16>to;
    if (this.count++ == 0) {
      const stack = stackAt(this.stackId);
      stack.wheel.set(this.timer, stack.now_ns + DELAY_NS);
    }
  }

  /** Writes what waits to the log. */
  flush(): void {
    const stack = stackAt(this.stackId);
    for (let i: u32 = 0; i < this.count; i++) {
      const r = changetype<LogRecord>(this.records + <usize>i * offsetof<LogRecord>());
      let line = r.reason == 0 ? "accept" : REASON_NAMES[r.reason];
      if (r.rule != NO_RULE && r.rule < <u32>this.names.length) line += ' "' + this.names[r.rule] + '"';
      line += " in " + placeName(stack, r.from) + " out " + placeName(stack, r.to) + ": ";
      line += describeFlow(r.protocol, r.srcHi, r.srcLo, r.srcPort, r.dstHi, r.dstLo, r.dstPort, r.selector);
      stack.log(NoticeLevel.INFO, "firewall: " + line + ", " + r.bytes.toString() + " bytes");
    }
    this.count = 0;
    if (this.lost > 0)
      stack.log(NoticeLevel.WARN, "firewall: " + this.lost.toString() + " more packets were not logged");
    this.lost = 0;
  }
}

function placeName(stack: Stack, index: u32): string {
  return index < <u32>stack.interfaces.length ? stack.interfaces[index].name : "self";
}

function onTimer(timer: Timer): void {
  logs[<i32>timer.context].flush();
}
