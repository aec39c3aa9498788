// The head of a request: what RFC 9112 allows is understood, what is ambiguous or malformed is refused with the right status.

import { HeadFlag, HeadLimits, Method, newRequestHead, parseHead, RequestHead } from "../../../net/http/head";

const head: RequestHead = newRequestHead();
const limits = new HeadLimits(1024, 256, 10);
let bytes = new ArrayBuffer(0);

function parse(text: string): i32 {
  bytes = String.UTF8.encode(text);
  return parseHead(changetype<usize>(bytes), bytes.byteLength, limits, head);
}
function field(at: usize, length: u32): string {
  return String.UTF8.decodeUnsafe(at, length);
}
/** A request with these lines behind a valid request line and Host. */
function withField(line: string): i32 {
  return parse("GET / HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n");
}

const badRequests: string[] = [
  // RFC 9112, 3: request line
  " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
  "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /\r\nHost: a\r\n\r\n",
  "GET / HTTP/1.1\nHost: a\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a\n\r\n",
  "GET / HTTP/1.1\r\nHost: a\r\n\n",
  "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET / HTTP/1.1\rHost: a\r\n\r\n",
  "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET / http/1.1\r\nHost: a\r\n\r\n",
  "GET / HTTP/11\r\nHost: a\r\n\r\n",
  "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
  "GET / HTTP/1,1\r\nHost: a\r\n\r\n",
  "GET / FTTP/1.1\r\nHost: a\r\n\r\n",
  "GET / HTTP/a.1\r\nHost: a\r\n\r\n",
  // RFC 9112, 3.2: targets
  "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
  'GET /a"b HTTP/1.1\r\nHost: a\r\n\r\n',
  "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /\u00e4 HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
  "OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET http://user@h/x HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET ftp://h/x HTTP/1.1\r\nHost: a\r\n\r\n",
  "CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n",
  // RFC 9112, 3.2: Host
  "GET / HTTP/1.1\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
  "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
];
// RFC 9112, 5 and 6: one line behind a valid request line and Host.
const badFields: string[] = [
  " folded: x",
  "\tfolded: x",
  "X: a\r\n folded",
  "X : a",
  "X\t: a",
  ": a",
  "X",
  "X: a\u0000b",
  "X: a\rb",
  "X: a\u007fb",
  "X: a\u0001",
  "X\u00e4: a",
  'X"Y: a',
  "Content-Length: ",
  "Content-Length: +1",
  "Content-Length: -1",
  "Content-Length: 1a",
  "Content-Length: 0x1",
  "Content-Length: 1 2",
  "Content-Length: 1, 1",
  "Content-Length: 18446744073709551617",
  "Content-Length: 1\r\nContent-Length: 1",
  "Content-Length: 1\r\nContent-Length: 2",
  "Content-Length: 1\r\nTransfer-Encoding: chunked",
  "Transfer-Encoding: chunked\r\nContent-Length: 1",
  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
];

