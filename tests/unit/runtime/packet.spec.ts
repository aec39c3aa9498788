import {
  allocPacket,
  BUFFER_BYTES,
  HEADROOM_BYTES,
  initPacketsAt,
  MAX_SLICES,
  Packet,
  packetOf,
  packetsExhausted,
  packetsFree,
  PacketQueue,
  packetsTotal,
} from "../../../runtime/memory/packet";

const REGION: usize = 64 * 2048;
const region = heap.alloc(REGION + 2048);

function fresh(): void {
  initPacketsAt(region, REGION);
}

function filled(bytes: u32, first: u8): Packet {
  const p = allocPacket()!;
  const at = p.append(bytes);
  for (let i: u32 = 0; i < bytes; i++) store<u8>(at + i, <u8>(first + i));
  return p;
}

/** The packet's bytes, one after another. */
function bytesOf(p: Packet): StaticArray<u8> {
  const out = new StaticArray<u8>(p.totalLen);
  p.copyTo(changetype<usize>(out), 0, p.totalLen);
  return out;
}

function ascending(bytes: StaticArray<u8>, first: u8): bool {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] != <u8>(first + i)) return false;
  return true;
}

describe("packets", () => {
  beforeEach(fresh);

  test("the pool gives all its buffers, then null, and counts", () => {
    const all = new PacketQueue();
    const total = packetsTotal;
    for (let p = allocPacket(); p != null; p = allocPacket()) all.push(p);
    expect(all.count).toBe(total);
    expect(packetsExhausted).toBe(1);
    all.clear();
    expect(packetsFree).toBe(total);
  });

  test("buffers do not overlap and are found by an address inside", () => {
    const a = allocPacket()!;
    const b = allocPacket()!;
    const distance = changetype<usize>(b) > changetype<usize>(a) ? changetype<usize>(b) - changetype<usize>(a) : 0;
    expect(distance % BUFFER_BYTES).toBe(0);
    expect(packetOf(a.data + 100) == a).toBe(true);
    expect(a.headroom).toBe(HEADROOM_BYTES);
    expect(a.end - changetype<usize>(a)).toBe(BUFFER_BYTES);
  });

  test("push, append, drop and trim move the ends", () => {
    const p = filled(100, 0);
    p.push(14);
    expect(p.totalLen).toBe(114);
    p.drop(24);
    expect(load<u8>(p.data)).toBe(10);
    p.trim(80);
    expect(p.len).toBe(10);
    expect(p.totalLen).toBe(10);
    p.free();
  });

  test("a buffer lives until its last slice is gone", () => {
    const free = packetsFree;
    const owner = filled(100, 0);
    const a = allocPacket()!;
    const b = allocPacket()!;
    a.addSlice(owner.data, 50, owner);
    b.addSlice(owner.data + 50, 50, owner);
    owner.free();
    expect(packetsFree).toBe(free - 3);
    a.free();
    expect(packetsFree).toBe(free - 2);
    expect(ascending(bytesOf(b), 50)).toBe(true);
    b.free();
    expect(packetsFree).toBe(free);
  });

  test("a packet takes MAX_SLICES slices and refuses one more", () => {
    const owner = filled(100, 0);
    const p = allocPacket()!;
    for (let i: u32 = 0; i < MAX_SLICES; i++) expect(p.addSlice(owner.data + i, 1, owner)).toBe(true);
    expect(p.addSlice(owner.data, 1, owner)).toBe(false);
    expect(p.totalLen).toBe(MAX_SLICES);
    expect(ascending(bytesOf(p), 0)).toBe(true);
    p.free();
    owner.free();
    expect(packetsFree).toBe(packetsTotal);
  });

  test("copyTo finds any range across slices", () => {
    const p = filled(10, 0);
    const owner = filled(90, 10);
    for (let i: u32 = 0; i < 9; i++) p.addSlice(owner.data + i * 10, 10, owner);
    for (let from: u32 = 0; from < 100; from += 7) {
      for (let to: u32 = from; to <= 100; to += 9) {
        const out = new StaticArray<u8>(to - from);
        p.copyTo(changetype<usize>(out), from, to - from);
        assert(ascending(out, <u8>from));
      }
    }
    owner.free();
    p.free();
    expect(packetsFree).toBe(packetsTotal);
  });

  test("pull makes headers contiguous and gives back what it emptied", () => {
    const p = filled(10, 0);
    for (let i: u32 = 0; i < 5; i++) {
      const part = filled(10, <u8>(10 + i * 10));
      p.addSlice(part.data, 10, part);
      part.free();
    }
    expect(p.pull(35)).toBe(true);
    expect(p.len).toBe(35);
    expect(p.sliceCount).toBe(3);
    expect(p.totalLen).toBe(60);
    expect(ascending(bytesOf(p), 0)).toBe(true);
    expect(packetsFree).toBe(packetsTotal - 4);
    expect(p.pull(61)).toBe(false);
    expect(p.pull(60)).toBe(true);
    expect(p.sliceCount).toBe(0);
    p.free();
    expect(packetsFree).toBe(packetsTotal);
  });

  test("pull refuses what does not fit the buffer", () => {
    const p = allocPacket()!;
    const a = filled(1500, 0);
    const b = filled(1500, 0);
    p.addSlice(a.data, 1500, a);
    p.addSlice(b.data, 1500, b);
    a.free();
    b.free();
    expect(p.pull(2900)).toBe(false);
    expect(p.totalLen).toBe(3000);
    p.free();
  });

  test("trim takes whole and partial slices from the end", () => {
    const p = filled(10, 0);
    for (let i: u32 = 0; i < 3; i++) {
      const part = filled(10, <u8>(10 + i * 10));
      p.addSlice(part.data, 10, part);
      part.free();
    }
    p.trim(15);
    expect(p.sliceCount).toBe(2);
    expect(p.totalLen).toBe(25);
    expect(ascending(bytesOf(p), 0)).toBe(true);
    p.trim(20);
    expect(p.len).toBe(5);
    p.free();
    expect(packetsFree).toBe(packetsTotal);
  });

  test("a queue keeps order and count", () => {
    const q = new PacketQueue();
    const a = filled(1, 1);
    const b = filled(1, 2);
    q.push(a);
    q.push(b);
    expect(q.shift() == a).toBe(true);
    expect(q.shift() == b).toBe(true);
    expect(q.shift() == null).toBe(true);
    expect(q.count).toBe(0);
    a.free();
    b.free();
  });
});
