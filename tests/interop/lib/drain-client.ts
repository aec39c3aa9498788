// Connections to an HTTP server that is asked to end: idle ones, which it closes at once, and ones with half a request, which
// it answers and then closes; new ones it refuses. So many that every core has some. Prints what it saw as JSON.
//
//   node --import tsx drain-client.ts ADDRESS PID
import { connect, type Socket } from "node:net";

const [address, pid] = process.argv.slice(2) as [string, string];
const EACH = 8;

class Client {
  text = "";
  closed = false;

  private constructor(readonly socket: Socket) {
    socket.on("data", (chunk) => (this.text += chunk.toString("latin1")));
    socket.once("close", () => (this.closed = true));
    socket.on("error", () => {});
  }

  static open(): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect(80, address, () => resolve(new Client(socket)));
      socket.once("error", reject);
    });
  }
}

async function until(condition: () => boolean): Promise<boolean> {
  for (let tries = 0; tries < 500 && !condition(); tries++) await new Promise((resolve) => setTimeout(resolve, 10));
  return condition();
}

const idle = await Promise.all(Array.from({ length: EACH }, () => Client.open()));
const busy = await Promise.all(Array.from({ length: EACH }, () => Client.open()));
for (const { socket } of idle) socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
await until(() => idle.every((client) => client.text.includes("</html>")));
for (const { socket } of busy) socket.write("GET / HTTP/1.1\r\nHost: a\r\n");
await new Promise((resolve) => setTimeout(resolve, 200));
process.kill(Number(pid), "SIGTERM");
await until(() => idle.every((client) => client.closed));
const refused = await Client.open().then(
  () => false,
  () => true,
);
for (const { socket } of busy) socket.write("\r\n");
await until(() => busy.every((client) => client.closed));
const ended = await until(() => {
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch {
    return true;
  }
});
const result = {
  idleClosed: idle.filter((client) => client.closed).length,
  refused,
  answered: busy.filter((client) => client.text.startsWith("HTTP/1.1 200") && client.text.includes("Connection: close"))
    .length,
  ended,
};
console.log(JSON.stringify(result));
