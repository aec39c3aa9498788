// A driver gone bad: tries each way in which a driver could make a device read or write where it must not, on every device of
// the machine, and checks that each is refused, and that what a driver needs is not. Uses only the boundary. Ends with exit
// status 0 when all was as it must be, else 1, each failure on a line of its own.
import {
  consoleWrite,
  DeviceKind,
  devCount,
  devKind,
  devOpen,
  devReset,
  exit,
  info,
  Info,
  Post,
  Region,
  regRead,
  regWrite,
  ringCompletions,
  ringCreate,
  ringEntries,
  RingFormat,
  ringPost,
  ringReserve,
  ringTake,
  Transport,
} from "heddle/runtime/platform";
import { Errno } from "heddle/runtime/errors";

const RESET: i64 = 1 << 26;
const INDIRECT_DESC: i64 = 1 << 28;
const EVENT_IDX: i64 = 1 << 29;
/** Bit 34, in the second word. */
const RING_PACKED: i64 = 1 << 2;
const ENTRIES: i32 = 64;
const E1000_BUFFER_BYTES: i32 = 2048;

let attempts: i32 = 0;
let failures: i32 = 0;

function say(text: string): void {
  const bytes = String.UTF8.encode(text + "\n");
  consoleWrite(changetype<usize>(bytes), bytes.byteLength);
}

function expect(what: string, got: i64, wanted: i64): void {
  attempts++;
  if (got == wanted) return;
  failures++;
  say("FAILED: " + what + " gave " + got.toString() + ", not " + wanted.toString());
}

function refuse(dev: i32, region: i32, offset: i32, width: i32, value: i64): void {
  expect(`write of ${width} bytes to ${region}:${offset}`, regWrite(dev, region, offset, width, value), Errno.EPERM);
}

function allow(dev: i32, offset: i32, width: i32, value: i64): void {
  expect(`write of ${width} bytes to ${offset}`, regWrite(dev, Region.TRANSPORT, offset, width, value), 0);
}

function refuseRange(dev: i32, from: i32, to: i32, step: i32, width: i32): void {
  for (let offset = from; offset <= to; offset += step) refuse(dev, Region.TRANSPORT, offset, width, 0);
}

/** What no transport has: other regions, other places, other widths. */
function refuseEverywhere(dev: i32): void {
  for (let region = 1; region <= 3; region++) refuse(dev, region, 0, 1, 0);
  refuse(dev, -1, 0, 4, 0);
  refuse(dev, Region.TRANSPORT, -4, 4, 0);
  refuse(dev, Region.TRANSPORT, 0x20000, 4, 0);
  refuse(dev, Region.TRANSPORT, i32.MAX_VALUE, 4, 0);
  expect("read outside the configuration", regRead(dev, Region.CONFIG, 0x100000, 4), -1);
  expect("read before the configuration", regRead(dev, Region.CONFIG, -4, 4), -1);
}

function tryModern(dev: i32): void {
  refuseRange(dev, 16, 16, 2, 2);
  refuseRange(dev, 22, 56, 2, 2);
  refuseRange(dev, 32, 56, 4, 4);
  refuseRange(dev, 32, 48, 8, 8);
  refuse(dev, Region.TRANSPORT, 20, 4, 0x10001); // status and, behind it, queue_select
  refuse(dev, Region.TRANSPORT, 8, 4, 2);
  allow(dev, 20, 1, 1);
  allow(dev, 20, 1, 3);
  allow(dev, 8, 4, 1);
  refuse(dev, Region.TRANSPORT, 12, 4, RING_PACKED);
  allow(dev, 12, 4, 1); // VERSION_1
  allow(dev, 8, 4, 0);
  refuse(dev, Region.TRANSPORT, 12, 4, INDIRECT_DESC);
  allow(dev, 12, 4, EVENT_IDX);
  allow(dev, 20, 1, 11);
}

function tryLegacy(dev: i32): void {
  refuse(dev, Region.TRANSPORT, 8, 4, 0x123);
  refuseRange(dev, 12, 16, 2, 2);
  refuseRange(dev, 20, 30, 2, 2);
  refuse(dev, Region.TRANSPORT, 16, 4, 0);
  allow(dev, 18, 1, 1);
  allow(dev, 18, 1, 3);
  refuse(dev, Region.TRANSPORT, 4, 4, INDIRECT_DESC);
  allow(dev, 4, 4, EVENT_IDX);
}

