// Everything the native side provides, and nothing else: the whole boundary between sandboxed AssemblyScript and the
// trusted platform (boot/platform/). Implemented twice, as `static inline` C where it is hot: `pc` (bare metal) and
// `linux` (a hosted process). The C prototypes stand in boot/platform/common/platform.h in the same order.
//
// Contract
// 1. Offsets into linear memory cross, never pointers. A function that takes an offset and a length checks both, once,
//    against the region that it may touch; a violation is an error code (EFAULT) where it could come from a bug in a
//    driver and a trap where it could only come from a corrupted kernel.
// 2. Results below zero are error codes (errors.ts). Nothing blocks but `wait` and `stackSwitch`.
// 3. Whatever can make a device or the CPU write somewhere is the platform's: ring addresses and sizes, descriptors,
//    PCI configuration, interrupt controllers. A driver names buffers by their offset in linear memory.
// 4. A device writes only into the packet pool, and reads only it and the content region.
// 5. Every function acts on the calling core only, unless its text says otherwise.
//
// Layout of a core's linear memory (bounds from `info`; boot/platform/common/layout.h has the constants):
//   0x0000_0000  2 MiB unmapped, so that a field of a null reference traps
//   0x0020_0000  static data, heap; grows with memory.grow up to INFO_HEAP_LIMIT
//   0x8000_0000  packet pool, shared by the cores, read-write
//   0xC000_0000  completions: what devices report, read-only
//   0xD000_0000  channels: for each ordered pair of cores CHANNEL_BYTES that the first writes and the second reads
//   0xD800_0000  what core 0 publishes, read-only for the others
//   0xE000_0000  content: the bundle and embedded files, read-only, secrets already removed

// ---------------------------------------------------------------- console and life

/** Writes bytes to the console (serial port, VGA when there is none; stderr when hosted). Slow: never on a hot path. */
@external("env", "consoleWrite")
export declare function consoleWrite(data: usize, length_bytes: i32): void;

/** Ends the machine: `status` 0 is an orderly power-off; anything else is seen by tests as the exit status. */
@external("env", "exit")
export declare function exit(status: i32): void;

/** Ends the machine with a reset. */
@external("env", "reboot")
export declare function reboot(): void;

/** Reports a panic with the text, the backtrace and the place, then acts on the core's panic policy. Never returns. */
@external("env", "panic")
export declare function panic(message: usize, length_bytes: i32): void;

/** Writes the backtrace of the running fiber to the console. */
@external("env", "backtrace")
export declare function backtrace(): void;

/** Writes the name and the backtrace of each suspended fiber to the console, at most 100. */
@external("env", "fibersReport")
export declare function fibersReport(): void;

/** Names what a panic says besides its place: `Notes` of notes.ts, for good. Read with every check. */
@external("env", "panicNotes")
export declare function panicNotes(notes: usize): void;

/**
 * Takes what was reported on the console (traps, the watchdog, all fibers, a panic) and is not taken yet: of this core, or
 * of one that is DEAD. `Pending.REPORT` says that there is something.
 * @returns bytes written to `target`; 0: nothing more
 */
@external("env", "reportTake")
export declare function reportTake(core: i32, target: usize, capacity: i32): i32;

// ---------------------------------------------------------------- facts

/** Keys of `info`. */
export const enum Info {
  /** Number of this core, from 0. */
  CORE = 0,
  /** Cores that the machine has and the image uses. */
  CORES = 1,
  /** Offset of the packet pool, its bytes, and this core's slice of it. */
  POOL_ADDRESS = 2,
  POOL_BYTES = 3,
  POOL_SLICE_ADDRESS = 4,
  POOL_SLICE_BYTES = 5,
  /** First offset that the heap may not reach. */
  HEAP_LIMIT = 6,
  /** The bundle given at boot (ustar or plain JSON) and where it came from: a value of `BundleSource`. */
  BUNDLE_ADDRESS = 7,
  BUNDLE_BYTES = 8,
  BUNDLE_SOURCE = 9,
  /** The bundle embedded when the image was built (ustar); 0 bytes when there is none. */
  EMBEDDED_ADDRESS = 10,
  EMBEDDED_BYTES = 11,
  /** Physical memory of the machine, in bytes. */
  MEMORY_BYTES = 12,
  /** Monotonic time at which the kernel was entered, ns (the origin of `clockMonotonic` is before it). */
  ENTERED_NS = 13,
  /** 1 when the platform is hosted on Linux, else 0. */
  HOSTED = 14,
}

