// Marks where service code enters the kernel and where the kernel calls back: what a trap may end depends on it.
//
//   service --F~kernel: depth++, room on the stack checked--> kernel F --V~service: depth set aside--> service V
//
// A fiber that traps at depth 0 was in its own code: nothing of the kernel's is half changed and the fiber alone ends. So
// each call from code that is not the kernel's to a function that is goes through a wrapper which raises the depth, and each
// call the other way through one which puts it aside. The function table has wrappers only: what an indirect call reaches
// runs at its own depth, whoever calls. wasm-opt, which comes afterwards, inlines the wrappers.
//
// Invariants
// 1. Kernel: functions of runtime/, fibers/ and net/, and AssemblyScript's allocator and collector (~lib/rt). The rest of its
//    library is neutral: it works on objects that are handed to it, at its caller's depth.
// 2. The allocator and the platform's own functions are leaves: entered from depth 0 they have their own unit (kernel.h), so
//    that "out of memory" and "refused arguments" can be told from the same inside a kernel call.
// 3. A function that asc inlined belongs to its caller: kernel code that is `@inline` and that services can call must not
//    leave anything half changed.
import binaryen from "binaryen";
import { BuildError } from "./process.ts";

const enum Side {
  /** The service's own code and other packages'. */
  SERVICE,
  /** AssemblyScript's library: at whatever depth its caller is. */
  NEUTRAL,
  KERNEL,
  LEAF,
}

const CALLS = { enter: "kernelEnter", leave: "kernelLeave", leafEnter: "leafEnter", leafLeave: "leafLeave" };
const ASIDE = { take: "depthTake", give: "depthGive" };
/** Platform functions without effect: entering the kernel for them would cost more than they do. */
const PLAIN = ["clockMonotonic", "acquire", "info", "abort", ...Object.values(CALLS), ...Object.values(ASIDE)];

/**
 * Puts the wrappers into a module as asc wrote it.
 * @param own the sources are this repository's, so that its folders have no package in front of them
 * @param library names of AssemblyScript's library files
 */
export function markKernel(wasm: Uint8Array, own: boolean, library: string[]): Uint8Array {
  const module = binaryen.readBinary(wasm);
  // What asc emits and wabt reads: with all features binaryen writes encodings that nothing else knows yet.
  const { MutableGlobals, SignExt, NontrappingFPToInt, BulkMemory, BulkMemoryOpt, SIMD128 } = binaryen.Features;
  module.setFeatures(MutableGlobals | SignExt | NontrappingFPToInt | BulkMemory | BulkMemoryOpt | SIMD128);
  const sideOf = classifier(own, library);
  const sides = new Map<string, Side>();
  const functions = new Map<string, binaryen.FunctionInfo>();
  for (let i = 0; i < module.getNumFunctions(); i++) {
    const info = binaryen.getFunctionInfo(module.getFunctionByIndex(i));
    functions.set(info.name, info);
    if (info.module) sides.set(info.name, PLAIN.includes(info.base!) ? Side.NEUTRAL : Side.LEAF);
    else sides.set(info.name, sideOf(info.name));
  }
  const wrappers = new Map<string, string>();
  const wrap = (name: string, side: Side): string => {
    const wrapper = `${name}~${side === Side.KERNEL ? "kernel" : side === Side.LEAF ? "leaf" : "service"}`;
    if (!wrappers.has(wrapper)) wrappers.set(wrapper, addWrapper(module, functions.get(name)!, wrapper, side));
    return wrapper;
  };

  for (const [name, { body }] of functions) {
    if (!body) continue;
    const from = sides.get(name)!;
    walk(body, (call, target) => {
      const to = sides.get(target)!;
      const enters = from <= Side.NEUTRAL && to >= Side.KERNEL;
      const returns = from >= Side.KERNEL && to === Side.SERVICE;
      if (enters || returns) setTarget(call, wrap(target, to));
    });
  }
  const segments = module.getNumElementSegments();
  for (let i = 0; i < segments; i++) {
    const { name, table, offset, data } = binaryen.getElementSegmentInfo(module.getElementSegmentByIndex(i));
    const targets = data.map((target) => {
      const side = sides.get(target)!;
      return side === Side.NEUTRAL ? target : wrap(target, side);
    });
    module.removeElementSegment(name);
    module.addActiveElementSegment(table, name, targets, offset);
  }
  addImports(module);
  if (!module.validate()) throw new BuildError("the toolchain made a module that is not valid WebAssembly");
  binaryen.setDebugInfo(true); // names
  const out = module.emitBinary();
  module.dispose();
  return out;
}

