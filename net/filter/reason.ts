// Why a packet was not let through, each with a counter; and what else the filter counts.

export const enum Reason {
  NONE = 0,
  /** A header that does not fit the packet, or a port 0. */
  MALFORMED = 1,
  CHECKSUM = 2,
  /** TCP flags that no segment has. */
  TCP_FLAGS = 3,
  /** Source and destination are the same (the land attack). */
  LAND = 4,
  /** A source that does not belong where it came from: private or reserved space on an interface with `bogons`. */
  BOGON = 5,
  /** A rule said drop, or reject. */
  RULE_DROP = 6,
  RULE_REJECT = 7,
  /** No rule said anything. */
  DEFAULT = 8,
  /** The rule's limit, or that of its source. */
  LIMIT = 9,
  /** TCP out of the middle of a connection that is not known. */
  MIDSTREAM = 10,
  /** A TCP segment outside of its connection's window, or one that its state does not allow. */
  TCP_WINDOW = 11,
  TCP_STATE = 12,
  /** An ICMP error about a packet of no known flow, or an answer that nobody asked for. */
  UNRELATED = 13,
  /** The connection table is full, and nothing in it may go. */
  TABLE_FULL = 14,
  SOURCE_FULL = 15,
  /** No external port is left. */
  NO_PORT = 16,
  /** The two directions of a new flow would meet those of another. */
  COLLISION = 17,
  /** A flow ended because a new policy no longer allows it. */
  RECHECK = 18,
  /** No route leads back to the source by the interface that it came in by. */
  REVERSE_PATH = 19,
  COUNT = 20,
}

export const REASON_NAMES: StaticArray<string> = [
  "none",
  "malformed",
  "checksum",
  "tcp-flags",
  "land",
  "bogon",
  "rule-drop",
  "rule-reject",
  "default",
  "limit",
  "midstream",
  "tcp-window",
  "tcp-state",
  "unrelated",
  "table-full",
  "source-full",
  "no-port",
  "collision",
  "recheck",
  "reverse-path",
];
