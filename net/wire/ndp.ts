// Neighbour discovery messages (RFC 4861, 4): the solicitation and advertisement of a neighbour, and options.
//
//   0      1      2          4       8        24
//   | type | code | checksum | flags | target | options: | type | length in units of 8 bytes | ...

import { loadMac, storeMac } from "./ethernet";
import { emitIcmp6 } from "./icmpv6";
import { storeAddress } from "./ipv6";

export const ND_BYTES: u32 = 24;
export const ND_TARGET: usize = 8;
/** Bytes of an option with a hardware address. */
export const ND_MAC_OPTION_BYTES: u32 = 8;

/** Flags of an advertisement. */
export const enum NdFlag {
  ROUTER = 0x80000000,
  SOLICITED = 0x40000000,
  OVERRIDE = 0x20000000,
}

export const enum NdOption {
  SOURCE_MAC = 1,
  TARGET_MAC = 2,
}

/** Do the options in `bytes` bytes at `at` fill them exactly, none of length 0 (RFC 4861, 6.1 and 7.1)? */
export function checkNdOptions(at: usize, bytes: u32): bool {
  while (bytes > 0) {
    const length: u32 = bytes < 8 ? 0 : (<u32>load<u8>(at, 1)) << 3;
    if (length == 0 || length > bytes) return false;
    at += length;
    bytes -= length;
  }
  return true;
}

/** The hardware address in the first option of a type among checked options; 0 without one. */
export function ndMac(at: usize, bytes: u32, type: NdOption): u64 {
  const end = at + bytes;
  for (; at < end; at += (<usize>load<u8>(at, 1)) << 3) {
    if (load<u8>(at) == type) return loadMac(at + 2);
  }
  return 0;
}

/** Writes a message with a target; `mac` 0: without the option. Gives its bytes. */
export function emitNd(at: usize, type: u32, flags: u32, hi: u64, lo: u64, option: NdOption, mac: u64): u32 {
  emitIcmp6(at, type, 0, flags);
  storeAddress(at + ND_TARGET, hi, lo);
  if (mac == 0) return ND_BYTES;
  store<u8>(at + ND_BYTES, <u8>option);
  store<u8>(at + ND_BYTES, 1, 1);
  storeMac(at + ND_BYTES + 2, mac);
  return ND_BYTES + ND_MAC_OPTION_BYTES;
}
