// Packets between cores: core 1 sends many, core 0 gives some with slices, all come home. Then each further core writes
// something else into its rings that no honest core would, and core 0 gives it up without harm.
import { Call, callOn, sleep } from "heddle/fibers";
import {
  allocPacket,
  coreCount,
  coreNumber,
  coresBroken,
  coresUp,
  exit,
  framesSent,
  FrameTaker,
  openPort,
  Packet,
  packetsFree,
  packetsTotal,
  post,
  print,
  sendFrame,
  startCores,
  CoreMessage,
} from "heddle/runtime";
import { packetsAway } from "heddle/runtime/memory/away";
import { CHANNEL_BYTES, CHANNELS, CORES_MAX, coreWake, info, Info } from "heddle/runtime/platform";

const MANY: u32 = 50_000;
const PORT: u32 = 5;
/** Of a channel (runtime/cores/peer.ts): where the tails of frames and homes stand, and their words. */
const FRAMES_TAIL: usize = 128;
const HOMES_TAIL: usize = 256;
const FRAMES: usize = 20480;
const HOMES: usize = 28672;

let taken: u32 = 0;
let sum: u64 = 0;

class Counter extends FrameTaker {
  takeFrame(p: Packet, from: u32): void {
    taken++;
    for (let i: u32 = 0; i < p.totalLen; i += 4) {
      let word: u32 = 0;
      p.copyTo(changetype<usize>(scratch), i, 4);
      word = load<u32>(changetype<usize>(scratch));
      sum += word;
    }
    p.free();
  }
}
const scratch = new StaticArray<u8>(8);

function send(core: u32, count: u32, slices: bool): void {
  for (let i: u32 = 1; i <= count;) {
    const p = allocPacket();
    if (p == null) {
      sleep(1);
      continue;
    }
    store<u32>(p.append(4), i);
    for (let k = 0; slices && k < 3;) {
      const part = allocPacket();
      if (part == null) {
        sleep(1);
        continue;
      }
      k++;
      store<u32>(part.append(4), i);
      p.addSlice(part.data, 4, part);
      part.free();
    }
    if (!sendFrame(core, PORT, p, false)) {
      p.free();
      sleep(1);
      continue;
    }
    i++;
  }
}

function sendMany(call: Call): void {
  send(0, MANY, false);
  for (let tries = 0; packetsFree < packetsTotal && tries < 2000; tries++) sleep(1);
  call.result = packetsFree == packetsTotal && packetsAway == 0 ? 1 : 0;
}

function takenThere(call: Call): void {
  call.result = <i32>(taken + (sum == <u64>call.arg ? 1 : 0));
}

/** What a core that runs wild writes; `address` is a packet of core 0's that nobody has given away. */
function forge(call: Call): void {
  const channel = CHANNELS + <usize>(coreNumber() * CORES_MAX) * CHANNEL_BYTES;
  const p = allocPacket()!;
  const own = <u32>changetype<usize>(p);
  const foreign = call.arg;
  let frame = own | PORT;
  let home: u32 = 0;
  p.append(60);
  switch (coreNumber() - 2) {
    case 0:
      frame = 0x300000 | PORT;
      break;
    case 1:
      frame = (<u32>(info(Info.POOL_ADDRESS) + info(Info.POOL_BYTES))) | PORT;
      break;
    case 2:
      frame = foreign | PORT;
      break;
    case 3:
      p.data = 0x300000;
      break;
    case 4:
      p.len = 0x7fffffff;
      p.totalLen = 0x7fffffff;
      break;
    case 5:
      p.sliceCount = 1000;
      break;
    case 6:
      p.addSlice(0x300000, 100, null);
      break;
    case 7:
      frame = own | 63;
      break;
    case 8:
      p.refs = 0;
      break;
    case 9:
      home = foreign;
      break;
    case 10:
      home = own;
      break;
    case 11:
      home = 0x300000;
      break;
  }
  store<u32>(channel + (home != 0 ? HOMES : FRAMES), home != 0 ? home : frame);
  store<u32>(channel + (home != 0 ? HOMES_TAIL : FRAMES_TAIL), 1);
  coreWake(0);
  call.result = 1;
}
const FORGERIES: u32 = 12;

function nothing(message: CoreMessage): void {}

function check(ok: bool, what: string): void {
  print((ok ? "ok     " : "FAILED ") + what);
}

export function main(): void {
  openPort(PORT, new Counter());
  startCores();
  if (coreNumber() != 0) return;
  for (let tries = 0; coresUp() < coreCount() && tries < 2000; tries++) sleep(5);
  const before = packetsFree;
  check(callOn(1, sendMany, 0, 30_000) == 1, "all packets of core 1 came home");
  check(taken == MANY && sum == (<u64>MANY * (MANY + 1)) / 2, "each of them came, once, with its bytes");
  check(packetsFree == before, "none of them stayed here");

  send(1, 1000, true);
  for (let tries = 0; packetsFree < before && tries < 2000; tries++) sleep(1);
  check(callOn(1, takenThere, 4 * 500_500) == 1001, "packets with slices arrived whole on core 1");
  check(packetsFree == before && packetsAway == 0, "their buffers came home one by one");
  check(framesSent == 1000, "all were counted");

  const held = allocPacket()!;
  for (let i: u32 = 0; i < FORGERIES; i++) {
    const core = 2 + i;
    callOn(core, forge, <u32>changetype<usize>(held), 200);
    for (let tries = 0; coresBroken <= i && tries < 200; tries++) sleep(1);
    check(
      coresBroken == i + 1 && post(core, nothing) == null,
      "forgery " + i.toString() + " is seen, its core given up",
    );
  }
  check(taken == MANY && packetsFree == before - 1, "nothing forged was taken");
  held.free();
  check(callOn(1, takenThere, 4 * 500_500) == 1001, "the other cores go on");
  print("done");
  exit(0);
}
