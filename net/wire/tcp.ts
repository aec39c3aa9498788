// TCP header (RFC 9293, 3.1): accessors for TCP_BYTES bytes that are there, and the writer.
//
//   0     2     4     8     12         14       16         18       20
//   | src | dst | seq | ack | off|flags| window | checksum | urgent | options

export const TCP_BYTES: u32 = 20;
/** With all the options that the 4-bit data offset allows. */
export const TCP_MAX_BYTES: u32 = 60;

const SRC: usize = 0;
const DST: usize = 2;
const SEQ: usize = 4;
const ACK: usize = 8;
const OFFSET: usize = 12;
const FLAGS: usize = 13;
const WINDOW: usize = 14;
export const TCP_CHECKSUM: usize = 16;
const URGENT: usize = 18;

export const enum TcpFlag {
  FIN = 1,
  SYN = 2,
  RST = 4,
  PSH = 8,
  ACK = 16,
  URG = 32,
  ECE = 64,
  CWR = 128,
}


@inline
export function tcpSrc(at: usize): u32 {
  return bswap<u16>(load<u16>(at, SRC));
}


@inline
export function tcpDst(at: usize): u32 {
  return bswap<u16>(load<u16>(at, DST));
}


@inline
export function tcpSeq(at: usize): u32 {
  return bswap<u32>(load<u32>(at, SEQ));
}


@inline
export function tcpAck(at: usize): u32 {
  return bswap<u32>(load<u32>(at, ACK));
}
/** Header with options, bytes; hostile: 0 to 60. */
@inline
export function tcpHeaderBytes(at: usize): u32 {
  return ((<u32>load<u8>(at, OFFSET)) >> 4) << 2;
}


@inline
export function tcpFlags(at: usize): u32 {
  return load<u8>(at, FLAGS);
}
/** The window field, not scaled. */
@inline
export function tcpWindow(at: usize): u32 {
  return bswap<u16>(load<u16>(at, WINDOW));
}

/** Writes the header with checksum and urgent pointer 0. `bytes`: header and options, a multiple of 4. */
@inline
export function emitTcp(at: usize, src: u32, dst: u32, seq: u32, ack: u32, bytes: u32, flags: u32, window: u32): void {
  store<u16>(at, bswap<u16>(<u16>src), SRC);
  store<u16>(at, bswap<u16>(<u16>dst), DST);
  store<u32>(at, bswap<u32>(seq), SEQ);
  store<u32>(at, bswap<u32>(ack), ACK);
  store<u8>(at, <u8>(bytes << 2), OFFSET);
  store<u8>(at, <u8>flags, FLAGS);
  store<u16>(at, bswap<u16>(<u16>window), WINDOW);
  store<u32>(at, 0, TCP_CHECKSUM);
}


@inline
export function setTcpChecksum(at: usize, sum: u16): void {
  store<u16>(at, sum, TCP_CHECKSUM);
}
