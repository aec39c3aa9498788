// The HTTP server as the management sees it: its listeners and sites change while it runs. Requests that are under way are
// answered by the server that took them; its connections end with their next response, and clients come again.
// clang: -Oz

import { Bundles, Card, Configuration, JsonWriter, log, LogLevel } from "../../runtime";
import { ContentServer, listensTcp, listenTcp, replaceServer, TcpWire, unlistenTcp } from "../../net/http";
import { Stack, TcpModule } from "../../net";
import { Appliance, CommonSettings, Metrics } from "../management";
import { HttpServerSettings, Listen, readConfiguration } from "./configuration";

export class HttpAppliance extends Appliance {
  /** What is in effect, and what was read last. */
  private settings: HttpServerSettings;
  private next: HttpServerSettings;
  private server: ContentServer;

  constructor(
    private readonly stack: Stack,
    private readonly tcp: TcpModule,
    private readonly cards: Array<Card>,
    private readonly bundles: Bundles,
    settings: HttpServerSettings,
    /** All servers, for the machine's end; over plain HTTP is the first. */
    private readonly servers: Array<ContentServer>,
  ) {
    super();
    this.settings = settings;
    this.next = settings;
    this.server = new ContentServer(new TcpWire(tcp), stack.wheel, settings.http.sites, settings.http.options);
    servers.push(this.server);
  }

  get name(): string {
    return "http-server";
  }

  read(configuration: Configuration): CommonSettings {
    this.next = readConfiguration(configuration, this.bundles, this.cards);
    return this.next.common;
  }

  obstacle(): string {
    if (this.settings.tlsText != this.next.tlsText) return "/tls";
    if (this.settings.httpText == this.next.httpText) return "";
    if (hasTls(this.settings.http.listen) || hasTls(this.next.http.listen))
      return "/httpServer of a machine that listens with TLS";
    return "";
  }

  /** Listens where the settings say that were read at boot. */
  start(): void {
    this.listen(this.settings.http.listen);
  }

  commit(): void {
    const before = this.settings;
    const next = this.next;
    this.settings = next;
    if (before.httpText == next.httpText) return;
    const old = this.server;
    const made = new ContentServer(new TcpWire(this.tcp), this.stack.wheel, next.http.sites, next.http.options);
    this.server = made;
    replaceServer(this.tcp, old, made);
    old.retire();
    this.servers[this.servers.indexOf(old)] = made;
    for (let i = 0; i < before.http.listen.length; i++) {
      const one = before.http.listen[i];
      if (!includes(next.http.listen, one)) unlistenTcp(this.tcp, made, one.hi, one.lo, one.port);
    }
    this.listen(next.http.listen);
  }

  private listen(places: Array<Listen>): void {
    for (let i = 0; i < places.length; i++) {
      const one = places[i];
      if (one.tls.certificates.length > 0 || listensTcp(this.tcp, this.server, one.hi, one.lo, one.port)) continue;
      const status = listenTcp(this.tcp, this.server, one.hi, one.lo, one.port);
      if (status < 0)
        log(LogLevel.ERROR, "cannot listen on port " + one.port.toString() + ": error " + status.toString());
    }
  }

  ready(): bool {
    const interfaces = this.stack.interfaces;
    for (let i = 0; i < interfaces.length; i++) if (interfaces[i].addresses.length > 0) return true;
    return false;
  }

  status(json: JsonWriter): void {
    json.key("httpServer").object();
    json.key("connections").integer(this.server.open).key("requests").integer(this.server.counters.requests).end();
  }

  metrics(metrics: Metrics): void {
    const counters = this.server.counters;
    metrics.gauge("http_connections_open", "HTTP connections that are open on core 0.", this.server.open);
    metrics.counter("http_connections", "HTTP connections taken on core 0.", counters.connections);
    metrics.counter(
      "http_connections_refused",
      "HTTP connections refused, as there were too many.",
      counters.connectionsRefused,
    );
    metrics.counter("http_requests", "HTTP requests on core 0.", counters.requests);
    const name = "http_responses";
    const help = "HTTP responses by class of their status.";
    metrics.counter(name, help, counters.ok, 'class="2xx"');
    metrics.counter(name, help, counters.redirected + counters.notModified, 'class="3xx"');
    metrics.counter(name, help, counters.clientErrors, 'class="4xx"');
    metrics.counter(name, help, counters.serverErrors, 'class="5xx"');
  }
}

function hasTls(listen: Array<Listen>): bool {
  for (let i = 0; i < listen.length; i++) if (listen[i].tls.certificates.length > 0) return true;
  return false;
}

function includes(listen: Array<Listen>, one: Listen): bool {
  for (let i = 0; i < listen.length; i++)
    if (listen[i].hi == one.hi && listen[i].lo == one.lo && listen[i].port == one.port) return true;
  return false;
}
