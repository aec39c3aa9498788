// Runs in the network namespace of a test: sends each case's bytes and prints what came back, one line of JSON for each.
//
//   node --import tsx http-raw-client.ts ADDRESS
import { connect } from "node:net";
import { cases, type Case } from "./http-cases.ts";

/** How long after the last expected response more, or the end, may come. */
const REST_MS = 150;
const LIMIT_MS = 5000;
const AT_ONCE = 24;

async function exchange(address: string, one: Case): Promise<{ received: string; closed: boolean }> {
  const socket = connect({ host: address, port: 80, allowHalfOpen: true, noDelay: true });
  let received = "";
  let closed = false;
  socket.on("error", () => (closed = true));
  socket.on("end", () => (closed = true));
  socket.on("data", (data) => (received += data.toString("latin1")));
  await new Promise((resolve) => socket.once("connect", resolve).once("error", resolve));
  const pieces = [one.send].flat();
  for (const [i, piece] of pieces.entries()) {
    if (i > 0) await new Promise((resolve) => setTimeout(resolve, 30));
    if (!socket.destroyed) socket.write(Buffer.from(piece, "latin1"));
  }
  if (one.finish) socket.end();
  const start = Date.now();
  let satisfied = 0;
  while (!closed && Date.now() - start < LIMIT_MS) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const count = received.split(/HTTP\/1\.1 \d{3} /).length - 1;
    const done = count >= one.status.length && !one.closes;
    if (done && satisfied === 0) satisfied = Date.now();
    if (satisfied > 0 && Date.now() - satisfied > (one.patience_ms ?? REST_MS)) break;
  }
  socket.destroy();
  return { received, closed };
}

let next = 0;
async function work(address: string): Promise<void> {
  while (next < cases.length) {
    const number = next++;
    console.log(JSON.stringify({ number, ...(await exchange(address, cases[number]!)) }));
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, () => work(process.argv[2]!)));
