// Answers questions in text on UDP port 9, each in a fiber of its own:
//
//   "resolve NAME"      the addresses, or the error
//   "ping ADDRESS"      "answered", or the error
//   "time"             the time of day
//   "udp ADDRESS PORT"  sends "hello" there and gives what comes back, or the error
import { Names, ping, resolve, resolveError, socketError, startNetwork, TimeOfDay, UdpSocket } from "heddle/net";
import { formatAddress, parseAddress } from "heddle/net";
import { now, spawn } from "heddle/fibers";
import { formatTime, print, wallTime } from "heddle/runtime";

const SECOND_NS: i64 = 1_000_000_000;

let socket: UdpSocket | null = null;

class Question {
  constructor(
    readonly text: string,
    readonly hi: u64,
    readonly lo: u64,
    readonly port: u32,
  ) {}
}

function answerTo(text: string): string {
  const words = text.trim().split(" ");
  if (words[0] == "resolve" && words.length == 2) {
    const found = resolve(words[1], now() + 10 * SECOND_NS);
    if (found == null) return "error " + resolveError().toString();
    const all: Array<string> = [];
    for (let i = 0; i < found.length; i++) all.push(formatAddress(found.hi[i], found.lo[i]));
    return all.join(" ");
  }
  if (words[0] == "time") return formatTime(wallTime());
  if (words.length < 2) return "what?";
  const address = parseAddress(words[1]);
  if (!address.ok) return "what?";
  if (words[0] == "ping") {
    const took_ns = ping(address.hi, address.lo, now() + 2 * SECOND_NS);
    return took_ns < 0 ? "error " + took_ns.toString() : "answered";
  }
  if (words[0] == "udp" && words.length == 3) {
    const peer = UdpSocket.connect(words[1], <u32>parseInt(words[2]));
    if (peer == null) return "error " + socketError().toString();
    const bytes = String.UTF8.encode("hello");
    peer.send(changetype<usize>(bytes), bytes.byteLength);
    const got = new StaticArray<u8>(2000);
    const result = peer.receive(changetype<usize>(got), 2000, now() + 2 * SECOND_NS);
    peer.close();
    return result < 0 ? "error " + result.toString() : String.UTF8.decodeUnsafe(changetype<usize>(got), result);
  }
  return "what?";
}

function answer(question: Question): void {
  const bytes = String.UTF8.encode(answerTo(question.text));
  socket!.sendTo(changetype<usize>(bytes), bytes.byteLength, question.hi, question.lo, question.port);
}

export function main(): void {
  startNetwork(10_000, [new Names(), new TimeOfDay()]);
  const bound = UdpSocket.bind(9);
  assert(bound != null);
  socket = bound;
  print("answering");
  const buffer = new StaticArray<u8>(512);
  for (;;) {
    const bytes = bound!.receive(changetype<usize>(buffer), 512);
    if (bytes < 0) continue;
    const text = String.UTF8.decodeUnsafe(changetype<usize>(buffer), bytes);
    spawn<Question>(answer, new Question(text, bound!.senderHi, bound!.senderLo, bound!.senderPort));
  }
}
