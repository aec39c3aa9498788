// A simulated world: whole stacks on simulated links, in virtual time. Everything that happens follows from the seed.
//
//   stack A -- SimDevice --> [ queue, rate | loss, burst loss, duplicate, corrupt, MTU | delay, jitter, reorder ] -->
// SimDevice -- stack B
//
// The impairments of a direction, in this order: a frame above the path's MTU vanishes; the sender's queue (rate) may
// overflow; loss; burst
// loss (two states, as Gilbert and Elliott); corruption of one bit; delay with jitter, where `reorder` lets a frame
// overtake; duplication.
// Probabilities are in parts per million, times in ns.
//
// Frames are copied out of the sender's packet when they are transmitted and into the receiver's when they arrive:
// what a stack holds is
// what the packet pool says.

import { allocPacket, BUFFER_DATA_BYTES, HEADROOM_BYTES, Packet, PacketFlag } from "../../runtime/memory/packet";
import { Interface, Limits, NetDevice, Stack } from "../../net/index";

const MILLION: u32 = 1_000_000;

/** What happens to frames of one direction. */
export class Impairment {
  loss: u32 = 0;
  /** Chance that a burst of loss begins with a frame, and that it ends with one; inside, all are lost. */
  burst: u32 = 0;
  burstEnd: u32 = 200_000;
  duplicate: u32 = 0;
  corrupt: u32 = 0;
  /** Chance that a frame is sent without the delay of the others. */
  reorder: u32 = 0;
  delay_ns: i64 = 0;
  /** Up to so much is added to the delay; frames keep their order unless `jitterReorders`. */
  jitter_ns: i64 = 0;
  jitterReorders: bool = false;
  /** Bits a second; 0: no limit. The queue before it holds `queue_bytes`. */
  rate: u64 = 0;
  queue_bytes: u64 = 256 * 1024;
  /** IP packets above it vanish without a word (a black hole); 0: none do. */
  blackhole: u32 = 0;
}

/** A small generator (xorshift64*): the world's own, so that a stack's draws do not shift the link's. */
export class Dice {
  private state: u64;
  constructor(seed: u64) {
    this.state = seed * 0x9e3779b97f4a7c15 + 0x1234567887654321;
    if (this.state == 0) this.state = 1;
  }
  next(): u32 {
    let x = this.state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    this.state = x;
    return <u32>((x * 0x2545f4914f6cdd1d) >> 32);
  }
  below(bound: u32): u32 {
    return <u32>((<u64>this.next() * <u64>bound) >> 32);
  }
  /** True with a chance in parts per million. */
  chance(ppm: u32): bool {
    return ppm > 0 && this.below(MILLION) < ppm;
  }
}

class Frame {
  constructor(
    readonly time_ns: i64,
    readonly order: u64,
    readonly target: SimDevice,
    readonly bytes: StaticArray<u8>,
    readonly flags: u32,
    readonly gsoSize: u16,
  ) {}


  @inline before(other: Frame): bool {
    return this.time_ns < other.time_ns || (this.time_ns == other.time_ns && this.order < other.order);
  }
}

/** A test looks at (and may drop) each frame that is transmitted: return false to drop it. */
export abstract class Tap {
  abstract frame(from: SimDevice, bytes: StaticArray<u8>): bool;
}

export class SimDevice extends NetDevice {
  peer: SimDevice | null = null;
  iface: Interface | null = null;
  stack: Stack | null = null;
  impairment: Impairment = new Impairment();
  tap: Tap | null = null;
  /** Frames transmitted, and lost to each impairment. */
  sent: u64 = 0;
  lost: u64 = 0;
  private inBurst: bool = false;
  private lineFree_ns: i64 = 0;
  private lastArrival_ns: i64 = 0;

  constructor(readonly world: World) {
    super();
  }

  transmit(p: Packet): void {
    const bytes = new StaticArray<u8>(p.totalLen);
    p.copyTo(changetype<usize>(bytes), 0, p.totalLen);
    // What the device would complete stays undone between two devices that both offload, as between two virtio-net
    // guests.
    let flags: u32 = p.flags & (PacketFlag.GSO_TCP4 | PacketFlag.GSO_TCP6);
    if (p.flags & PacketFlag.CHECKSUM_PARTIAL) flags |= PacketFlag.CHECKSUM_OK;
    const gsoSize = p.gsoSize;
    p.free();
    this.sent++;
    const tap = this.tap;
    if (tap != null && !tap.frame(this, bytes)) return;
    this.carry(bytes, flags, gsoSize);
  }

