// Figures as people read them; shared by the terminal and docs/benchmarks.md.
import { type Comparison, judge, type Row } from "./report.ts";
import { median, spread } from "./statistics.ts";

/** Three to four significant digits, thousands apart. */
export function number(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e4) return String(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** "median unit ±spread/2". */
export function measured(values: number[]): string {
  const variation = Math.round(spread(values) * 50);
  return `${number(median(values))}${variation > 0 ? ` ±${variation} %` : ""}`;
}

export function ratioText(comparison: Comparison): string {
  const { ratio } = judge(comparison);
  if (!ratio) return "";
  if (ratio.noisy) return `too noisy (95 %: ${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)})`;
  return `${ratio.ratio.toFixed(2)}x (${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)})`;
}

/** What was wanted, and whether it was reached. */
export function targetText(comparison: Comparison): string {
  const { target, limit, better } = comparison;
  const bound = better === "more" ? "at least" : "at most";
  const wanted = [
    ...(target === undefined ? [] : [`${bound} ${target}x`]),
    ...(limit === undefined ? [] : [`${bound} ${number(limit)} ${comparison.unit}`]),
  ];
  if (wanted.length === 0) return "";
  const { met } = judge(comparison);
  return `${wanted.join(", ")}: ${met === undefined ? "undecided" : met ? "met" : "MISSED"}`;
}

export function rowTarget({ value, target, atLeast }: Row): string {
  if (target !== undefined) return `at most ${number(target)}: ${value <= target ? "met" : "MISSED"}`;
  if (atLeast !== undefined) return `at least ${number(atLeast)}: ${value >= atLeast ? "met" : "MISSED"}`;
  return "";
}
