// The analysis that keeps references findable, on C of wasm2c's shapes: which variables of a caller are kept behind a scan.
import assert from "node:assert/strict";
import { test } from "node:test";
import { keepRoots } from "../../boot/toolchain/roots.ts";

/** What is kept right behind the switch to another stack. */
function kept(head: string, body: string): string[] {
  const c = `static ${head} {\n${body}\n}\n`;
  const line = keepRoots(c)
    .split("\n")
    .find((text) => text.includes("w2c_env_stackSwitch("))!;
  return [...line.matchAll(/KEEP\((\w+)\);/g)].map((match) => match[1]!);
}

const SWITCH = "w2c_env_stackSwitch(instance->w2c_env_instance, var_i0);";

test("locals of a declaration that goes over several lines are kept", () => {
  const body = `  u32 var_l1 = 0, var_l2 = 0, var_l3 = 0, var_l4 = 0, var_l5 = 0, var_l6 = 0, var_l7 = 0, var_l8 = 0, \n      var_l9 = 0;
  FUNC_PROLOGUE;
  u32 var_i0, var_i1;
  var_l1 = var_i0;
  var_l9 = var_i0;
  ${SWITCH}
  var_i0 = var_l1;
  var_i1 = var_l9;
  var_i0 += var_i1;
  return var_i0;`;
  assert.deepEqual(kept("u32 w2c_heddle_f(w2c_heddle* instance)", body), ["var_l1", "var_l9"]);
});

test("a function whose parameters go over several lines is one too, and so are its callers", () => {
  const head = "u32 w2c_heddle_f(w2c_heddle* instance, u32 var_p0, \n    u32 var_p8)";
  const body = `  u32 var_i0;\n  ${SWITCH}\n  var_i0 = var_p8;\n  return var_i0;`;
  assert.deepEqual(kept(head, body), ["var_p8"]);
  const caller = `static void w2c_heddle_g(w2c_heddle* instance, u32 var_p0) {
  u32 var_i0;
  var_i0 = w2c_heddle_f(instance, var_i0, var_i0);
  var_i0 = var_p0;
  w2c_heddle_h(instance, var_i0);
}
`;
  assert.match(keepRoots(`static ${head} {\n${body}\n}\n${caller}`), /w2c_heddle_f\(instance.*KEEP\(var_p0\);/);
});

test("what lives behind a branch out of an if is kept", () => {
  const body = `  u32 var_l1 = 0;
  u32 var_i0;
  if (var_i0) {
    ${SWITCH}
    goto var_I0;
  } else {
    var_l1 = var_i0;
  }
  var_l1 = var_i0;
  var_I0:;
  var_i0 = var_l1;
  return var_i0;`;
  assert.deepEqual(kept("u32 w2c_heddle_f(w2c_heddle* instance)", body), ["var_l1"]);
});

test("what is assigned anew on every way, or not used again, is not kept", () => {
  const body = `  u32 var_l1 = 0, var_l2 = 0;
  u32 var_i0;
  var_L1: 
    ${SWITCH}
    var_l1 = var_i0;
    var_i0 = var_l1;
    if (var_i0) {goto var_L1;}
  var_i0 = var_l1;
  return var_i0;`;
  assert.deepEqual(kept("u32 w2c_heddle_f(w2c_heddle* instance)", body), ["var_i0"]);
});

test("a goto without its label ends the build", () => {
  const body = `  u32 var_i0;\n  ${SWITCH}\n  goto var_X9;`;
  assert.throws(() => kept("void w2c_heddle_f(w2c_heddle* instance)", body), /var_X9/);
});
