import { announce, startNetwork, TcpListener, TcpStream } from "heddle/net";
import { spawn } from "heddle/fibers";

function echo(stream: TcpStream): void {
  const buffer = new StaticArray<u8>(4096);
  const at = changetype<usize>(buffer);
  for (let n = stream.read(at, 4096); n > 0; n = stream.read(at, 4096)) if (stream.write(at, n) != n) break;
  stream.close();
}

export function main(): void {
  startNetwork();
  const listener = TcpListener.listen(7)!;
  announce("tcp", 7);
  while (true) {
    const stream = listener.accept();
    if (stream) spawn<TcpStream>(echo, stream);
  }
}
