// The platform of the unit tests: what runtime/platform.ts declares, for code that runs in V8.
//
// The packet pool lies between the unmapped 2 MiB and the static data: as-pect.asconfig.json's memoryBase is its end.
// The clock is real and starts at 1 s; tests of time pass their own times in. There are no devices, and a test that
// ends or resets the machine fails.

import { randomFillSync } from "node:crypto";

const POOL_ADDRESS = 2 << 20;
const POOL_BYTES = 16 << 20;
const ENODEV = -19;

// Keys of `info` (runtime/platform.ts, Info).
const FACTS = new Map([
  [1, 1n], // CORES
  [2, BigInt(POOL_ADDRESS)],
  [3, BigInt(POOL_BYTES)],
  [4, BigInt(POOL_ADDRESS)],
  [5, BigInt(POOL_BYTES)],
  [6, 0x8000_0000n], // HEAP_LIMIT
  [12, 256n << 20n], // MEMORY_BYTES
  [13, 1_000_000_000n], // ENTERED_NS
  [14, 1n], // HOSTED
]);

/** @param {() => WebAssembly.Memory} memory the module's memory, once it is instantiated */
export function platformImports(memory) {
  const bytes = (address, length) => {
    if (address < POOL_ADDRESS) throw new RangeError(`address 0x${address.toString(16)} is unmapped on a real machine`);
    return new Uint8Array(memory().buffer, address, length);
  };
  const end = (what) => {
    throw new Error(what);
  };
  const origin = process.hrtime.bigint() - 1_000_000_000n;
  return {
    consoleWrite: (data, length) => process.stdout.write(Buffer.from(bytes(data >>> 0, length)).toString()),
    exit: (status) => end(`exit(${status})`),
    reboot: () => end("reboot()"),
    panic: (message, length) => end(`panic: ${Buffer.from(bytes(message >>> 0, length)).toString()}`),
    backtrace: () => process.stdout.write(`${new Error("backtrace").stack}\n`),

    fibersReport: () => {},
    panicNotes: () => {},
    reportTake: () => 0,

    info: (key) => FACTS.get(key) ?? 0n,

    clockMonotonic: () => process.hrtime.bigint() - origin,
    clockWall: () => BigInt(Date.now()) * 1_000_000n,
    random: (data, length) => randomFillSync(bytes(data >>> 0, length)),

    pendingTake: () => 0,
    wait: () => {},
    watchdog: () => {},
    acquire: () => {},

    coresStart: () => 0n,
    coreState: (core) => (core === 0 ? 2 : 0),
    coreWake: () => {},
    bellTake: () => 0n,
    channelOpen: () => ENODEV,
    publishedGrow: () => -12,
    callable: () => 0,
    panicPolicy: () => 0,

    devCount: () => 0,
    devKind: () => 0,
    devOpen: () => ENODEV,
    regRead: () => -1n,
    regWrite: () => ENODEV,
    ringCreate: () => ENODEV,
    ringReserve: () => ENODEV,
    ringTake: () => ENODEV,
    ringEntries: () => 0,
    ringCompletions: () => 0,
    ringPost: () => ENODEV,
    ringFlush: () => {},
    ringPoll: () => {},
    ringArm: () => {},
    devReset: () => {},
    irqUnmask: () => {},

    stackCreate: () => end("stackCreate: V8 has no stacks to switch"),
    stackFree: () => {},
    trapTaken: () => 0,
    stackCount: () => 0,
    stackScan: () => 0,
    stackSwitch: () => end("stackSwitch: V8 has no stacks to switch"),

    tlsContext: () => ENODEV,
    tlsCertificate: () => ENODEV,
    tlsCertificateFact: () => BigInt(ENODEV),
    tlsStaple: () => ENODEV,
    tlsTrust: () => ENODEV,
    tlsProtocols: () => ENODEV,
    tlsTicketSecret: () => ENODEV,
    tlsOpen: () => ENODEV,
    tlsFree: () => {},
    tlsStep: () => ENODEV,
    tlsFact: () => ENODEV,
    tlsMemory: () => 0n,
  };
}
