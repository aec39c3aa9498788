// A service on all cores: each listens on port 7 and answers a word with what it is asked for.
//
//   who                   the number of the core
//   counters              what it has handed over and taken, and its packets
//   connect ADDRESS PORT  a connection of its own from there, whose answer it passes on
//   die                   the core panics
//   take BYTES            reads so many bytes and says their sum: they come in frames of whatever size
import { announce, startNetwork, stackAt, TcpListener, TcpStream, socketError } from "heddle/net";
import { coresBroken, coreNumber, framesRefused, framesSent, packetsFree, packetsTotal, panic } from "heddle/runtime";
import { spawn } from "heddle/fibers";
import { packetsAway } from "heddle/runtime/memory/away";

const ROOM: u32 = 4096;

function readLine(stream: TcpStream): string {
  const buffer = new StaticArray<u8>(<i32>ROOM);
  let line = "";
  while (!line.includes("\n")) {
    const n = stream.read(changetype<usize>(buffer), ROOM);
    if (n <= 0) return line;
    line += String.UTF8.decodeUnsafe(changetype<usize>(buffer), n);
  }
  return line.substring(0, line.indexOf("\n"));
}

function counters(): string {
  const c = stackAt(0).counters;
  return (
    `core ${coreNumber()} in ${c.ifInPackets} out ${c.ifOutPackets} steeredOut ${c.steeredOut} steeredIn ${c.steeredIn} drops ${c.steeringDrops} ` +
    `sent ${framesSent} refused ${framesRefused} broken ${coresBroken} away ${packetsAway} used ${packetsTotal - packetsFree}`
  );
}

function connect(address: string, port: u32): string {
  const stream = TcpStream.connect(address, port);
  if (!stream) return `error ${socketError()}`;
  stream.writeText(`core ${coreNumber()}\n`);
  const answer = readLine(stream);
  stream.close();
  return answer;
}

function take(stream: TcpStream, bytes: i32): string {
  const buffer = new StaticArray<u8>(<i32>ROOM);
  const at = changetype<usize>(buffer);
  let sum: u32 = 0;
  while (bytes > 0) {
    const n = stream.read(at, min<u32>(ROOM, bytes));
    if (n <= 0) break;
    for (let i = 0; i < n; i++) sum = sum * 31 + load<u8>(at + i);
    bytes -= n;
  }
  return `core ${coreNumber()} missing ${bytes} sum ${sum}`;
}

function panicNow(): void {
  const text = String.UTF8.encode("asked for");
  panic(changetype<usize>(text), text.byteLength);
}

function serve(stream: TcpStream): void {
  for (;;) {
    const words = readLine(stream).split(" ");
    if (words[0] == "who") stream.writeText(`core ${coreNumber()}\n`);
    else if (words[0] == "counters") stream.writeText(counters() + "\n");
    else if (words[0] == "connect") stream.writeText(connect(words[1], <u32>parseInt(words[2])) + "\n");
    else if (words[0] == "die") panicNow();
    else if (words[0] == "take") {
      stream.writeText("go\n");
      stream.writeText(take(stream, <i32>parseInt(words[1])) + "\n");
    } else break;
  }
  stream.close();
}

export function main(): void {
  startNetwork();
  const listener = TcpListener.listen(7)!;
  announce("tcp", 7);
  while (true) {
    const stream = listener.accept();
    if (stream) spawn<TcpStream>(serve, stream);
  }
}
