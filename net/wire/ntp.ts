// SNTP messages (RFC 5905, 7.3; RFC 4330): a client's question, and what may be taken from an answer.
//
//   0          1       2    3         4          8               12            16        24       32        40
//   |LI|VN|mode|stratum|poll|precision|root delay|root dispersion|reference id|reference|originate|receive|transmit|
//
// clang: -Oz

export const NTP_PORT: u32 = 123;
export const NTP_BYTES: u32 = 48;
const CLIENT: u8 = (4 << 3) | 3;
const SERVER: u32 = 4;
const TRANSMIT: usize = 40;
/** Seconds from 1900, where NTP begins to count, to 1970. */
const TO_1970_S: i64 = 2_208_988_800;
/** More than that off its reference nobody is asked (RFC 5905, MAXDISP), ns. */
const MOST_DISTANCE_NS: i64 = 16_000_000_000;

/**
 * Writes a question. It says nothing of us: where the time should stand is a drawn number, which the answer must repeat
 * (RFC 5905, 8; draft-ietf-ntp-data-minimization).
 */
export function emitNtp(at: usize, nonce: u64): void {
  memory.fill(at, 0, NTP_BYTES);
  store<u8>(at, CLIENT);
  store<u64>(at, nonce, TRANSMIT);
}

export const enum NtpAnswer {
  OK = 0,
  /** Not an answer to the question, or forged. */
  STRANGER = 1,
  /** The server does not know the time itself. */
  UNSYNCHRONISED = 2,
  /** The server wants to be asked less often (RFC 5905, 7.4: RATE), or never again (DENY, RSTR). */
  RATE = 3,
  DENIED = 4,
}

export function checkNtp(at: usize, bytes: u32, nonce: u64): NtpAnswer {
  if (bytes < NTP_BYTES || load<u64>(at, 24) != nonce) return NtpAnswer.STRANGER;
  const first = <u32>load<u8>(at);
  const version = (first >> 3) & 7;
  if ((first & 7) != SERVER || version < 3 || version > 4) return NtpAnswer.STRANGER;
  const stratum = <u32>load<u8>(at, 1);
  if (stratum == 0) {
    const code = bswap<u32>(load<u32>(at, 12));
    if (code == 0x52415445) return NtpAnswer.RATE;
    return code == 0x44454e59 || code == 0x52535452 ? NtpAnswer.DENIED : NtpAnswer.UNSYNCHRONISED;
  }
  if (first >> 6 == 3 || stratum > 15 || load<u64>(at, 32) == 0 || load<u64>(at, TRANSMIT) == 0)
    return NtpAnswer.UNSYNCHRONISED;
  const sent = ntpTransmitted_ns(at);
  const late = sent < ntpReceived_ns(at) || ntpDistance_ns(at) >= MOST_DISTANCE_NS;
  return late ? NtpAnswer.UNSYNCHRONISED : NtpAnswer.OK;
}

/** When the server received the question, ns since 1970. */
export function ntpReceived_ns(at: usize): i64 {
  return since1970_ns(at + 32);
}

/** When it sent the answer. */
export function ntpTransmitted_ns(at: usize): i64 {
  return since1970_ns(at + TRANSMIT);
}

/** How far its time may be off that of its reference, ns: half the delay, and the dispersion. */
export function ntpDistance_ns(at: usize): i64 {
  const delay = <i64>bswap<u32>(load<u32>(at, 4));
  const dispersion = <i64>bswap<u32>(load<u32>(at, 8));
  return ((delay / 2 + dispersion) * 1_000_000_000) >> 16;
}

// RFC 4330, 3: with the highest bit set it is a time from 1968 to 2036, else one from 2036 to 2104.
function since1970_ns(at: usize): i64 {
  const second = <i64>bswap<u32>(load<u32>(at));
  const fraction = <i64>bswap<u32>(load<u32>(at, 4));
  const era: i64 = second >> 31 != 0 ? 0 : (<i64>1) << 32;
  return (second + era - TO_1970_S) * 1_000_000_000 + ((fraction * 1_000_000_000) >>> 32);
}
