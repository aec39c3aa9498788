// The peer of tests/interop/services/cores, run in the test's namespace: many connections to the image, connections from
// each of its cores to here, uploads in large frames. Prints what it saw as JSON.
//
//   node --import tsx cores-client.ts ADDRESS OWN-ADDRESS
import { connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";

const [address, own] = process.argv.slice(2) as [string, string];
const CONNECTIONS = 96;
const UPLOADS = 8;
const UPLOAD_BYTES = 1_500_000;

class Client {
  private readonly lines: AsyncIterator<string>;

  private constructor(readonly socket: Socket) {
    this.lines = createInterface(socket)[Symbol.asyncIterator]();
  }

  static open(): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect(7, address, () => resolve(new Client(socket)));
      socket.once("error", reject);
      socket.setTimeout(10_000, () => socket.destroy(new Error("no answer in 10 s")));
    });
  }

  async ask(question: string | Buffer): Promise<string> {
    this.socket.write(question);
    const { value, done } = await this.lines.next();
    if (done) throw new Error("closed before it answered");
    return value;
  }
}

function coreOf(answer: string): number {
  const match = answer.match(/^core (\d+)/);
  if (!match) throw new Error(`not an answer: ${answer}`);
  return Number(match[1]);
}

function sumOf(data: Buffer): number {
  let sum = 0;
  for (const byte of data) sum = (Math.imul(sum, 31) + byte) >>> 0;
  return sum;
}

/** For each core what its counters say. */
async function counters(clients: Client[]): Promise<Record<number, Record<string, number>>> {
  const seen: Record<number, Record<string, number>> = {};
  for (const client of clients) {
    const words = (await client.ask("counters\n")).split(" ");
    const pairs: Record<string, number> = {};
    for (let i = 0; i < words.length; i += 2) pairs[words[i]!] = Number(words[i + 1]);
    seen[pairs.core!] = pairs;
  }
  return seen;
}

const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => Client.open()));
const first = (await Promise.all(clients.map((client) => client.ask("who\n")))).map(coreOf);
const again = (await Promise.all(clients.map((client) => client.ask("who\n")))).map(coreOf);
const before = await counters(clients);

// Connections that the cores begin: each tells its number, and gets it back.
const heard: number[] = [];
const server = createServer((socket) => {
  createInterface(socket).once("line", (line) => {
    heard.push(coreOf(line));
    socket.end(`${line} heard\n`);
  });
});
await new Promise<void>((resolve) => server.listen(0, own, resolve));
const { port } = server.address() as { port: number };
const out = await Promise.all(clients.map((client) => client.ask(`connect ${own} ${port}\n`)));

const data = Buffer.alloc(UPLOAD_BYTES, "0123456789abcdefghijklmnopqrstuvwxyz-");
const uploads = await Promise.all(
  clients.slice(0, UPLOADS).map(async (client) => {
    await client.ask(`take ${UPLOAD_BYTES}\n`);
    return client.ask(data);
  }),
);
await new Promise((resolve) => setTimeout(resolve, 1500));
const after = await counters(clients);
for (const client of clients) client.socket.destroy();
server.close();
const result = {
  ...{ first, again, before, after, heard },
  connected: out.map((line, i) => line === `core ${first[i]} heard`),
  uploads: uploads.map((line, i) => line === `core ${first[i]} missing 0 sum ${sumOf(data)}`),
};
console.log(JSON.stringify(result));
