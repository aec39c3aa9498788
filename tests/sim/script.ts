// Scripts for TCP: one real stack, and a peer of which a test says every segment. The stack is A (10.0.0.1); the peer, 10.0.0.2, begins at
// sequence number 1000 and sees the stack's numbers relative to the stack's ISN: the SYN is 0, the first byte 1.

import { Connection, Listener, Stack, TcpLimits, TcpModule } from "../../net/index";
import { finish, sumBytes, sumPseudo } from "../../net/wire/checksum";
import { emitEthernet } from "../../net/wire/ethernet";
import { emitIpv4 } from "../../net/wire/ipv4";
import { emitTcp, setTcpChecksum, tcpAck, tcpFlags, tcpHeaderBytes, tcpSeq, tcpWindow } from "../../net/wire/tcp";
import { ADDRESS_A, ADDRESS_B, Impairment, SimDevice, SimLink, Tap } from "./link";

export const FIN: u32 = 1;
export const SYN: u32 = 2;
export const RST: u32 = 4;
export const PSH: u32 = 8;
export const ACK: u32 = 16;
export const ECE: u32 = 64;
export const CWR: u32 = 128;

export const PEER_ISN: u32 = 1000;
const MS: i64 = 1_000_000;

/** A segment that the stack has sent. */
export class Seen {
  constructor(
    readonly flags: u32,
    readonly seq: u32,
    readonly ack: u32,
    readonly window: u32,
    readonly bytes: u32,
    /** SACK blocks: start and end, relative to PEER_ISN. */
    readonly sack: Array<u32>,
    readonly tsVal: u32,
    readonly tsEcr: u32,
    readonly hasTs: bool,
    readonly mss: u32,
    readonly time_ns: i64,
  ) {}
  /** "SA 0 1 0": flags, sequence number, acknowledgement relative to PEER_ISN, bytes. */
  text(): string {
    let f = "";
    if (this.flags & SYN) f += "S";
    if (this.flags & FIN) f += "F";
    if (this.flags & RST) f += "R";
    if (this.flags & ACK) f += "A";
    return f + " " + (<i32>this.seq).toString() + " " + (<i32>this.ack).toString() + " " + this.bytes.toString();
  }
}

class Recorder extends Tap {
  seen: Array<Seen> = [];
  iss: u32 = 0;
  port: u32 = 0;
  world: SimLink | null = null;

  frame(from: SimDevice, bytes: StaticArray<u8>): bool {
    const at = changetype<usize>(bytes);
    if (bswap<u16>(load<u16>(at, 12)) != 0x0800 || load<u8>(at, 23) != 6) return true;
    const total = <u32>bswap<u16>(load<u16>(at, 16));
    const tcp = at + 34;
    const header = tcpHeaderBytes(tcp);
    const flags = tcpFlags(tcp);
    if (flags & SYN) this.iss = tcpSeq(tcp);
    this.port = bswap<u16>(load<u16>(tcp));
    const sack: Array<u32> = [];
    let tsVal: u32 = 0;
    let tsEcr: u32 = 0;
    let hasTs = false;
    let mss: u32 = 0;
    for (let i: u32 = 20; i < header;) {
      const kind = load<u8>(tcp + i);
      if (kind == 0) break;
      if (kind == 1) {
        i++;
        continue;
      }
      const length = <u32>load<u8>(tcp + i, 1);
      if (kind == 2) mss = bswap<u16>(load<u16>(tcp + i, 2));
      if (kind == 8) {
        hasTs = true;
        tsVal = bswap<u32>(load<u32>(tcp + i, 2));
        tsEcr = bswap<u32>(load<u32>(tcp + i, 6));
      }
      if (kind == 5) {
        for (let b: u32 = 2; b < length; b += 4) sack.push(bswap<u32>(load<u32>(tcp + i + b)) - PEER_ISN);
      }
      i += max<u32>(length, 1);
    }
    const ack = flags & ACK ? tcpAck(tcp) - PEER_ISN : 0;
    this.seen.push(
      new Seen(
        flags,
        tcpSeq(tcp) - this.iss,
        ack,
        tcpWindow(tcp),
        total - 20 - header,
        sack,
        tsVal,
        tsEcr,
        hasTs,
        mss,
        this.world!.world.now_ns,
      ),
    );
    return false;
  }
}

/** Options of the peer's SYN. */
export const MSS: u32 = 1;
export const SACK: u32 = 2;
export const SCALE: u32 = 4;
export const TS: u32 = 8;

export class Script {
  readonly link: SimLink;
  readonly tcp: TcpModule;
  readonly stack: Stack;
  readonly listener: Listener;
  private readonly recorder: Recorder = new Recorder();
  /** The peer's port and the stack's. */
  remotePort: u32 = 5000;
  localPort: u32 = 80;
  /** The peer's timestamp, sent when `timestamps`. */
  timestamps: bool = false;
  tsVal: u32 = 7000;
  tsEcr: u32 = 0;
  window: u32 = 65535;
  connection: Connection | null = null;
  private buffer: usize = heap.alloc(70000);

  constructor(backlog: u32 = 16, limits: TcpLimits = new TcpLimits()) {
    const link = new SimLink(42, new Impairment());
    this.link = link;
    const tcp = new TcpModule(link.a, limits);
    this.tcp = tcp;
    this.stack = link.a;
    this.listener = tcp.listen(80, 0, 0, backlog, null, 0)!;
    this.recorder.world = link;
    // ARP is done before the script begins.
    link.run(3000 * MS);
    link.deviceA.tap = this.recorder;
  }

