// DHCP messages (RFC 2131, section 2; options of RFC 2132): reading a server's message, whatever it contains, and
// writing a client's.
//
//   0   1     2     3     4    8     10     12      16      20      24      28       44     108    236    240
//   |op |htype|hlen |hops | xid| secs| flags| ciaddr| yiaddr| siaddr| giaddr| chaddr | sname| file | magic| options
//
// clang: -Oz

import { loadMac, storeMac } from "./ethernet";

const OP: usize = 0;
const HTYPE: usize = 1;
const HLEN: usize = 2;
const XID: usize = 4;
const SECS: usize = 8;
const CIADDR: usize = 12;
const YIADDR: usize = 16;
const CHADDR: usize = 28;
const SNAME: usize = 44;
const SNAME_BYTES: u32 = 64;
const FILE: usize = 108;
const FILE_BYTES: u32 = 128;
const MAGIC: usize = 236;
const OPTIONS: u32 = 240;
const MAGIC_COOKIE: u32 = 0x63825363;
/** What BOOTP relays expect at least (RFC 1542, 2.1). */
const MIN_MESSAGE_BYTES: u32 = 300;
/** Bytes of the longest message that `emitDhcp` writes. */
export const MAX_MESSAGE_BYTES: u32 = OPTIONS + 128;

export const DHCP_SERVER_PORT: u32 = 67;
export const DHCP_CLIENT_PORT: u32 = 68;

export const enum DhcpType {
  DISCOVER = 1,
  OFFER = 2,
  REQUEST = 3,
  DECLINE = 4,
  ACK = 5,
  NAK = 6,
  RELEASE = 7,
}

const enum Option {
  PAD = 0,
  MASK = 1,
  ROUTER = 3,
  DNS = 6,
  MTU = 26,
  NTP = 42,
  REQUESTED_ADDRESS = 50,
  LEASE = 51,
  OVERLOAD = 52,
  TYPE = 53,
  SERVER = 54,
  PARAMETERS = 55,
  MAX_SIZE = 57,
  T1 = 58,
  T2 = 59,
  CLIENT_ID = 61,
  ROUTES = 121,
  END = 255,
}

/** Servers kept of a list. */
export const MAX_SERVERS: u32 = 3;

/** A server's message, read. Addresses in host order; 0: not there. */
@unmanaged
export class DhcpMessage {
  type: u32;
  yiaddr: u32;
  server: u32;
  mask: u32;
  router: u32;
  mtu: u32;
  lease_s: u32;
  t1_s: u32;
  t2_s: u32;
  dns0: u32;
  dns1: u32;
  dns2: u32;
  ntp0: u32;
  ntp1: u32;
  ntp2: u32;
  /** Bytes of the option with routes (RFC 3442), which follow this. */
  routes_bytes: u32;

  get routes(): usize {
    return changetype<usize>(this) + offsetof<DhcpMessage>();
  }
}

/** Bytes of routes that are taken, and room for a message with them. */
const MAX_ROUTE_BYTES: u32 = 144;
export const DHCP_MESSAGE_BYTES: usize = offsetof<DhcpMessage>() + MAX_ROUTE_BYTES;

/** Reads the routes of a message one after the other: `at` begins at 0. */
@unmanaged
export class DhcpRoute {
  at: u32;
  bits: u32;
  destination: u32;
  router: u32;

  /** Goes to the next; false behind the last, and where one is malformed. */
  next(m: DhcpMessage): bool {
    const left = m.routes_bytes - this.at;
    if (left == 0) return false;
    const at = m.routes + this.at;
    const bits: u32 = load<u8>(at);
    const significant = (bits + 7) >> 3;
    if (bits > 32 || left < 5 + significant) return false;
    let destination: u32 = 0;
    for (let i: u32 = 0; i < significant; i++) destination |= (<u32>load<u8>(at + 1 + i)) << (24 - 8 * i);
    this.bits = bits;
    this.destination = bits == 0 ? 0 : destination & (u32.MAX_VALUE << (32 - bits));
    this.router = word(at + 1 + significant);
    this.at += 5 + significant;
    return true;
  }
}

/**
 * Reads a message of `bytes` bytes at `at` into `out`.
 * @returns false when it is none, or not for the client with this `xid` and `mac`
 */
export function parseDhcp(at: usize, bytes: u32, xid: u32, mac: u64, out: DhcpMessage): bool {
  memory.fill(changetype<usize>(out), 0, offsetof<DhcpMessage>());
  if (bytes < OPTIONS) return false;
  if (load<u8>(at, OP) != 2 || load<u8>(at, HTYPE) != 1 || load<u8>(at, HLEN) != 6) return false;
  if (bswap<u32>(load<u32>(at, XID)) != xid || loadMac(at + CHADDR) != mac) return false;
  if (bswap<u32>(load<u32>(at, MAGIC)) != MAGIC_COOKIE) return false;
  out.yiaddr = bswap<u32>(load<u32>(at, YIADDR));
  const overload = parseOptions(at + OPTIONS, bytes - OPTIONS, out);
  // Options may go on in the fields for names (RFC 2132, 9.3), which then hold no further overload.
  if (overload & 1) parseOptions(at + FILE, FILE_BYTES, out);
  if (overload & 2) parseOptions(at + SNAME, SNAME_BYTES, out);
  return out.type != 0;
}

