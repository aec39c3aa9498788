// The server on a byte stream of arrays: bytes in, in pieces of any size; responses out, in order; what time does.

import { TimerWheel } from "../../../runtime/loop/timer";
import {
  fileResource,
  HttpConnection,
  HttpOptions,
  ContentServer,
  redirectResource,
  Site,
  Sites,
  Wire,
  WireEvent,
} from "../../../net/http";

/** One stream; its handle is 1. */
class TestWire extends Wire {
  input: usize = heap.alloc(65536);
  used: u32 = 0;
  /** Bytes that lie one after the other; 0: all. */
  piece: u32 = 0;
  output: string = "";
  space: u32 = 1 << 20;
  finished: bool = false;
  released: bool = false;
  time: i64 = 1_000_000_000;

  give(text: string): void {
    String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, this.input + this.used);
    this.used += <u32>String.UTF8.byteLength(text);
  }
  now(): i64 {
    return this.time;
  }
  available(handle: usize): u32 {
    return this.used;
  }
  peek(handle: usize): usize {
    return this.input;
  }
  contiguous(handle: usize): u32 {
    return this.piece > 0 ? min(this.piece, this.used) : this.used;
  }
  copy(handle: usize, to: usize, length: u32): void {
    memory.copy(to, this.input, length);
  }
  consume(handle: usize, length: u32): void {
    this.used -= length;
    memory.copy(this.input, this.input + length, this.used);
  }
  room(handle: usize, wanted: u32): u32 {
    return this.space;
  }
  write(handle: usize, from: usize, length: u32): u32 {
    this.output += String.UTF8.decodeUnsafe(from, length);
    this.space -= length;
    return length;
  }
  writeStatic(handle: usize, from: usize, length: u32): u32 {
    const n = min(length, this.space);
    this.output += String.UTF8.decodeUnsafe(from, n);
    this.space -= n;
    return n;
  }
  finish(handle: usize): void {
    this.finished = true;
  }
  release(handle: usize): void {
    this.released = true;
  }
  sourceHi(handle: usize): u64 {
    return 0;
  }
  sourceLo(handle: usize): u64 {
    return 0xffff_0a00_0001;
  }
}

const body = String.UTF8.encode("hello world");
const large = String.UTF8.encode("x".repeat(5000));
let wire = new TestWire();
let wheel = new TimerWheel(0);
let server: ContentServer | null = null;
let c: HttpConnection | null = null;
let options = new HttpOptions();

function start(): void {
  wire = new TestWire();
  wheel = new TimerWheel(wire.time);
  options = new HttpOptions();
  options.bodyBytes = 100;
  options.connections = 2;
  const site = new Site(8);
  const file = fileResource("text/plain; charset=utf-8", changetype<usize>(body), body.byteLength);
  site.add("/a.txt", file);
  site.add("/", file);
  site.add("/large", fileResource("application/octet-stream", changetype<usize>(large), large.byteLength));
  site.add("/d", redirectResource("/d e/"));
  const sites = new Sites();
  sites.add("*", site);
  server = new ContentServer(wire, wheel, sites, options);
  c = server!.accept(1);
}
function event(bits: u32): void {
  server!.event(c!, bits);
}
/** Gives bytes and returns what came out since the last time. */
function exchange(text: string): string {
  wire.output = "";
  wire.give(text);
  event(WireEvent.READABLE);
  return wire.output;
}
/** The status of each response in the output. */
function statuses(output: string): string {
  const parts = output.split("HTTP/1.1 ");
  let result = "";
  for (let i = 1; i < parts.length; i++) result += (i > 1 ? " " : "") + parts[i].substring(0, 3);
  return result;
}
function pass(ns: i64): void {
  wire.time += ns;
  wheel.run(wire.time, 100);
}
function request(target: string, fields: string = "", method: string = "GET"): string {
  return method + " " + target + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}
function tagOf(output: string): string {
  const at = output.indexOf("ETag: ") + 6;
  return output.substring(at, output.indexOf("\r\n", at));
}