  private carry(bytes: StaticArray<u8>, flags: u32, gsoSize: u16): void {
    const im = this.impairment;
    const dice = this.world.dice;
    const now = this.world.now_ns;
    if (im.blackhole != 0 && <u32>bytes.length > im.blackhole + 14) {
      this.lost++;
      return;
    }
    let at = now;
    if (im.rate != 0) {
      const free = max(now, this.lineFree_ns);
      const waiting = (<u64>(free - now) * im.rate) / 8_000_000_000;
      if (waiting + <u64>bytes.length > im.queue_bytes) {
        this.lost++;
        return;
      }
      at = free + <i64>((<u64>bytes.length * 8_000_000_000) / im.rate);
      this.lineFree_ns = at;
    }
    if (this.inBurst) {
      if (dice.chance(im.burstEnd)) this.inBurst = false;
    } else if (dice.chance(im.burst)) {
      this.inBurst = true;
    }
    if (this.inBurst || dice.chance(im.loss)) {
      this.lost++;
      return;
    }
    if (dice.chance(im.corrupt)) {
      const bit = dice.below(<u32>bytes.length * 8);
      const mask: u32 = 1 << (bit & 7);
      bytes[bit >> 3] = bytes[bit >> 3] ^ (<u8>mask);
      // A device that checks says nothing about a damaged frame.
      flags &= ~PacketFlag.CHECKSUM_OK;
    }
    let arrival = at;
    if (!dice.chance(im.reorder)) {
      arrival += im.delay_ns;
      if (im.jitter_ns > 0) arrival += <i64>((<u64>dice.next() * <u64>im.jitter_ns) >> 32);
      if (!im.jitterReorders) {
        arrival = max(arrival, this.lastArrival_ns);
        this.lastArrival_ns = arrival;
      }
    }
    const target = this.peer!;
    this.world.add(new Frame(arrival, 0, target, bytes, flags, gsoSize));
    if (dice.chance(im.duplicate)) this.world.add(new Frame(arrival, 0, target, bytes, flags, gsoSize));
  }

  flush(): void {}

  /** Gives a frame to the stack; lost when the pool is empty, as in a card without buffers. */
  deliver(frame: Frame): void {
    const stack = this.stack!;
    const bytes = frame.bytes;
    const room = <u32>(BUFFER_DATA_BYTES - HEADROOM_BYTES);
    const p = allocPacket();
    if (p == null) return;
    let done = min<u32>(bytes.length, room);
    memory.copy(p.append(done), changetype<usize>(bytes), done);
    while (done < <u32>bytes.length) {
      const more = allocPacket();
      if (more == null) {
        p.free();
        return;
      }
      const take = min<u32>(bytes.length - done, room);
      memory.copy(more.append(take), changetype<usize>(bytes) + done, take);
      const added = p.addSlice(more.data, take, more);
      more.free();
      if (!added) {
        p.free();
        return;
      }
      done += take;
    }
    p.flags = frame.flags;
    p.gsoSize = frame.gsoSize;
    stack.receive(this.iface!, p);
  }
}

/** Two stacks, or more, with their links and the time. */
export class World {
  now_ns: i64 = 1_000_000_000;
  readonly dice: Dice;
  readonly stacks: Array<Stack> = [];
  private readonly heap: Array<Frame> = [];
  private orders: u64 = 0;

  constructor(readonly seed: u64) {
    this.dice = new Dice(seed);
  }

  /** A stack whose random numbers follow from the world's seed. */
  addStack(limits: Limits = new Limits()): Stack {
    const n = <u64>this.stacks.length + 1;
    const stack = new Stack(this.now_ns, this.seed * 0x9e3779b97f4a7c15 + n, n, limits);
    this.stacks.push(stack);
    return stack;
  }

  /** A card on `stack`, not connected yet. */
  addDevice(stack: Stack, name: string, mac: u64, mtu: u32 = 1500, offloads: u32 = 0): SimDevice {
    const device = new SimDevice(this);
    device.mac = mac;
    device.mtu = mtu;
    device.offloads = offloads;
    device.stack = stack;
    device.iface = stack.attach(device, name);
    return device;
  }

