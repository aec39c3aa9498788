// The firewall's face inside net/: what appliances and tests import.

export { Action, addPrefix, LimitSpec, Places, Ranges, RuleSpec } from "./rules";
export { NatSpec, NatType } from "./nat";
export { FirewallSettings, Midstream, StateSettings } from "./settings";
export { Firewall } from "./firewall";
export { compilePolicy, shadowedBy } from "./compile";
export { NO_RULE, Policy } from "./policy";
export { Key, KeyKind, newKey } from "./key";
export { Flow, FLOW_BYTES, Half, ORIGINAL, REPLY, Status, TcpState } from "./flow";
export { FlowTable, FlowWatcher } from "./table";
export { Reason, REASON_NAMES } from "./reason";
export { describeFlow } from "./log";
export { Mappings, PortKeeper } from "./mapping";
export { coreOfPort, Owners } from "./owner";
export { tracePacket } from "./trace";
