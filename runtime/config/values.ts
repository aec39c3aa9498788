// Values that JSON writes as strings with a unit (CONFIG.md, Rules): "500ms", "16KiB", "20/s", "50%". Each parser takes
// the whole text or gives INVALID: no spaces, no signs, no fractions, units in falling order, nothing that overflows.
// clang: -Oz

/** What the parsers give for a text that is not such a value. */
export const INVALID: i64 = -1;

const NS_PER_MS: i64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;

/** A run of decimal digits of a text, read from `at`; INVALID when there is none or it exceeds 2^53. */
class Digits {
  at: i32;

  constructor(
    private text: string,
    at: i32,
  ) {
    this.at = at;
  }

  read(): i64 {
    const start = this.at;
    let value: i64 = 0;
    for (; this.at < this.text.length; this.at++) {
      const digit = this.text.charCodeAt(this.at) - 0x30;
      if (<u32>digit > 9) break;
      value = value * 10 + digit;
      if (value > (<i64>1) << 53) return INVALID;
    }
    return this.at > start ? value : INVALID;
  }

  /** The letters (and "%", "/") that follow. */
  unit(): string {
    const start = this.at;
    while (this.at < this.text.length && <u32>(this.text.charCodeAt(this.at) - 0x30) > 9) this.at++;
    return this.text.substring(start, this.at);
  }
}

/** ns of a duration: numbers with the units d, h, m, s, ms, us in falling order ("2h4m"); at most about 292 years. */
export function parseDuration(text: string): i64 {
  const digits = new Digits(text, 0);
  let total: i64 = 0;
  let previous: i64 = i64.MAX_VALUE;
  while (digits.at < text.length) {
    const value = digits.read();
    if (value == INVALID) return INVALID;
    const unit = durationUnit(digits.unit());
    if (unit == INVALID || unit >= previous || value > (i64.MAX_VALUE - total) / unit) return INVALID;
    total += value * unit;
    previous = unit;
  }
  return text.length > 0 ? total : INVALID;
}

function durationUnit(unit: string): i64 {
  if (unit == "us") return 1000;
  if (unit == "ms") return NS_PER_MS;
  if (unit == "s") return NS_PER_S;
  if (unit == "m") return 60 * NS_PER_S;
  if (unit == "h") return 3600 * NS_PER_S;
  if (unit == "d") return 86400 * NS_PER_S;
  return INVALID;
}

/** Bytes of a size: a number with the unit B, KiB, MiB, GiB or TiB. */
export function parseSize(text: string): i64 {
  const digits = new Digits(text, 0);
  const value = digits.read();
  if (value == INVALID) return INVALID;
  const unit = digits.unit();
  if (digits.at < text.length) return INVALID;
  const shift: i64 =
    unit == "B" ? 0 : unit == "KiB" ? 10 : unit == "MiB" ? 20 : unit == "GiB" ? 30 : unit == "TiB" ? 40 : INVALID;
  return shift == INVALID || value > i64.MAX_VALUE >> shift ? INVALID : value << shift;
}

/** Events in 1,000 seconds of a rate: a number and "/s", "/m" or "/h"; so that "1/m" is not 0. */
export function parseRate(text: string): i64 {
  const digits = new Digits(text, 0);
  const value = digits.read();
  if (value == INVALID || value > i64.MAX_VALUE / 3_600_000) return INVALID;
  const unit = digits.unit();
  if (digits.at < text.length) return INVALID;
  if (unit == "/s") return value * 1000;
  if (unit == "/m") return (value * 1000) / 60;
  if (unit == "/h") return (value * 1000) / 3600;
  return INVALID;
}

/** Per cent of a share: 0 to 100 and "%". */
export function parseShare(text: string): i64 {
  const digits = new Digits(text, 0);
  const value = digits.read();
  return value >= 0 && value <= 100 && digits.unit() == "%" && digits.at == text.length ? value : INVALID;
}

/** A whole number without sign, as JSON and addresses write it: no leading zero; INVALID above `limit`. */
export function parseCount(text: string, limit: i64): i64 {
  const digits = new Digits(text, 0);
  const value = digits.read();
  if (value == INVALID || digits.at < text.length || value > limit) return INVALID;
  return text.length > 1 && text.charCodeAt(0) == 0x30 ? INVALID : value;
}
