// The guest's side of the codegen benchmark: the same work as native.c, `rounds` times, as the bundle says:
// {"work": "checksum", "rounds": 1000}. Prints the work's result, which must be native.c's.
import { exit, info, Info, print } from "heddle/runtime";
import { sumBytes, fold } from "heddle/net/wire/checksum";
import { sipHash } from "heddle/net/hash";

const FRAMES: u32 = 64;
const FRAME_BYTES: u32 = 64;
const PAYLOAD_BYTES: u32 = 1460;
const BUCKETS: u32 = 1024;
const FLOWS: u32 = 512;

const buffer: usize = heap.alloc(FRAMES * FRAME_BYTES + PAYLOAD_BYTES);


@unmanaged
class Flow {
  next: Flow | null;
  addresses: u64;
  ports: u64;
  packets: u64;
}

const buckets: usize = heap.alloc(BUCKETS * sizeof<usize>());

/** Ethernet, IPv4 and TCP headers of 64 frames: checks and a sum of all fields. */
function parse(): u64 {
  let sum: u64 = 0;
  for (let i: u32 = 0; i < FRAMES; i++) {
    const frame = buffer + i * FRAME_BYTES;
    if (load<u16>(frame, 12) != 0x0008) continue;
    const first = <u32>load<u8>(frame, 14);
    const header = (first & 15) << 2;
    const total = <u32>bswap<u16>(load<u16>(frame, 16));
    if (first >> 4 != 4 || header < 20 || total < header + 20 || total > FRAME_BYTES - 14) continue;
    if (load<u16>(frame, 20) & 0xff3f || load<u8>(frame, 23) != 6) continue;
    const tcp = frame + 14 + header;
    const offset = (<u32>(load<u8>(tcp, 12) >> 4)) << 2;
    if (offset < 20 || header + offset > total) continue;
    sum += bswap<u32>(load<u32>(frame, 26)) + bswap<u32>(load<u32>(frame, 30)) + load<u8>(frame, 22);
    sum += bswap<u16>(load<u16>(tcp)) + bswap<u16>(load<u16>(tcp, 2)) + load<u8>(tcp, 13);
    sum ^= <u64>bswap<u32>(load<u32>(tcp, 4)) + bswap<u32>(load<u32>(tcp, 8)) + bswap<u16>(load<u16>(tcp, 14));
    sum += total - header - offset;
  }
  return sum;
}


@inline
function bucketOf(addresses: u64, ports: u64): usize {
  return buckets + ((<usize>sipHash(1, 2, addresses, ports, 6)) & (BUCKETS - 1)) * sizeof<usize>();
}

function find(addresses: u64, ports: u64): Flow | null {
  let flow = load<Flow | null>(bucketOf(addresses, ports));
  while (flow != null && (flow.addresses != addresses || flow.ports != ports)) flow = flow.next;
  return flow;
}


@inline
function addressesOf(i: u32): u64 {
  return ((<u64>0x0a000002) << 32) | (0xc0a80000 + i * 7);
}


@inline
function portsOf(i: u32): u64 {
  return ((<u64>(1024 + i * 13)) << 16) | 80;
}

function fillTable(): void {
  memory.fill(buckets, 0, BUCKETS * sizeof<usize>());
  for (let i: u32 = 0; i < FLOWS; i++) {
    const flow = changetype<Flow>(heap.alloc(offsetof<Flow>()));
    flow.addresses = addressesOf(i);
    flow.ports = portsOf(i);
    flow.packets = 0;
    const bucket = bucketOf(flow.addresses, flow.ports);
    flow.next = load<Flow | null>(bucket);
    store<Flow>(bucket, flow);
  }
}

/** Looks every flow up once. */
function lookUp(): u64 {
  let sum: u64 = 0;
  for (let i: u32 = 0; i < FLOWS; i++) {
    const flow = find(addressesOf(i), portsOf(i));
    if (flow != null) sum += ++flow.packets;
  }
  return sum;
}

function fillBuffer(): void {
  for (let i: u32 = 0; i < FRAMES * FRAME_BYTES + PAYLOAD_BYTES; i++) store<u8>(buffer + i, <u8>(i * 31 + (i >> 8)));
  for (let i: u32 = 0; i < FRAMES; i++) {
    const frame = buffer + i * FRAME_BYTES;
    store<u16>(frame, 0x0008, 12);
    store<u8>(frame, 0x45, 14);
    store<u16>(frame, 0x3200, 16);
    store<u16>(frame, 0, 20);
    store<u8>(frame, 6, 23);
    store<u8>(frame, 0x50, 46);
  }
}

function field(text: string, name: string): string {
  const at = text.indexOf('"' + name + '": ') + name.length + 4;
  let end = at;
  while (end < text.length && text.charCodeAt(end) != 0x2c && text.charCodeAt(end) != 0x7d) end++;
  return text.substring(at, end);
}

export function main(): void {
  const bundle = String.UTF8.decodeUnsafe(<usize>info(Info.BUNDLE_ADDRESS), <usize>info(Info.BUNDLE_BYTES));
  const work = field(bundle, "work");
  const rounds = <u32>parseInt(field(bundle, "rounds"));
  fillBuffer();
  fillTable();
  let result: u64 = 0;
  if (work == '"checksum"') {
    const payload = buffer + FRAMES * FRAME_BYTES;
    for (let i: u32 = 0; i < rounds; i++) {
      store<u8>(payload, <u8>i);
      result += fold(sumBytes(payload, PAYLOAD_BYTES));
    }
  } else if (work == '"parse"') {
    for (let i: u32 = 0; i < rounds; i++) {
      store<u8>(buffer, <u8>i, 22);
      result += parse();
    }
  } else {
    for (let i: u32 = 0; i < rounds; i++) result += lookUp();
  }
  print("result " + result.toString());
  exit(0);
}
