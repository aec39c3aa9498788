// Each primitive of fibers/, checked by itself; prints a line for each and ends with the number of failures.

import { Channel, CondVar, Fiber, Mutex, now, Semaphore, sleep, spawn, WaitGroup, yield_ } from "heddle/fibers";
import { Errno, exit, print } from "heddle/runtime";

let failures = 0;

function check(name: string, ok: bool): void {
  print((ok ? "ok " : "FAILED ") + name);
  if (!ok) failures++;
}

let order = "";
function writer(letter: i32): void {
  for (let i = 0; i < 2; i++) {
    order += String.fromCharCode(letter);
    yield_();
  }
}

class Message {
  constructor(readonly value: i32) {}
}

const requests = new Channel<i32>(0);
const answers = new Channel<i32>(0);
function doubler(_: i32): void {
  while (requests.receive() == 0) answers.send(requests.value * 2);
  answers.close();
}

const box = new Channel<Message>(4);
const producers = new WaitGroup();
let received: i64 = 0;
function produce(from: i32): void {
  for (let i = 0; i < 100; i++) box.send(new Message(from + i));
  producers.done();
}
function consume(_: i32): void {
  while (box.receive() == 0) received += box.value.value;
}

const lock = new Mutex();
let inside = 0;
let mostInside = 0;
function locked(_: i32): void {
  lock.lock();
  inside++;
  mostInside = max(mostInside, inside);
  yield_();
  inside--;
  lock.unlock();
}

const three = new Semaphore(3);
function limited(_: i32): void {
  three.acquire();
  inside++;
  mostInside = max(mostInside, inside);
  sleep(1);
  inside--;
  three.release();
}

const ready = new CondVar();
let condition = false;
let woken = 0;
function waiter(_: i32): void {
  lock.lock();
  while (!condition) ready.wait(lock);
  woken++;
  lock.unlock();
}

let slept: i64 = 0;
function sleeper(duration_ms: i32): void {
  const start = now();
  sleep(duration_ms);
  slept = (now() - start) / 1_000_000;
}

function deep(n: i32): i32 {
  return n == 0 ? 0 : 1 + deep(n - 1);
}
let depth = 0;
function deepFiber(n: i32): void {
  depth = deep(n);
}

export function main(): void {
  const a = spawn<i32>(writer, 65)!;
  const b = spawn<i32>(writer, 66)!;
  a.join();
  b.join();
  check("fibers take turns", order == "ABAB");
  check("a joined fiber has ended", a.ended && a.join() == 0);

  spawn<i32>(doubler, 0);
  let right = true;
  for (let i = 0; i < 100; i++) {
    requests.send(i);
    right = right && answers.receive() == 0 && answers.value == 2 * i;
  }
  check("a channel without capacity hands over", right);
  requests.close();
  check("a receiver of a closed channel gets EPIPE", answers.receive() == Errno.EPIPE);
  check("a sender to a closed channel gets EPIPE", requests.send(1) == Errno.EPIPE);

  for (let i = 0; i < 10; i++) {
    producers.add();
    spawn<i32>(produce, i * 100);
  }
  const consumer = spawn<i32>(consume, 0)!;
  producers.wait();
  box.close();
  consumer.join();
  check("ten producers, each message received once", received == (999 * 1000) / 2);

  const full = new Channel<i32>(2);
  check("a full channel says EAGAIN", full.trySend(1) == 0 && full.trySend(2) == 0 && full.trySend(3) == Errno.EAGAIN);
  check("send times out on a full channel", full.send(3, now() + 5_000_000) == Errno.ETIMEDOUT);
  check(
    "what was sent before is there, in order",
    full.receive() == 0 && full.value == 1 && full.receive() == 0 && full.value == 2,
  );
  check("an empty channel says EAGAIN", full.tryReceive() == Errno.EAGAIN);
  check("receive times out", full.receive(now() + 5_000_000) == Errno.ETIMEDOUT);
  const nobody = new Channel<i32>(0);
  check(
    "a hand-over without receiver times out and is taken back",
    nobody.send(7, now() + 5_000_000) == Errno.ETIMEDOUT,
  );
  check("nothing is left of it", nobody.tryReceive() == Errno.EAGAIN && nobody.length == 0);

  const fibers: Fiber[] = [];
  for (let i = 0; i < 20; i++) fibers.push(spawn<i32>(locked, i)!);
  for (let i = 0; i < 20; i++) fibers[i].join();
  check("a mutex lets one fiber in", mostInside == 1 && !lock.locked);
  lock.lock();
  check("locking twice is EDEADLK", lock.lock() == Errno.EDEADLK);
  lock.unlock();
  check("unlocking what is not held is EPERM", lock.unlock() == Errno.EPERM);

  mostInside = 0;
  for (let i = 0; i < 20; i++) fibers[i] = spawn<i32>(limited, i)!;
  for (let i = 0; i < 20; i++) fibers[i].join();
  check("a semaphore of three lets three in", mostInside == 3 && three.available == 3);

  for (let i = 0; i < 5; i++) fibers[i] = spawn<i32>(waiter, i)!;
  sleep(2);
  check("nobody passes before the condition", woken == 0);
  lock.lock();
  condition = true;
  ready.broadcast();
  lock.unlock();
  for (let i = 0; i < 5; i++) fibers[i].join();
  check("a broadcast wakes all", woken == 5);

  spawn<i32>(sleeper, 20)!.join();
  check("sleep takes its time", slept >= 20);

  spawn<i32>(deepFiber, 5000, 1 << 20)!.join();
  check("a larger stack holds a deep recursion", depth == 5000);

  const group = new WaitGroup();
  check("more done than add is EINVAL", group.done() == Errno.EINVAL);

  print(failures == 0 ? "all ok" : failures.toString() + " failures");
  exit(failures == 0 ? 0 : 1);
}
