// How often outsiders can make us answer: challenge ACKs (RFC 5961, 7) and RST segments.
//
// Limits count for a second and are drawn from half to one and a half times the configured: a counter that outsiders can read tells them of
// others' connections (CVE-2016-5696).

import { Stack } from "../stack";
import { TcpLimits } from "./limits";

const SECOND_NS: i64 = 1_000_000_000;

export class RateLimits {
  private limit_ns: i64 = 0;
  private challenges: u32 = 0;
  private resets: u32 = 0;

  constructor(
    private readonly stack: Stack,
    private readonly limits: TcpLimits,
  ) {}

  /** Takes a challenge ACK from this second's; false when there is none left. */
  challenge(): bool {
    this.refill();
    if (this.challenges == 0) return false;
    this.challenges--;
    return true;
  }

  /** The same for a RST. */
  reset(): bool {
    this.refill();
    if (this.resets == 0) return false;
    this.resets--;
    return true;
  }

  private refill(): void {
    const now = this.stack.now_ns;
    if (now < this.limit_ns) return;
    this.limit_ns = now + SECOND_NS;
    this.challenges = this.randomAround(this.limits.challengeAcksPerSecond);
    this.resets = this.randomAround(this.limits.resetsPerSecond);
  }

  private randomAround(n: u32): u32 {
    return n / 2 + this.stack.randomBelow(n + 1);
  }
}