export const enum BundleSource {
  NONE = 0,
  PVH_MODULE = 1,
  FW_CFG = 2,
  /** The slot of the disk image, or of the ELF. */
  IMAGE = 3,
  EMBEDDED = 4,
  FILE = 5,
}

/** A fact about the machine, constant after boot; 0 for a key that this platform does not know. */
@external("env", "info")
export declare function info(key: i32): i64;

// ---------------------------------------------------------------- time and randomness

/** Monotonic time in ns since an origin before the kernel was entered; never goes back, also not between cores. */
@external("env", "clockMonotonic")
export declare function clockMonotonic(): i64;

/** Wall time in ns since 1970-01-01 UTC as the machine's clock has it, or 0 when it has none: the time is then unknown. */
@external("env", "clockWall")
export declare function clockWall(): i64;

/** Fills memory with random bytes from the platform's generator, seeded by the CPU and the host. */
@external("env", "random")
export declare function random(data: usize, length_bytes: i32): void;

// ---------------------------------------------------------------- the loop

/** Bits of the pending word besides the devices' (bit N: device N, N < 24). */
export const enum Pending {
  /** Something was reported (`reportTake`). */
  REPORT = 1 << 27,
  TIMER = 1 << 28,
  WAKE = 1 << 29,
  /** The power button, or SIGTERM/SIGINT when hosted. */
  SHUTDOWN = 1 << 30,
}

/** Takes and clears the pending word: a bit for each source that raised an interrupt since the last take. */
@external("env", "pendingTake")
export declare function pendingTake(): i32;

/**
 * Halts the core until an interrupt is pending or the deadline has come, without losing one raised meanwhile.
 * @param deadline_ns monotonic time; i64.MAX_VALUE: no timer is armed at all
 */
@external("env", "wait")
export declare function wait(deadline_ns: i64): void;

/** Compiler barrier: loads after it see what devices wrote before. No instruction on x86. */
@external("env", "acquire")
export declare function acquire(): void;

/**
 * Sets the core's watchdog: what it does with a fiber, or a turn of the loop, that has held the core for that long. Counted only
 * while the core is busy and was given its CPU; late by less than half of `report_ns`. i64.MAX_VALUE: never.
 * @param report_ns logs the place with a backtrace
 * @param end_ns ends the fiber by a trap, where that is possible
 * @param panic_ns the core's panic
 */
@external("env", "watchdog")
export declare function watchdog(report_ns: i64, end_ns: i64, panic_ns: i64): void;

// ---------------------------------------------------------------- cores

/** Cores that a machine can use. */
export const CORES_MAX: i32 = 64;
/** Where the channel from core A to core B lies: CHANNELS + (A * CORES_MAX + B) * CHANNEL_BYTES. */
export const CHANNELS: usize = 0xd000_0000;
export const CHANNEL_BYTES: usize = 0x8000;
/** What core 0 publishes, and the end of the room for it. */
export const PUBLISHED: usize = 0xd800_0000;
export const PUBLISHED_END: usize = 0xe000_0000;

/** What a core is doing. */
export const enum CoreState {
  /** Not started, or it could not be. */
  OFF = 0,
  STARTING = 1,
  /** Its linear memory exists. Whether its `main` has run is its own to say. */
  UP = 2,
  /** It panicked, and the policy left the others running. */
  DEAD = 3,
}

