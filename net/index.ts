// The public face of net/: what appliances, services and tests import.

export { Counters, COUNTER_NAMES, counterAt } from "./counters";
export { NetDevice, Offload } from "./device";
export { Limits, LogFunction, Stack, stackAt } from "./stack";
export { DhcpPort, Interface, InterfaceAddress } from "./link/interface";
export {
  formatAddress,
  formatHost,
  isLinkLocal,
  isMulticast,
  isUnspecified,
  isV4,
  ParsedAddress,
  parseAddress,
  samePrefix,
  v4,
} from "./ip/address";
export { Forwarder } from "./ip/forward";
export { PacketFilter, ReversePath, Router } from "./ip/hook";
export { newRoute, Route, ROUTE_BYTES, RouteKind, RouteOption } from "./ip/route";
export { IcmpError, Transport } from "./ip/transport";
export { formatMac, loadMac } from "./wire/ethernet";
export * from "./udp/index";
export * from "./tcp/index";
export * from "./dhcp/index";
export {
  changeInterfaces,
  configureAddress,
  configureGateway,
  configureMtu,
  interfaceNamed,
  sameLinks,
  startInterfaces,
} from "./configure";
export { startStack } from "./source";
export { Drainer, drainOnShutdown } from "./drain";
export { attachCard } from "./card";
export * from "./socket/index";
export { InterfaceSettings, readInterfaces } from "./interfaces";
export { changeRoutes, readRoutes, RouteSettings } from "./routing";
export { canChange, changeSettings, NetworkSettings, readNetwork, startSettings } from "./settings";
export { Names, readNames } from "./names";
export { readTimeServers, startTime, TimeOfDay } from "./time";
export { announce, NetworkPart, Routing, startForwarding, startNetwork } from "./network";
