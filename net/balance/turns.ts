// Backends in the order of smooth weighted round robin, written down once for a whole period: of weights 5, 1, 1 the turns are
// a a b a c a a, not a a a a a b c. Each backend's entries are its weight's share of the period, so a random entry is a
// random backend by weight too.
//
//   each turn: every backend gains its weight; who has most takes the turn and loses the sum of all weights

import { NOBODY } from "./maglev";

/** Turns in a period at most; weights that would need more are scaled down, to not less than one turn. */
const TURNS_MAX: u32 = 4096;

export class Turns {
  private turns: StaticArray<u16> = new StaticArray<u16>(<i32>TURNS_MAX);
  private current: StaticArray<i64>;
  private scaled: StaticArray<u32>;
  /** Turns of the period; 0 when nobody has a weight. */
  count: u32 = 0;
  private at: u32 = 0;

  /** @param backends how many there are, at most TURNS_MAX */
  constructor(private readonly backends: u32) {
    this.current = new StaticArray<i64>(<i32>max<u32>(backends, 1));
    this.scaled = new StaticArray<u32>(<i32>max<u32>(backends, 1));
  }

  /** Writes the period for weights, of which some may be 0. */
  set(weights: StaticArray<u32>): void {
    const backends = <i32>this.backends;
    let total: u64 = 0;
    let divisor: u32 = 0;
    let heavy: u32 = 0;
    for (let i = 0; i < backends; i++) {
      total += weights[i];
      divisor = greatestCommon(divisor, weights[i]);
      if (weights[i] > 0) heavy++;
    }
    this.count = 0;
    if (total == 0) return;
    const exact = total / divisor <= TURNS_MAX;
    let sum: u32 = 0;
    for (let i = 0; i < backends; i++) {
      const weight = <u64>weights[i];
      if (weight == 0) this.scaled[i] = 0;
      else if (exact) this.scaled[i] = <u32>(weight / divisor);
      else this.scaled[i] = 1 + <u32>((weight * (TURNS_MAX - heavy)) / total);
      sum += this.scaled[i];
      this.current[i] = 0;
    }
    for (let turn: u32 = 0; turn < sum; turn++) {
      let best = -1;
      for (let i = 0; i < backends; i++) {
        if (unchecked(this.scaled[i]) == 0) continue;
        unchecked((this.current[i] += this.scaled[i]));
        if (best < 0 || unchecked(this.current[i]) > unchecked(this.current[best])) best = i;
      }
      this.current[best] -= sum;
      this.turns[turn] = <u16>best;
    }
    this.count = sum;
    if (this.at >= sum) this.at = 0;
  }

  /** Whose turn it is; NOBODY when nobody has a weight. */
  next(): u32 {
    if (this.count == 0) return NOBODY;
    const at = this.at;
    this.at = at + 1 == this.count ? 0 : at + 1;
    return unchecked(this.turns[at]);
  }

  /** The backend of a turn, by a random number. */
  random(draw: u32): u32 {
    if (this.count == 0) return NOBODY;
    return unchecked(this.turns[<u32>((<u64>draw * this.count) >> 32)]);
  }
}

function greatestCommon(a: u32, b: u32): u32 {
  while (b != 0) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}
