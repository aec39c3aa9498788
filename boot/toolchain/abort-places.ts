// Gives each call of `abort` its place: asc does so for assertions and `throw`, but a plain `abort(message)` would arrive
// without file and line. The arguments that the builtin has for them are filled in after parsing.

interface AstNode {
  kind: number;
  range: { source: AstSource; start: number; end: number };
}
interface AstSource extends AstNode {
  normalizedPath: string;
  lineAt(position: number): number;
  columnAt(): number;
  statements: AstNode[];
}
interface Call extends AstNode {
  expression: AstNode & { text?: string };
  args: AstNode[];
}

/** A transform for asc's API (its option `transforms`). */
export async function abortPlaces(): Promise<never> {
  const { Node, NodeKind } = (await import("assemblyscript")) as never as {
    Node: Record<string, (...values: unknown[]) => AstNode>;
    NodeKind: Record<string, number>;
  };
  // asc's own 64-bit integers (long.js when it runs as JavaScript).
  const i64 = (globalThis as never as { i64_new: (low: number) => unknown }).i64_new;
  const complete = (call: Call) => {
    if (call.expression.kind !== NodeKind.Identifier || call.expression.text !== "abort" || call.args.length > 1)
      return;
    const { source, start } = call.range;
    if (call.args.length === 0) call.args.push(Node.createNullExpression!(call.range));
    const line = source.lineAt(start);
    call.args.push(Node.createStringLiteralExpression!(source.normalizedPath, call.range));
    call.args.push(Node.createIntegerLiteralExpression!(i64(line), call.range));
    call.args.push(Node.createIntegerLiteralExpression!(i64(source.columnAt()), call.range));
  };
  const walk = (value: unknown) => {
    if (Array.isArray(value)) return value.forEach(walk);
    if (typeof value !== "object" || value === null || !("kind" in value)) return;
    for (const [key, child] of Object.entries(value)) if (key !== "range" && key !== "parent") walk(child);
    if ((value as AstNode).kind === NodeKind.Call) complete(value as Call);
  };
  const transform = {
    afterParse(parser: { sources: AstSource[] }) {
      for (const source of parser.sources) if (!source.normalizedPath.startsWith("~lib/")) walk(source.statements);
    },
  };
  // asc fills in the other members of its class Transform.
  return transform as never;
}
