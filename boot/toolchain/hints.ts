// Hints for people who come from TypeScript: what AssemblyScript has instead of what they wrote.
//
//   ERROR AS100: Not implemented: Closures          <- message
//      :
//    1 │ ... (x: i32): i32 => x + n; ...              <- source
//      │                          ~                   <- mark
//      └─ in main.ts(1,79)
//      hint: ...                                      <- added here
//
// Invariant: asc's own text passes through unchanged; a hint is only ever added, and the same one once.

interface Hint {
  /** Matches the first line of a diagnostic. */
  message: RegExp;
  /** Matches the source line from the mark on, for messages that say little by themselves. */
  source?: RegExp;
  /** Matches the source line up to the mark. */
  before?: RegExp;
  hint: string;
}

const hints: Hint[] = [
  {
    message: /Not implemented: Closures/,
    hint:
      "a function here cannot use variables of the function around it. Make it a class with one method, whose fields " +
      "hold what it needs, or pass a plain function and its argument: spawn(worker, argument).",
  },
  {
    message: /Property '\w+' does not exist on type '[^']*#[^']*'/,
    hint:
      "an arrow function does not capture `this` (there are no closures). Make it a class with one method whose field " +
      "holds the object.",
  },
  {
    message: /The 'this' types of each signature are incompatible/,
    hint:
      "a method cannot be passed without its object. Pass the object and call the method on it, or give a class with " +
      "one method to whoever calls back.",
  },
  {
    message: /Not implemented: Exceptions/,
    hint:
      "there is no try/catch/finally. Calls that can fail return a negative error code: test for `< 0`; " +
      "`throw` and `abort` end the fiber, and what it holds (sockets, locks) is released.",
  },
  {
    message: /Not implemented: union types/,
    hint:
      "the only union is `T | null`, for classes. Make a base class with a subclass for each case and test with " +
      "`instanceof`; use one type and a flag or an enum; or overload by generics.",
  },
  {
    message: /Type '\w+' cannot be nullable/,
    hint: "numbers and booleans cannot be null. Use a value that cannot occur (-1) or a flag beside it.",
  },
  {
    message: /Type '(.+) \| null' is not assignable to type '\1'/,
    hint:
      "the value may be null here. Test it first in a local (`const x = a.b; if (x) ...`; a field is not remembered, as " +
      "a call could change it), or write `!` where it cannot be null.",
  },
  {
    message: /Cannot find name '(any|unknown|object)'/,
    hint: "every value has one static type. Name it, or make the function or class generic: `function f<T>(x: T)`.",
  },
  {
    message: /Cannot find name 'undefined'|Type expected/,
    source: /^undefined\b/,
    hint: "there is no `undefined`. Use `null` with a class (`T | null`), or a default value.",
  },
  {
    message: /Type expected/,
    source: /^(never|symbol)\b/,
    hint: "there is no such type. Functions that do not return are declared `void`.",
  },
  {
    message: /Type expected/,
    source: /^(keyof|typeof|infer)\b/,
    hint: "types cannot be computed. Write the type out, or use generics.",
  },
  {
    message: /Type expected/,
    source: /^\[/,
    hint: "there are no tuples. Make a class with a field for each, or an array of one type.",
  },
  {
    message: /Type expected/,
    before: /[^)\s]\s*$/,
    source: /^\{/,
    hint: "there are no object types. Declare a class with these fields.",
  },
  {
    message: /Type expected/,
    source: /^[),=;{]/,
    hint: "parameters, variables without a value and results need a type: `function f(x: i32): i32`, `let x: i32`.",
  },
  {
    message: /Not implemented: Iterators/,
    hint: "loop by index: `for (let i = 0; i < list.length; i++)`; for a Map over `map.keys()`.",
  },
  {
    message: /'<object>'|Not implemented: Object literal|Object literal/,
    hint: "an object literal needs a class: `const p: Point = { x: 1, y: 2 }`, with all fields of `class Point`.",
  },
  {
    message: /Optional properties are not supported/,
    hint: "give the field of a class a default value (`y: i32 = 0`), or make it `T | null = null`.",
  },
  {
    message: /Identifier expected/,
    source: /^(let|const|var|[[{])/,
    hint: "there is no destructuring. Take the elements one by one: `const a = list[0]`.",
  },
  { message: /Identifier expected/, source: /^\*/, hint: "there are no generators. Use a fiber and a Channel." },
  {
    message: /Not implemented: Spread operator/,
    hint: "use `a.concat(b)`, `a.slice()` or a loop; functions with any number of arguments take an array.",
  },
  { message: /rest param/i, hint: "take an array: `function f(values: i32[])`." },
  {
    message:
      /Expression expected|Unexpected token|Cannot find name '(async|await|Promise|setTimeout|setInterval)'|'.' expected/,
    source: /^(export +)?(async|await|Promise|setTimeout|setInterval)\b/,
    hint:
      "there are no promises, timers with callbacks or async functions: calls simply wait. Use a fiber: " +
      "`spawn(worker, argument)`, `sleep(ms)`, `channel.receive()` from heddle/fibers.",
  },
  {
    message: /Expression expected/,
    source: /^(\.|\?)/,
    hint: "there is no `?.` and no `??`. Write `x ? x.field : other` or an `if`.",
  },
  {
    message: /Not implemented: Regular expressions/,
    hint: "compare with `startsWith`, `indexOf`, `charCodeAt`; regular expressions are not part of the image.",
  },
  {
    message: /Cannot find name '(JSON|Buffer|require|process|URL|TextEncoder|TextDecoder|fetch)'/,
    hint:
      "this is an image, not Node: Uint8Array for bytes, String.UTF8.encode for text, heddle/runtime for JSON and " +
      "configuration, heddle/net for the network.",
  },
  {
    message: /File '~lib\/.*' not found/,
    hint:
      "npm and Node modules are not available inside an image. There is heddle/net, heddle/fibers, heddle/runtime; own " +
      'files are imported by relative path ("./name"), and AssemblyScript packages by their folder.',
  },
  {
    message: /Cannot find name '(delete|typeof|in)'|Type argument expected/,
    source: /^(delete|in)\b/,
    hint: "objects have fixed fields. Use a Map: `map.delete(key)`, `map.has(key)`.",
  },
  {
    message: /Property 'forEach' does not exist on type '~lib\/(map|set)/,
    hint: "loop over `map.keys()` or `map.values()` by index (also there are no closures to give to forEach).",
  },
  {
    message: /AS200: Conversion from type '(\w+)' to '(\w+)' requires an explicit cast/,
    hint: "numbers have a size here: i32, u8, f64, ... Convert on purpose: `value as u8` or `<u8>value`.",
  },
  {
    message: /Type '~lib\/string\/String' is not assignable to type '[iuf]\d+'/,
    hint: "parse the text: `i32.parse(text)` or `parseInt(text) as i32`.",
  },
  {
    message: /Type '[iuf]\d+' is not assignable to type '~lib\/string\/String'/,
    hint: "numbers become text with `.toString()` or in a template: `${value}`.",
  },
  {
    message: /has no initializer and is not assigned in the constructor/,
    hint: "give the field a value where it stands, or make it `T | null = null`.",
  },
  {
    message: /Indexed? signature|Index signature is missing in type/,
    hint: "only arrays and typed arrays are indexed by `[]`; a Map has `get` and `set`.",
  },
];

/** A diagnostic's source line, cut at the mark (`~~~`). */
function marked(block: string[]): [before: string, from: string] {
  const at = block.findIndex((line) => /^\s*│\s*[~^]/.test(line));
  if (at < 1) return ["", ""];
  const column = block[at].search(/[~^]/);
  return [block[at - 1].slice(0, column), block[at - 1].slice(column).trimStart()];
}

function hintFor(block: string[]): string | undefined {
  const [before, from] = marked(block);
  const fits = (pattern: RegExp | undefined, text: string) => !pattern || pattern.test(text);
  return hints.find((h) => h.message.test(block[0]) && fits(h.source, from) && fits(h.before, before))?.hint;
}

/** asc's diagnostics with a line after each that has a known cure. */
export function addHints(diagnostics: string): string {
  const given = new Set<string>();
  return diagnostics
    .split("\n\n")
    .map((text) => {
      const lines = text.split("\n");
      const start = lines.findIndex((line) => /^(ERROR|WARNING|PEDANTIC|INFO) (AS|TS)\d+: /.test(line));
      if (start < 0) return text;
      const hint = hintFor(lines.slice(start));
      if (!hint || given.has(hint)) return text;
      given.add(hint);
      return `${text}\n   hint: ${hint}`;
    })
    .join("\n\n");
}
