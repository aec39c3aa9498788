// Connections to tests/interop/services/cores until each core has one; then core 1 is asked to panic. Prints as JSON which
// cores answered before, whether the connections of the others still do, and which cores answer new ones.
//
//   node --import tsx death-client.ts ADDRESS
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

const address = process.argv[2]!;

class Client {
  core = -1;
  private readonly lines: AsyncIterator<string>;

  private constructor(readonly socket: Socket) {
    this.lines = createInterface(socket)[Symbol.asyncIterator]();
  }

  static async open(): Promise<Client> {
    const client = await new Promise<Client>((resolve, reject) => {
      const socket = connect(7, address, () => resolve(new Client(socket)));
      socket.once("error", reject);
    });
    client.core = await client.who();
    return client;
  }

  async who(): Promise<number> {
    this.socket.write("who\n");
    const { value } = await this.lines.next();
    return Number(/^core (\d+)$/.exec(String(value))![1]);
  }
}

const coresOf = (clients: Client[]) => [...new Set(clients.map((client) => client.core))].sort();
const several = () => Promise.all(Array.from({ length: 48 }, () => Client.open()));

const clients = await several();
clients.find((client) => client.core === 1)!.socket.write("die\n");
await new Promise((resolve) => setTimeout(resolve, 500));
let kept = true;
for (const client of clients) if (client.core !== 1) kept = kept && (await client.who()) === client.core;
const later = await several();
console.log(JSON.stringify({ before: coresOf(clients), kept, after: coresOf(later) }));
process.exit(0);