// Tells the sides by asc's names: folder/file/function, with `~lib/` in front of what does not lie in the service's folder.
function classifier(own: boolean, library: string[]): (name: string) => Side {
  const kernel = new RegExp(`^(?:start:)?${own ? "" : "~lib/heddle/"}(?:runtime|fibers|net)/`);
  const std = new Set(library);
  return (name) => {
    if (/^~lib\/rt(?:\/|$)|~visit$|^~visit|^__/.test(name)) return Side.LEAF;
    if (kernel.test(name)) return Side.KERNEL;
    if (/^~(?:start|setArgumentsLength)$/.test(name)) return Side.NEUTRAL;
    const inside = /^(?:start:)?~lib\/(.+)$/.exec(name)?.[1];
    if (inside === undefined) return Side.SERVICE;
    // `array/Array<i32>#push` is of the file `array`, `util/number/itoa` of `util/number`.
    const parts = inside.split("/");
    const known = parts.some((_, i) => std.has(parts.slice(0, i + 1).join("/"))) || parts[0] === "builtins";
    return known ? Side.NEUTRAL : Side.SERVICE;
  };
}

// What in an expression's description refers to other expressions.
const CHILDREN = [
  ...[
    "children",
    "body",
    "condition",
    "ifTrue",
    "ifFalse",
    "value",
    "operands",
    "target",
    "ptr",
    "left",
    "right",
    "delta",
  ],
  ...[
    "dest",
    "source",
    "size",
    "expected",
    "replacement",
    "vec",
    "a",
    "b",
    "c",
    "shift",
    "tuple",
    "notifyCount",
    "timeout",
  ],
];

const LEAVES = new Set<number>([
  ...[binaryen.ExpressionIds.Nop, binaryen.ExpressionIds.Unreachable, binaryen.ExpressionIds.Const],
  ...[binaryen.ExpressionIds.LocalGet, binaryen.ExpressionIds.GlobalGet, binaryen.ExpressionIds.MemorySize],
]);

// binaryen's declarations leave its class `Call` out.
const { setTarget } = (binaryen as never as { Call: { setTarget(call: number, target: string): void } }).Call;

function walk(root: binaryen.ExpressionRef, onCall: (call: binaryen.ExpressionRef, target: string) => void): void {
  const open = [root];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const id = binaryen.getExpressionId(at);
    if (LEAVES.has(id)) continue;
    const info = binaryen.getExpressionInfo(at) as binaryen.ExpressionInfo & Record<string, unknown>;
    if (id === binaryen.ExpressionIds.Call) onCall(at, info.target as string);
    for (const key of CHILDREN) {
      const child = info[key];
      if (typeof child === "number" && child !== 0) open.push(child);
      else if (Array.isArray(child)) open.push(...(child as number[]));
    }
  }
}

function addWrapper(module: binaryen.Module, info: binaryen.FunctionInfo, name: string, side: Side): string {
  const params = binaryen.expandType(info.params);
  const call = module.call(
    info.name,
    params.map((type, i) => module.local.get(i, type)),
    info.results,
  );
  const aside = side === Side.SERVICE;
  const [before, after] = side === Side.LEAF ? [CALLS.leafEnter, CALLS.leafLeave] : [CALLS.enter, CALLS.leave];
  const vars: binaryen.Type[] = aside ? [binaryen.i32] : [];
  const depth = params.length;
  const body: binaryen.ExpressionRef[] = [
    aside ? module.local.set(depth, module.call(ASIDE.take, [], binaryen.i32)) : module.call(before, [], binaryen.none),
  ];
  const result = info.results === binaryen.none ? -1 : params.length + vars.length;
  if (result >= 0) vars.push(info.results);
  body.push(result >= 0 ? module.local.set(result, call) : call);
  body.push(
    aside
      ? module.call(ASIDE.give, [module.local.get(depth, binaryen.i32)], binaryen.none)
      : module.call(after, [], binaryen.none),
  );
  if (result >= 0) body.push(module.local.get(result, info.results));
  module.addFunction(name, info.params, info.results, vars, module.block(null, body, info.results));
  return name;
}

function addImports(module: binaryen.Module): void {
  const { none, i32 } = binaryen;
  for (const name of Object.values(CALLS)) module.addFunctionImport(name, "env", name, none, none);
  module.addFunctionImport(ASIDE.take, "env", ASIDE.take, none, i32);
  module.addFunctionImport(ASIDE.give, "env", ASIDE.give, i32, none);
}
