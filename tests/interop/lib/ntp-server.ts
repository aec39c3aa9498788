// An SNTP server whose clock is off by so many days, or that lies. It prints "asked" for each question.
//
//   ntp-server.ts ADDRESS DAYS [deny|stranger|unsynchronised]
import { createSocket } from "node:dgram";

const [address, days, how] = process.argv.slice(2) as [string, string, string | undefined];
const socket = createSocket("udp4");

function write(message: Buffer, at: number): void {
  const ms = Date.now() + Number(days) * 86_400_000;
  message.writeUInt32BE((Math.floor(ms / 1000) + 2_208_988_800) % 2 ** 32, at);
  message.writeUInt32BE(Math.floor(((ms % 1000) / 1000) * 2 ** 32), at + 4);
}

socket.on("message", (question, from) => {
  console.log("asked");
  const message = Buffer.alloc(48);
  message[0] = (4 << 3) | 4;
  message[1] = how === "deny" ? 0 : 2;
  if (how === "unsynchronised") message[0] |= 0xc0;
  if (how === "deny") message.write("DENY", 12);
  question.copy(message, 24, 40, 48);
  if (how === "stranger") message[24]! ^= 1;
  write(message, 32);
  write(message, 40);
  socket.send(message, from.port, from.address);
});
socket.bind(123, address, () => console.log("ready"));
