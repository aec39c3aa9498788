// The cores of the machine as this core sees them: how many, which one this is, messages and packets to the others.
//
//   post, sendFrame --> ring --end of the turn: one tail, one bell--> WAKE --> the other core's next turn: receiver(message),
//                                                                             taker.takeFrame(packet)
//   a packet of another core that is freed here goes home the same way
//
// Each core runs the same module in an instance of its own, so the index of a function means the same function everywhere.

import {
  bellTake,
  CHANNEL_BYTES,
  channelOpen,
  CHANNELS,
  CORES_MAX,
  coreState,
  CoreState,
  coreWake,
  info,
  Info,
  Pending,
} from "../platform";
import { initAway } from "../memory/away";
import { Packet, strays } from "../memory/packet";
import { addSource, Source } from "../loop/loop";
import { CoreMessage, MESSAGE_BYTES } from "./message-ring";
import { FrameTaker, Peer, PORTS, takers } from "./peer";

/** Messages taken from one core in a turn, at most. */
const TAKE_BUDGET: u32 = 256;

// Lazy: else its class would be linked into images that never join the cores.
@lazy
let source: CoresSource | null = null;

/** Messages sent, and cores whose rings held what no honest core writes. */
export let messagesSent: u64 = 0;
export let coresBroken: u32 = 0;
/** Packets handed to other cores, and those for which there was no room. */
export let framesSent: u64 = 0;
export let framesRefused: u64 = 0;

/** Number of this core, from 0. */
export function coreNumber(): u32 {
  return <u32>info(Info.CORE);
}

/** Cores that the machine has and the image uses. */
export function coreCount(): u32 {
  return <u32>info(Info.CORES);
}

/** Makes this core reachable by the others; nothing on a machine with one core. */
export function initCores(): void {
  if (coreCount() < 2 || source != null) return;
  initAway();
  const made = new CoresSource();
  source = made;
  addSource(made);
}

/**
 * Room for a message to another core, which leaves at the end of this turn. Fill it in at once.
 * @param receiver called there from the loop, so it must not block
 * @returns null when that core is not there, has fallen 256 messages behind, or is broken
 */
export function post(core: u32, receiver: (message: CoreMessage) => void): CoreMessage | null {
  const s = source;
  const peer = s != null ? s.peer(core) : null;
  const at = peer != null ? peer.messages.put() : 0;
  if (at == 0) return null;
  messagesSent++;
  const message = changetype<CoreMessage>(at);
  message.receiver = receiver.index;
  return message;
}

/** Names who takes the packets that other cores send to a port, below PORTS. Each core's own. */
export function openPort(port: u32, taker: FrameTaker): void {
  assert(port < PORTS);
  takers[port] = taker;
}

/**
 * Hands a packet, to which nothing else refers, to a port of another core, without a copy; it comes home by itself.
 * @param lent the other core only reads it: its slices remain this core's
 * @returns false, and it is still ours, when that core is not there, is broken, or has fallen 2048 packets behind
 */
export function sendFrame(core: u32, port: u32, p: Packet, lent: bool): bool {
  const s = source;
  const peer = s != null ? s.peer(core) : null;
  if (peer != null && p.refs == 1 && peer.send(p, port, lent)) {
    framesSent++;
    return true;
  }
  framesRefused++;
  return false;
}

/** Lets go what was sent so far, before the turn's end. */
export function flushCores(): void {
  const s = source;
  if (s != null) s.flush();
}

class CoresSource extends Source {
  private readonly peers: StaticArray<Peer | null> = new StaticArray<Peer | null>(CORES_MAX);
  private readonly scratch: CoreMessage = changetype<CoreMessage>(heap.alloc(MESSAGE_BYTES));
  /** Cores with something to take (some may have rung before this one joined), and those that get something at the end of the turn. */
  private rang: u64 = bellTake();
  private dirty: u64 = 0;
  private readonly self: u32 = coreNumber();
  private readonly count: u32 = coreCount();
  private readonly pool: usize = <usize>info(Info.POOL_ADDRESS);
  private readonly slice: usize = <usize>info(Info.POOL_SLICE_BYTES);

  peer(core: u32): Peer | null {
    if (core >= this.count || core == this.self) return null;
    let peer = unchecked(this.peers[core]);
    if (peer == null) {
      peer = this.open(core);
      if (peer == null) return null;
    }
    this.dirty |= (<u64>1) << core;
    return peer;
  }

  private open(core: u32): Peer | null {
    if (channelOpen(core) != 0) return null;
    const peer = new Peer(channelAt(this.self, core), channelAt(core, this.self));
    this.peers[core] = peer;
    return peer;
  }

  poll(pending: i32, now_ns: i64): bool {
    if (pending & Pending.WAKE) this.rang |= bellTake();
    let left: u64 = 0;
    for (let bits = this.rang; bits != 0; bits &= bits - 1) {
      const core = <u32>ctz(bits);
      const peer = this.peer(core);
      if (peer == null) continue;
      if (peer.take(core, TAKE_BUDGET, this.scratch)) left |= (<u64>1) << core;
      if (peer.justBroke()) coresBroken++;
    }
    this.rang = left;
    return left != 0;
  }

  flush(): void {
    for (let p = strays.shift(); p != null; p = strays.shift()) {
      const peer = this.peer(<u32>((changetype<usize>(p) - this.pool) / this.slice));
      // Only of a core that is broken or gone: its memory is nobody's now.
      if (peer != null && !peer.broken) peer.returning.push(p);
    }
    let bits = this.dirty;
    if (bits == 0) return;
    this.dirty = 0;
    for (; bits != 0; bits &= bits - 1) {
      const core = <u32>ctz(bits);
      const peer = unchecked(this.peers[core]);
      if (peer == null) continue;
      if (peer.flush()) coreWake(core);
      if (peer.justBroke()) coresBroken++;
      // What found no room in the ring waits for the next turn.
      if (peer.returning.count > 0 && !peer.broken && coreState(core) == CoreState.UP) this.dirty |= (<u64>1) << core;
    }
  }

  // What was sent after this source's flush, by a later one.
  arm(): bool {
    this.flush();
    return (this.dirty | this.rang) != 0;
  }
}


@inline
function channelAt(writer: u32, reader: u32): usize {
  return CHANNELS + <usize>(writer * CORES_MAX + reader) * CHANNEL_BYTES;
}
