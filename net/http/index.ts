// HTTP: the server of static content, its sites and what they hold.
export { HttpConnection } from "./connection";
export { HttpCounters, HttpOptions } from "./options";
export { fileResource, redirectResource, Resource, Site, Sites } from "./resource";
export { HttpServer } from "./server";
export { Wire, WireEvent } from "./wire";
export { HttpDrainer, listenTcp, TcpWire } from "./tcp";
export { listenTls, TlsWire } from "./tls";
