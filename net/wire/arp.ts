// ARP for IPv4 over Ethernet (RFC 826): accessors for ARP_BYTES bytes that `isArp` has accepted.
//
//   0     2     4   5   6    8          14         18         24         28
//   | hrd | pro |hln|pln| op | sender   | sender   | target   | target   |
//                              hardware   protocol   hardware   protocol

import { loadMac, storeMac } from "./ethernet";

export const ARP_BYTES: u32 = 28;

const HARDWARE: usize = 0;
const PROTOCOL: usize = 2;
const LENGTHS: usize = 4;
const OPERATION: usize = 6;
const SENDER_MAC: usize = 8;
const SENDER_IP: usize = 14;
const TARGET_MAC: usize = 18;
const TARGET_IP: usize = 24;

export const enum ArpOp {
  REQUEST = 1,
  REPLY = 2,
}

/** Hardware type 1 (Ethernet), protocol IPv4, address lengths 6 and 4. */
export function isArp(at: usize, bytes: u32): bool {
  return (
    bytes >= ARP_BYTES &&
    bswap<u16>(load<u16>(at, HARDWARE)) == 1 &&
    bswap<u16>(load<u16>(at, PROTOCOL)) == 0x0800 &&
    load<u8>(at, LENGTHS) == 6 &&
    load<u8>(at, LENGTHS + 1) == 4
  );
}


@inline
export function arpOp(at: usize): u32 {
  return bswap<u16>(load<u16>(at, OPERATION));
}


@inline
export function arpSenderMac(at: usize): u64 {
  return loadMac(at + SENDER_MAC);
}


@inline
export function arpSenderIp(at: usize): u32 {
  return bswap<u32>(load<u32>(at, SENDER_IP));
}


@inline
export function arpTargetMac(at: usize): u64 {
  return loadMac(at + TARGET_MAC);
}


@inline
export function arpTargetIp(at: usize): u32 {
  return bswap<u32>(load<u32>(at, TARGET_IP));
}

export function emitArp(at: usize, op: u32, senderMac: u64, senderIp: u32, targetMac: u64, targetIp: u32): void {
  store<u32>(at, bswap<u32>(0x00010800), HARDWARE);
  store<u16>(at, bswap<u16>(0x0604), LENGTHS);
  store<u16>(at, bswap<u16>(<u16>op), OPERATION);
  storeMac(at + SENDER_MAC, senderMac);
  store<u32>(at, bswap<u32>(senderIp), SENDER_IP);
  storeMac(at + TARGET_MAC, targetMac);
  store<u32>(at, bswap<u32>(targetIp), TARGET_IP);
}
