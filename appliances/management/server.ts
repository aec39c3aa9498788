// The management listener: who may connect, and what is answered (CONFIG.md, Management). On core 0; the other cores hand
// its connections over (`Steering.leaderPort`) and go by the configurations that core 0 publishes.
// clang: -Oz

import { coreNumber, log, LogLevel } from "../../runtime";
import { spawn } from "../../fibers";
import { formatAddress, newRoute, Stack, TcpListener, TcpStream } from "../../net";
import { HttpServer, Request, Response, Router } from "../../net/http";
import { Access } from "./access";
import { answerConnections, answerHealth, answerLog, answerMetrics, answerReady, answerStatus } from "./answers";
import { answerConfiguration, answerConfirm, answerPut } from "./configuration";
import { CommonSettings } from "./common";
import { Control, follow, Watcher } from "./control";
import { ManagementSettings, placeOf, Role } from "./settings";

const CONNECTIONS: u32 = 64;

export class Management extends Watcher {
  readonly access: Access = new Access();
  readonly server: HttpServer;
  /** Connections that were refused by interface or address. */
  refused: u64 = 0;
  private listener: TcpListener | null = null;

  constructor(
    readonly control: Control,
    public settings: ManagementSettings,
  ) {
    super();
    const router = new Router();
    router.use(admit);
    router.get("/healthz", answerHealth);
    router.get("/readyz", answerReady);
    router.get("/status", answerStatus);
    router.get("/metrics", answerMetrics);
    router.get("/log", answerLog);
    router.get("/connections", answerConnections);
    router.get("/config", answerConfiguration);
    router.put("/config", answerPut);
    router.post("/config/confirm", answerConfirm);
    this.server = new HttpServer(router);
    this.server.options.connections = CONNECTIONS;
  }

  get stack(): Stack {
    return this.control.stack;
  }

  /** Listens as the settings say. */
  open(): void {
    const settings = this.settings;
    if (!settings.enabled) return;
    const listener = TcpListener.listen(settings.port, formatAddress(settings.hi, settings.lo), CONNECTIONS);
    if (listener == null) {
      log(LogLevel.ERROR, "management: cannot listen on " + placeOf(settings));
      return;
    }
    this.listener = listener;
    log(
      LogLevel.WARN,
      "management on http://" + placeOf(settings) + ": plain HTTP, whoever is on the way can read tokens",
    );
    if (spawn<Management>(acceptAll, this) == null) this.close();
  }

  close(): void {
    const listener = this.listener;
    this.listener = null;
    if (listener != null) listener.close();
  }

  changed(before: CommonSettings, after: CommonSettings): void {
    const same = before.management.samePlace(after.management);
    this.settings = after.management;
    const steering = this.stack.steering;
    if (steering != null) steering.leaderPort = this.settings.port;
    if (coreNumber() != 0 || same) return;
    this.close();
    this.open();
  }

  accept(): void {
    const listener = this.listener;
    if (listener == null) return;
    for (let stream = listener.accept(); stream != null; stream = listener.accept()) {
      if (!this.admits(stream)) {
        this.refused++;
        stream.abort();
        continue;
      }
      stream.setNoDelay(true);
      this.server.serve(stream);
    }
  }

  /** Whether a peer is in an allowed prefix and answers to it leave through the interface: a handshake proves the rest. */
  private admits(stream: TcpStream): bool {
    const settings = this.settings;
    if (!settings.allows(stream.remoteHi, stream.remoteLo)) return false;
    const route = newRoute();
    const found = this.stack.ip.resolve(route, stream.remoteHi, stream.remoteLo) >= 0;
    const admitted = found && this.stack.interfaces[route.iface].name == settings.interface;
    heap.free(changetype<usize>(route));
    return admitted;
  }
}

let management: Management | null = null;

/** The management of this core. */
export function theManagement(): Management {
  return management!;
}

function acceptAll(m: Management): void {
  m.accept();
}

/** Runs before every route: roles. Only the health of the machine is told to whom has no token. */
function admit(request: Request, response: Response): bool {
  response.set("Cache-Control", "no-store");
  const path = request.path;
  if (path == "/healthz" || path == "/readyz") return true;
  const m = theManagement();
  const stream = request.stream as TcpStream;
  const hi = stream.remoteHi;
  const lo = stream.remoteLo;
  if (!m.settings.enabled || !m.settings.allows(hi, lo)) {
    // The configuration has changed since the connection was taken.
    response.status = 403;
    response.close = true;
    response.text("403 Forbidden: not from this address\n");
    return false;
  }
  if (m.access.isLimited(hi, lo)) {
    response.status = 429;
    response.set("Retry-After", "10");
    response.text("429 Too Many Requests: too many wrong tokens from this address\n");
    return false;
  }
  const role = m.access.roleOf(request.header("authorization"), m.settings, hi, lo);
  if (role == Role.NONE) {
    response.status = 401;
    response.set("WWW-Authenticate", "Bearer");
    response.text("401 Unauthorized: a token is needed (Authorization: Bearer TOKEN)\n");
    return false;
  }
  if (role != Role.ADMIN && path.startsWith("/config")) {
    response.status = 403;
    response.text('403 Forbidden: needs a token of the role "admin"\n');
    return false;
  }
  return true;
}

/** Starts the management of a machine, on each core, after its network. */
export function startManagement(control: Control): Management {
  const made = new Management(control, control.settings.management);
  management = made;
  control.watcher = made;
  const steering = control.stack.steering;
  if (steering != null) steering.leaderPort = made.settings.port;
  if (coreNumber() == 0) made.open();
  else follow(control);
  return made;
}
