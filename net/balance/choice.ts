// Which backend a new flow gets: the algorithms, over those that are usable and have room, with stickiness before and backups
// behind them.
//
//   sticky? -> its backend, if usable -> algorithm over the primaries that are usable -> over the backups -> nobody
//
// Invariants
// 1. A backend that is chosen is ready, up and has room at that moment; nothing is chosen when there is none such.
// 2. What depends on states and weights is computed when they change (`refresh`), not for each flow. Slow start changes weights
//    in steps of SLOW_STEP_NS.
// 3. Maglev and source hash take no part in slow start: it would move flows.

import { Admin, Backend, Operational } from "./backend";
import { Maglev, NOBODY } from "./maglev";
import { HashSeed } from "./seed";
import { StickTable } from "./sources";
import { Turns } from "./turns";

export const enum Algorithm {
  MAGLEV = 0,
  ROUND_ROBIN = 1,
  LEAST_CONNECTIONS = 2,
  RANDOM_TWO = 3,
  SOURCE_HASH = 4,
}
export const ALGORITHM_NAMES: Array<string> = [
  "maglev",
  "round-robin",
  "least-connections",
  "random-two",
  "source-hash",
];

const SLOW_STEP_NS: i64 = 100_000_000;
/** Entries of a hash table that are tried when the backend of the first is full. */
const HASH_TRIES: u32 = 8;

export class Choice {
  slowStart_ns: i64 = 0;
  /** Per cent of the backends: with fewer usable than this, those that are only ejected are used too. */
  panicShare: u32 = 0;
  sticks: StickTable | null = null;
  /** Usable backends, backups not counted, and whether backups serve. */
  usable: u32 = 0;
  onBackups: bool = false;
  /** Flows that went to the backend that they stick to. */
  stuck: u64 = 0;
  private readonly eligible: StaticArray<u8>;
  private readonly weights: StaticArray<u32>;
  private readonly turns: Turns;
  private maglev: Maglev | null = null;
  /** When slow start changes weights next. */
  private step_ns: i64 = i64.MAX_VALUE;
  private random: u64;

  /** @param random seed of the draws of random-two, not 0 */
  constructor(
    readonly algorithm: Algorithm,
    readonly backends: Array<Backend>,
    private readonly seed: HashSeed,
    random: u64,
  ) {
    const count = backends.length;
    this.random = random | 1;
    this.eligible = new StaticArray<u8>(max(count, 1));
    this.weights = new StaticArray<u32>(max(count, 1));
    this.turns = new Turns(count);
    if (algorithm == Algorithm.MAGLEV || algorithm == Algorithm.SOURCE_HASH) this.maglev = this.newTable();
    this.refresh(0);
  }

  // Over all that have a weight; backups have entries only while they serve.
  private newTable(): Maglev {
    const names = this.backends.map<string>((backend) => backend.name);
    const weights = this.backends.map<u32>((backend) => backend.weight);
    return new Maglev(this.seed, names, weights);
  }

  /** Whether a backend may get new flows, room aside. */
  isEligible(index: u32): bool {
    return this.eligible[index] != 0;
  }

  /** Whether somebody can get new flows, room aside. */
  get available(): bool {
    return this.turns.count > 0;
  }

  /** To be called when a state, a weight or the set of weights has changed. @param weights the weights themselves have */
  refresh(now_ns: i64, weights: bool = false): void {
    const backends = this.backends;
    let ready: u32 = 0;
    let up: u32 = 0;
    let usable: u32 = 0;
    for (let i = 0; i < backends.length; i++) {
      const b = backends[i];
      if (b.backup || b.admin != Admin.READY || b.weight == 0) continue;
      ready++;
      if (b.operational == Operational.UP) up++;
    }
    // "Use all" concerns passive ejection only: what checks have found down stays out.
    const desperate = ready > 0 && up * 100 < this.panicShare * ready;
    for (let i = 0; i < backends.length; i++) {
      const yes = !backends[i].backup && this.serves(backends[i], desperate);
      this.eligible[i] = yes ? 1 : 0;
      if (yes) usable++;
    }
    this.usable = usable;
    this.onBackups = usable == 0;
    if (usable == 0) {
      for (let i = 0; i < backends.length; i++)
        this.eligible[i] = backends[i].backup && this.serves(backends[i], false) ? 1 : 0;
    }
    if (this.maglev != null) {
      if (weights) this.maglev!.free();
      if (weights) this.maglev = this.newTable();
      this.maglev!.setUsable(this.eligible);
    }
    this.reweigh(now_ns);
  }

