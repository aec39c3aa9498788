// What repeated measurements say. A ratio is given with the 95 % interval of a bootstrap (Efron 1979): the medians' ratio
// over resamples of both sides. The resampling is seeded: the same values give the same interval.

/** Relative width of the interval beyond which a ratio says nothing. */
const NOISY = 0.3;
const RESAMPLES = 4000;

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** (largest - smallest) / median. */
export function spread(values: number[]): number {
  const centre = median(values);
  return centre === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / centre;
}

export interface Ratio {
  ratio: number;
  low: number;
  high: number;
  noisy: boolean;
}

/** How many times `theirs` is `ours`; undefined when nothing was measured on a side. */
export function ratioOf(ours: number[], theirs: number[]): Ratio | undefined {
  if (ours.length === 0 || theirs.length === 0 || median(theirs) === 0) return undefined;
  let state = 0x9e3779b9;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const resample = (values: number[]) => values.map(() => values[Math.floor(random() * values.length)]!);
  const ratios = Array.from({ length: RESAMPLES }, () => median(resample(ours)) / median(resample(theirs)));
  ratios.sort((a, b) => a - b);
  const ratio = median(ours) / median(theirs);
  const [low, high] = [ratios[Math.floor(RESAMPLES * 0.025)]!, ratios[Math.floor(RESAMPLES * 0.975)]!];
  return { ratio, low, high, noisy: (high - low) / ratio > NOISY };
}
