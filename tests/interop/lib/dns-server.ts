// A DNS server that answers well, badly, or not at all, as the first label of the name says. It prints each question, as "udp A name".
//
//   dns-server.ts ADDRESS first|second
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

const [address, role] = process.argv.slice(2) as [string, "first" | "second"];
const types: Record<number, string> = { 1: "A", 28: "AAAA" };

interface Question {
  id: number;
  name: string;
  type: number;
  /** Name, type and class as they came. */
  raw: Buffer;
  edns: boolean;
}

function parse(message: Buffer): Question {
  const labels: string[] = [];
  let at = 12;
  for (; message[at]! > 0; at += 1 + message[at]!)
    labels.push(message.toString("latin1", at + 1, at + 1 + message[at]!));
  return {
    ...{ id: message.readUInt16BE(0), name: labels.join(".").toLowerCase(), type: message.readUInt16BE(at + 1) },
    ...{ raw: message.subarray(12, at + 5), edns: message.readUInt16BE(10) > 0 },
  };
}

const nameOf = (name: string) =>
  Buffer.concat([
    ...name.split(".").map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.from([0]),
  ]);

function record(name: string | Buffer, type: number, ttl_s: number, data: Buffer): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(ttl_s, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([typeof name === "string" ? nameOf(name) : name, head, data]);
}

const SELF = Buffer.from([0xc0, 12]);
const a = (name: string | Buffer, text: string, ttl_s = 60) =>
  record(name, 1, ttl_s, Buffer.from(text.split(".").map(Number)));
const cname = (name: string | Buffer, target: string) => record(name, 5, 60, nameOf(target));
function soa(minimum_s: number): Buffer {
  const numbers = Buffer.alloc(20);
  numbers.writeUInt32BE(minimum_s, 16);
  return record("test", 6, 600, Buffer.concat([nameOf("ns.test"), nameOf("root.test"), numbers]));
}

function message(q: Question, flags: number, answers: Buffer[], authorities: Buffer[] = [], raw = q.raw): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(q.id, 0);
  head.writeUInt16BE(0x8180 | flags, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(answers.length, 6);
  head.writeUInt16BE(authorities.length, 8);
  return Buffer.concat([head, raw, ...answers, ...authorities]);
}

const noName = (q: Question) => message(q, 3, [], [soa(2)]);
const right = (q: Question) => (q.type === 1 ? message(q, 0, [a(SELF, "192.0.2.7")]) : message(q, 0, [], [soa(2)]));
const wrong = (q: Question) => message(q, 0, [a(SELF, "6.6.6.6")]);

/** The messages that a question is answered with. */
function answers(q: Question, tcp: boolean): Buffer[] {
  switch (q.name.split(".")[0]) {
    case "good":
      if (q.type === 1) return [message(q, 0, [a(SELF, "192.0.2.1"), a(SELF, "192.0.2.2")])];
      return [message(q, 0, [record(SELF, 28, 60, Buffer.from("20010db8000000000000000000000001", "hex"))])];
    case "short":
      return [message(q, 0, q.type === 1 ? [a(SELF, "192.0.2.3", 1)] : [], [soa(600)])];
    case "chain":
      return [message(q, 0, [a("c.test", "192.0.2.4"), cname(SELF, "b.test"), cname("b.test", "C.test")])];
    case "far":
      return [message(q, 0, [cname(SELF, "good.test")])];
    case "loop":
      return [message(q, 0, [cname(SELF, "loop2.test"), cname("loop2.test", "loop.test")])];
    case "again":
      return [message(q, 0, [cname(SELF, `again.x${q.name.length > 200 ? "" : q.name.slice(5)}`)])];
    case "big": {
      const all = Array.from({ length: 30 }, (_, i) => a(SELF, `192.0.2.${i + 1}`));
      return [tcp ? message(q, 0, q.type === 1 ? all : []) : message(q, 0x0200, [])];
    }
    case "lower":
      return [
        tcp
          ? right(q)
          : message(q, 0, [a(SELF, "6.6.6.6")], [], Buffer.from(q.raw.toString("latin1").toLowerCase(), "latin1")),
      ];
    case "guessed":
      return tcp ? [right(q)] : Array.from({ length: 20 }, (_, i) => wrong({ ...q, id: (q.id + 1 + i) & 0xffff }));
    case "noise":
      return [Buffer.alloc(3), wrong({ ...q, id: q.id ^ 1 }), right(q)];
    case "old":
      return [q.edns ? message(q, 1, []) : right(q)];
    case "failing":
      return [role === "first" ? message(q, 2, []) : right(q)];
    case "silent":
      return role === "first" ? [] : [right(q)];
    case "extra":
      return [message(q, 0, [a("victim.test", "6.6.6.6"), a(SELF, "192.0.2.8")], [soa(60)])];
    case "garbage":
      return [message(q, 0, [Buffer.from([0xc0, 12 + q.raw.length, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 6, 6, 6, 6])])];
    case "cut":
      return [message(q, 0, [a(SELF, "192.0.2.9")]).subarray(0, -2)];
    case "host":
      return [q.name === "host.example.test" ? right(q) : noName(q)];
    default:
      return [noName(q)];
  }
}

const udp = createSocket(address.includes(":") ? "udp6" : "udp4");
udp.on("message", (data, from) => {
  const q = parse(data);
  console.log(`udp ${types[q.type]} ${q.name}`);
  for (const answer of answers(q, false)) udp.send(answer, from.port, from.address);
});
udp.bind(53, address, () => {
  createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (data) => {
      const q = parse(data.subarray(2));
      console.log(`tcp ${types[q.type]} ${q.name}`);
      for (const answer of answers(q, true)) {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      }
    });
  }).listen(53, address, () => console.log("ready"));
});
