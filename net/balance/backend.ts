// A backend of a service: where it is, what is wanted of it, how it does.
//
//   administrative   ready | drain | maintenance          what people want
//   operational      checking --passed--> up --failed--> down; up --passive failures--> ejected --time--> up
//
// It gets new flows when it is ready and up; in a drain its flows live on until the drain's time is over.

export const enum Admin {
  READY = 0,
  DRAIN = 1,
  MAINTENANCE = 2,
}
export const ADMIN_NAMES: Array<string> = ["ready", "drain", "maintenance"];

export const enum Operational {
  CHECKING = 0,
  UP = 1,
  DOWN = 2,
  EJECTED = 3,
}
export const OPERATIONAL_NAMES: Array<string> = ["checking", "up", "down", "ejected"];

/** Weights are counted in so many parts, so that slow start can begin with a small one. */
export const WEIGHT_PARTS: u32 = 256;
export const WEIGHT_MAX: u32 = 1000;

export class Backend {
  /** 0 to WEIGHT_MAX; with 0 it gets nothing new. */
  weight: u32 = 1;
  /** Used only while no other of the service can be. */
  backup: bool = false;
  /** Connections that it may have; 0: any number. */
  maxConnections: u32 = 0;
  admin: Admin = Admin.READY;
  operational: Operational = Operational.CHECKING;
  /** Monotonic time at which it came up; slow start counts from there. 0: it was up from the beginning. */
  up_ns: i64 = 0;

  // ---- what happened, on this core
  active: u32 = 0;
  connections: u64 = 0;
  failures: u64 = 0;
  bytesIn: u64 = 0;
  bytesOut: u64 = 0;
  /** Connect times, µs: how many took less than 2^i. */
  readonly connectTimes: StaticArray<u32> = new StaticArray<u32>(32);

  constructor(
    readonly name: string,
    readonly hi: u64,
    readonly lo: u64,
    readonly port: u16,
  ) {}

  /** Whether it has room for one more. */
  @inline get hasRoom(): bool {
    return this.maxConnections == 0 || this.active < this.maxConnections;
  }

  /** Its weight in WEIGHT_PARTS at a time: while it starts slowly, the part of the time that has passed, but never nothing. */
  weightAt(now_ns: i64, slowStart_ns: i64): u32 {
    const full = this.weight * WEIGHT_PARTS;
    const passed = now_ns - this.up_ns;
    if (slowStart_ns == 0 || this.up_ns == 0 || passed >= slowStart_ns || full == 0) return full;
    return max<u32>(<u32>((<f64>full * <f64>passed) / <f64>slowStart_ns), 1);
  }

  /** Notes how long a connection took to come about. */
  connected(duration_ns: i64): void {
    const us = <u32>min<i64>(duration_ns / 1000, i32.MAX_VALUE);
    const bucket = us == 0 ? 0 : 32 - <i32>clz(us);
    unchecked(this.connectTimes[bucket]++);
  }

  /** µs within which a share (per cent) of the connections came about: the upper end of its bucket; 0 without any. */
  connectTime_us(percent: u32): u32 {
    let all: u64 = 0;
    for (let i = 0; i < 32; i++) all += this.connectTimes[i];
    if (all == 0) return 0;
    let below: u64 = 0;
    for (let i = 0; i < 31; i++) {
      below += this.connectTimes[i];
      if (below * 100 >= all * percent) return (<u32>1) << i;
    }
    return <u32>i32.MAX_VALUE;
  }
}