describe("a request", () => {
  beforeEach(start);

  it("is answered with head and content, and the connection stays", () => {
    const output = exchange(request("/a.txt"));
    expect(
      output.startsWith('HTTP/1.1 200 OK\r\nServer: heddle\r\nContent-Type: text/plain; charset=utf-8\r\nETag: "'),
    ).toBe(true);
    expect(output.includes("\r\nContent-Length: 11\r\n")).toBe(true);
    expect(output.includes("\r\nDate: ")).toBe(true);
    expect(output.endsWith("\r\n\r\nhello world")).toBe(true);
    expect(output.includes("Connection:")).toBe(false);
    expect(wire.finished).toBe(false);
    expect(wire.used).toBe(0);
  });
  it("that comes byte by byte, or lies in pieces, is one request", () => {
    const text = request("/a.txt");
    wire.piece = 7;
    for (let i = 0; i < text.length - 1; i++) expect(exchange(text.charAt(i))).toBe("");
    expect(statuses(exchange(text.charAt(text.length - 1)))).toBe("200");
  });
  it("behind others in one segment is answered in order, also when the stream takes little at a time", () => {
    expect(statuses(exchange(request("/a.txt") + request("/no") + request("/", "", "HEAD") + request("/d")))).toBe(
      "200 404 200 301",
    );
    wire.space = 3000;
    expect(statuses(exchange(request("/large") + request("/a.txt")))).toBe("200");
    expect(wire.used).toBeGreaterThan(0);
    for (let i = 0; i < 10; i++) {
      wire.space = 2100;
      event(WireEvent.WRITABLE);
    }
    expect(statuses(wire.output)).toBe("200 200");
    expect(wire.output.includes("x".repeat(5000) + "HTTP/1.1 200 OK")).toBe(true);
  });
  it("HEAD gets the head of GET and nothing else", () => {
    const get = exchange(request("/a.txt"));
    expect(exchange(request("/a.txt", "", "HEAD"))).toBe(get.substring(0, get.length - 11));
  });
  it("has its path normalised", () => {
    expect(
      statuses(exchange(request("/x/../a%2Etxt?q") + request("//a.txt") + request("/./a.txt") + request("http://h"))),
    ).toBe("200 200 200 200");
    expect(
      statuses(exchange(request("/../a.txt") + request("/%2fa.txt") + request("/a.txt%00") + request("/a.txt/"))),
    ).toBe("404 404 404 404");
  });
  it("for a redirect gets an encoded Location", () => {
    expect(exchange(request("/d")).includes("\r\nLocation: /d%20e/\r\n")).toBe(true);
  });
  it("with another method gets 405, 501 or the list of methods", () => {
    expect(
      statuses(exchange(request("/", "", "DELETE") + request("/", "", "BREW") + request("*", "", "OPTIONS"))),
    ).toBe("405 501 204");
    expect(wire.output.includes("Allow: GET, HEAD, OPTIONS")).toBe(true);
  });
});

describe("conditions and ranges", () => {
  beforeEach(start);

  it("If-None-Match compares weakly and gives 304 without content", () => {
    const tag = tagOf(exchange(request("/a.txt")));
    const output = exchange(request("/a.txt", 'If-None-Match: "x", W/' + tag + "\r\n"));
    expect(statuses(output)).toBe("304");
    expect(output.endsWith("\r\n\r\n")).toBe(true);
    expect(output.includes("ETag: " + tag)).toBe(true);
    expect(statuses(exchange(request("/a.txt", "If-None-Match: *\r\n")))).toBe("304");
    expect(statuses(exchange(request("/a.txt", 'If-None-Match: "x"\r\n')))).toBe("200");
    expect(statuses(exchange(request("/a.txt", "If-None-Match: " + tag.substring(1) + "\r\n")))).toBe("200");
  });
  it("If-Match compares strongly and gives 412", () => {
    const tag = tagOf(exchange(request("/a.txt")));
    expect(statuses(exchange(request("/a.txt", "If-Match: " + tag + "\r\n")))).toBe("200");
    expect(statuses(exchange(request("/a.txt", "If-Match: W/" + tag + "\r\n")))).toBe("412");
  });
  it("Range gives a part, 416, or is ignored", () => {
    const part = exchange(request("/a.txt", "Range: bytes=6-\r\n"));
    expect(part.includes("206 Partial Content")).toBe(true);
    expect(part.includes("Content-Range: bytes 6-10/11\r\nContent-Length: 5\r\n")).toBe(true);
    expect(part.endsWith("\r\n\r\nworld")).toBe(true);
    expect(exchange(request("/a.txt", "Range: bytes=-5\r\n")).endsWith("world")).toBe(true);
    expect(exchange(request("/a.txt", "Range: bytes=0-0\r\n")).endsWith("\r\n\r\nh")).toBe(true);
    expect(exchange(request("/a.txt", "Range: bytes=3-99999999999999999999\r\n")).includes("bytes 3-10/11")).toBe(true);
    expect(
      exchange(request("/a.txt", "Range: bytes=11-\r\n")).includes(
        "416 Range Not Satisfiable\r\nServer: heddle\r\nContent-Range: bytes */11\r\n",
      ),
    ).toBe(true);
    expect(statuses(exchange(request("/a.txt", "Range: bytes=-0\r\n")))).toBe("416");
    expect(
      statuses(exchange(request("/a.txt", "Range: bytes=5-3\r\n") + request("/a.txt", "Range: bytes=0-1,3-4\r\n"))),
    ).toBe("200 200");
    expect(
      statuses(exchange(request("/a.txt", "Range: lines=0-1\r\n") + request("/a.txt", "Range: bytes=-\r\n"))),
    ).toBe("200 200");
    expect(statuses(exchange(request("/a.txt", 'If-Range: "x"\r\nRange: bytes=0-0\r\n')))).toBe("200");
  });
});