// Reads the options of a region, up to its end or what does not fit. The first of equal options counts. Gives the
// overload option.
function parseOptions(at: usize, bytes: u32, out: DhcpMessage): u32 {
  let overload: u32 = 0;
  const end = at + bytes;
  while (at < end) {
    const code = <u32>load<u8>(at++);
    if (code == Option.PAD) continue;
    if (code == Option.END || at == end) break;
    const length = <u32>load<u8>(at++);
    if (at + length > end) break;
    const value = at;
    at += length;
    switch (code) {
      case Option.TYPE:
        if (length == 1 && out.type == 0) out.type = load<u8>(value);
        break;
      case Option.OVERLOAD:
        if (length == 1) overload = load<u8>(value);
        break;
      case Option.MASK:
        if (length == 4 && out.mask == 0) out.mask = word(value);
        break;
      case Option.ROUTER:
        if (length >= 4 && out.router == 0) out.router = word(value);
        break;
      case Option.SERVER:
        if (length == 4 && out.server == 0) out.server = word(value);
        break;
      case Option.LEASE:
        if (length == 4 && out.lease_s == 0) out.lease_s = word(value);
        break;
      case Option.T1:
        if (length == 4 && out.t1_s == 0) out.t1_s = word(value);
        break;
      case Option.T2:
        if (length == 4 && out.t2_s == 0) out.t2_s = word(value);
        break;
      case Option.MTU:
        if (length == 2 && out.mtu == 0) out.mtu = bswap<u16>(load<u16>(value));
        break;
      case Option.DNS:
        if (out.dns0 == 0) {
          if (length >= 4) out.dns0 = word(value);
          if (length >= 8) out.dns1 = word(value + 4);
          if (length >= 12) out.dns2 = word(value + 8);
        }
        break;
      case Option.NTP:
        if (out.ntp0 == 0) {
          if (length >= 4) out.ntp0 = word(value);
          if (length >= 8) out.ntp1 = word(value + 4);
          if (length >= 12) out.ntp2 = word(value + 8);
        }
        break;
      case Option.ROUTES:
        // One that comes in parts is the parts put together (RFC 3396).
        if (out.routes_bytes + length > MAX_ROUTE_BYTES) break;
        memory.copy(out.routes + out.routes_bytes, value, length);
        out.routes_bytes += length;
        break;
    }
  }
  return overload;
}


@inline
function word(at: usize): u32 {
  return bswap<u32>(load<u32>(at));
}

/**
 * Writes a client's message, at most MAX_MESSAGE_BYTES.
 * @param ciaddr the address in use (renewing), else 0
 * @param requested, server options 50 and 54; 0: left out
 * @returns its bytes
 */
export function emitDhcp(
  at: usize,
  type: u32,
  xid: u32,
  secs: u32,
  mac: u64,
  ciaddr: u32,
  requested: u32,
  server: u32,
  mtu: u32,
): u32 {
  memory.fill(at, 0, MAX_MESSAGE_BYTES);
  store<u8>(at, 1, OP);
  store<u8>(at, 1, HTYPE);
  store<u8>(at, 6, HLEN);
  store<u32>(at, bswap<u32>(xid), XID);
  store<u16>(at, bswap<u16>(<u16>min<u32>(secs, 65535)), SECS);
  store<u32>(at, bswap<u32>(ciaddr), CIADDR);
  storeMac(at + CHADDR, mac);
  store<u32>(at, bswap<u32>(MAGIC_COOKIE), MAGIC);
  let o = at + OPTIONS;
  o = option8(o, Option.TYPE, type);
  // Hardware type and address: the same as without the option, but what servers with leases by identifier expect (RFC
  // 2132, 9.14).
  store<u8>(o, Option.CLIENT_ID);
  store<u8>(o, 7, 1);
  store<u8>(o, 1, 2);
  storeMac(o + 3, mac);
  o += 9;
  if (requested != 0) o = option32(o, Option.REQUESTED_ADDRESS, requested);
  if (server != 0) o = option32(o, Option.SERVER, server);
  if (type != DhcpType.DECLINE && type != DhcpType.RELEASE) {
    store<u8>(o, Option.MAX_SIZE);
    store<u8>(o, 2, 1);
    store<u16>(o, bswap<u16>(<u16>min<u32>(mtu, 1500)), 2);
    o += 4;
    store<u8>(o, Option.PARAMETERS);
    store<u8>(o, 8, 1);
    // Before the router: RFC 3442.
    store<u8>(o, Option.ROUTES, 2);
    store<u8>(o, Option.MASK, 3);
    store<u8>(o, Option.ROUTER, 4);
    store<u8>(o, Option.DNS, 5);
    store<u8>(o, Option.NTP, 6);
    store<u8>(o, Option.MTU, 7);
    store<u8>(o, Option.T1, 8);
    store<u8>(o, Option.T2, 9);
    o += 10;
  }
  store<u8>(o++, Option.END);
  return max<u32>(<u32>(o - at), MIN_MESSAGE_BYTES);
}

function option8(at: usize, code: u32, value: u32): usize {
  store<u8>(at, <u8>code);
  store<u8>(at, 1, 1);
  store<u8>(at, <u8>value, 2);
  return at + 3;
}

function option32(at: usize, code: u32, value: u32): usize {
  store<u8>(at, <u8>code);
  store<u8>(at, 4, 1);
  store<u32>(at, bswap<u32>(value), 2);
  return at + 6;
}
