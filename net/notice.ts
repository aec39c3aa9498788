// Notices: what the packet path has to tell people (an address conflict, a lease). The packet path must not build
// strings, so it
// leaves a record of fixed size here, and `Stack.turn` turns it into a line of the log.
//
// Invariants
// 1. At most NOTICES wait; what comes on top is counted (`noticesLost`), so a peer cannot flood the log faster than a
//    turn empties it.
// 2. A kind whose cause lies with a peer is limited by its sender before it comes here (ARP: one conflict in 10 s).
//
// clang: -Oz

import { formatAddress } from "./ip/address";
import { formatMac } from "./wire/ethernet";

export const enum NoticeKind {
  ADDRESS_CONFLICT = 0,
  ADDRESS_ADDED = 1,
  ADDRESS_REMOVED = 2,
  DHCP_DISCOVER = 3,
  DHCP_BOUND = 4,
  DHCP_RENEWED = 5,
  DHCP_NAK = 6,
  DHCP_EXPIRED = 7,
  DHCP_DECLINED = 8,
  DHCP_NO_ANSWER = 9,
}

/** Levels of the log, the same numbers as in runtime/log.ts. */
export const enum NoticeLevel {
  ERROR = 0,
  WARN = 1,
  INFO = 2,
  DEBUG = 3,
}


@unmanaged
export class Notice {
  kind: u32;
  iface: u32;
  /** The address that it is about, and its prefix length as pair bits. */
  hi: u64;
  lo: u64;
  bits: u32;
  /** A second number: seconds of a lease. */
  value: u32;
  mac: u64;
  /** A second address: gateway or server. */
  hi2: u64;
  lo2: u64;
}

const NOTICES: u32 = 16;

export class Notices {
  private records: usize = heap.alloc(NOTICES * offsetof<Notice>());
  private head: u32 = 0;
  count: u32 = 0;

  /** A zeroed record to fill in, or null when too many wait. */
  add(kind: NoticeKind, iface: u32): Notice | null {
    if (this.count == NOTICES) return null;
    const at = this.records + ((this.head + this.count++) % NOTICES) * offsetof<Notice>();
    memory.fill(at, 0, offsetof<Notice>());
    const notice = changetype<Notice>(at);
    notice.kind = kind;
    notice.iface = iface;
    return notice;
  }

  /** The oldest record, valid until the next `add`; null when none waits. */
  take(): Notice | null {
    if (this.count == 0) return null;
    const at = this.records + this.head * offsetof<Notice>();
    this.head = (this.head + 1) % NOTICES;
    this.count--;
    return changetype<Notice>(at);
  }
}

export function noticeLevel(kind: u32): NoticeLevel {
  switch (kind) {
    case NoticeKind.ADDRESS_CONFLICT:
    case NoticeKind.DHCP_DECLINED:
    case NoticeKind.DHCP_NAK:
    case NoticeKind.DHCP_EXPIRED:
    case NoticeKind.DHCP_NO_ANSWER:
      return NoticeLevel.WARN;
    case NoticeKind.DHCP_DISCOVER:
      return NoticeLevel.DEBUG;
    default:
      return NoticeLevel.INFO;
  }
}

/** The line of the log for a notice. */
export function noticeText(notice: Notice, ifaceName: string): string {
  const address = formatAddress(notice.hi, notice.lo);
  const cidr = address + "/" + (notice.hi == 0 ? notice.bits - 96 : notice.bits).toString();
  const other = formatAddress(notice.hi2, notice.lo2);
  const lease = " for " + notice.value.toString() + " s";
  const what = ifaceName + ": ";
  switch (notice.kind) {
    case NoticeKind.ADDRESS_CONFLICT:
      return what + address + " is also used by " + formatMac(notice.mac) + "; one of the two must be changed";
    case NoticeKind.ADDRESS_ADDED:
      return what + "address " + cidr;
    case NoticeKind.ADDRESS_REMOVED:
      return what + "address " + cidr + " removed";
    case NoticeKind.DHCP_DISCOVER:
      return what + "DHCP: looking for a server";
    case NoticeKind.DHCP_BOUND:
      return what + "DHCP: " + cidr + lease + ", gateway " + (notice.lo2 != 0 ? other : "none");
    case NoticeKind.DHCP_RENEWED:
      return what + "DHCP: " + cidr + " renewed" + lease;
    case NoticeKind.DHCP_NAK:
      return what + "DHCP: the server refused " + address + "; starting again";
    case NoticeKind.DHCP_EXPIRED:
      return what + "DHCP: the lease of " + address + " has expired; no server answers";
    case NoticeKind.DHCP_DECLINED:
      return what + "DHCP: " + address + " is already used by " + formatMac(notice.mac) + "; declined";
    case NoticeKind.DHCP_NO_ANSWER:
      return what + "DHCP: no server answers; still trying";
    default:
      return what + "notice " + notice.kind.toString();
  }
}
