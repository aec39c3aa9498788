// The compact table of addresses and function names in the image (read by boot/platform/common/symbols.c, which has its
// format), and the readable list beside the image.

/** Suffixes of the wrappers that kernel.ts makes: not shown in backtraces. */
const WRAPPERS = /~(?:kernel|leaf|service)$/;

export interface Symbol {
  address: bigint;
  name: string;
}

/** AssemblyScript's name of a function from wasm2c's: `0x2F` stands for `/`, and so on; other names stay. */
export function readableName(name: string): string {
  // Functions of the table are entered through a wrapper of the same name.
  const match = /^(?:wrap_)?w2c_heddle_(.*)$/.exec(name);
  if (!match) return name;
  const plain = match[1]!.replace(/0x([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return plain.replaceAll("~lib/heddle/", "").replace(WRAPPERS, "");
}

/** The functions in `llvm-nm --numeric-sort` output, one for each address; the last entry marks the end of the text. */
export function readSymbols(nm: string): Symbol[] {
  const symbols: Symbol[] = [];
  let end = 0n;
  for (const line of nm.split("\n")) {
    const match = /^([0-9a-f]+) (?:([0-9a-f]+) )?([tTwW]) (.+)$/.exec(line);
    if (!match) continue;
    const address = BigInt(`0x${match[1]}`);
    const size = match[2] ? BigInt(`0x${match[2]}`) : 0n;
    if (address === 0n) continue;
    if (address + size > end) end = address + size;
    if (size === 0n) continue;
    const last = symbols.at(-1);
    if (last && last.address === address) continue;
    symbols.push({ address, name: readableName(match[4]!) });
  }
  if (symbols.length > 0) symbols.push({ address: end, name: "" });
  return symbols;
}

/** The table as assembly source. Without symbols: an empty one, for the first link. */
export function symbolAssembly(symbols: Symbol[]): string {
  const bytes: number[] = [];
  let address = symbols[0]?.address ?? 0n;
  let previous = "";
  for (const symbol of symbols) {
    let delta = symbol.address - address;
    address = symbol.address;
    do {
      const more = delta > 127n;
      bytes.push(Number(delta & 127n) | (more ? 128 : 0));
      delta >>= 7n;
    } while (delta > 0n);
    const name = symbol.name.slice(0, 255);
    let shared = 0;
    while (shared < 255 && shared < name.length && name[shared] === previous[shared]) shared++;
    bytes.push(shared, name.length - shared, ...Buffer.from(name.slice(shared), "latin1"));
    previous = name;
  }
  const rows: string[] = [];
  for (let i = 0; i < bytes.length; i += 32) rows.push(`  .byte ${bytes.slice(i, i + 32).join(",")}`);
  return `  .section .rodata.symbols, "a", @progbits
  .globl symbol_base, symbol_bytes, symbol_table
  .balign 8
symbol_base: .quad 0x${(symbols[0]?.address ?? 0n).toString(16)}
symbol_bytes: .long ${bytes.length}
symbol_table:
${rows.join("\n")}
  .section .note.GNU-stack, "", @progbits
`;
}
