// What can be configured of a server, and what it counts.

import { AccessLog } from "./access-log";
import { HeadLimits } from "./head";

const NS_PER_S: i64 = 1_000_000_000;

export class HttpOptions {
  head: HeadLimits = new HeadLimits();
  /** Bytes of a request's body; more is 413. */
  bodyBytes: u64 = 1 << 20;
  connections: u32 = 20000;
  /** Connections of one source; 0: no limit. */
  perSource: u32 = 0;
  /** Whether a site's policy asks where requests come from. */
  knowsSource: bool = false;
  access: AccessLog | null = null;
  /** For a whole head from its first byte on; for a body without progress; between requests. */
  headerTimeout_ns: i64 = 10 * NS_PER_S;
  bodyTimeout_ns: i64 = 30 * NS_PER_S;
  idleTimeout_ns: i64 = 60 * NS_PER_S;
  /** Fields that every response has besides its own, each with CRLF: Strict-Transport-Security. */
  fields: string = "";

  /** The same for another server. */
  copy(): HttpOptions {
    const other = new HttpOptions();
    other.head = this.head;
    other.bodyBytes = this.bodyBytes;
    other.connections = this.connections;
    other.headerTimeout_ns = this.headerTimeout_ns;
    other.bodyTimeout_ns = this.bodyTimeout_ns;
    other.idleTimeout_ns = this.idleTimeout_ns;
    other.fields = this.fields;
    other.perSource = this.perSource;
    other.knowsSource = this.knowsSource;
    other.access = this.access;
    return other;
  }
}

export class HttpCounters {
  connections: u64 = 0;
  connectionsRefused: u64 = 0;
  sourcesRefused: u64 = 0;
  requests: u64 = 0;
  headsTooLarge: u64 = 0;
  targetsTooLong: u64 = 0;
  bodiesTooLarge: u64 = 0;
  ok: u64 = 0;
  notModified: u64 = 0;
  redirected: u64 = 0;
  clientErrors: u64 = 0;
  serverErrors: u64 = 0;
  headTimeouts: u64 = 0;
  bodyTimeouts: u64 = 0;
  idleTimeouts: u64 = 0;
  sendTimeouts: u64 = 0;

  /** Counts a response. */
  response(status: i32): void {
    if (status == 304) this.notModified++;
    else if (status < 300) this.ok++;
    else if (status < 400) this.redirected++;
    else if (status < 500) this.clientErrors++;
    else this.serverErrors++;
  }

  toString(): string {
    return (
      "connections " +
      this.connections.toString() +
      ", refused " +
      this.connectionsRefused.toString() +
      ", refused to sources " +
      this.sourcesRefused.toString() +
      ", too large: heads " +
      this.headsTooLarge.toString() +
      ", targets " +
      this.targetsTooLong.toString() +
      ", bodies " +
      this.bodiesTooLarge.toString() +
      ", requests " +
      this.requests.toString() +
      ", 2xx " +
      this.ok.toString() +
      ", 304 " +
      this.notModified.toString() +
      ", 3xx " +
      this.redirected.toString() +
      ", 4xx " +
      this.clientErrors.toString() +
      ", 5xx " +
      this.serverErrors.toString() +
      ", time-outs: head " +
      this.headTimeouts.toString() +
      ", body " +
      this.bodyTimeouts.toString() +
      ", idle " +
      this.idleTimeouts.toString() +
      ", send " +
      this.sendTimeouts.toString()
    );
  }
}
