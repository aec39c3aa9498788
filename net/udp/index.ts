// The public face of UDP.

export { Udp } from "./udp";
export {
  datagramBytes,
  datagramCopy,
  datagramDstHi,
  datagramDstLo,
  datagramDstPort,
  datagramSrcHi,
  datagramSrcLo,
  datagramSrcPort,
  UdpEvent,
  UdpHandler,
  UdpEndpoint,
} from "./endpoint";
