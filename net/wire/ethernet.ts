// Ethernet II header (IEEE 802.3, RFC 894) and the 802.1Q tag: accessors for a frame of at least ETHERNET_BYTES (with
// a tag,
// VLAN_TAG_BYTES more), which the caller has checked once.
//
//   0        6        12     14                     0        6        12     14    16     18
//   | dst    | src    | type | payload      tagged: | dst    | src    | 8100 | tci | type | payload

export const ETHERNET_BYTES: u32 = 14;
export const VLAN_TAG_BYTES: u32 = 4;

const DST: usize = 0;
const SRC: usize = 6;
const TYPE: usize = 12;
const TCI: usize = 14;
const TAGGED_TYPE: usize = 16;

export const enum EtherType {
  IPV4 = 0x0800,
  ARP = 0x0806,
  VLAN = 0x8100,
  IPV6 = 0x86dd,
}

/** The broadcast hardware address. */
export const MAC_BROADCAST: u64 = 0xffffffffffff;

/** A hardware address at `at`, with the first octet in bits 40 to 47. */
@inline
export function loadMac(at: usize): u64 {
  return ((<u64>bswap<u32>(load<u32>(at))) << 16) | (<u64>bswap<u16>(load<u16>(at, 4)));
}


@inline
export function storeMac(at: usize, mac: u64): void {
  store<u32>(at, bswap<u32>(<u32>(mac >> 16)));
  store<u16>(at, bswap<u16>(<u16>mac), 4);
}

/** Group bit: the address is multicast or broadcast. */
@inline
export function isGroupMac(mac: u64): bool {
  return ((mac >> 40) & 1) != 0;
}


@inline
export function frameDst(frame: usize): u64 {
  return loadMac(frame + DST);
}


@inline
export function frameSrc(frame: usize): u64 {
  return loadMac(frame + SRC);
}


@inline
export function frameType(frame: usize): u32 {
  return bswap<u16>(load<u16>(frame, TYPE));
}
/** Tag control information of a tagged frame: priority, DEI, VLAN id in bits 0 to 11. */
@inline
export function frameTci(frame: usize): u32 {
  return bswap<u16>(load<u16>(frame, TCI));
}
/** Type of the payload of a tagged frame. */
@inline
export function frameTaggedType(frame: usize): u32 {
  return bswap<u16>(load<u16>(frame, TAGGED_TYPE));
}


@inline
export function emitEthernet(frame: usize, dst: u64, src: u64, type: u32): void {
  storeMac(frame + DST, dst);
  storeMac(frame + SRC, src);
  store<u16>(frame, bswap<u16>(<u16>type), TYPE);
}

export function emitTaggedEthernet(frame: usize, dst: u64, src: u64, tci: u32, type: u32): void {
  emitEthernet(frame, dst, src, EtherType.VLAN);
  store<u16>(frame, bswap<u16>(<u16>tci), TCI);
  store<u16>(frame, bswap<u16>(<u16>type), TAGGED_TYPE);
}

/** "52:54:00:12:34:56". */
export function formatMac(mac: u64): string {
  let text = "";
  for (let i = 0; i < 6; i++) {
    const octet = (<u32>(mac >> (40 - 8 * i))) & 0xff;
    if (i > 0) text += ":";
    text += hexDigit(octet >> 4) + hexDigit(octet & 15);
  }
  return text;
}

function hexDigit(value: u32): string {
  return String.fromCharCode(value < 10 ? 48 + value : 87 + value);
}
