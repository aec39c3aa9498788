// Unit tests run in V8, on a platform of this file: runtime/platform.ts with a clock, randomness, a packet pool and no
// devices. HEDDLE_SPEC names the spec to run; tests/run.ts starts a process for each.
import { platformImports } from "./platform.js";

export default {
  entries: [process.env.HEDDLE_SPEC ?? "tests/unit/**/*.spec.ts"],
  include: ["tests/unit/include/*.include.ts"],
  disclude: [/node_modules/],
  async instantiate(_memory, createImports, instantiate, binary) {
    const holder = {};
    const result = instantiate(binary, createImports({ env: platformImports(() => holder.memory) }));
    const instance = await result;
    holder.memory = instance.exports.memory;
    return instance;
  },
  outputBinary: false,
};
