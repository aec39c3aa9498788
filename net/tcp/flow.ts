// What the flow table holds: the common head of a connection and of a TIME-WAIT entry, its key and its links.

export const enum FlowKind {
  CONNECTION = 1,
  TIME_WAIT = 2,
}


@unmanaged
export class Flow {
  localHi: u64;
  localLo: u64;
  remoteHi: u64;
  remoteLo: u64;
  /** Next of the bucket; of the free list while the object is free. */
  hashNext: Flow | null;
  hash: u32;
  localPort: u16;
  remotePort: u16;
  /** A value of `FlowKind`. */
  kind: i32;
  /** Id of the stack. */
  stackId: u32;
}
