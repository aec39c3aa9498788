// Watches the image's console for what it serves, and finds out whether that can be reached.
//
// The kernel writes a line `serving http://ADDRESS:PORT/` (or tcp://, udp://) for each listener. QEMU's user networking
// accepts connections while the guest is still down, so that a connection alone proves nothing: an HTTP answer does.
import { get } from "node:http";

export interface Served {
  scheme: string;
  address: string;
  port: number;
}

/** Cuts a stream into lines and calls `line` for each; `end` gives what is left. */
export class Lines {
  #rest = "";
  readonly #line: (line: string) => void;
  constructor(line: (line: string) => void) {
    this.#line = line;
  }
  push(chunk: string): void {
    const lines = (this.#rest + chunk).split("\n");
    // A console without line ends must not be kept for ever.
    this.#rest = lines.pop()!.slice(-4096);
    for (const line of lines) this.#line(line.replace(/\r$/, ""));
  }
}

/** What a line of the console says is served, if it says so. */
export function servedBy(line: string): Served | undefined {
  const match = line.match(/\bserving (https?|tcp|udp):\/\/(\[[0-9a-f:.]+\]|[\d.]+):(\d{1,5})\b/);
  return match ? { scheme: match[1], address: match[2], port: Number(match[3]) } : undefined;
}

/** Waits for an HTTP answer, whatever its status; false when none has come in `patience_ms`. */
export async function answers(host: string, port: number, patience_ms: number): Promise<boolean> {
  const deadline = Date.now() + patience_ms;
  while (Date.now() < deadline) {
    const ok = await new Promise<boolean>((resolve) => {
      const request = get({ host, port, path: "/", agent: false, timeout: 2000 }, (response) => {
        response.destroy();
        resolve(true);
      });
      request.on("timeout", () => request.destroy());
      request.on("error", () => resolve(false));
    });
    if (ok) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}
