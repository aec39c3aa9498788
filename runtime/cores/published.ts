// What core 0 publishes to the others, read by them without locks: for each topic a version and its bytes.
//
//   PUBLISHED    directory: for each topic its version, and of two halves, used in turn, where each lies and what it holds
//   behind it    the halves; one that is outgrown stays behind, so their sizes double
//
//   core 0: bytes into the half of version + 1 --> version --> a message to each core      other core: copies, applies, acknowledges
//
// Invariants
// 1. Core 0 alone can write these pages; for the others they are read-only.
// 2. A version's bytes change only once the next one stands in the directory: a reader who finds the version unchanged behind
//    its copy has a copy of one version.
// 3. A core that starts later reads what stands there; a message that finds no room is sent again.
// clang: -Oz

import { acquire, CORES_MAX, CoreState, coreState, PUBLISHED, PUBLISHED_END, publishedGrow } from "../platform";
import { Errno } from "../errors";
import { loopNow, timers } from "../loop/loop";
import { Timer } from "../loop/timer";
import { coreCount, coreNumber, post } from "./cores";
import { CoreMessage } from "./message-ring";

/** What is published. */
export const enum Topic {
  /** The network cards that core 0 has opened, and the keys that all cores share. */
  CARDS = 0,
  /** Addresses and routes. */
  NETWORK = 1,
  /** Which core has which slot of flows. */
  STEERING = 2,
  /** The time of day, where a server has told it (net/time.ts). */
  TIME = 3,
  /** The configuration that was applied while the machine runs (appliances/management). */
  CONFIGURATION = 4,
}

const TOPICS: u32 = 32;
const ENTRY_BYTES: u32 = 32;
const DIRECTORY_BYTES: i32 = 4096;
const RETRY_NS: i64 = 1_000_000;

// A topic's entry.
const VERSION: usize = 0;
// Of a half, 12 bytes for each.
const OFFSET: usize = 8;
const CAPACITY: usize = 12;
const LENGTH: usize = 16;
const HALF_BYTES: u32 = 12;

let end: usize = 0;
/** For each topic the cores that have not been told of its newest version. */
const untold: StaticArray<u64> = new StaticArray<u64>(<i32>TOPICS);
const acknowledged: StaticArray<u32> = new StaticArray<u32>(<i32>TOPICS * CORES_MAX);
const handlers: StaticArray<u32> = new StaticArray<u32>(<i32>TOPICS);
let retry: Timer | null = null;


@inline
function entryOf(topic: u32): usize {
  return PUBLISHED + <usize>(topic * ENTRY_BYTES);
}

/** Version of a topic, 0 before its first. Only on a machine with several cores, and on others than core 0 from its start on. */
export function publishedVersion(topic: Topic): u32 {
  if (coreNumber() == 0 && end == 0) return 0;
  acquire();
  return load<u32>(entryOf(topic), VERSION);
}

/** Makes the directory, without which no other core may look for anything. Core 0 only. @returns whether it is there */
export function openPublished(): bool {
  if (end != 0) return true;
  if (publishedGrow(DIRECTORY_BYTES) < DIRECTORY_BYTES) return false;
  end = PUBLISHED + <usize>DIRECTORY_BYTES;
  return true;
}

/**
 * Publishes the next version of a topic. Core 0 only.
 * @returns 0, ENOMEM, or EINVAL with only one core
 */
export function publish(topic: Topic, data: usize, length_bytes: u32): i32 {
  if (coreNumber() != 0 || coreCount() < 2) return Errno.EINVAL;
  if (!openPublished()) return Errno.ENOMEM;
  const entry = entryOf(topic);
  const version = load<u32>(entry, VERSION) + 1;
  const half = entry + <usize>((version & 1) * HALF_BYTES);
  if (load<u32>(half, CAPACITY) < length_bytes) {
    const grown = publishedGrow(<i32>max<u32>(2 * length_bytes, 4096));
    if (grown < <i32>length_bytes) return Errno.ENOMEM;
    store<u32>(half, <u32>end, OFFSET);
    store<u32>(half, grown, CAPACITY);
    end += grown;
  }
  memory.copy(<usize>load<u32>(half, OFFSET), data, length_bytes);
  store<u32>(half, length_bytes, LENGTH);
  acquire();
  store<u32>(entry, version, VERSION);
  acquire();
  untold[topic] = coreCount() == 64 ? ~1 : (((<u64>1) << coreCount()) - 1) & ~1;
  tell();
  return 0;
}

/** Calls `handler` on this core at each new version of a topic, which it reads and acknowledges. Not on core 0. */
export function onPublished(topic: Topic, handler: (topic: Topic) => void): void {
  handlers[topic] = handler.index;
}

/**
 * Copies the newest version of a topic.
 * @returns the version; 0: there is none, or more bytes than `room_bytes` (then `publishedBytes` has grown)
 */
export function readPublished(topic: Topic, to: usize, room_bytes: u32): u32 {
  let version = publishedVersion(topic);
  for (let before: u32 = 0; version != before; version = publishedVersion(topic)) {
    before = version;
    const half = entryOf(topic) + <usize>((version & 1) * HALF_BYTES);
    const from = <usize>load<u32>(half, OFFSET);
    const length = load<u32>(half, LENGTH);
    if (length > room_bytes || from < PUBLISHED || <u64>from + length > PUBLISHED_END) return 0;
    memory.copy(to, from, length);
  }
  return version;
}

/** Bytes of the newest version of a topic. */
export function publishedBytes(topic: Topic): u32 {
  const version = publishedVersion(topic);
  return version == 0 ? 0 : load<u32>(entryOf(topic) + <usize>((version & 1) * HALF_BYTES), LENGTH);
}

/** Tells core 0 that this core goes by `version` from now on. */
export function acknowledge(topic: Topic, version: u32): void {
  const message = post(0, onAcknowledged);
  if (message == null) return;
  message.a = topic;
  message.b = version;
}

/** Whether all cores that run go by the newest version. Core 0 only. */
export function isEverywhere(topic: Topic): bool {
  const version = publishedVersion(topic);
  for (let core: u32 = 1; core < coreCount(); core++) {
    if (coreState(core) == CoreState.UP && acknowledged[topic * CORES_MAX + core] != version) return false;
  }
  return true;
}

function onAcknowledged(message: CoreMessage): void {
  if (message.a < TOPICS) acknowledged[message.a * CORES_MAX + message.from] = message.b;
}

function onVersion(message: CoreMessage): void {
  const topic = message.a;
  if (message.from != 0 || topic >= TOPICS || handlers[topic] == 0) return;
  call_indirect<void>(handlers[topic], topic);
}

// Cores that are not up read for themselves when they start.
function tell(): void {
  let left = false;
  for (let topic: u32 = 0; topic < TOPICS; topic++) {
    for (let bits = untold[topic]; bits != 0; bits &= bits - 1) {
      const core = <u32>ctz(bits);
      if (coreState(core) == CoreState.UP) {
        const message = post(core, onVersion);
        if (message == null) {
          left = true;
          continue;
        }
        message.a = topic;
      }
      untold[topic] &= ~((<u64>1) << core);
    }
  }
  if (!left) return;
  let timer = retry;
  if (timer == null) {
    timer = changetype<Timer>(heap.alloc(offsetof<Timer>()));
    memory.fill(changetype<usize>(timer), 0, offsetof<Timer>());
    timer.init(onRetry, 0);
    retry = timer;
  }
  if (!timer.isSet) timers().set(timer, loopNow() + RETRY_NS);
}

function onRetry(timer: Timer): void {
  tell();
}
