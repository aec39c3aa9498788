// UDP header (RFC 768): accessors for UDP_BYTES bytes, which the caller has checked.
//
//   0     2     4        6          8
//   | src | dst | length | checksum | payload

export const UDP_BYTES: u32 = 8;

const SRC: usize = 0;
const DST: usize = 2;
const LENGTH: usize = 4;
export const UDP_CHECKSUM: usize = 6;


@inline
export function udpSrc(at: usize): u32 {
  return bswap<u16>(load<u16>(at, SRC));
}


@inline
export function udpDst(at: usize): u32 {
  return bswap<u16>(load<u16>(at, DST));
}
/** Header and payload, bytes; hostile until compared with what is there. */
@inline
export function udpLength(at: usize): u32 {
  return bswap<u16>(load<u16>(at, LENGTH));
}
/** The field as stored; 0: the sender computed none. */
@inline
export function udpChecksum(at: usize): u16 {
  return load<u16>(at, UDP_CHECKSUM);
}

/** Writes the header with checksum 0. */
@inline
export function emitUdp(at: usize, src: u32, dst: u32, bytes: u32): void {
  store<u16>(at, bswap<u16>(<u16>src), SRC);
  store<u16>(at, bswap<u16>(<u16>dst), DST);
  store<u16>(at, bswap<u16>(<u16>bytes), LENGTH);
  store<u16>(at, 0, UDP_CHECKSUM);
}
