// Keeps references findable by the collector's conservative scan of native stacks.
//
// A C compiler may keep only a derived pointer: of `for (...) { suspend(); if (i >= 64) c += a[i - 64]; }` clang kept
// `a - 256 + 4 * i` across the call and dropped `a`, a live array without a root. So after every call that can reach a scan
// each live i32 variable of the caller is passed through an empty asm statement: what follows can be computed only from the
// value that went in, so that value, the base, stays in a register or in the frame across the call. No instruction is added.
//
// Which calls can reach a scan follows from the call graph, indirect calls by type: those that switch stacks and those that
// collect. Which variables are live follows from a data-flow analysis of the C, whose shape wasm2c fixes: one statement a
// line, structured blocks, gotos to labels; only declarations and parameter lists go over several lines. A goto whose label
// is not found ends the build: the analysis would be wrong without a word.

/** Imports behind which a scan can happen: a switch to another stack, and the collector's own look at one. */
const SCANS = ["w2c_env_stackSwitch", "w2c_env_stackScan"];

interface Func {
  name: string;
  /** The text up to the body. */
  head: string;
  /** First line of the body (after the opening brace), and the line of the closing brace. */
  begin: number;
  end: number;
}

/** wasm2c's C with a KEEP for each live i32 variable after each call that can reach a scan. */
export function keepRoots(c: string): string {
  const lines = c.split("\n");
  const functions = findFunctions(lines);
  const targets = indirectTargets(c);
  const scanning = findScanning(lines, functions, targets);
  for (const func of functions) {
    if (scanning.has(func.name))
      keepIn(lines, func, (line) => callees(line, targets).some((name) => scanning.has(name)));
  }
  return lines.join("\n");
}

