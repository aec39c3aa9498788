// Sequence numbers (RFC 9293, 3.4): 32 bits that wrap. a < b means that b is at most 2^31 - 1 ahead of a; so two numbers of one connection
// must never be further apart, which the limits on windows and queues guarantee.

/** a < b */
@inline
export function seqLt(a: u32, b: u32): bool {
  return <i32>(a - b) < 0;
}
/** a <= b */
@inline
export function seqLe(a: u32, b: u32): bool {
  return <i32>(a - b) <= 0;
}
/** a > b */
@inline
export function seqGt(a: u32, b: u32): bool {
  return <i32>(a - b) > 0;
}
/** a >= b */
@inline
export function seqGe(a: u32, b: u32): bool {
  return <i32>(a - b) >= 0;
}


@inline
export function seqMin(a: u32, b: u32): u32 {
  return seqLt(a, b) ? a : b;
}


@inline
export function seqMax(a: u32, b: u32): u32 {
  return seqLt(a, b) ? b : a;
}
