// What the stack counts: one number for each thing that happens to packets, each drop with its reason. Names are those
// of the
// MIBs (RFC 2863, RFC 4293, RFC 4022, RFC 4113) and of Linux where the MIBs have none.
//
// Invariant: `COUNTER_NAMES` has the fields of `Counters` in their order; the constructor of Stack asserts that they
// are as many.

@unmanaged
export class Counters {
  // link
  ifInPackets: u64;
  ifInOctets: u64;
  ifInDiscards: u64;
  ifInErrors: u64;
  ifInUnknownProtos: u64;
  ifInForeign: u64;
  ifOutPackets: u64;
  ifOutOctets: u64;
  ifOutDiscards: u64;
  // neighbours
  arpInRequests: u64;
  arpInReplies: u64;
  arpInErrors: u64;
  arpInIgnored: u64;
  arpOutRequests: u64;
  arpOutReplies: u64;
  arpConflicts: u64;
  neighbourFailed: u64;
  neighbourQueueDrops: u64;
  neighbourTableFull: u64;
  // IP
  ipInReceives: u64;
  ipInHdrErrors: u64;
  ipInCsumErrors: u64;
  ipInAddrErrors: u64;
  ipInMartians: u64;
  ipInUnknownProtos: u64;
  ipInDelivers: u64;
  ipInTruncated: u64;
  ipForwDatagrams: u64;
  ipInNoRoutes: u64;
  ipInBlackholed: u64;
  ipInReversePath: u64;
  ipOutRequests: u64;
  ipOutNoRoutes: u64;
  ipOutDiscards: u64;
  ipReasmReqds: u64;
  ipReasmOKs: u64;
  ipReasmFails: u64;
  ipReasmTimeout: u64;
  ipReasmOverlaps: u64;
  ipFragOKs: u64;
  ipFragFails: u64;
  ipFragCreates: u64;
  // ICMP
  icmpInMsgs: u64;
  icmpInErrors: u64;
  icmpInCsumErrors: u64;
  icmpInEchos: u64;
  icmpInDestUnreachs: u64;
  icmpInIgnored: u64;
  icmpOutMsgs: u64;
  icmpOutEchoReps: u64;
  icmpOutErrors: u64;
  icmpOutRedirects: u64;
  icmpOutRateLimited: u64;
  // IPv6
  ip6InReceives: u64;
  ip6InHdrErrors: u64;
  ip6InAddrErrors: u64;
  ip6InMartians: u64;
  ip6InUnknownProtos: u64;
  ip6InDelivers: u64;
  ip6InNoRoutes: u64;
  ip6InBlackholed: u64;
  ip6InReversePath: u64;
  ip6InTooBigErrors: u64;
  ip6OutForwDatagrams: u64;
  ip6OutRequests: u64;
  ip6OutNoRoutes: u64;
  ip6OutDiscards: u64;
  ip6ReasmReqds: u64;
  ip6ReasmOKs: u64;
  ip6ReasmFails: u64;
  ip6ReasmTimeout: u64;
  ip6ReasmOverlaps: u64;
  ip6FragOKs: u64;
  ip6FragFails: u64;
  ip6FragCreates: u64;
  icmp6InMsgs: u64;
  icmp6InErrors: u64;
  icmp6InCsumErrors: u64;
  icmp6InEchos: u64;
  icmp6InDestUnreachs: u64;
  icmp6InIgnored: u64;
  icmp6InNeighborSolicits: u64;
  icmp6InNeighborAdvertisements: u64;
  icmp6OutMsgs: u64;
  icmp6OutEchoReps: u64;
  icmp6OutErrors: u64;
  icmp6OutRateLimited: u64;
  icmp6OutNeighborSolicits: u64;
  icmp6OutNeighborAdvertisements: u64;
  ndInErrors: u64;
  ndInIgnored: u64;
  ndDuplicates: u64;
  mldInQueries: u64;
  mldOutReports: u64;
  // UDP
  udpInDatagrams: u64;
  udpNoPorts: u64;
  udpInErrors: u64;
  udpInCsumErrors: u64;
  udpRcvbufErrors: u64;
  udpOutDatagrams: u64;
  udpOutErrors: u64;
  // TCP
  tcpActiveOpens: u64;
  tcpPassiveOpens: u64;
  tcpEstablished: u64;
  tcpInSegs: u64;
  tcpInErrs: u64;
  tcpInCsumErrors: u64;
  tcpInRsts: u64;
  tcpOutSegs: u64;
  tcpOutRsts: u64;
  tcpOutRstsLimited: u64;
  tcpRetransSegs: u64;
  tcpRtoTimeouts: u64;
  tcpTimeouts: u64;
  tcpLossProbes: u64;
  tcpFastRecoveries: u64;
  tcpSpuriousRecoveries: u64;
  tcpSackReneges: u64;
  tcpInOutOfOrder: u64;
  tcpInUnacceptable: u64;
  tcpInWindowDrops: u64;
  tcpRcvPruned: u64;
  tcpPawsRejected: u64;
  tcpNoTimestamp: u64;
  tcpChallengeAcks: u64;
  tcpChallengeAcksLimited: u64;
  tcpListenOverflows: u64;
  tcpListenDrops: u64;
  tcpSynCookiesSent: u64;
  tcpSynCookiesRecv: u64;
  tcpSynCookiesFailed: u64;
  tcpTimeWaitOverflows: u64;
  tcpKeepAlives: u64;
  tcpWindowProbes: u64;
  tcpAbortOnData: u64;
  tcpOutOfWindowIcmps: u64;
  tcpMtuBlackHoles: u64;
  tcpMtuProbes: u64;
  tcpMtuProbesOk: u64;
  tcpNoConnections: u64;
  tcpNoRecords: u64;
  // DHCP
  dhcpInMessages: u64;
  dhcpInErrors: u64;
  dhcpOutMessages: u64;
  // the stack itself
  steeredOut: u64;
  steeredIn: u64;
  steeringDrops: u64;
  loopbackDrops: u64;
  noBuffers: u64;
  noticesLost: u64;
}

