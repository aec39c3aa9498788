// TCP echo on port 7 (RFC 862), a fiber for each connection: what a service with the network and nothing else holds.
import { spawn } from "heddle/fibers";
import { attachCard, configureAddress, startStack, TcpListener, TcpStream } from "heddle/net";
import { findCards, openCard, print } from "heddle/runtime";

const PORT: u32 = 7;

function echo(stream: TcpStream): void {
  for (;;) {
    const bytes = stream.fill();
    if (bytes <= 0 || stream.write(stream.peek(), bytes) < 0) break;
    stream.consume(bytes);
  }
  stream.close();
}

export function main(): void {
  const stack = startStack();
  const cards = findCards();
  for (let i = 0; i < cards.length; i++) {
    const card = openCard(cards[i]);
    if (card != null) configureAddress(attachCard(stack, card, "eth" + i.toString()), "10.0.2.15/24");
  }
  const listener = TcpListener.listen(PORT);
  if (listener == null) return;
  print("echo on port " + PORT.toString());
  for (;;) {
    const stream = listener.accept();
    if (stream == null) return;
    spawn<TcpStream>(echo, stream);
  }
}
