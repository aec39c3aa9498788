// TLS: contexts, the layer over TCP.
export { TlsContext } from "./context";
export { TlsCounters, TlsEvent, TlsLayer, tlsLayer, TlsUser } from "./layer";
export { TlsSession } from "./session";
export { ClientAuth, readClientAuth, readTls, serverContext, startTickets, TlsSettings } from "./settings";
export { TlsListener, TlsStream } from "./stream";
