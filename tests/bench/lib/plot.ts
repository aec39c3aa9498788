// A bench's plot as SVG, drawn by Vega-Lite without a browser: for each comparison a bar for each contestant (the median)
// and a dot for each repetition; for figures with a limit, their share of it.
import { View, parse } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { Report } from "./report.ts";
import { median } from "./statistics.ts";

const OURS = "#c2410c";
const PEER = "#64748b";
const BOUND = "#cbd5e1";

type Part = Record<string, unknown>;

function comparisonParts(report: Report): Part[] {
  return (report.comparisons ?? []).map(({ what, unit, better, contestants }) => {
    const names = contestants.map(({ name }) => name);
    const role = (index: number) => (index === 0 ? "ours" : contestants[index]!.bound ? "bound" : "peer");
    const y = { field: "name", type: "nominal", sort: names, title: null };
    const title = `${unit}, ${better} is better`;
    const colour = { domain: ["ours", "peer", "bound"], range: [OURS, PEER, BOUND] };
    return {
      title: { text: what, anchor: "start" },
      width: 420,
      layer: [
        {
          data: { values: contestants.map(({ name, values }, i) => ({ name, value: median(values), role: role(i) })) },
          mark: { type: "bar", height: 16 },
          encoding: {
            ...{ y, x: { field: "value", type: "quantitative", title } },
            color: { field: "role", type: "nominal", scale: colour, legend: null },
          },
        },
        {
          data: { values: contestants.flatMap(({ name, values }) => values.map((value) => ({ name, value }))) },
          mark: { type: "point", filled: true, size: 22, color: "#111827", opacity: 0.7 },
          encoding: { y, x: { field: "value", type: "quantitative", title } },
        },
      ],
    };
  });
}

function rowParts(report: Report): Part[] {
  const limited = report.rows.filter((row) => row.target !== undefined || row.atLeast !== undefined);
  if (limited.length === 0) return [];
  const values = limited.map(({ what, value, target, atLeast }) => ({
    what,
    share: target !== undefined ? value / target : atLeast! / value,
  }));
  return [
    {
      title: { text: "share of the limit that is used (1: just met)", anchor: "start" },
      width: 420,
      layer: [
        {
          data: { values },
          mark: { type: "bar", height: 16, color: OURS },
          encoding: {
            y: { field: "what", type: "nominal", sort: limited.map(({ what }) => what), title: null },
            x: { field: "share", type: "quantitative", title: null },
          },
        },
        { mark: { type: "rule", color: "#111827" }, encoding: { x: { datum: 1, type: "quantitative" } } },
      ],
    },
  ];
}

/** The plot, or undefined when there is nothing to compare. */
export async function plot(name: string, report: Report): Promise<string | undefined> {
  const parts = [...comparisonParts(report), ...rowParts(report)];
  if (parts.length === 0) return undefined;
  const specification = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    ...{ title: { text: name, fontSize: 16, anchor: "start" }, background: "white", padding: 12 },
    ...{ vconcat: parts, resolve: { scale: { color: "independent" } } },
    config: { axis: { labelLimit: 360 } },
  } as unknown as TopLevelSpec;
  const view = new View(parse(compile(specification).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
