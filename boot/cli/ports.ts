// Host ports that lead to an image: which ones, and whether they are free.
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { Problem } from "./problem.ts";
import { type GuestPort, parseGuestPort } from "./services.ts";

export interface Forward extends GuestPort {
  /** Port of 127.0.0.1. */
  host: number;
}

/** Reads HOST:GUEST, for example 8080:80 or 5353:53/udp. */
export function parseForward(text: string): Forward {
  const [host, guest, ...rest] = text.split(":");
  if (guest === undefined || rest.length > 0)
    throw new Problem(`--port ${text}: must be HOST:GUEST, for example 8080:80`);
  return { host: parseGuestPort(`--port ${text}`, host).port, ...parseGuestPort(`--port ${text}`, guest) };
}

/** Whether port `port` of 127.0.0.1 can be bound; the reason if not. */
export function bindError(port: number, protocol: "tcp" | "udp"): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = protocol === "tcp" ? createServer() : createSocket("udp4");
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    const free = () => socket.close(() => resolve(undefined));
    if ("listen" in socket) socket.listen(port, "127.0.0.1", free);
    else socket.bind(port, "127.0.0.1", free);
  });
}

/** The first free port from `from` on that is not in `taken`. */
async function nextFree(from: number, protocol: "tcp" | "udp", taken: Set<number>): Promise<number> {
  for (let port = from; port <= 65535; port++)
    if (!taken.has(port) && (await bindError(port, protocol)) === undefined) return port;
  throw new Problem(`no free ${protocol} port from ${from} on`);
}

/** Checks the forwards asked for. @throws Problem that names a free port instead of one that is in use */
export async function checkForwards(forwards: Forward[]): Promise<void> {
  const taken = new Set<number>();
  for (const { host, port, protocol } of forwards) {
    const error = taken.has(host) ? "EADDRINUSE" : await bindError(host, protocol);
    if (error === "EACCES")
      throw new Problem(
        `--port ${host}:${port}: ports below 1024 need root; try --port ${await nextFree(8000 + (host % 1000), protocol, taken)}:${port}`,
      );
    if (error)
      throw new Problem(
        `--port ${host}:${port}: port ${host} is in use; try --port ${await nextFree(host + 1, protocol, taken)}:${port}`,
      );
    taken.add(host);
  }
}

/** Forwards for the ports that a service has: 80 is reached by 8080, 443 by 8443, or by the next free one. */
export async function chooseForwards(ports: GuestPort[], tell: (line: string) => void): Promise<Forward[]> {
  const taken = new Set<number>();
  const forwards: Forward[] = [];
  for (const { port, protocol } of ports) {
    const wanted = port < 1024 ? 8000 + port : port;
    const host = await nextFree(wanted, protocol, taken);
    if (host !== wanted) tell(`port ${wanted} is in use, so port ${port} of the image is reached by ${host}`);
    taken.add(host);
    forwards.push({ host, port, protocol });
  }
  return forwards;
}
