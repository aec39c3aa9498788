// The network of several cores: core 0 has the cards, the addresses and what speaks for the machine (DHCP, ARP, echo); the
// others follow, each with transports and sockets of its own, and get the frames of their flows (steering.ts).
//
//   core 0                                         another core
//   startSettings: cards, addresses
//   shareNetwork:  snapshot, startCores  ------>   main: the same cards, shared; the snapshot
//                                        <------   its first listener: it is ready
//   all ready, or late: slots dealt out  ------>   the table
//
// Invariants
// 1. A core gets flows only when it has both the addresses and a listener, or forwards (`Stack.listening`).
// 2. The slots of a core that has died go to the others.
// clang: -Oz

import {
  acknowledge,
  addSource,
  Card,
  CardSender,
  coreCount,
  CoreMessage,
  CoreState,
  coresWanted,
  coreState,
  log,
  LogLevel,
  onPublished,
  openPort,
  Pending,
  post,
  publish,
  publishedBytes,
  readPublished,
  sendPort,
  Source,
  startCores,
  Topic,
} from "../runtime";
import { readSnapshot, snapshotBytes, writeSnapshot } from "./snapshot";
import { Stack } from "./stack";
import { SLOTS, Steering } from "./steering";

/** How long the cores that are ready wait for those that are not. */
const PATIENCE_NS: i64 = 2_000_000_000;
/** How often core 0 looks whether cores have died, and whether flows of others are left. */
const LOOK_NS: i64 = 250_000_000;
const STEERING_BYTES: u32 = SLOTS + 8;

let network: Stack | null = null;
let leader: Leader | null = null;
/** Version of the addresses that this core goes by. */
let snapshotVersion: u32 = 0;

/** Core 0: shares a network whose interfaces are up, and starts the other cores. */
export function shareNetwork(stack: Stack, cards: Array<Card>): void {
  if (coresWanted() < 2 || leader != null) return;
  for (let i = 0; i < cards.length; i++) openPort(sendPort(i), new CardSender(cards[i]));
  const made = new Leader(stack);
  leader = made;
  network = stack;
  addSource(made);
}

/** Another core: takes part in the network of core 0. Its interfaces are there, in the same order. */
export function followNetwork(stack: Stack): void {
  startCores();
  network = stack;
  stack.follower = true;
  addSource(new Follower(stack));
  onPublished(Topic.NETWORK, takeNetwork);
  onPublished(Topic.STEERING, takeSteering);
  takeNetwork(Topic.NETWORK);
  takeSteering(Topic.STEERING);
}

/** Another core's part. */
class Follower extends Source {
  private ready: bool = false;

  constructor(private readonly stack: Stack) {
    super();
  }

  poll(pending: i32, now_ns: i64): bool {
    return false;
  }

  flush(): void {
    if (this.ready || !this.stack.listening || snapshotVersion == 0) return;
    this.ready = post(0, onReady) != null;
  }

  // Somebody may have begun to listen after this source's flush.
  arm(): bool {
    const before = this.ready;
    this.flush();
    return this.ready != before;
  }
}

function onReady(message: CoreMessage): void {
  const l = leader;
  if (l != null) l.join(message.from);
}

function takeNetwork(topic: Topic): void {
  const stack = network;
  const bytes = publishedBytes(topic);
  if (stack == null || bytes == 0) return;
  // A newer version may be longer: then its message is on the way.
  const at = heap.alloc(bytes);
  const version = readPublished(topic, at, bytes);
  if (version != 0 && readSnapshot(stack, at, publishedBytes(topic))) {
    snapshotVersion = version;
    acknowledge(topic, version);
  }
  heap.free(at);
}

function takeSteering(topic: Topic): void {
  const stack = network;
  const at = heap.alloc(STEERING_BYTES);
  const version = readPublished(topic, at, STEERING_BYTES);
  if (version != 0 && stack != null) {
    stack.steering!.read(at);
    acknowledge(topic, version);
  }
  heap.free(at);
}

/** Core 0's part. */
class Leader extends Source {
  private readonly steering: Steering;
  /** Cores that are ready; whether nobody is waited for any more. */
  private joined: u64 = 1;
  private waited: bool = false;
  private generation: u32 = 0;
  private last: usize = 0;
  private lastBytes: u32 = 0;
  private look_ns: i64;
  /** Until when an address is waited for, then until when the cores are. */
  private until_ns: i64;
  private started: bool = false;

  constructor(private readonly stack: Stack) {
    super();
    this.steering = stack.steering!;
    this.until_ns = stack.now_ns + PATIENCE_NS;
    this.look_ns = this.until_ns;
  }

  private hasAddress(): bool {
    const interfaces = this.stack.interfaces;
    for (let i = 0; i < interfaces.length; i++) if (interfaces[i].addresses.length > 0) return true;
    return false;
  }

  private start(): void {
    this.started = true;
    this.until_ns = this.stack.now_ns + PATIENCE_NS;
    startCores();
  }

  join(core: u32): void {
    if (core >= coreCount()) return;
    this.joined |= (<u64>1) << core;
    if (this.waited || <u32>popcnt(this.joined) == coresWanted()) this.deal();
  }

  private deal(): void {
    this.waited = true;
    this.steering.deal(this.joined);
    const at = heap.alloc(STEERING_BYTES);
    this.steering.write(at);
    publish(Topic.STEERING, at, STEERING_BYTES);
    heap.free(at);
    log(LogLevel.INFO, "cores: " + popcnt(this.joined).toString() + " of " + coresWanted().toString() + " serve");
    this.look_ns = this.stack.now_ns + LOOK_NS;
  }

  // A core that dies rings.
  poll(pending: i32, now_ns: i64): bool {
    if (now_ns < this.look_ns && (pending & Pending.WAKE) == 0) return false;
    this.look_ns = now_ns + LOOK_NS;
    let alive: u64 = 0;
    for (let bits = this.joined; bits != 0; bits &= bits - 1) {
      const core = <u32>ctz(bits);
      if (coreState(core) == CoreState.UP) alive |= (<u64>1) << core;
    }
    if (alive != this.joined) {
      log(LogLevel.ERROR, "cores: " + popcnt(this.joined & ~alive).toString() + " have died; their flows are lost");
      this.joined = alive;
      if (this.waited) this.deal();
    }
    if (!this.started && now_ns >= this.until_ns) this.start();
    if (!this.waited && now_ns >= this.until_ns) {
      this.waited = true;
      if (this.joined != 1) this.deal();
    }
    if (this.steering.elders) this.steering.look();
    return false;
  }

  flush(): void {
    if (this.stack.ip.generation != this.generation) this.publish();
  }

  /** Publishes addresses and routes, if they are others than before. */
  publish(): void {
    const stack = this.stack;
    this.generation = stack.ip.generation;
    const bytes = snapshotBytes(stack);
    const at = heap.alloc(bytes);
    writeSnapshot(stack, at);
    if (bytes == this.lastBytes && memory.compare(at, this.last, bytes) == 0) {
      heap.free(at);
      return;
    }
    if (this.last != 0) heap.free(this.last);
    this.last = at;
    this.lastBytes = bytes;
    if (publish(Topic.NETWORK, at, bytes) < 0)
      log(LogLevel.ERROR, "no memory to tell the cores of addresses and routes");
    // They come up while core 0 serves already.
    if (!this.started && this.hasAddress()) this.start();
  }

  deadline(): i64 {
    if (this.steering.elders) return this.look_ns;
    return this.waited ? i64.MAX_VALUE : this.until_ns;
  }
}
