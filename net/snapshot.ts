// Addresses and routes as core 0 publishes them to the cores that share its cards: everything that decides where a packet
// goes but the neighbours, which each core asks for itself.
//
//   u32 interfaces, u32 routes; for each interface its part (`Part`) and addresses (`Own`); the routes (ip/routes.ts, RouteCopy)
//
// Invariants
// 1. Only core 0 asks for addresses, checks, announces and defends them; the others use what it has.
// 2. A core takes a snapshot between two packets, as a whole.
// clang: -Oz

import { Interface, InterfaceAddress } from "./link/interface";
import { Ipv6Address, Ipv6Interface } from "./ip/ipv6-interface";
import { isV4 } from "./ip/address";
import { RouteCopy, ROUTE_COPY_BYTES } from "./ip/routes";
import { Stack } from "./stack";

const HEAD_BYTES: u32 = 8;


@unmanaged
class Part {
  mtu: u32;
  reversePath: u32;
  /** Addresses in the interface's list, and those of IPv6 in its own, one of the link among them. */
  addresses: u32;
  addresses6: u32;
  has6: u32;
  /** Halves of addresses of name servers. */
  servers: u32;
}


@unmanaged
class Own {
  hi: u64;
  lo: u64;
  bits: u32;
  /** Leased, or not known yet to be ours alone. */
  mark: u32;
}

const PART_BYTES: u32 = <u32>offsetof<Part>();
const OWN_BYTES: u32 = <u32>offsetof<Own>();

/** Bytes of a snapshot of the stack. */
export function snapshotBytes(stack: Stack): u32 {
  let bytes = HEAD_BYTES + stack.ip.table.count * <u32>ROUTE_COPY_BYTES;
  for (let i = 0; i < stack.interfaces.length; i++) {
    const iface = stack.interfaces[i];
    const v6 = iface.v6;
    bytes += PART_BYTES + <u32>iface.addresses.length * OWN_BYTES + serverHalves(iface) * 8;
    if (v6 != null) bytes += <u32>v6.addresses.length * OWN_BYTES;
  }
  return bytes;
}

/** Writes a snapshot to room for `snapshotBytes`. */
export function writeSnapshot(stack: Stack, at: usize): void {
  store<u32>(at, stack.interfaces.length);
  store<u32>(at, stack.ip.table.count, 4);
  at += HEAD_BYTES;
  for (let i = 0; i < stack.interfaces.length; i++) {
    const iface = stack.interfaces[i];
    const v6 = iface.v6;
    const part = changetype<Part>(at);
    part.mtu = iface.mtu;
    part.reversePath = iface.reversePath;
    part.addresses = iface.addresses.length;
    part.addresses6 = v6 != null ? v6.addresses.length : 0;
    part.has6 = v6 != null ? 1 : 0;
    part.servers = serverHalves(iface);
    at += PART_BYTES;
    at = writeHalves(at, iface.nameServers);
    at = writeHalves(at, iface.nameServers6);
    for (let k = 0; k < iface.addresses.length; k++) {
      const a = iface.addresses[k];
      at = writeOwn(at, a.hi, a.lo, a.bits, a.leased);
    }
    for (let k = 0; v6 != null && k < v6.addresses.length; k++) {
      const a = v6.addresses[k];
      at = writeOwn(at, a.hi, a.lo, a.bits, a.tentative);
    }
  }
  stack.ip.table.copyTo(at);
}

function serverHalves(iface: Interface): u32 {
  return iface.nameServers.length + iface.nameServers6.length;
}

function writeHalves(at: usize, halves: Array<u64>): usize {
  for (let i = 0; i < halves.length; i++, at += 8) store<u64>(at, halves[i]);
  return at;
}

function writeOwn(at: usize, hi: u64, lo: u64, bits: u32, mark: bool): usize {
  const own = changetype<Own>(at);
  own.hi = hi;
  own.lo = lo;
  own.bits = bits;
  own.mark = mark ? 1 : 0;
  return at + OWN_BYTES;
}

/** Makes addresses and routes what a snapshot of `bytes` says. @returns false, and nothing has changed, when it is not one */
export function readSnapshot(stack: Stack, at: usize, bytes: u32): bool {
  if (!fits(stack, at, bytes)) return false;
  const routes = load<u32>(at, 4);
  at += HEAD_BYTES;
  for (let i = 0; i < stack.interfaces.length; i++) {
    const iface = stack.interfaces[i];
    const part = changetype<Part>(at);
    at += PART_BYTES;
    iface.mtu = part.mtu;
    iface.reversePath = part.reversePath;
    iface.nameServers.length = 0;
    for (let k: u32 = 0; k < part.servers; k++, at += 8) iface.nameServers.push(load<u64>(at));
    const before = iface.addresses.slice(0);
    iface.addresses.length = 0;
    iface.firstV4 = 0;
    for (let k: u32 = 0; k < part.addresses; k++, at += OWN_BYTES) {
      const own = changetype<Own>(at);
      iface.addresses.push(new InterfaceAddress(own.hi, own.lo, own.bits, own.mark != 0));
      if (iface.firstV4 == 0 && isV4(own.hi, own.lo)) iface.firstV4 = own.lo;
    }
    for (let k = 0; k < before.length; k++) {
      // Neighbours are reached from an address that is gone: they are asked anew.
      if (iface.find(before[k].hi, before[k].lo) == null) {
        stack.neighbours.flush(iface.index);
        break;
      }
    }
    if (part.has6 == 0) {
      iface.v6 = null;
      continue;
    }
    let v6 = iface.v6;
    if (v6 == null) {
      v6 = new Ipv6Interface(iface);
      iface.v6 = v6;
    }
    v6.addresses.length = 0;
    for (let k: u32 = 0; k < part.addresses6; k++, at += OWN_BYTES) {
      const own = changetype<Own>(at);
      const address = new Ipv6Address(own.hi, own.lo, own.bits);
      address.tentative = own.mark != 0;
      v6.addresses.push(address);
    }
  }
  const ip = stack.ip;
  ip.table.clear();
  for (let i: u32 = 0; i < routes; i++, at += ROUTE_COPY_BYTES) {
    const r = changetype<RouteCopy>(at);
    ip.addRoute(
      r.hi,
      r.lo,
      r.bits,
      r.kind,
      r.iface,
      r.hopHi,
      r.hopLo,
      r.srcHi,
      r.srcLo,
      r.metric,
      r.fromHi,
      r.fromLo,
      r.fromBits,
    );
  }
  ip.changed();
  return true;
}

// Does what the counts say fill exactly the bytes that are there, for the interfaces of this stack?
function fits(stack: Stack, at: usize, bytes: u32): bool {
  if (bytes < HEAD_BYTES || load<u32>(at) != <u32>stack.interfaces.length) return false;
  const routes = <u64>load<u32>(at, 4);
  let offset = <u64>HEAD_BYTES;
  for (let i = 0; i < stack.interfaces.length; i++) {
    if (offset + PART_BYTES > bytes) return false;
    const part = changetype<Part>(at + <usize>offset);
    if (part.mtu < 576 || part.mtu > 65535 || (part.has6 == 0 && part.addresses6 != 0)) return false;
    offset += PART_BYTES + <u64>part.servers * 8 + (<u64>part.addresses + part.addresses6) * OWN_BYTES;
  }
  return offset + routes * ROUTE_COPY_BYTES == bytes;
}
