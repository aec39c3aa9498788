// What ICMP says of a connection (RFC 1122, 4.2.3.9; RFC 5461; RFC 5927). Everything in an error may be forged:
//
//   (1) SND.UNA <= SEG.SEQ < SND.NXT of the quoted header: it is about something in flight (RFC 5927, 4.1)
//   (2) no error ends a connection that is synchronised (5.2): it is remembered, and given when the connection times out for itself
//   (3) an MTU only falls, to no less than a floor, and a probing sender finds a lie out (RFC 8899)

import { Errno } from "../../runtime";
import { IcmpError } from "../ip/transport";
import { Connection, isSynchronised, State } from "./connection";
import { TcpCore } from "./core";
import { pathSmaller } from "./pathmtu";
import { seqGe, seqLt } from "./seq";

/** Takes an error about the segment `seq` of a connection; `mtu` for TOO_BIG, or 0. */
export function icmpArrives(tcp: TcpCore, c: Connection, error: IcmpError, mtu: u32, seq: u32): void {
  // (1)
  if (seqLt(seq, c.snd_una) || seqGe(seq, c.snd_nxt)) {
    tcp.stack.counters.tcpOutOfWindowIcmps++;
    return;
  }
  if (error == IcmpError.TOO_BIG) {
    if (mtu != 0 && isSynchronised(c.state) && tcp.stack.ip.learnMtu(c.remoteHi, c.remoteLo, mtu)) pathSmaller(tcp, c);
    return;
  }
  const errno = errnoOf(error);
  // An attempt ends with any error that is no fault of the path's length or of our header: nothing is lost but time.
  if (c.state == State.SYN_SENT && error != IcmpError.TIME_EXCEEDED && error != IcmpError.PARAMETER_PROBLEM) {
    tcp.finish(c, errno);
    tcp.settle(c);
  } else {
    // (2)
    c.soft_error = errno;
  }
}

function errnoOf(error: IcmpError): i32 {
  switch (error) {
    case IcmpError.PORT_UNREACHABLE:
    case IcmpError.PROTOCOL_UNREACHABLE:
      return Errno.ECONNREFUSED;
    case IcmpError.NET_UNREACHABLE:
      return Errno.ENETUNREACH;
    default:
      return Errno.EHOSTUNREACH;
  }
}
