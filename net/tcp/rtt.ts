// Round-trip time and retransmission timeout (RFC 6298).
//
//   (2.3) RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R|,  SRTT = 7/8 SRTT + 1/8 R       with the old SRTT in RTTVAR
//         RTO = SRTT + max(RTO_MIN, 4 RTTVAR)
//
// The floor stands beside SRTT instead of under the sum, as in Linux: a peer may delay its ACK by up to 200 ms whatever the path's SRTT.

import { Connection } from "./connection";

/** RFC 6298 (2.1). */
export const RTO_INITIAL_US: u32 = 1_000_000;
/** RFC 6298 (2.4) says 1 s; Linux and the BSDs have used 200 ms and 230 ms for two decades, RACK-TLP and timestamps repair the rest. */
export const RTO_MIN_US: u32 = 200_000;
/** RFC 6298 (2.5): at least 60 s. Linux: 120 s. */
export const RTO_MAX_US: u32 = 120_000_000;
/** RFC 8985, 7.2: how long the smallest RTT counts. Linux: tcp_min_rtt_wlen 300 s. */
const MIN_RTT_WINDOW_NS: i64 = 300_000_000_000;

/** Takes a sample. */
export function rttSample(c: Connection, rtt_us: u32, now_ns: i64): void {
  const r = max<u32>(rtt_us, 1);
  if (c.srtt_us == 0) {
    // (2.2)
    c.srtt_us = r;
    c.rttvar_us = r / 2;
  } else {
    const srtt = c.srtt_us;
    const delta = srtt > r ? srtt - r : r - srtt;
    c.rttvar_us = c.rttvar_us - c.rttvar_us / 4 + delta / 4;
    c.srtt_us = max<u32>(srtt - srtt / 8 + r / 8, 1);
  }
  c.rto_us = min<u32>(c.srtt_us + max<u32>(RTO_MIN_US, 4 * c.rttvar_us), RTO_MAX_US);
}

/** The smallest RTT of the path: from the latest segment that an ACK covers, which the peer's delayed ACK spares. */
export function rttMinimum(c: Connection, rtt_us: u32, now_ns: i64): void {
  const r = max<u32>(rtt_us, 1);
  if (r <= c.min_rtt_us || c.min_rtt_us == 0 || now_ns - c.min_rtt_ns > MIN_RTT_WINDOW_NS) {
    c.min_rtt_us = r;
    c.min_rtt_ns = now_ns;
  }
}

/** The timeout with its back-off (RFC 6298, 5.5), ns. */
export function rtoNs(c: Connection): i64 {
  const us = min<u64>((<u64>c.rto_us) << min<u32>(c.backoff, 16), RTO_MAX_US);
  return <i64>us * 1000;
}

/** Timestamp clock of a connection: ms, from an offset that tells nothing of the machine's age (RFC 7323, 5.4 and 7.1). */
@inline
export function tsNow(c: Connection, now_ns: i64): u32 {
  return <u32>(now_ns / 1_000_000) + c.ts_offset;
}