describe("a head", () => {
  it("gives method, path, query, host and its length", () => {
    const text = "GET /a/b%20c?x=1&y HTTP/1.1\r\nHost: Example.org:8080\r\nAccept: */*\r\n\r\n";
    expect(parse(text + "GET")).toBe(text.length);
    expect(head.method).toBe(Method.GET);
    expect(field(head.path, head.pathLength)).toBe("/a/b%20c");
    expect(field(head.query, head.queryLength)).toBe("x=1&y");
    expect(field(head.host, head.hostLength)).toBe("Example.org:8080");
    expect(head.flags).toBe(HeadFlag.HAS_HOST);
    expect(field(head.fields, head.fieldsLength)).toBe("Host: Example.org:8080\r\nAccept: */*\r\n");
  });
  it("takes the host of an absolute target before the field (RFC 9112, 3.2.2)", () => {
    expect(parse("GET HTTP://[::1]:80 HTTP/1.1\r\nHost: other\r\n\r\n")).toBeGreaterThan(0);
    expect(field(head.host, head.hostLength)).toBe("[::1]:80");
    expect(head.pathLength).toBe(0);
  });
  it("accepts OPTIONS *, empty lines in front, an empty Host, any case and space around values", () => {
    expect(parse("\r\n\r\nOPTIONS * HTTP/1.1\r\nHOST:\r\n\r\n")).toBeGreaterThan(0);
    expect(head.method).toBe(Method.OPTIONS);
    expect(withField("content-LENGTH: \t 17 \t ")).toBeGreaterThan(0);
    expect(head.contentLength).toBe(17);
    expect(withField('If-None-Match:  "a", "b" ')).toBeGreaterThan(0);
    expect(field(head.ifNoneMatch, head.ifNoneMatchLength)).toBe('"a", "b"');
  });
  it("tells known, other and unknown methods apart, case-sensitively", () => {
    parse("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(head.method).toBe(Method.HEAD);
    parse("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(head.method).toBe(Method.OTHER);
    parse("get / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(head.method).toBe(Method.UNKNOWN);
  });
  it("knows when the connection ends", () => {
    expect(withField("Connection: foo, CLOSE ,bar")).toBeGreaterThan(0);
    expect(head.has(HeadFlag.CLOSE)).toBe(true);
    withField("Connection: closed");
    expect(head.has(HeadFlag.CLOSE)).toBe(false);
    parse("GET / HTTP/1.0\r\n\r\n");
    expect(head.has(HeadFlag.CLOSE)).toBe(true);
    parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect(head.has(HeadFlag.CLOSE)).toBe(false);
  });
  it("of HTTP/1.7 is one of 1.1", () => {
    expect(parse("GET / HTTP/1.7\r\nHost: a\r\n\r\n")).toBeGreaterThan(0);
  });
  it("cut off anywhere is incomplete, never refused", () => {
    const whole = String.UTF8.encode(
      "\r\nGET http://h:80/a%20b?c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
    );
    for (let n = 0; n < whole.byteLength; n++) {
      expect(parseHead(changetype<usize>(whole), n, limits, head)).toBe(0, n.toString());
    }
    expect(parseHead(changetype<usize>(whole), whole.byteLength, limits, head)).toBe(whole.byteLength);
  });
});

describe("a malformed head", () => {
  it("is refused with 400", () => {
    for (let i = 0; i < badRequests.length; i++) expect(parse(badRequests[i])).toBe(-400, badRequests[i]);
  });
  it("is refused with 400 for its fields: folding, spaces, control characters, lengths, smuggling", () => {
    for (let i = 0; i < badFields.length; i++) expect(withField(badFields[i])).toBe(-400, badFields[i]);
    expect(parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")).toBe(-400);
  });
  it("gets the status that says what is wrong", () => {
    expect(withField("Transfer-Encoding: gzip, chunked")).toBe(-501);
    expect(withField("Transfer-Encoding: identity")).toBe(-501);
    expect(withField("Transfer-Encoding: \u000bchunked")).toBe(-400);
    expect(withField("Expect: 200-ok")).toBe(-417);
    expect(parse("GET / HTTP/2.0\r\nHost: a\r\n\r\n")).toBe(-505);
    expect(parse("GET / HTTP/0.9\r\nHost: a\r\n\r\n")).toBe(-505);
    expect(parse("A".repeat(33) + " / HTTP/1.1\r\nHost: a\r\n\r\n")).toBe(-501);
  });
});

describe("limits of a head", () => {
  it("are inclusive", () => {
    expect(parse("GET /" + "a".repeat(255) + " HTTP/1.1\r\nHost: a\r\n\r\n")).toBeGreaterThan(0);
    expect(parse("GET /" + "a".repeat(256) + " HTTP/1.1\r\nHost: a\r\n\r\n")).toBe(-414);
    expect(withField("X: 1\r\n".repeat(8) + "X: 1")).toBeGreaterThan(0);
    expect(withField("X: 1\r\n".repeat(9) + "X: 1")).toBe(-431);
    const frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".length;
    expect(withField("X: " + "a".repeat(1024 - frame))).toBe(1024);
    expect(withField("X: " + "a".repeat(1025 - frame))).toBe(-431);
  });
  it("hold for what never ends", () => {
    expect(parse("\r\n".repeat(2000))).toBe(-400);
    expect(parse("GET / HTTP/1.1\r\nHost: a\r\nX: " + "a".repeat(5000))).toBe(-431);
  });
});
