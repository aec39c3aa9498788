// HTTPS of the HTTP server: one server over TLS for each set of certificates and response fields that is listened with. Only
// the image with TLS has this file.

import { Configuration, log, LogLevel, tlsMemory, TlsMemory } from "../../runtime";
import { ContentServer, listenTls, TlsWire } from "../../net/http";
import { Stack, TcpModule } from "../../net";
import { serverContext, startTickets, tlsLayer } from "../../net/tls";
import { HttpServerSettings } from "./configuration";

/** What is agreed on with ALPN. */
const PROTOCOLS: Array<string> = ["http/1.1"];

let reporting: TcpModule | null = null;

/** What TLS has done and costs on this core. */
export function tlsReport(): string {
  const layer = tlsLayer(reporting!);
  return (
    "tls: sessions " +
    layer.open.toString() +
    ", " +
    layer.counters.toString() +
    ", heap " +
    (tlsMemory(TlsMemory.USED) >> 10).toString() +
    " of " +
    (tlsMemory(TlsMemory.TAKEN) >> 10).toString() +
    " KiB"
  );
}

/** Listens where TLS is configured, and adds the servers to `servers`; what is wrong goes to the configuration's problems. */
export function startHttps(
  stack: Stack,
  tcp: TcpModule,
  settings: HttpServerSettings,
  configuration: Configuration,
  servers: Array<ContentServer>,
): void {
  const source = configuration.root.source;
  reporting = tcp;
  startTickets(settings.tls, source);
  for (let i = 0; i < settings.http.listen.length; i++) {
    const one = settings.http.listen[i];
    if (one.tls.certificates.length == 0) continue;
    const context = serverContext(settings.tls, one.tls.certificates, PROTOCOLS, one.tls.clients, source);
    if (context == null) continue;
    const options = settings.http.options.copy();
    if (one.tls.hsts_s > 0) options.fields = "Strict-Transport-Security: max-age=" + one.tls.hsts_s.toString() + "\r\n";
    const wire = new TlsWire(tcp);
    const server = new ContentServer(wire, stack.wheel, settings.http.sites, options);
    servers.push(server);
    const status = listenTls(tcp, wire, server, context, one.hi, one.lo, one.port);
    if (status < 0)
      log(LogLevel.ERROR, "cannot listen on port " + one.port.toString() + ": error " + status.toString());
  }
}
