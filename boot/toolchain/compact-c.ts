// Smaller code for what runs rarely: the data segments, which clang would copy with tens of kilobytes of inlined moves; the
// look-up of function types by their parameters, of which one is needed; and the functions of sources that say so.
import { readableName } from "./symbols.ts";

/** A source with this line is compiled for size: what runs at boot, or when a person asks. Platform sources have it too. */
export const FOR_SIZE = /^\/\/ clang: -Oz$/m;

/**
 * The functions of some sources are compiled for size.
 * @param files as asc names them, without the ending: "runtime/config/ustar"
 */
export function forSize(c: string, files: Iterable<string>): string {
  const chosen = new Set(files);
  const pattern = /^static (?:void|u32|u64|f32|f64) (w2c_heddle_\w+)\(w2c_heddle\*[^{;]*\)(?=;$)/gm;
  return c.replace(pattern, (prototype, mangled: string) => {
    const name = readableName(mangled).replace(/^start:/, "");
    for (let at = name.indexOf("/"); at > 0; at = name.indexOf("/", at + 1))
      if (chosen.has(name.slice(0, at))) return `${prototype} __attribute__((minsize))`;
    return prototype;
  });
}

/** Data segments copied by a loop over a table (wasm-ops.h), and `heddle_entry_type` in the place of the look-up. */
export function compact(c: string): string {
  return entryType(dataTable(c));
}

function dataTable(c: string): string {
  const rows: string[] = [];
  const pattern = /^ {2}LOAD_DATA\(instance->w2c_memory, (\d+u), (data_segment_data_\w+), (\d+)\);\n/gm;
  const without = c.replace(pattern, (_, at: string, data: string, size: string) => {
    rows.push(`  {${data}, ${at}, ${size}},\n`);
    return "";
  });
  if (rows.length === 0) return c;
  const head = "static void init_memories(w2c_heddle* instance) {\n";
  const at = without.indexOf(head, without.lastIndexOf("static const u8 data_segment_data_"));
  const end = without.indexOf("\n}\n", at);
  return (
    without.slice(0, at) +
    `static const struct data_segment data_segments[] = {\n${rows.join("")}};\n\n` +
    without.slice(at, end) +
    `\n  load_data(&instance->w2c_memory, data_segments, ${rows.length});` +
    without.slice(end)
  );
}

// The type of a fiber's entry, `(arg: usize) => void`; NULL when the module has no such function.
function entryType(c: string): string {
  const begin = c.indexOf("wasm_rt_func_type_t wasm2c_heddle_get_func_type(");
  const end = "  return NULL;\n}\n";
  const stop = c.indexOf(end, begin) + end.length;
  const body = c.slice(begin, stop);
  const found =
    /if \(param_count == 1 && result_count == 0\) \{[^]*?if \(true && va_arg\(args, int\) == WASM_RT_I32\) \{[^]*?return (w2c_heddle_t\d+);/.exec(
      body,
    );
  const type = found && !found[0].slice(10).includes("param_count") ? found[1] : undefined;
  return (
    c.slice(0, begin) + `wasm_rt_func_type_t heddle_entry_type(void) {\n  return ${type ?? "0"};\n}\n` + c.slice(stop)
  );
}