  /** Sends a segment from the peer: `seq` relative to PEER_ISN, `ack` relative to the stack's ISN. */
  send(flags: u32, seq: u32, ack: u32, bytes: u32 = 0, options: StaticArray<u8> | null = null): void {
    let optionBytes: u32 = options != null ? options.length : 0;
    const ts = this.timestamps && options == null;
    if (ts) optionBytes = 12;
    const frame = new StaticArray<u8>(14 + 20 + 20 + optionBytes + bytes);
    const at = changetype<usize>(frame);
    const tcp = at + 34;
    const length = 20 + optionBytes + bytes;
    emitEthernet(at, this.link.deviceA.mac, this.link.deviceB.mac, 0x0800);
    emitIpv4(at + 14, 0, 20 + length, 1, 0x4000, 64, 6, <u32>ADDRESS_B, <u32>ADDRESS_A);
    emitTcp(
      tcp,
      this.remotePort,
      this.localPort,
      seq + PEER_ISN,
      flags & ACK ? ack + this.recorder.iss : 0,
      20 + optionBytes,
      flags,
      this.window,
    );
    if (options != null) memory.copy(tcp + 20, changetype<usize>(options), optionBytes);
    if (ts) {
      store<u32>(tcp + 20, 0x0a080101);
      store<u32>(tcp + 24, bswap<u32>(this.tsVal));
      store<u32>(tcp + 28, bswap<u32>(this.tsEcr));
    }
    for (let i: u32 = 0; i < bytes; i++) store<u8>(tcp + 20 + optionBytes + i, <u8>(seq + i));
    const sum = <u64>sumBytes(tcp, length) + <u64>sumPseudo(0, ADDRESS_B, 0, ADDRESS_A, 6, length);
    setTcpChecksum(tcp, finish(sum));
    this.link.world.inject(this.link.deviceA, frame);
    // The stack may have to ask for the peer's address first.
    this.link.run(0);
  }

  /** A segment with SACK blocks (relative to the stack's ISN). */
  sack(seq: u32, ack: u32, blocks: Array<u32>): void {
    const n = blocks.length * 4;
    const options = new StaticArray<u8>(4 + n);
    options[0] = 1;
    options[1] = 1;
    options[2] = 5;
    options[3] = <u8>(2 + n);
    for (let i = 0; i < blocks.length; i++)
      store<u32>(changetype<usize>(options) + 4 + i * 4, bswap<u32>(blocks[i] + this.recorder.iss));
    this.send(ACK, seq, ack, 0, options);
  }

  syn(present: u32, flags: u32 = SYN, ack: u32 = 0): void {
    const o: Array<u8> = [];
    if (present & MSS) (o.push(2), o.push(4), o.push(0x05), o.push(0xb4));
    if (present & SACK) (o.push(1), o.push(1), o.push(4), o.push(2));
    if (present & SCALE) (o.push(1), o.push(3), o.push(3), o.push(7));
    if (present & TS) {
      (o.push(1), o.push(1), o.push(8), o.push(10));
      for (let i = 3; i >= 0; i--) o.push(<u8>(this.tsVal >> (8 * i)));
      for (let i = 3; i >= 0; i--) o.push(<u8>(this.tsEcr >> (8 * i)));
    }
    const options = new StaticArray<u8>(o.length);
    for (let i = 0; i < o.length; i++) options[i] = o[i];
    this.send(flags, 0, ack, 0, options);
  }

  /** The peer opens: SYN, SYN-ACK, ACK; the connection is accepted. Returns the SYN-ACK. */
  accept(present: u32 = MSS | SACK): Seen {
    this.syn(present);
    const synAck = this.next();
    if (present & TS) {
      this.timestamps = true;
      this.tsEcr = synAck.tsVal;
    }
    this.send(ACK, 1, 1);
    this.connection = this.tcp.accept(this.listener);
    return synAck;
  }

  get c(): Connection {
    return this.connection!;
  }

  /** The next segment that the stack has sent; "none" has flags 0. */
  next(): Seen {
    const seen = this.recorder.seen;
    return seen.length > 0 ? seen.shift() : new Seen(0, 0, 0, 0, 0, [], 0, 0, false, 0, 0);
  }
  get pending(): i32 {
    return this.recorder.seen.length;
  }
  /** All segments sent since, as text; clears them. */
  all(): string {
    let text = "";
    while (this.pending > 0) text += (text.length > 0 ? ", " : "") + this.next().text();
    return text;
  }
  clear(): void {
    this.recorder.seen = [];
  }
  set iss(value: u32) {
    this.recorder.iss = value;
  }
  get iss(): u32 {
    return this.recorder.iss;
  }

  write(bytes: u32): i32 {
    const n = this.tcp.write(this.c, this.buffer, bytes);
    this.flush();
    return n;
  }
  read(bytes: u32): i32 {
    const n = this.tcp.read(this.c, this.buffer, bytes);
    this.flush();
    return n;
  }
  /** Does what is due now. */
  flush(): void {
    this.link.run(0);
  }
  wait(ms: i64): void {
    this.link.run(ms * MS);
  }
}