function tryMmio(dev: i32, legacy: bool): void {
  refuseRange(dev, 0x28, 0x50, 4, 4);
  refuseRange(dev, 0x80, 0xa4, 4, 4);
  refuse(dev, Region.TRANSPORT, 0x70, 1, 0);
  refuse(dev, Region.TRANSPORT, 0x71, 4, 0);
  refuse(dev, Region.TRANSPORT, 0x24, 4, 2);
  allow(dev, 0x70, 4, 1);
  allow(dev, 0x70, 4, 3);
  if (!legacy) {
    allow(dev, 0x24, 4, 1);
    refuse(dev, Region.TRANSPORT, 0x20, 4, RING_PACKED);
    allow(dev, 0x20, 4, 1);
  }
  allow(dev, 0x24, 4, 0);
  refuse(dev, Region.TRANSPORT, 0x20, 4, INDIRECT_DESC);
  allow(dev, 0x20, 4, EVENT_IDX);
  if (!legacy) allow(dev, 0x70, 4, 11);
}

function tryE1000(dev: i32): void {
  refuse(dev, Region.TRANSPORT, 0, 4, RESET);
  refuse(dev, Region.TRANSPORT, 0x100, 4, 0x2); // RCTL
  refuse(dev, Region.TRANSPORT, 0x400, 4, 0x2); // TCTL
  refuse(dev, Region.TRANSPORT, 0x410, 4, 0); // TIPG
  refuse(dev, Region.TRANSPORT, 0xd0, 4, 0x80); // IMS
  refuse(dev, Region.TRANSPORT, 0xd8, 4, 0x80); // IMC
  refuseRange(dev, 0x2800, 0x2828, 4, 4);
  refuseRange(dev, 0x3800, 0x3828, 4, 4);
  refuseRange(dev, 0x110, 0x128, 4, 4); // the 82542's receive registers, which some devices alias
  refuseRange(dev, 0x420, 0x438, 4, 4);
  refuse(dev, Region.TRANSPORT, 0x5201, 4, 0);
  refuse(dev, Region.TRANSPORT, 0x5200, 8, 0);
  allow(dev, 0, 4, 1 << 6); // link up
  allow(dev, 0x5200, 4, 0); // multicast table
}

function post(ring: i32, what: string, slot: i32, buffer: usize, length: i32, flags: i32, wanted: i32): void {
  expect("post of " + what, ringPost(ring, slot, buffer, length, flags), wanted);
}

