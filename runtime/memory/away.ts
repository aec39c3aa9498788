// Packets of this core that are with another one, and packets of others that come here.
//
//   give   the packet with the buffers of its slices becomes the other core's, until each was freed there
//   lend   only the packet goes (to be sent); its slices stay this core's and are given back when it is home again
//
// Invariants
// 1. A bit of `away` says for each own packet whether another core has it. Only such a packet comes home or is taken back;
//    so whatever another core writes into its rings, no packet is freed twice or taken out of somebody's hands.
// 2. What comes from another core is checked here once (`admit`): its bytes lie in the pool or in the content. The pool is
//    memory of all cores: one that runs wild can still spoil bytes in it, but not lead another one out of it by a ring.

import { info, Info } from "../platform";
import {
  BUFFER_BYTES,
  isOwn,
  MAX_SLICES,
  Packet,
  PacketFlag,
  packetNumber,
  packetOf,
  packetsTotal,
  release,
} from "./packet";

const TCP_BYTES: u32 = 20;

let away: usize = 0;
let poolLow: usize = 0;
let poolEnd: u64 = 0;
let bundleLow: u64 = 0;
let bundleEnd: u64 = 0;
let embeddedLow: u64 = 0;
let embeddedEnd: u64 = 0;
/** Own packets that are with other cores. */
export let packetsAway: u32 = 0;

/** Once, before the first packet goes. After `initPackets`. */
export function initAway(): void {
  const bytes = (<usize>packetsTotal + 8) >> 3;
  away = heap.alloc(bytes);
  memory.fill(away, 0, bytes);
  poolLow = <usize>info(Info.POOL_ADDRESS);
  poolEnd = poolLow + info(Info.POOL_BYTES);
  bundleLow = info(Info.BUNDLE_ADDRESS);
  bundleEnd = bundleLow + info(Info.BUNDLE_BYTES);
  embeddedLow = info(Info.EMBEDDED_ADDRESS);
  embeddedEnd = embeddedLow + info(Info.EMBEDDED_BYTES);
}

function isAway(p: Packet): bool {
  const n = packetNumber(p);
  return ((load<u8>(away + (n >> 3)) >> (n & 7)) & 1) != 0;
}

function mark(p: Packet): void {
  if (isAway(p)) return;
  const n = packetNumber(p);
  const at = away + (n >> 3);
  const bit: u32 = 1 << (n & 7);
  store<u8>(at, <u8>(load<u8>(at) | bit));
  packetsAway++;
}

function clear(p: Packet): void {
  if (!isAway(p)) return;
  const n = packetNumber(p);
  const at = away + (n >> 3);
  const bit: u32 = 1 << (n & 7);
  store<u8>(at, <u8>(load<u8>(at) & ~bit));
  packetsAway--;
}

/** A packet becomes another core's, with the buffers in its slices, to which nothing else refers. */
export function giveAway(p: Packet): void {
  if (isOwn(p)) mark(p);
  for (let i: u32 = 0, n = p.sliceCount; i < n; i++) {
    const owner = p.sliceOwner(i);
    if (owner != null && isOwn(owner)) mark(owner);
  }
}

/** A packet goes to another core that only reads it. */
export function lend(p: Packet): void {
  if (isOwn(p)) mark(p);
}

/** The packet that another core says it hands over, checked; null for one that no honest core would. */
export function admit(address: usize): Packet | null {
  if (!isBuffer(address)) return null;
  const p = changetype<Packet>(address);
  if (p.refs != 1 || !isSound(p)) return null;
  if (isOwn(p)) {
    if (!isAway(p)) return null;
    reclaim(p);
  }
  p.next = null;
  return p;
}

/**
 * Takes back `count` packets that other cores have freed, linked through `next`.
 * @returns false when one of them is not away: what follows it stays away for good
 */
export function takeHome(address: usize, count: u32): bool {
  for (; count > 0; count--) {
    if (!isBuffer(address)) return false;
    const p = changetype<Packet>(address);
    if (!isOwn(p) || !isAway(p) || !areSlicesSound(p)) return false;
    address = changetype<usize>(p.next);
    reclaim(p);
    p.flags = 0;
    p.refs = 1;
    release(p);
  }
  return true;
}

// An own packet is here again, and with it those buffers of its slices that went with it.
function reclaim(p: Packet): void {
  clear(p);
  for (let i: u32 = 0, n = p.sliceCount; i < n; i++) {
    const owner = p.sliceOwner(i);
    if (owner != null && isOwn(owner)) clear(owner);
  }
}

function isBuffer(address: usize): bool {
  return address >= poolLow && (address & (BUFFER_BYTES - 1)) == 0 && <u64>address + BUFFER_BYTES <= poolEnd;
}

// Do its bytes lie where they can?
function isSound(p: Packet): bool {
  const data = p.data;
  if (data < p.head || data > p.end || <usize>p.len > p.end - data || !areSlicesSound(p)) return false;
  let total: u64 = p.len;
  for (let i: u32 = 0, n = p.sliceCount; i < n; i++) total += p.sliceLen(i);
  if (total != p.totalLen) return false;
  // The driver reads the TCP header of what is to be segmented.
  const segmented = (p.flags & (PacketFlag.GSO_TCP4 | PacketFlag.GSO_TCP6)) != 0;
  return !segmented || <u32>p.csumStart + TCP_BYTES <= p.len;
}

function areSlicesSound(p: Packet): bool {
  const n = p.sliceCount;
  if (n > MAX_SLICES) return false;
  for (let i: u32 = 0; i < n; i++) {
    const low = <u64>p.sliceAddress(i);
    const end = low + p.sliceLen(i);
    if (p.sliceOwner(i) != null) {
      const owner = packetOf(<usize>low);
      if (!isBuffer(changetype<usize>(owner)) || low < owner.head || end > owner.end || owner.refs == 0) return false;
      continue;
    }
    if ((low < bundleLow || end > bundleEnd) && (low < embeddedLow || end > embeddedEnd)) return false;
  }
  return true;
}
