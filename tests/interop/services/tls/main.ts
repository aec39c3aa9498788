// A service that speaks TLS both ways: an echo on port 443, which asks for certificates of clients on port 444; and a client of
// a server of the host (10.9.0.1), on a line to port 7 that names the server: "PORT NAME".

import { announce, startNetwork, TcpListener, TcpStream } from "heddle/net";
import { TlsContext, TlsListener, TlsStream } from "heddle/net/tls";
import { socketError } from "heddle/net";
import { print, TlsPolicy } from "heddle/runtime";
import { spawn } from "heddle/fibers";

const BYTES: u32 = 4096;

function echo(stream: TlsStream): void {
  const at = heap.alloc(BYTES);
  for (let n = stream.read(at, BYTES); n > 0; n = stream.read(at, BYTES)) if (stream.write(at, n) != n) break;
  heap.free(at);
  stream.close();
}

function serve(port: u32): void {
  const context = new TlsContext(TlsPolicy.INTERMEDIATE, false);
  if (port == 444 && context.trustFile("certs/clients.pem", true) < 0) print("no clients are trusted");
  const status = context.addFile("certs/site.pem", "secrets/site.key");
  if (status < 0) print("certificate: " + status.toString());
  const listener = TlsListener.listen(port, context);
  if (listener == null) {
    print("listen: " + socketError().toString());
    return;
  }
  announce("tls", port);
  while (true) {
    const stream = listener.accept();
    if (stream != null) spawn<TlsStream>(echo, stream);
  }
}

/** Asks a server of the host, and gives its answer or the error. */
function ask(line: string, context: TlsContext): string {
  const parts = line.trim().split(" ");
  const stream = TlsStream.connect("10.9.0.1", <u32>I32.parseInt(parts[0]), parts[1], context);
  if (stream == null) return "error " + socketError().toString() + "\n";
  stream.writeText("GET / HTTP/1.0\r\n\r\n");
  const at = heap.alloc(BYTES);
  const n = stream.read(at, BYTES);
  const answer = n > 0 ? String.UTF8.decodeUnsafe(at, n) : "read " + n.toString() + "\n";
  heap.free(at);
  stream.close();
  return answer;
}

let trusting: TlsContext | null = null;

function questions(stream: TcpStream): void {
  const at = heap.alloc(256);
  const n = stream.read(at, 256);
  if (n > 0) stream.writeText(ask(String.UTF8.decodeUnsafe(at, n), trusting!));
  heap.free(at);
  stream.close();
}

export function main(): void {
  startNetwork();
  const context = new TlsContext(TlsPolicy.INTERMEDIATE, true);
  if (context.trustFile("certs/site.pem", false) < 0) print("nobody is trusted");
  trusting = context;
  spawn<u32>(serve, 443);
  spawn<u32>(serve, 444);
  const listener = TcpListener.listen(7)!;
  announce("tcp", 7);
  while (true) {
    const stream = listener.accept();
    if (stream != null) spawn<TcpStream>(questions, stream);
  }
}