function tryRings(dev: i32, e1000: bool): void {
  const format = e1000 ? RingFormat.E1000_RX : RingFormat.VIRTIO_SPLIT;
  const other = e1000 ? RingFormat.VIRTIO_SPLIT : RingFormat.E1000_RX;
  expect("ring of 100 entries", ringCreate(dev, 0, format, 100), Errno.EINVAL);
  expect("ring of 2048 entries", ringCreate(dev, 0, format, 2048), Errno.EINVAL);
  expect("ring of 0 entries", ringCreate(dev, 0, format, 0), Errno.EINVAL);
  expect("ring of another device's format", ringCreate(dev, 0, other, ENTRIES), Errno.EINVAL);
  expect("ring of no format", ringCreate(dev, 0, 7, ENTRIES), Errno.EINVAL);
  expect("ring of a queue that is not there", ringCreate(dev, 999, format, ENTRIES), Errno.ENODEV);
  expect("ring that nobody has reserved", ringTake(dev, 2), Errno.ENODEV);
  expect("own ring, taken again", ringTake(dev, 0), Errno.ENODEV);
  expect("ring reserved for a core that is not there", ringReserve(dev, 126, ENTRIES, 63) < 0 ? 1 : 0, 1);
  expect("ring reserved for itself", ringReserve(dev, 0, ENTRIES, 0) < 0 ? 1 : 0, 1);
  const ring = ringCreate(dev, 0, format, ENTRIES);
  expect("ring", ring >= 0 ? 1 : ring, 1);
  expect("second ring of a queue", ringCreate(dev, 0, format, ENTRIES) < 0 ? 1 : 0, 1);

  const entries = ringEntries(ring);
  const pool = <usize>info(Info.POOL_SLICE_ADDRESS);
  const end = pool + <usize>info(Info.POOL_SLICE_BYTES);
  const bytes = E1000_BUFFER_BYTES;
  post(ring, "the heap", 0, 0x200000, bytes, Post.WRITE, Errno.EFAULT);
  post(ring, "a null reference", 0, 0, bytes, Post.WRITE, Errno.EFAULT);
  post(ring, "a buffer before the pool", 0, pool - 1, bytes, Post.WRITE, Errno.EFAULT);
  post(ring, "a buffer over the pool's end", 0, end - bytes + 1, bytes, Post.WRITE, Errno.EFAULT);
  post(ring, "a buffer behind the pool", 0, end, bytes, Post.WRITE, Errno.EFAULT);
  post(ring, "a length below 0", 0, pool, -1, Post.WRITE, Errno.EFAULT);
  post(ring, "the end of the address space", 0, 0xfffffffe, bytes, Post.WRITE, Errno.EFAULT);
  post(ring, "completions", 0, ringCompletions(ring), bytes, Post.WRITE, Errno.EFAULT);
  post(ring, "completions to be read", 0, ringCompletions(ring), bytes, 0, Errno.EFAULT);
  post(ring, "the heap to be read", 0, 0x200000, bytes, 0, Errno.EFAULT);
  post(ring, "content to be written", 0, 0xe0000000, 1, Post.WRITE, Errno.EFAULT);
  post(ring, "a slot outside the ring", entries, pool, bytes, Post.WRITE, Errno.EINVAL);
  post(ring, "slot -1", -1, pool, bytes, Post.WRITE, Errno.EINVAL);
  post(
    ring,
    "a next slot outside the ring",
    0,
    pool,
    bytes,
    Post.WRITE | Post.NEXT | (entries << Post.NEXT_SHIFT),
    Errno.EINVAL,
  );
  expect("post to no ring", ringPost(99, 0, pool, bytes, Post.WRITE), Errno.EINVAL);
  expect("post to ring -1", ringPost(-1, 0, pool, bytes, Post.WRITE), Errno.EINVAL);
  if (e1000) {
    post(ring, "less than the device may write", 0, pool, bytes - 1, Post.WRITE, Errno.EFAULT);
    post(ring, "a slot out of order", 1, pool, bytes, Post.WRITE, Errno.EINVAL);
  }
  post(ring, "a good buffer", 0, pool, bytes, Post.WRITE, 0);
  post(ring, "the pool's last buffer", 1, end - bytes, bytes, Post.WRITE, 0);
  if (e1000) {
    for (let slot = 2; slot < entries; slot++) post(ring, "a good buffer", slot, pool, bytes, Post.WRITE, 0);
    post(ring, "a slot that the device has", 0, pool, bytes, Post.WRITE, Errno.EINVAL);
  } else {
    const next = Post.WRITE | Post.NEXT | (3 << Post.NEXT_SHIFT);
    post(ring, "a slot that the device has", 1, pool, 64, Post.WRITE, Errno.EINVAL);
    post(ring, "a chain", 2, pool, bytes, next, 0);
    post(ring, "a slot that the chain does not go on with", 4, pool, bytes, Post.WRITE, Errno.EINVAL);
    post(ring, "a slot of the chain itself", 2, pool, bytes, Post.WRITE, Errno.EINVAL);
    post(ring, "the chain's end", 3, pool, bytes, Post.WRITE, 0);
  }
  devReset(dev);
  post(ring, "a good buffer after the reset", 0, pool, bytes, Post.WRITE, Errno.EINVAL);
  // The memory of former rings is taken again: not while the queue has another one.
  if (!e1000) return;
  devOpen(dev);
  expect("larger ring", ringCreate(dev, 0, format, 512) >= 0 ? 1 : 0, 1);
  expect("former ring beside it", ringCreate(dev, 0, format, ENTRIES), Errno.ENOMEM);
  devReset(dev);
}

function tryDevice(dev: i32): void {
  const kind = devKind(dev);
  if (kind == DeviceKind.VIRTIO_RNG) return expect("opening the platform's own device", devOpen(dev), Errno.EBUSY);
  expect("write before opening", regWrite(dev, 0, 0x14, 4, 0), Errno.ENODEV);
  expect("ring before opening", ringCreate(dev, 0, RingFormat.VIRTIO_SPLIT, ENTRIES), Errno.ENODEV);
  const transport = devOpen(dev);
  expect("opening twice", devOpen(dev), Errno.EBUSY);
  refuseEverywhere(dev);
  if (transport == Transport.VIRTIO_PCI_MODERN) tryModern(dev);
  else if (transport == Transport.VIRTIO_PCI_LEGACY) tryLegacy(dev);
  else if (transport == Transport.VIRTIO_MMIO) tryMmio(dev, false);
  else if (transport == Transport.VIRTIO_MMIO_LEGACY) tryMmio(dev, true);
  else if (transport == Transport.E1000) tryE1000(dev);
  else expect("transport", transport, Transport.VIRTIO_PCI_MODERN);
  tryRings(dev, transport == Transport.E1000);
}

export function main(): void {
  const count = devCount();
  expect("at least one device", count > 0 ? 1 : 0, 1);
  for (let dev = 0; dev < count; dev++) tryDevice(dev);
  expect("a device that is not there", devOpen(99), Errno.ENODEV);
  expect("device -1", regWrite(-1, 0, 0, 4, 0), Errno.ENODEV);
  say(`forbidden-writes: ${attempts} attempts on ${count} devices, ${failures} wrong`);
  exit(failures == 0 ? 0 : 1);
}
