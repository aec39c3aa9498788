// HTTPS of the HTTP server: one server over TLS for each set of certificates and response fields that is listened with. Only
// the image with TLS has this file.

import { Configuration, log, LogLevel } from "../../runtime";
import { HttpServer, listenTls, TlsWire } from "../../net/http";
import { Stack, TcpModule } from "../../net";
import { serverContext, startTickets } from "../../net/tls";
import { HttpServerSettings } from "./configuration";

/** What is agreed on with ALPN. */
const PROTOCOLS: Array<string> = ["http/1.1"];

/** Listens where TLS is configured, and adds the servers to `servers`; what is wrong goes to the configuration's problems. */
export function startHttps(
  stack: Stack,
  tcp: TcpModule,
  settings: HttpServerSettings,
  configuration: Configuration,
  servers: Array<HttpServer>,
): void {
  const source = configuration.root.source;
  startTickets(settings.tls, source);
  for (let i = 0; i < settings.http.listen.length; i++) {
    const one = settings.http.listen[i];
    if (one.certificates.length == 0) continue;
    const context = serverContext(settings.tls, one.certificates, PROTOCOLS, source);
    if (context == null) continue;
    const options = settings.http.options.copy();
    if (one.hsts_s > 0) options.fields = "Strict-Transport-Security: max-age=" + one.hsts_s.toString() + "\r\n";
    const wire = new TlsWire(tcp);
    const server = new HttpServer(wire, stack.wheel, settings.http.sites, options);
    servers.push(server);
    const status = listenTls(tcp, wire, server, context, one.hi, one.lo, one.port);
    if (status < 0)
      log(LogLevel.ERROR, "cannot listen on port " + one.port.toString() + ": error " + status.toString());
  }
}