export const COUNTER_NAMES: StaticArray<string> = [
  "IfInPackets",
  "IfInOctets",
  "IfInDiscards",
  "IfInErrors",
  "IfInUnknownProtos",
  "IfInForeign",
  "IfOutPackets",
  "IfOutOctets",
  "IfOutDiscards",
  "ArpInRequests",
  "ArpInReplies",
  "ArpInErrors",
  "ArpInIgnored",
  "ArpOutRequests",
  "ArpOutReplies",
  "ArpConflicts",
  "NeighbourFailed",
  "NeighbourQueueDrops",
  "NeighbourTableFull",
  "IpInReceives",
  "IpInHdrErrors",
  "IpInCsumErrors",
  "IpInAddrErrors",
  "IpInMartians",
  "IpInUnknownProtos",
  "IpInDelivers",
  "IpInTruncated",
  "IpForwDatagrams",
  "IpInNoRoutes",
  "IpInBlackholed",
  "IpInReversePath",
  "IpOutRequests",
  "IpOutNoRoutes",
  "IpOutDiscards",
  "IpReasmReqds",
  "IpReasmOKs",
  "IpReasmFails",
  "IpReasmTimeout",
  "IpReasmOverlaps",
  "IpFragOKs",
  "IpFragFails",
  "IpFragCreates",
  "IcmpInMsgs",
  "IcmpInErrors",
  "IcmpInCsumErrors",
  "IcmpInEchos",
  "IcmpInDestUnreachs",
  "IcmpInIgnored",
  "IcmpOutMsgs",
  "IcmpOutEchoReps",
  "IcmpOutErrors",
  "IcmpOutRedirects",
  "IcmpOutRateLimited",
  "Ip6InReceives",
  "Ip6InHdrErrors",
  "Ip6InAddrErrors",
  "Ip6InMartians",
  "Ip6InUnknownProtos",
  "Ip6InDelivers",
  "Ip6InNoRoutes",
  "Ip6InBlackholed",
  "Ip6InReversePath",
  "Ip6InTooBigErrors",
  "Ip6OutForwDatagrams",
  "Ip6OutRequests",
  "Ip6OutNoRoutes",
  "Ip6OutDiscards",
  "Ip6ReasmReqds",
  "Ip6ReasmOKs",
  "Ip6ReasmFails",
  "Ip6ReasmTimeout",
  "Ip6ReasmOverlaps",
  "Ip6FragOKs",
  "Ip6FragFails",
  "Ip6FragCreates",
  "Icmp6InMsgs",
  "Icmp6InErrors",
  "Icmp6InCsumErrors",
  "Icmp6InEchos",
  "Icmp6InDestUnreachs",
  "Icmp6InIgnored",
  "Icmp6InNeighborSolicits",
  "Icmp6InNeighborAdvertisements",
  "Icmp6OutMsgs",
  "Icmp6OutEchoReps",
  "Icmp6OutErrors",
  "Icmp6OutRateLimited",
  "Icmp6OutNeighborSolicits",
  "Icmp6OutNeighborAdvertisements",
  "NdInErrors",
  "NdInIgnored",
  "NdDuplicates",
  "MldInQueries",
  "MldOutReports",
  "UdpInDatagrams",
  "UdpNoPorts",
  "UdpInErrors",
  "UdpInCsumErrors",
  "UdpRcvbufErrors",
  "UdpOutDatagrams",
  "UdpOutErrors",
  "TcpActiveOpens",
  "TcpPassiveOpens",
  "TcpEstablished",
  "TcpInSegs",
  "TcpInErrs",
  "TcpInCsumErrors",
  "TcpInRsts",
  "TcpOutSegs",
  "TcpOutRsts",
  "TcpOutRstsLimited",
  "TcpRetransSegs",
  "TcpRtoTimeouts",
  "TcpTimeouts",
  "TcpLossProbes",
  "TcpFastRecoveries",
  "TcpSpuriousRecoveries",
  "TcpSackReneges",
  "TcpInOutOfOrder",
  "TcpInUnacceptable",
  "TcpInWindowDrops",
  "TcpRcvPruned",
  "TcpPawsRejected",
  "TcpNoTimestamp",
  "TcpChallengeAcks",
  "TcpChallengeAcksLimited",
  "TcpListenOverflows",
  "TcpListenDrops",
  "TcpSynCookiesSent",
  "TcpSynCookiesRecv",
  "TcpSynCookiesFailed",
  "TcpTimeWaitOverflows",
  "TcpKeepAlives",
  "TcpWindowProbes",
  "TcpAbortOnData",
  "TcpOutOfWindowIcmps",
  "TcpMtuBlackHoles",
  "TcpMtuProbes",
  "TcpMtuProbesOk",
  "TcpNoConnections",
  "TcpNoRecords",
  "DhcpInMessages",
  "DhcpInErrors",
  "DhcpOutMessages",
  "SteeredOut",
  "SteeredIn",
  "SteeringDrops",
  "LoopbackDrops",
  "NoBuffers",
  "NoticesLost",
];

/** What is counted of reassembly, alike for both versions of IP. */
@unmanaged
export class ReasmCounters {
  reqds: u64;
  oks: u64;
  fails: u64;
  timeout: u64;
  overlaps: u64;
}

/** The counters of reassembly of one version of IP. */
export function reasmCounters(counters: Counters, v4: bool): ReasmCounters {
  const at = v4 ? offsetof<Counters>("ipReasmReqds") : offsetof<Counters>("ip6ReasmReqds");
  return changetype<ReasmCounters>(changetype<usize>(counters) + at);
}

/** Counters, all zero. */
export function newCounters(): Counters {
  const bytes = offsetof<Counters>();
  assert(bytes == <usize>COUNTER_NAMES.length * 8);
  const at = heap.alloc(bytes);
  memory.fill(at, 0, bytes);
  return changetype<Counters>(at);
}

/** Value of the counter whose name stands at `index` of COUNTER_NAMES. */
export function counterAt(counters: Counters, index: i32): u64 {
  assert(<u32>index < <u32>COUNTER_NAMES.length);
  return load<u64>(changetype<usize>(counters) + <usize>index * 8);
}
