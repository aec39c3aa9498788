// TCP in a simulated world: an application on each side that sends a pattern and checks what it gets, and the invariants of a run: the stream
// arrives intact and in order, nothing stalls, nothing is left behind.

import { Connection, Listener, TcpLimits, TcpModule } from "../../net/index";
import { ADDRESS_A, ADDRESS_B, Impairment, SimLink } from "./link";

export const MS: i64 = 1_000_000;
export const SECOND: i64 = 1_000_000_000;

/** Byte `index` of the stream of `salt`. */
@inline
export function pattern(salt: u32, index: u64): u8 {
  return <u8>((<u32>index * 2654435761 + <u32>(index >> 8) * 40503 + salt * 97) >> 24);
}

const CHUNK: u32 = 16384;
const buffer: usize = heap.alloc(CHUNK);

/** One end: writes `toSend` bytes of its pattern, then closes its side; reads and checks the other's. */
export class End {
  connection: Connection | null = null;
  sent: u64 = 0;
  received: u64 = 0;
  /** Bytes that were not what they should be. */
  wrong: u64 = 0;
  ended: bool = false;
  error: i32 = 0;
  /** Most bytes read at a time, 0: does not read. */
  readBytes: u32 = CHUNK;

  constructor(
    readonly tcp: TcpModule,
    readonly salt: u32,
    readonly peerSalt: u32,
    readonly toSend: u64,
  ) {}

  /** Does what can be done now; true when something was. */
  pump(): bool {
    const c = this.connection;
    if (c == null || this.error != 0) return false;
    let active = false;
    while (this.sent < this.toSend) {
      const n = <u32>min<u64>(CHUNK, this.toSend - this.sent);
      for (let i: u32 = 0; i < n; i++) store<u8>(buffer + i, pattern(this.salt, this.sent + i));
      const taken = this.tcp.write(c, buffer, n);
      if (taken <= 0) break;
      active = true;
      this.sent += taken;
      if (this.sent == this.toSend) this.tcp.shutdown(c);
    }
    while (this.readBytes > 0 && !this.ended) {
      const got = this.tcp.read(c, buffer, this.readBytes);
      if (got == 0) {
        this.ended = true;
        active = true;
      } else if (got < 0) {
        // EAGAIN
        if (got != -11) this.error = got;
        break;
      }
      active = active || got > 0;
      for (let i = 0; i < got; i++) {
        if (load<u8>(buffer + i) != pattern(this.peerSalt, this.received + i)) this.wrong++;
      }
      this.received += got;
    }
    return active;
  }
}

/** Two stacks with TCP on a link; B listens on port 80. */
export class TcpLink {
  readonly link: SimLink;
  readonly a: TcpModule;
  readonly b: TcpModule;
  listener: Listener;

  constructor(
    seed: u64,
    impairment: Impairment = new Impairment(),
    mtu: u32 = 1500,
    offloads: u32 = 0,
    limits: TcpLimits = new TcpLimits(),
  ) {
    const link = new SimLink(seed, impairment, mtu, offloads);
    const b = new TcpModule(link.b, limits);
    this.link = link;
    this.a = new TcpModule(link.a, limits);
    this.b = b;
    this.listener = b.listen(80, 0, 0, 128, null, 0)!;
  }

  get now(): i64 {
    return this.link.world.now_ns;
  }

  /**
   * A connects to B; `up` bytes go from A to B, `down` from B to A, both sides close; runs until both have all, or `limit_ns` have passed.
   * @returns the two ends
   */
  exchange(up: u64, down: u64, limit_ns: i64): Exchange {
    const x = new Exchange(new End(this.a, 1, 2, up), new End(this.b, 2, 1, down));
    const world = this.link.world;
    const from = world.now_ns;
    this.link.a.now_ns = from;
    x.a.connection = this.a.connect(0, ADDRESS_B, 80);
    if (up == 0) x.a.toSend == 0;
    let closedA = false;
    let closedB = false;
    while (world.now_ns - from < limit_ns) {
      if (x.b.connection == null) x.b.connection = this.b.accept(this.listener);
      x.pump();
      if (x.b.connection != null && down == 0 && !closedB) {
        this.b.shutdown(x.b.connection!);
        closedB = true;
      }
      if (up == 0 && !closedA && this.a.shutdown(x.a.connection!) == 0) closedA = true;
      if (x.done) break;
      world.run(world.now_ns);
      if (x.pump()) continue;
      if (!world.step(from + limit_ns)) break;
    }
    x.elapsed_ns = world.now_ns - from;
    return x;
  }

  /** Both close; then the world runs until TIME-WAIT is over. */
  finish(x: Exchange): void {
    if (x.a.connection != null) this.a.close(x.a.connection!);
    if (x.b.connection != null) this.b.close(x.b.connection!);
    this.link.run(200 * SECOND);
  }

  /** Has everything been given back? */
  get atRest(): bool {
    const limits = this.a.limits;
    return (
      this.a.connections == 0 &&
      this.b.connections == 0 &&
      this.a.buffers == 0 &&
      this.b.buffers == 0 &&
      this.a.timeWaits.count == 0 &&
      this.b.timeWaits.count == 0 &&
      this.a.table.count == 0 &&
      this.b.table.count == 0 &&
      this.a.segments.available == limits.segments &&
      this.b.segments.available == limits.segments
    );
  }
}

export class Exchange {
  elapsed_ns: i64 = 0;
  constructor(
    readonly a: End,
    readonly b: End,
  ) {}

  pump(): bool {
    const one = this.a.pump();
    return this.b.pump() || one;
  }
  get done(): bool {
    return this.a.ended && this.b.ended && this.a.received == this.b.toSend && this.b.received == this.a.toSend;
  }
  get intact(): bool {
    return this.done && this.a.wrong == 0 && this.b.wrong == 0;
  }
}