/** What a panic does. */
export const enum PanicPolicy {
  /** Ends the machine with a status that tests can see. */
  END = 0,
  /** Stops the core; the others go on. */
  HALT = 1,
  REBOOT = 2,
  /** Restarts the core where its devices allow that; otherwise as REBOOT. */
  RESTART_CORE = 3,
}

/**
 * Takes the next step in starting the cores 1 to `count` - 1, the same number each time; each runs the module's `main` in an instance of its own. Core 0 only.
 * @returns ns until the next step is due, 0: there is none
 */
@external("env", "coresStart")
export declare function coresStart(count: i32): i64;

/** `CoreState` of a core. */
@external("env", "coreState")
export declare function coreState(core: i32): i32;

/** Rings another core's bell: `Pending.WAKE` there, and an interrupt when it halts. What was stored before is seen then. */
@external("env", "coreWake")
export declare function coreWake(core: i32): void;

/** Takes and clears the bell: bit N for each core N that rang since the last take. */
@external("env", "bellTake")
export declare function bellTake(): i64;

/** Maps the channels from this core to `peer` and back, zeroed at first; nothing when they are. ENODEV, ENOMEM, EINVAL */
@external("env", "channelOpen")
export declare function channelOpen(peer: i32): i32;

/**
 * Appends zeroed memory to what core 0 publishes; it is never taken away. Core 0 only.
 * @returns bytes appended, at least `length_bytes`; EPERM, ENOMEM
 */
@external("env", "publishedGrow")
export declare function publishedGrow(length_bytes: i32): i32;

/** Whether `index` is a function of type `(arg: usize) => void` in the function table: asked before another core's word
 *  is called. */
@external("env", "callable")
export declare function callable(index: i32): bool;

/** Sets the `PanicPolicy` of all cores; EINVAL. */
@external("env", "panicPolicy")
export declare function panicPolicy(policy: i32): i32;

// ---------------------------------------------------------------- devices

/** What a device is. */
export const enum DeviceKind {
  NONE = 0,
  VIRTIO_NET = 1,
  E1000 = 2,
  VIRTIO_RNG = 3,
}

/** How a device is reached; decides which registers `regRead` and `regWrite` know. */
export const enum Transport {
  /** virtio 1.x over PCI: region 0 is the common configuration (VIRTIO 1.2, 4.1.4.3). */
  VIRTIO_PCI_MODERN = 1,
  /** Legacy virtio over PCI: region 0 is the I/O BAR's header of 20 bytes (VIRTIO 1.2, 4.1.4.8). */
  VIRTIO_PCI_LEGACY = 2,
  /** virtio-mmio version 2 and version 1: region 0 is the register page (VIRTIO 1.2, 4.2.2 and 4.2.4). */
  VIRTIO_MMIO = 3,
  VIRTIO_MMIO_LEGACY = 4,
  /** The hosted build's frames: TAP with IFF_VNET_HDR or AF_PACKET; speaks split rings and the virtio-net header. */
  HOST = 5,
  /** e1000: region 0 is the register BAR. */
  E1000 = 6,
}

/** Regions of `regRead` and `regWrite`. */
export const enum Region {
  TRANSPORT = 0,
  /** Device-specific configuration (virtio-net: MAC address at 0). */
  CONFIG = 1,
  /** virtio over PCI: the ISR byte; reading it acknowledges. -1 with MSI-X: there is nothing to acknowledge. */
  ISR = 2,
}

/** Number of devices found, in the order in which the VMM was given them. */
@external("env", "devCount")
export declare function devCount(): i32;

/** `DeviceKind` of device `dev`. */
@external("env", "devKind")
export declare function devKind(dev: i32): i32;

/** Resets device `dev`, enables bus mastering and its interrupt, and gives its `Transport`; ENODEV, EBUSY. */
@external("env", "devOpen")
export declare function devOpen(dev: i32): i32;

/**
 * Reads a register from the allow-list of the device's transport.
 * @param width 1, 2, 4 or 8 bytes
 * @returns the value, or -1 for a register that is not on the list
 */
