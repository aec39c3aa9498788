// What a hostile or careless TLS client does, run inside the namespace: tls-peer.ts ADDRESS SCENARIO. Prints one line of JSON.
import { randomBytes } from "node:crypto";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

const [address, scenario] = [process.argv[2]!, process.argv[3]!];
const PORT = 443;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The first bytes that a client of ours sends. */
function clientHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const server = createServer((socket) =>
      socket.once("data", (data) => {
        resolve(data);
        socket.destroy();
        server.close();
      }),
    ).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false }).on("error", () => {});
    });
  });
}

interface End {
  first: number;
  bytes: number;
  ended: boolean;
}

/** Sends parts, each in a segment of its own, ends, and says what came back until the server closed. */
async function send(parts: Buffer[], { end = true, limit_ms = 3000, gap_ms = 0 } = {}): Promise<End> {
  const socket: Socket = connectTcp({ host: address, port: PORT, noDelay: true });
  const seen: End = { first: -1, bytes: 0, ended: false };
  socket.on("error", () => {});
  socket.on("data", (data) => {
    if (seen.bytes === 0) seen.first = data[0]!;
    seen.bytes += data.length;
  });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await new Promise((resolve) => socket.once("connect", resolve));
  for (const part of parts) {
    socket.write(part);
    if (gap_ms > 0) await sleep(gap_ms);
  }
  if (end) socket.end();
  socket.once("end", () => socket.end());
  seen.ended = await Promise.race([closed.then(() => true), sleep(limit_ms).then(() => false)]);
  socket.destroy();
  return seen;
}

/** A request on a new connection; true when the page came. */
function good(): Promise<boolean> {
  return new Promise((resolve) => {
    let text = "";
    const socket: TLSSocket = connectTls({ host: address, port: PORT, rejectUnauthorized: false }, () =>
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    );
    socket.setTimeout(5000, () => socket.destroy());
    socket.on("data", (data) => (text += data));
    socket.on("error", () => {});
    socket.on("close", () => resolve(text.startsWith("HTTP/1.1 200")));
  });
}

async function inBatches<T>(jobs: (() => Promise<T>)[], width: number): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async () => {
    while (next < jobs.length) {
      const at = next++;
      results[at] = await jobs[at]!();
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}

/** A handshake through a proxy that flips a bit of what the client sends afterwards; whether the server ended it. */
function corrupted(): Promise<boolean> {
  return new Promise((resolve) => {
    let flip = false;
    const proxy = createServer((near) => {
      const far = connectTcp({ host: address, port: PORT });
      near.on("data", (data) => {
        if (flip) data[data.length - 1]! ^= 1;
        far.write(data);
      });
      far.on("data", (data) => near.write(data));
      far.on("close", () => near.destroy());
      near.on("close", () => far.destroy());
      near.on("error", () => {});
      far.on("error", () => {});
    }).listen(0, "127.0.0.1", () => {
      const { port } = proxy.address() as { port: number };
      let text = "";
      const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
        flip = true;
        socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      });
      socket.on("data", (data) => (text += data));
      socket.on("error", () => {});
      socket.setTimeout(5000, () => socket.destroy(new Error("silence")));
      socket.on("close", () => {
        proxy.close();
        resolve(text === "" && socket.errored?.message !== "silence");
      });
    });
  });
}

const scenarios: Record<string, () => Promise<unknown>> = {
  async garbage() {
    const jobs = Array.from({ length: 200 }, (_, i) => () => send([randomBytes(1 + ((i * 37) % 3000))]));
    return { ended: (await inBatches(jobs, 20)).every(({ ended }) => ended), good: await good() };
  },
  async truncated() {
    const hello = await clientHello();
    const jobs = Array.from({ length: hello.length }, (_, cut) => () => send([hello.subarray(0, cut)]));
    return { cuts: jobs.length, ended: (await inBatches(jobs, 20)).every(({ ended }) => ended), good: await good() };
  },
  async mutated() {
    const hello = await clientHello();
    const jobs = Array.from({ length: 500 }, (_, i) => () => {
      const bytes = Buffer.from(hello);
      for (let k = 0; k <= i % 4; k++) bytes[(i * 97 + k * 31) % bytes.length]! ^= 1 << ((i + k) % 8);
      return send([bytes], { limit_ms: 5000 });
    });
    return { ended: (await inBatches(jobs, 20)).every(({ ended }) => ended), good: await good() };
  },
  async pieces() {
    const hello = await clientHello();
    const bytes = Array.from(hello, (byte) => Buffer.from([byte]));
    const slow = await send(bytes, { end: false, limit_ms: 1000, gap_ms: 1 });
    // The same handshake message in records of a few bytes each (RFC 8446, 5.1).
    const message = hello.subarray(5);
    const records: Buffer[] = [];
    for (let at = 0; at < message.length; at += 20) {
      const part = message.subarray(at, at + 20);
      records.push(Buffer.concat([Buffer.from([0x16, 3, 1, 0, part.length]), part]));
    }
    const split = await send([Buffer.concat(records)], { end: false, limit_ms: 1000 });
    const record = await send([Buffer.from([0x16, 3, 1, 0xff, 0xff, 1, 2, 3])]);
    return { slow: slow.first, split: split.first, long: record.first, good: await good() };
  },
  async corrupted() {
    const ended = await inBatches(
      Array.from({ length: 10 }, () => corrupted),
      2,
    );
    return { ended: ended.every(Boolean), good: await good() };
  },
  async slow() {
    const hello = await clientHello();
    const start = Date.now();
    const jobs = Array.from(
      { length: 50 },
      () => () => send([hello.subarray(0, 60)], { end: false, limit_ms: 20_000 }),
    );
    const ends = await inBatches(jobs, 50);
    return { ended: ends.every(({ ended }) => ended), after_ms: Date.now() - start, good: await good() };
  },
  async churn() {
    const results = await inBatches(
      Array.from({ length: 1000 }, () => good),
      16,
    );
    return { good: results.every(Boolean) };
  },
  async idle() {
    const sockets: TLSSocket[] = [];
    const open = () =>
      new Promise<boolean>((resolve) => {
        const socket = connectTls({ host: address, port: PORT, rejectUnauthorized: false }, () => {
          socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
          socket.once("data", () => resolve(true));
        });
        socket.on("error", () => resolve(false));
        sockets.push(socket);
      });
    const results = await inBatches(
      Array.from({ length: 500 }, () => open),
      16,
    );
    console.log(JSON.stringify({ open: results.filter(Boolean).length }));
    await sleep(12_000);
    for (const socket of sockets) socket.destroy();
    return {};
  },
};

console.log(JSON.stringify(await scenarios[scenario]!()));
process.exit(0);
