// Calls from a fiber of one core to a function on another one: a request and a reply as messages.
//
//   caller                                 the other core
//   callOn --CALL(function, argument)-->   a new fiber runs function(call)
//   suspended   <--REPLY(token, result)--  and replies when it returns
//
// Invariants
// 1. `calls` holds a waiting fiber's task exactly while it waits; a reply with a stale or forged token finds none.
// 2. What another core names as a function is asked for (`callable`) before it is called.

import { callable, coreNumber, CoreMessage, Errno, post } from "../runtime";
import { heapAlloc } from "./memory";
import { currentTask, DEFAULT_STACK_BYTES, now, spawnTask, suspendUntil, wake } from "./scheduler";
import { Task } from "./task";

/** Calls that a core's fibers can have open at a time. */
const CALLS: u32 = 256;
/** How long a call waits for a place or for room in the ring before it looks again; ns. */
const RETRY_NS: i64 = 100_000;

/** A call as the function sees it. */
@unmanaged
export class Call {
  /** What the caller gave. */
  arg: u32;
  /** What the caller gets: 0 or more; below 0 an error code. */
  result: i32;
  /** The core that called. */
  from: u32;
  token: u32;
  fn: u32;
}

const calls: StaticArray<usize> = new StaticArray<usize>(CALLS);
const generations: StaticArray<u32> = new StaticArray<u32>(CALLS);
const results: StaticArray<i32> = new StaticArray<i32>(CALLS);

/**
 * Runs `fn` on another core, in a fiber of its own there, and waits for it.
 * @param arg copied; a reference means nothing on another core
 * @param duration_ms how long to wait at most; below 0: for ever
 * @returns its result; ENODEV (no such core), EBUSY (256 calls are open), ETIMEDOUT, EDEADLK outside a fiber
 */
export function callOn(core: u32, fn: (call: Call) => void, arg: u32, duration_ms: i64 = -1): i32 {
  const task = currentTask();
  if (task == null) return Errno.EDEADLK;
  if (core == coreNumber()) return callHere(fn.index, arg);
  const deadline_ns = duration_ms < 0 ? i64.MAX_VALUE : now() + duration_ms * 1_000_000;
  let slot: u32 = 0;
  while (slot < CALLS && unchecked(calls[slot]) != 0) slot++;
  if (slot == CALLS) return Errno.EBUSY;
  const token = (unchecked(generations[slot]) << 8) | slot;
  const message = post(core, receiveCall);
  if (message == null) return Errno.ENODEV;
  message.a = fn.index;
  message.b = arg;
  message.c = token;
  unchecked((calls[slot] = changetype<usize>(task)));
  unchecked((results[slot] = 0));
  const status = suspendUntil(deadline_ns);
  unchecked((calls[slot] = 0));
  unchecked(generations[slot]++);
  return status < 0 ? status : unchecked(results[slot]);
}

function callHere(fn: u32, arg: u32): i32 {
  const call = changetype<Call>(heapAlloc(offsetof<Call>()));
  call.arg = arg;
  call.from = coreNumber();
  call_indirect<void>(fn, call);
  const status = call.result;
  heap.free(changetype<usize>(call));
  return status;
}

function receiveCall(message: CoreMessage): void {
  if (!callable(message.a)) {
    reply(message.from, <u32>message.c, Errno.EINVAL);
    return;
  }
  const call = changetype<Call>(heapAlloc(offsetof<Call>()));
  call.arg = message.b;
  call.from = message.from;
  call.token = <u32>message.c;
  call.fn = message.a;
  if (spawnTask(runCall.index, changetype<usize>(call), DEFAULT_STACK_BYTES) != null) return;
  heap.free(changetype<usize>(call));
  reply(message.from, <u32>message.c, Errno.ENOMEM);
}

function runCall(at: usize): void {
  const call = changetype<Call>(at);
  call_indirect<void>(call.fn, call);
  // The caller's core may have fallen behind: it gets its answer later. A broken or stopped one never does.
  for (let tries = 0; !reply(call.from, call.token, call.result) && tries < 1000; tries++)
    suspendUntil(now() + RETRY_NS);
  heap.free(at);
}

function reply(core: u32, token: u32, status: i32): bool {
  const message = post(core, receiveReply);
  if (message == null) return false;
  message.a = token;
  message.b = status;
  return true;
}

function receiveReply(message: CoreMessage): void {
  const slot = message.a & (CALLS - 1);
  const task = unchecked(calls[slot]);
  if (task == 0 || message.a != ((unchecked(generations[slot]) << 8) | slot)) return;
  unchecked((calls[slot] = 0));
  unchecked((results[slot] = message.b));
  wake(changetype<Task>(task), 0);
}