@external("env", "regRead")
export declare function regRead(dev: i32, region: i32, offset: i32, width: i32): i64;

/** Writes a register from the allow-list; EPERM for one that holds an address, a length or a queue size, or is unknown. */
@external("env", "regWrite")
export declare function regWrite(dev: i32, region: i32, offset: i32, width: i32, value: i64): i32;

/** Layouts of descriptor rings. */
export const enum RingFormat {
  /** virtio split ring; completions: the used ring (VIRTIO 1.2, 2.7.8). */
  VIRTIO_SPLIT = 1,
  /** e1000 legacy receive and transmit descriptors; completions: the descriptors themselves. */
  E1000_RX = 2,
  E1000_TX = 3,
}

/** Flags of `ringPost`; the next slot of a chain stands in bits 16 to 31. */
export const enum Post {
  NEXT = 1,
  /** The device writes the buffer: it must lie in this core's slice of the pool. */
  WRITE = 2,
  /** e1000: this descriptor ends a frame. */
  END = 4,
  /** Where the slot's next one stands. */
  NEXT_SHIFT = 16,
}

/**
 * Allocates a ring outside linear memory and programs queue `queue` of the device with it.
 * @param entries a power of two, 8 to 1024; the platform may lower it to what the device allows
 * @returns the ring, or ENODEV, EINVAL, ENOMEM
 */
@external("env", "ringCreate")
export declare function ringCreate(dev: i32, queue: i32, format: i32, entries: i32): i32;

/**
 * As `ringCreate`, for another core: nobody posts to it before that core has taken it. The queue's interrupts go there.
 * @returns 0, or as `ringCreate`; ENODEV too where the device cannot interrupt that core
 */
@external("env", "ringReserve")
export declare function ringReserve(dev: i32, queue: i32, entries: i32, core: i32): i32;

/**
 * Takes the split ring that the device's owner has reserved for this core; from then on the device cannot be reset.
 * @returns the ring, or ENODEV (there is none), ENOMEM
 */
@external("env", "ringTake")
export declare function ringTake(dev: i32, queue: i32): i32;

/** Number of entries of a ring. */
@external("env", "ringEntries")
export declare function ringEntries(ring: i32): i32;

/** Offset in linear memory at which the ring's completions are mapped, read-only. */
@external("env", "ringCompletions")
export declare function ringCompletions(ring: i32): usize;

/**
 * Writes descriptor `slot`. A post without NEXT ends a chain, whose head is the first slot posted since the last end.
 * The device sees it after `ringFlush`.
 * @returns 0, EINVAL (slot or next outside the ring), EFAULT (buffer outside what this device may read or write)
 */
@external("env", "ringPost")
export declare function ringPost(ring: i32, slot: i32, buffer: usize, length_bytes: i32, flags: i32): i32;

/** Publishes what was posted and notifies the device if it asked for it. Once a batch. */
@external("env", "ringFlush")
export declare function ringFlush(ring: i32): void;

/** Hosted: moves frames between the kernel and the ring. On bare metal the device does that by itself: nothing. */
@external("env", "ringPoll")
export declare function ringPoll(ring: i32): void;

/**
 * Sets the interrupt threshold: with `on`, an interrupt is raised once completion `index` (counted from 0, modulo 2^16)
 * is there; without, none. Poll once more after arming.
 */
@external("env", "ringArm")
export declare function ringArm(ring: i32, index: i32, on: bool): void;

/** Quiesces the device's DMA: after it returns no buffer posted to its rings is read or written. Its rings are gone. */
@external("env", "devReset")
export declare function devReset(dev: i32): void;

/** Unmasks the device's pin after a level-triggered interrupt was handled (INTx); nothing elsewhere. */
@external("env", "irqUnmask")
export declare function irqUnmask(dev: i32): void;

// ---------------------------------------------------------------- native stacks (fibers/)

/** The stack on which the loop runs. */
export const LOOP_STACK: i32 = 0;