describe("a request's body", () => {
  beforeEach(start);

  it("is passed over before the answer, and the next request is found behind it", () => {
    expect(statuses(exchange(request("/", "Content-Length: 5\r\n", "POST")))).toBe("");
    expect(statuses(exchange("GET /" + request("/a.txt")))).toBe("405 200");
    expect(
      statuses(
        exchange(
          request("/", "Transfer-Encoding: chunked\r\n") +
            "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n" +
            request("/"),
        ),
      ),
    ).toBe("200 200");
  });
  it("in bad chunks is 400, too long a one 413, and both end the connection", () => {
    const bad = [
      "x\r\n",
      "\r\n",
      "5\nhello",
      "5\r\nhelloX",
      "123456789\r\n",
      "5 \r\nhello\r\n",
      "-1\r\n",
      "0x5\r\n",
      "1;\u0001\r\n",
      "0\r\nT v\u0000\r\n",
    ];
    for (let i = 0; i < bad.length; i++) {
      start();
      const output = exchange(request("/", "Transfer-Encoding: chunked\r\n") + bad[i]);
      expect(statuses(output)).toBe("400", bad[i]);
      expect(output.includes("Connection: close")).toBe(true);
      expect(wire.finished).toBe(true);
    }
    start();
    expect(statuses(exchange(request("/", "Content-Length: 101\r\n", "PUT")))).toBe("413");
    start();
    expect(statuses(exchange(request("/", "Transfer-Encoding: chunked\r\n") + "65\r\n" + "x".repeat(101)))).toBe("413");
  });
  it("that is announced by Expect is declined by the final answer", () => {
    const output = exchange(request("/", "Content-Length: 5\r\nExpect: 100-continue\r\n", "POST"));
    expect(statuses(output)).toBe("405");
    expect(output.includes("Connection: close")).toBe(true);
  });
});

describe("the end of a connection", () => {
  beforeEach(start);

  it("comes with Connection: close, HTTP/1.0, and after a malformed head; what follows is not answered", () => {
    expect(statuses(exchange(request("/", "Connection: close\r\n") + request("/")))).toBe("200");
    expect(wire.finished && !wire.released).toBe(true);
    expect(wire.used).toBe(0);
    event(WireEvent.PEER_CLOSED);
    expect(wire.released).toBe(true);
    expect(server!.open).toBe(0);
    start();
    expect(statuses(exchange("GET / HTTP/1.0\r\n\r\n" + request("/")))).toBe("200");
    start();
    expect(statuses(exchange("GET / HTTP/1.1\r\nHost : h\r\n\r\n" + request("/")))).toBe("400");
    expect(wire.finished).toBe(true);
    start();
    expect(
      exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").includes("\r\nConnection: keep-alive\r\n"),
    ).toBe(true);
    expect(wire.finished).toBe(false);
  });
  it("comes when the peer closes between requests or within a head", () => {
    event(WireEvent.PEER_CLOSED);
    expect(wire.finished && wire.released).toBe(true);
    start();
    wire.give(request("/"));
    event(WireEvent.READABLE | WireEvent.PEER_CLOSED);
    expect(statuses(wire.output)).toBe("200");
    expect(wire.finished && wire.released).toBe(true);
    start();
    wire.give("GET / HT");
    event(WireEvent.READABLE | WireEvent.PEER_CLOSED);
    expect(wire.released).toBe(true);
    expect(wire.output).toBe("");
  });
  it("comes by time: 408 within a head however it drips, nothing between requests", () => {
    exchange("GET ");
    for (let i = 0; i < 9; i++) {
      pass(1_000_000_000);
      expect(exchange("x")).toBe("");
    }
    pass(1_100_000_000);
    expect(statuses(wire.output)).toBe("408");
    expect(server!.counters.headTimeouts).toBe(1);
    pass(2_100_000_000);
    expect(wire.released).toBe(true);
    start();
    pass(30_000_000_000);
    expect(statuses(exchange(request("/")))).toBe("200");
    pass(59_000_000_000);
    expect(wire.released).toBe(false);
    pass(2_000_000_000);
    expect(wire.released).toBe(true);
    expect(server!.counters.idleTimeouts).toBe(1);
    start();
    exchange(request("/", "Content-Length: 5\r\n") + "abc");
    pass(31_000_000_000);
    expect(statuses(wire.output)).toBe("408");
  });
  it("comes when the peer takes nothing of a response", () => {
    wire.space = 2500;
    exchange(request("/large"));
    pass(61_000_000_000);
    expect(wire.released).toBe(true);
    expect(server!.counters.sendTimeouts).toBe(1);
  });
  it("lets the next one in: the limit is on open connections, and those beyond it are told 503", () => {
    const second = server!.accept(1);
    expect(second != null).toBe(true);
    const third = server!.accept(1);
    c = third;
    expect(statuses(exchange(request("/a.txt")))).toBe("503");
    expect(wire.finished).toBe(true);
    expect(server!.counters.connectionsRefused).toBe(1);
    server!.event(second!, WireEvent.GONE);
    c = server!.accept(1);
    expect(statuses(exchange(request("/a.txt")))).toBe("200");
    expect(server!.counters.connectionsRefused).toBe(1);
  });
  it("beyond the limit comes at once when very many are told so", () => {
    for (let i = 0; i < 65; i++) expect(server!.accept(1) != null).toBe(true);
    expect(server!.accept(1) == null).toBe(true);
  });
});