  private serves(b: Backend, desperate: bool): bool {
    if (b.admin != Admin.READY || b.weight == 0) return false;
    return b.operational == Operational.UP || (desperate && b.operational == Operational.EJECTED);
  }

  private reweigh(now_ns: i64): void {
    const backends = this.backends;
    this.step_ns = i64.MAX_VALUE;
    for (let i = 0; i < backends.length; i++) {
      const b = backends[i];
      this.weights[i] = this.eligible[i] != 0 ? b.weightAt(now_ns, this.slowStart_ns) : 0;
      if (this.eligible[i] != 0 && b.up_ns != 0 && now_ns - b.up_ns < this.slowStart_ns)
        this.step_ns = now_ns + SLOW_STEP_NS;
    }
    this.turns.set(this.weights);
  }

  /**
   * Chooses for a new flow.
   * @param exclude a backend that has just failed for it, or NOBODY
   * @returns the backend's index, or NOBODY when there is none with room
   */
  choose(hi: u64, lo: u64, port: u32, now_ns: i64, exclude: u32 = NOBODY): u32 {
    if (now_ns >= this.step_ns) this.reweigh(now_ns);
    const sticks = this.sticks;
    if (sticks == null) return this.pick(hi, lo, port, exclude);
    const stuck = sticks.find(hi, lo, now_ns);
    if (stuck >= 0 && stuck < this.backends.length && <u32>stuck != exclude && this.isFree(stuck)) {
      this.stuck++;
      return stuck;
    }
    const chosen = this.pick(hi, lo, port, exclude);
    if (chosen != NOBODY) sticks.put(hi, lo, chosen, now_ns);
    return chosen;
  }

  // Eligible and with room.
  @inline private isFree(i: u32): bool {
    return unchecked(this.eligible[i]) != 0 && unchecked(this.backends[i]).hasRoom;
  }

  private pick(hi: u64, lo: u64, port: u32, exclude: u32): u32 {
    switch (this.algorithm) {
      case Algorithm.MAGLEV:
        return this.byHash(this.seed.flow(hi, lo, port), exclude);
      case Algorithm.SOURCE_HASH:
        return this.byHash(this.seed.source(hi, lo), exclude);
      case Algorithm.LEAST_CONNECTIONS:
        return this.leastLoaded(exclude);
      case Algorithm.RANDOM_TWO:
        return this.randomTwo(exclude);
      default:
        return this.inTurn(exclude);
    }
  }

  // The hash's backend; when it is full, those of further entries, the same for each instance and time.
  private byHash(hash: u32, exclude: u32): u32 {
    const maglev = this.maglev!;
    for (let i: u32 = 0; i < HASH_TRIES; i++) {
      const b = maglev.find(hash);
      if (b == NOBODY) return NOBODY;
      if (b != exclude && this.isFree(b)) return b;
      hash = hash * 0x9e3779b1 + 0x7f4a7c15;
    }
    return this.leastLoaded(exclude);
  }

  private inTurn(exclude: u32): u32 {
    const turns = this.turns;
    for (let i: u32 = 0; i < turns.count; i++) {
      const b = turns.next();
      if (b != exclude && this.isFree(b)) return b;
    }
    return NOBODY;
  }

  // Fewest connections for its weight; of those that are equal the next in turn, so that idle backends share the first flows.
  private leastLoaded(exclude: u32): u32 {
    const first = this.turns.next();
    let best = NOBODY;
    if (first != NOBODY && first != exclude && this.isFree(first)) best = first;
    const backends = this.backends;
    for (let i: u32 = 0, n = <u32>backends.length; i < n; i++) {
      if (i == exclude || !this.isFree(i)) continue;
      if (best == NOBODY || this.load(i) < this.load(best)) best = i;
    }
    return best;
  }

  // Connections for each part of weight, in fixed point. (active + 1): of two idle ones the heavier is the less loaded.
  @inline private load(i: u32): u64 {
    return ((<u64>unchecked(this.backends[i]).active + 1) << 32) / unchecked(this.weights[i]);
  }

  private randomTwo(exclude: u32): u32 {
    const turns = this.turns;
    let best = NOBODY;
    for (let k = 0; k < 2; k++) {
      const b = turns.random(this.draw());
      if (b == NOBODY || b == exclude || !this.isFree(b)) continue;
      if (best == NOBODY || unchecked(this.backends[b]).active < unchecked(this.backends[best]).active) best = b;
    }
    return best != NOBODY ? best : this.inTurn(exclude);
  }

  private draw(): u32 {
    let x = this.random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    this.random = x;
    return <u32>((x * 0x2545f4914f6cdd1d) >> 32);
  }
}