/**
 * A stack of at least `size_bytes` with a guard below it, taken from a pool, on which `entry` is called with `arg` at the first
 * switch to it. `entry` must not return: it switches away for good.
 * @param entry index in the function table of a `(arg: usize) => void`
 * @param label offset of what reports name the fiber by (`number` and what follows in fibers/task.ts), or 0
 * @returns the stack (above 0), or ENOMEM
 */
@external("env", "stackCreate")
export declare function stackCreate(size_bytes: i32, entry: i32, arg: usize, label: usize): i32;

/** Gives a stack back to the pool. Not the running one. */
@external("env", "stackFree")
export declare function stackFree(stack: i32): void;

/** Suspends the running stack and resumes another one. Returns when somebody switches back. */
@external("env", "stackSwitch")
export declare function stackSwitch(stack: i32): void;

/**
 * Why the platform ended the fiber whose stack ran last (a number of boot/platform/common/core.h's `enum trap`), once; 0 when
 * it did not. The loop's stack was resumed as if the fiber had switched to it; its own can only be freed.
 */
@external("env", "trapTaken")
export declare function trapTaken(): i32;

/** Handles of stacks that were ever given out: 0 to `stackCount() - 1`. */
@external("env", "stackCount")
export declare function stackCount(): i32;

/**
 * Finds possible references on a suspended stack (with its saved registers) or, for the running one, in its live frames: the
 * 4-byte values in [low, high). For the collector's conservative scan.
 * @param skip how many of them to pass over
 * @param capacity how many of those that follow to write, as u32, to `target`
 * @returns how many were written; 0 for a free stack
 */
@external("env", "stackScan")
export declare function stackScan(stack: i32, skip: i32, target: usize, capacity: i32, low: usize, high: usize): i32;

// ---------------------------------------------------------------- TLS (images that call these are linked with the library)

/** Mozilla's names: MODERN is TLS 1.3; INTERMEDIATE adds TLS 1.2 with forward secrecy and AEAD. */
export const enum TlsPolicy {
  MODERN = 0,
  INTERMEDIATE = 1,
}

/**
 * Makes a context of this core: what its connections have in common. Contexts are not freed.
 * @param policy `TlsPolicy`
 * @returns the context, or EINVAL, ENOMEM, ENOSPC (64)
 */
@external("env", "tlsContext")
export declare function tlsContext(policy: i32, client: bool): i32;

/**
 * Adds a certificate with its chain and its key. The first one answers where no other has the name that the client asks for;
 * an RSA and an ECDSA certificate of the same names stand side by side.
 * @param pem the leaf, then what leads to the root (at most 10), as PEM
 * @param key path of the key in the bundle, `secrets/NAME`: only the platform reads it
 * @returns its index in the context; EINVAL: no certificate in `pem`; ENOENT: no such secret; EPROTO: the secret is no key in
 *   PEM; EPERM: the key belongs to another certificate; ENOMEM, ENOSPC (64)
 */
@external("env", "tlsCertificate")
export declare function tlsCertificate(context: i32, pem: usize, pem_bytes: i32, key: usize, key_bytes: i32): i32;

export const enum TlsCertificateFact {
  /** Seconds since 1970. */
  NOT_BEFORE_S = 0,
  NOT_AFTER_S = 1,
  KEY_BITS = 2,
  /** 1: RSA, 2: ECDSA, 0: another. */
  KEY_KIND = 3,
}

/** What is known of a certificate; EINVAL. */
@external("env", "tlsCertificateFact")
export declare function tlsCertificateFact(context: i32, index: i32, fact: i32): i64;

/**
 * Gives a certificate a response of its authority (OCSP, DER, at most 16 KiB) that is sent along. EINVAL; EPERM: a certificate
 * of another kind for the same names stands beside it; ENOMEM.
 */
@external("env", "tlsStaple")
export declare function tlsStaple(context: i32, index: i32, der: usize, der_bytes: i32): i32;

