// A service without a network stack: answers ARP and ICMP echo for 10.9.0.2 in place, using only the boundary. It shows
// that a platform's links and rings work, apart from everything above them.
//
// Buffer i of the pool belongs to slot i of the receive ring or, while its frame is sent back, to slot i of the transmit
// ring. So there is nothing to allocate, and a slot comes back to the receive ring when its transmission is complete.
import {
  acquire,
  consoleWrite,
  devCount,
  devOpen,
  exit,
  info,
  Info,
  pendingTake,
  Pending,
  Post,
  Region,
  regRead,
  regWrite,
  RingFormat,
  ringArm,
  ringCompletions,
  ringCreate,
  ringFlush,
  ringPoll,
  ringPost,
  wait,
} from "heddle/runtime/platform";

const ENTRIES: i32 = 64;
const BUFFER_BYTES: i32 = 2048;
/** virtio_net_hdr_v1, then Ethernet. */
const HEADER_BYTES: i32 = 12;
const FRAME: usize = 12;
const ETHERNET_BYTES: usize = 14;
const MAC: u64 = 1 << 5;
const VERSION_1: u64 = 1 << 32;
/** 10.9.0.2 as it is loaded from a packet. */
const ADDRESS: u32 = 0x0200090a;

let pool: usize;
let receive: i32;
let transmit: i32;
let receiveUsed: usize;
let transmitUsed: usize;
let receiveSeen: u16 = 0;
let transmitSeen: u16 = 0;
let mac: u64;

function say(text: string): void {
  const bytes = String.UTF8.encode(text);
  consoleWrite(changetype<usize>(bytes), bytes.byteLength);
}

function buffer(slot: i32): usize {
  return pool + <usize>(slot * BUFFER_BYTES);
}

function offerBuffer(slot: i32): void {
  ringPost(receive, slot, buffer(slot), BUFFER_BYTES, Post.WRITE);
}

/** The sender becomes the receiver; ours is the source address. */
function turnAround(frame: usize): void {
  memory.copy(frame, frame + 6, 6);
  store<u32>(frame + 6, <u32>mac);
  store<u16>(frame + 6, <u16>(mac >> 32), 4);
}

/** RFC 826. */
function answerArp(arp: usize, length: i32): bool {
  if (length < 28 || load<u16>(arp, 6) != 0x0100 || load<u32>(arp, 24) != ADDRESS) return false;
  store<u16>(arp, 0x0200, 6);
  memory.copy(arp + 18, arp + 8, 10);
  store<u32>(arp, <u32>mac, 8);
  store<u16>(arp, <u16>(mac >> 32), 12);
  store<u32>(arp, ADDRESS, 14);
  return true;
}

/** RFC 792: echo request becomes reply; the checksum changes by the difference of the type (RFC 1624). */
function answerEcho(ip: usize, length: i32): bool {
  if (length < 28 || load<u8>(ip) != 0x45 || load<u8>(ip, 9) != 1 || load<u32>(ip, 16) != ADDRESS) return false;
  if (load<u8>(ip, 20) != 8) return false;
  store<u32>(ip, load<u32>(ip, 12), 16);
  store<u32>(ip, ADDRESS, 12);
  store<u8>(ip, 0, 20);
  const sum = <u32>bswap(load<u16>(ip, 22)) + 0x0800;
  store<u16>(ip, bswap(<u16>((sum & 0xffff) + (sum >> 16))), 22);
  return true;
}

function answer(frame: usize, length: i32): bool {
  if (length < <i32>ETHERNET_BYTES) return false;
  const type = load<u16>(frame, 12);
  const payload = frame + ETHERNET_BYTES;
  const rest = length - <i32>ETHERNET_BYTES;
  if (type == 0x0608) return answerArp(payload, rest);
  if (type == 0x0008) return answerEcho(payload, rest);
  return false;
}

/** Answers what has arrived; true when there was something. */
function turn(): bool {
  let worked = false;
  ringPoll(transmit);
  acquire();
  while (transmitSeen != load<u16>(transmitUsed, 2)) {
    offerBuffer(load<i32>(transmitUsed + 4 + 8 * <usize>(transmitSeen++ & (<u16>(ENTRIES - 1)))));
    worked = true;
  }
  ringPoll(receive);
  acquire();
  while (receiveSeen != load<u16>(receiveUsed, 2)) {
    const entry = receiveUsed + 4 + 8 * <usize>(receiveSeen++ & (<u16>(ENTRIES - 1)));
    const slot = load<i32>(entry);
    const length = load<i32>(entry, 4);
    const frame = buffer(slot) + FRAME;
    if (answer(frame, length - HEADER_BYTES)) {
      turnAround(frame);
      memory.fill(buffer(slot), 0, <usize>HEADER_BYTES);
      ringPost(transmit, slot, buffer(slot), length, 0);
    } else {
      offerBuffer(slot);
    }
    worked = true;
  }
  if (worked) {
    ringFlush(transmit);
    ringFlush(receive);
  }
  return worked;
}

export function main(): void {
  pool = <usize>info(Info.POOL_SLICE_ADDRESS);
  if (devCount() == 0 || devOpen(0) < 0) {
    say("raw-echo: no network card\n");
    exit(1);
  }
  regWrite(0, Region.TRANSPORT, 8, 8, MAC | VERSION_1);
  mac = (<u64>regRead(0, Region.CONFIG, 0, 4)) | ((<u64>regRead(0, Region.CONFIG, 4, 2)) << 32);
  receive = ringCreate(0, 0, RingFormat.VIRTIO_SPLIT, ENTRIES);
  transmit = ringCreate(0, 1, RingFormat.VIRTIO_SPLIT, ENTRIES);
  receiveUsed = ringCompletions(receive);
  transmitUsed = ringCompletions(transmit);
  for (let slot = 0; slot < ENTRIES; slot++) offerBuffer(slot);
  ringFlush(receive);
  say("raw-echo: ready\n");
  while (!(pendingTake() & Pending.SHUTDOWN)) {
    if (turn()) continue;
    ringArm(receive, receiveSeen, true);
    ringArm(transmit, transmitSeen, true);
    if (!turn()) wait(i64.MAX_VALUE);
  }
  say("raw-echo: stopped\n");
  exit(0);
}
