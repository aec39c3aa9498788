// The public face of the balancer.

export { Admin, ADMIN_NAMES, Backend, Operational, OPERATIONAL_NAMES, WEIGHT_MAX } from "./backend";
export { Algorithm, ALGORITHM_NAMES, Choice } from "./choice";
export { Maglev, MAGLEV_ENTRIES, NOBODY } from "./maglev";
export { HashSeed } from "./seed";
export { SourceCounts, StickTable } from "./sources";
export { Turns } from "./turns";
export { HealthOptions, startHealth } from "./health";
export { Proxy, ProxyDrainer, ProxyOptions } from "./proxy";
