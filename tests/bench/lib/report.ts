// What a bench hands to the runner, and how peers take turns.
import { median, type Ratio, ratioOf } from "./statistics.ts";

/** One figure. `target` is an upper limit for `value`, `atLeast` a lower one. */
export interface Row {
  what: string;
  value: number;
  unit: string;
  target?: number;
  atLeast?: number;
  detail?: string;
}

/** One quantity, measured for us and for peers in turns. The first contestant is ours. */
export interface Comparison {
  what: string;
  unit: string;
  better: "more" | "less";
  contestants: { name: string; values: number[]; bound?: boolean }[];
  /** The ratio to the first peer that we want: at least for "more", at most for "less". */
  target?: number;
  /** What our median must not exceed ("less") or fall below ("more"). */
  limit?: number;
}

export interface Report {
  rows: Row[];
  commands: string[];
  comparisons?: Comparison[];
  /** How peers were tuned, and whatever a reader must know to read the figures. */
  notes?: string[];
}

/** A quantity that every contestant's run gives by its name. */
export interface Metric {
  what: string;
  unit: string;
  better: "more" | "less";
  target?: number;
  limit?: number;
}

export interface Contestant {
  name: string;
  /** A bare device instead of a peer: what the best possible program could reach. */
  bound?: boolean;
  /** One measurement: a value for each metric that this contestant has. */
  run: () => Promise<Record<string, number>>;
}

/**
 * Lets contestants run in turns, so that a machine that slows down slows all of them: one round to warm up, then
 * `repetitions` rounds, each beginning with another contestant.
 * @param contestants ours first, then the peer that targets refer to
 */
export async function alternate(
  metrics: Record<string, Metric>,
  contestants: Contestant[],
  { repetitions = Number(process.env["BENCH_REPETITIONS"] ?? 5), warmup = true } = {},
): Promise<Comparison[]> {
  const values = new Map<string, number[]>();
  for (let round = warmup ? -1 : 0; round < repetitions; round++) {
    for (let i = 0; i < contestants.length; i++) {
      const { name, run } = contestants[(i + Math.max(round, 0)) % contestants.length]!;
      const measured = await run();
      if (round < 0) continue;
      for (const [key, value] of Object.entries(measured)) {
        if (!(key in metrics)) throw new Error(`${name} measured "${key}", which nobody asked for`);
        const list = values.get(`${key} ${name}`) ?? [];
        values.set(`${key} ${name}`, [...list, value]);
      }
    }
  }
  return Object.entries(metrics).map(([key, metric]) => ({
    ...metric,
    contestants: contestants
      .map(({ name, bound }) => ({ name, values: values.get(`${key} ${name}`) ?? [], ...(bound ? { bound } : {}) }))
      .filter((contestant) => contestant.values.length > 0),
  }));
}

/** Our median, the first peer's, and their ratio. */
export function judge(comparison: Comparison): { ours: number; ratio?: Ratio; met?: boolean } {
  const [ours, ...others] = comparison.contestants;
  if (!ours) return { ours: NaN };
  const peer = others.find((contestant) => !contestant.bound);
  const ratio = peer && ratioOf(ours.values, peer.values);
  const value = median(ours.values);
  const { target, limit, better } = comparison;
  const holds = (a: number, b: number) => (better === "more" ? a >= b : a <= b);
  const verdicts: boolean[] = [];
  if (limit !== undefined) verdicts.push(holds(value, limit));
  if (target !== undefined && ratio && !ratio.noisy) verdicts.push(holds(ratio.ratio, target));
  // Noise hides a small difference from the target, not a large one.
  if (target !== undefined && ratio?.noisy) {
    if (holds(ratio.low, target) && holds(ratio.high, target)) verdicts.push(true);
    else if (!holds(ratio.low, target) && !holds(ratio.high, target)) verdicts.push(false);
  }
  return { ours: value, ratio, met: verdicts.length > 0 ? verdicts.every(Boolean) : undefined };
}