  connect(a: SimDevice, b: SimDevice): void {
    a.peer = b;
    b.peer = a;
  }

  /** Puts a frame on its way. */
  add(frame: Frame): void {
    const f = new Frame(frame.time_ns, ++this.orders, frame.target, frame.bytes, frame.flags, frame.gsoSize);
    const heap = this.heap;
    heap.push(f);
    let i = heap.length - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!f.before(heap[up])) break;
      heap[i] = heap[up];
      i = up;
    }
    heap[i] = f;
  }

  private pop(): Frame {
    const heap = this.heap;
    const first = heap[0];
    const last = heap.pop();
    const n = heap.length;
    if (n > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && heap[child + 1].before(heap[child])) child++;
        if (!heap[child].before(last)) break;
        heap[i] = heap[child];
        i = child;
      }
      heap[i] = last;
    }
    return first;
  }

  /** Hands a frame to a device now, as if it had arrived from outside. */
  inject(device: SimDevice, bytes: StaticArray<u8>): void {
    device.stack!.now_ns = this.now_ns;
    device.deliver(new Frame(this.now_ns, 0, device, bytes, 0, 0));
    this.settle();
  }

  /** Frames on their way. */
  get inFlight(): i32 {
    return this.heap.length;
  }

  // Lets each stack do what it has to do at this time, until none has anything left.
  private settle(): void {
    const stacks = this.stacks;
    for (let again = true; again;) {
      again = false;
      for (let i = 0; i < stacks.length; i++) {
        const stack = stacks[i];
        stack.now_ns = this.now_ns;
        stack.turn();
        if (stack.busy) again = true;
      }
    }
  }

  /** The time of the next event: a frame's arrival or a timer. */
  next(): i64 {
    let next = this.heap.length > 0 ? this.heap[0].time_ns : i64.MAX_VALUE;
    for (let i = 0; i < this.stacks.length; i++) next = min(next, this.stacks[i].wheel.nextDeadline());
    return max(next, this.now_ns);
  }

  /** Runs the next event, unless it is later than `until_ns`. False: there was none. */
  step(until_ns: i64): bool {
    const next = this.next();
    if (next > until_ns) {
      this.now_ns = until_ns;
      for (let i = 0; i < this.stacks.length; i++) this.stacks[i].now_ns = until_ns;
      return false;
    }
    this.now_ns = next;
    while (this.heap.length > 0 && this.heap[0].time_ns <= next) {
      const frame = this.pop();
      frame.target.stack!.now_ns = next;
      frame.target.deliver(frame);
    }
    for (let i = 0; i < this.stacks.length; i++) {
      const stack = this.stacks[i];
      stack.now_ns = next;
      stack.wheel.run(next, u32.MAX_VALUE);
    }
    this.settle();
    return true;
  }

  /** Runs the world until a time, ns. */
  run(until_ns: i64): void {
    this.settle();
    while (this.step(until_ns)) {}
  }
}

/** Two stacks on one link: A is 10.0.0.1/24, B is 10.0.0.2/24, with their first ARP announcements still to come. */
export class SimLink {
  readonly world: World;
  readonly a: Stack;
  readonly b: Stack;
  readonly deviceA: SimDevice;
  readonly deviceB: SimDevice;

  constructor(seed: u64, impairment: Impairment = new Impairment(), mtu: u32 = 1500, offloads: u32 = 0) {
    const world = new World(seed);
    const a = world.addStack();
    const b = world.addStack();
    const deviceA = world.addDevice(a, "eth0", 0x525400000001, mtu, offloads);
    const deviceB = world.addDevice(b, "eth0", 0x525400000002, mtu, offloads);
    deviceA.impairment = impairment;
    deviceB.impairment = impairment;
    world.connect(deviceA, deviceB);
    a.interfaces[0].addAddress(0, ADDRESS_A, 120);
    b.interfaces[0].addAddress(0, ADDRESS_B, 120);
    this.world = world;
    this.a = a;
    this.b = b;
    this.deviceA = deviceA;
    this.deviceB = deviceB;
  }

  /** Runs for so many ns more. */
  run(duration_ns: i64): void {
    this.world.run(this.world.now_ns + duration_ns);
  }
}

/** `lo` of 10.0.0.1 and of 10.0.0.2. */
export const ADDRESS_A: u64 = 0xffff0a000001;
export const ADDRESS_B: u64 = 0xffff0a000002;
