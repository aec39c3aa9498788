// HTTP: the server of services with its router; the event-driven server of static content, its sites and what they hold.
export { AccessFormat, AccessLog } from "./access-log";
export { BasicAuth, parseUser } from "./basic-auth";
export { HttpConnection } from "./connection";
export { Coding } from "./field";
export { mediaType } from "./mime";
export { HttpCounters, HttpOptions } from "./options";
export { Cors, PathRule, SitePolicy } from "./policy";
export { RateLimit, SourceCounts } from "./rate-limit";
export {
  encodePath,
  fileResource,
  madeResource,
  pageResource,
  redirectResource,
  Resource,
  Site,
  Sites,
} from "./resource";
export { ContentServer } from "./server";
export { Wire, WireEvent } from "./wire";
export { HttpDrainer, listensTcp, listenTcp, replaceServer, TcpWire, unlistenTcp } from "./tcp";
export { listenTls, TlsWire } from "./tls";
export { Request, Response } from "./exchange";
export { Filter, Handler, Router } from "./router";
export { HttpServer } from "./service";