/**
 * Adds certificates of those who may sign the peers' (at most 512), as PEM. A client trusts nobody else; a server asks for
 * certificates once it has some. Before the context's own certificates.
 * @param required a server: clients without a certificate are refused
 * @returns how many there were; EINVAL: none, or too late; ENOMEM
 */
@external("env", "tlsTrust")
export declare function tlsTrust(context: i32, pem: usize, pem_bytes: i32, required: bool): i32;

/**
 * The application protocols, in order of preference, as RFC 7301 lays them out (length, name, ...; at most 64 bytes). A server
 * refuses clients that offer protocols and none of these; with none it answers nobody's offer. EINVAL.
 */
@external("env", "tlsProtocols")
export declare function tlsProtocols(context: i32, list: usize, list_bytes: i32): i32;

/**
 * Names the secret (`secrets/NAME`, at least 32 bytes) from which the keys of session tickets follow, for all cores and all
 * machines that are given the same; without it one is drawn at boot. ENOENT, EINVAL.
 */
@external("env", "tlsTicketSecret")
export declare function tlsTicketSecret(name: usize, name_bytes: i32): i32;

/**
 * Begins a connection.
 * @param name a client's: the server that its certificate must name (at most 255 bytes)
 * @param wall_s the time of day for this core's certificates and sessions from now on, seconds since 1970; 0: unknown, and no
 *   peer's certificate is valid then
 * @returns the connection, or EINVAL, ENOMEM, ENOSPC
 */
@external("env", "tlsOpen")
export declare function tlsOpen(context: i32, name: usize, name_bytes: i32, wall_s: i64): i32;

/** Frees a connection. */
@external("env", "tlsFree")
export declare function tlsFree(connection: i32): void;

export const enum TlsStep {
  /** Takes received bytes, goes on with the handshake, gives plaintext. */
  READ = 0,
  /** Encrypts plaintext; takes none before the handshake is done. */
  WRITE = 1,
  /** Tells the peer that nothing more follows (close_notify). */
  CLOSE = 2,
}

/** Results of `tlsStep`, a set. */
export const enum TlsStatus {
  /** The handshake is done. */
  READY = 1,
  /** READ stopped for lack of room for plaintext: call again even without new bytes. */
  MORE = 2,
  /** There was too little room for what must be sent: until a step had enough, steps do nothing else. */
  BLOCKED = 4,
  /** The peer said that nothing more follows. */
  CLOSED = 8,
}

/**
 * Moves a connection on.
 * @param operation `TlsStep`
 * @param io six u32: address and length of what was received (READ; becomes how many bytes were consumed), of the room for
 *   what is to be sent (how many were produced), of plaintext: room above 0 (READ; how many were produced) or bytes (WRITE; how
 *   many were consumed)
 * @returns bits of `TlsStatus`; EPROTO: the peer, or the library, ended it: what was produced is still to be sent. EINVAL.
 */
@external("env", "tlsStep")
export declare function tlsStep(connection: i32, operation: i32, io: usize): i32;

export const enum TlsFact {
  /** 0x0303: TLS 1.2, 0x0304: TLS 1.3. */
  VERSION = 0,
  /** Numbers of IANA's registries of cipher suites and of groups. */
  CIPHER = 1,
  GROUP = 2,
  /** 1: the session was resumed. */
  RESUMED = 3,
  /** Why it failed: the library's number of a reason. */
  ERROR = 4,
  /** Length of the application protocol that was agreed on; 0: none was. */
  PROTOCOL_BYTES = 5,
  /** What is wrong with the peer's certificate: the library's number, 0: nothing (or there is none). */
  VERIFY = 6,
}

/** What is known of a connection; EINVAL. */
@external("env", "tlsFact")
export declare function tlsFact(connection: i32, fact: i32): i32;

export const enum TlsMemory {
  /** Bytes of this core's heap for TLS in use, and taken from the machine. */
  USED = 0,
  TAKEN = 1,
}

/** What TLS costs this core. */
@external("env", "tlsMemory")
export declare function tlsMemory(what: i32): i64;