function findFunctions(lines: string[]): Func[] {
  const found: Func[] = [];
  for (let i = 0; i < lines.length; i++) {
    const match = /^(?:static )?(?:void|u32|u64|f32|f64) (w2c_heddle_\w+)\(w2c_heddle\* instance\b/.exec(lines[i]!);
    if (!match) continue;
    let begin = i + 1;
    while (!lines[begin - 1]!.endsWith("{")) begin++;
    let end = begin;
    while (lines[end] !== "}") end++;
    found.push({ name: match[1]!, head: lines.slice(i, begin).join("\n"), begin, end });
    i = end;
  }
  return found;
}

// Functions of the table by their type.
function indirectTargets(c: string): Map<string, string[]> {
  const targets = new Map<string, string[]>();
  for (const match of c.matchAll(/\{RefFunc, (w2c_heddle_t\d+), \(wasm_rt_function_ptr_t\)(?:wrap_)?(w2c_\w+),/g)) {
    const list = targets.get(match[1]!) ?? [];
    list.push(match[2]!);
    targets.set(match[1]!, list);
  }
  return targets;
}

// What a statement may call.
function callees(line: string, targets: Map<string, string[]>): string[] {
  if (!line.includes("(")) return [];
  const indirect = /CALL_INDIRECT\(.*?, (w2c_heddle_t\d+),/.exec(line);
  if (indirect) return targets.get(indirect[1]!) ?? [];
  return [...line.matchAll(/\b(w2c_(?:heddle|env)_\w+)\(/g)].map((match) => match[1]!);
}

function findScanning(lines: string[], functions: Func[], targets: Map<string, string[]>): Set<string> {
  const callers = new Map<string, Set<string>>();
  for (const func of functions) {
    for (let i = func.begin; i < func.end; i++) {
      for (const callee of callees(lines[i]!, targets)) {
        const set = callers.get(callee) ?? new Set();
        set.add(func.name);
        callers.set(callee, set);
      }
    }
  }
  const scanning = new Set<string>(SCANS);
  const open = [...SCANS];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    for (const caller of callers.get(name) ?? []) {
      if (scanning.has(caller)) continue;
      scanning.add(caller);
      open.push(caller);
    }
  }
  return scanning;
}

function keepIn(lines: string[], func: Func, isScan: (line: string) => boolean): void {
  const body = lines.slice(func.begin, func.end);
  const scans = body.flatMap((line, i) => (isScan(line) ? [i] : []));
  if (scans.length === 0) return;
  const live = liveAfter(body);
  const i32 = new Set([...func.head.matchAll(/u32 (var_p\d+)/g)].map((match) => match[1]!));
  // wasm2c breaks a long declaration over several lines.
  for (const declaration of body.join("\n").matchAll(/^ {2}u32 (var_[^;]*);$/gm)) {
    for (const match of declaration[1]!.matchAll(/var_\w+/g)) i32.add(match[0]);
  }
  for (const i of scans) {
    const result = /^\s*(var_\w+) = /.exec(body[i]!)?.[1];
    const keep = [...live[i]!].filter((name) => i32.has(name) && name !== result).sort();
    if (keep.length > 0) lines[func.begin + i] += ` ${keep.map((name) => `KEEP(${name});`).join(" ")}`;
  }
}

/** For each line of a function's body the variables that are live behind it. */
export function liveAfter(body: string[]): Set<string>[] {
  const next = successors(body);
  const uses = body.map((line) => {
    const names = [...line.matchAll(/\bvar_[lpijfd]\d+\b/g)].map((match) => match[0]);
    return isDeclaration(line) ? [] : definition(line) ? names.slice(1) : names;
  });
  const before = body.map(() => new Set<string>());
  const after = body.map(() => new Set<string>());
  for (let changed = true; changed;) {
    changed = false;
    for (let i = body.length - 1; i >= 0; i--) {
      const out = after[i]!;
      const grown = out.size;
      for (const successor of next[i]!) for (const name of before[successor]!) out.add(name);
      const into = before[i]!;
      const size = into.size;
      const defined = definition(body[i]!);
      for (const name of out) if (name !== defined) into.add(name);
      for (const name of uses[i]!) into.add(name);
      if (into.size !== size || out.size !== grown) changed = true;
    }
  }
  return after;
}

function isDeclaration(line: string): boolean {
  return /^ {2}[uf](?:32|64) var_/.test(line);
}

function definition(line: string): string | undefined {
  return isDeclaration(line) ? undefined : /^\s*(var_[lpijfd]\d+) = /.exec(line)?.[1];
}

// Lines that may run right after each line. A branch that may be taken or not has both.
function successors(body: string[]): number[][] {
  const labels = new Map<string, number>();
  body.forEach((line, i) => {
    const label = /^\s*(var_[BIL]\w+): ?;?\s*$/.exec(line)?.[1];
    if (label) labels.set(label, i);
  });
  // For each opening line the line of its closing brace or of its `} else {`.
  const close = new Map<number, number>();
  const open: number[] = [];
  body.forEach((line, i) => {
    const text = line.trim();
    if (text.startsWith("}")) {
      const from = open.pop();
      if (from !== undefined) close.set(from, i);
    }
    if (text.endsWith("{")) open.push(i);
  });
  return body.map((line, i) => {
    const text = line.trim();
    const to: number[] = [];
    for (const match of text.matchAll(/goto (var_\w+);/g)) {
      const label = labels.get(match[1]!);
      if (label === undefined) throw new Error(`wasm2c's C has a goto to ${match[1]!}, which is nowhere`);
      to.push(label);
    }
    const conditional = /^(?:if|switch|case|default)\b/.test(text);
    const ends = /^(?:goto |return\b|UNREACHABLE)/.test(text) && !conditional;
    // The end of a then-branch jumps over the else-branch.
    if (text === "} else {") return [...to, close.get(i)!];
    if (!ends && i + 1 < body.length) to.push(i + 1);
    if (/^if\b.*\{$/.test(text)) {
      const at = close.get(i)!;
      to.push(body[at]!.trim() === "} else {" ? at + 1 : at);
    }
    return to;
  });
}
