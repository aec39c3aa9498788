// What an HTTP/1.1 server must, and should, do with what comes over the wire: one request, or several, as bytes; the statuses
// that must come back; whether the connection stays. Each case names the section that it is from (RFC 9110, RFC 9112, RFC
// 3986, RFC 6585) and how binding that is there. "LIMIT": what the configuration of the test allows.

export interface Case {
  section: string;
  level: "MUST" | "SHOULD" | "MAY" | "LIMIT";
  name: string;
  /** Bytes, latin1; several pieces are sent 30 ms apart. */
  send: string | string[];
  /** Statuses of the responses, in order. */
  status: number[];
  /** Whether the server ends the connection. */
  closes: boolean;
  /** What the bytes that came back must match, or must not. */
  like?: RegExp;
  unlike?: RegExp;
  /** Whether the client finishes its side after sending. */
  finish?: boolean;
  /** How long the client waits for the server's end or for more, ms. */
  patience_ms?: number;
}

export const cases: Case[] = [];
type More = Partial<Pick<Case, "like" | "unlike" | "finish" | "closes" | "patience_ms">>;
let section = "";
let level: Case["level"] = "MUST";
const about = (name: string, binding: Case["level"]) => ([section, level] = [name, binding]);

function add(name: string, send: string | string[], status: number | number[], more: More = {}): void {
  const list = [status].flat();
  // After a refused request nothing on the connection can be told to be a request.
  const closes = [400, 408, 413, 414, 417, 431, 501, 505].includes(list.at(-1) ?? 0);
  cases.push({ section, level, name, send, status: list, closes, ...more });
}
const get = (target: string, fields = "", version = "1.1") =>
  `GET ${target} HTTP/${version}\r\nHost: h\r\n${fields}\r\n`;
const head = (fields: string) => `GET /a.txt HTTP/1.1\r\n${fields}\r\n`;
const post = (fields: string, body = "") => `POST /a.txt HTTP/1.1\r\nHost: h\r\n${fields}\r\n${body}`;
const chunked = (body: string) => post("Transfer-Encoding: chunked\r\n", body);
const ok = get("/a.txt");

// ---- message format
about("RFC 9112, 2.2", "MUST");
add("an empty line before the request line is ignored", `\r\n${ok}`, 200);
add("several empty lines before it too", `\r\n\r\n\r\n${ok}`, 200);
add("empty lines between pipelined requests", `${ok}\r\n${ok}`, [200, 200]);
add("a bare CR in the request line", "GET /a.txt HTTP/1.1\rHost: h\r\n\r\n", 400);
add("a bare CR within a field value", head("Host: h\r\nX: a\rb\r\n"), 400);
add("a bare CR after a field name", head("Host: h\r\nX\r: a\r\n"), 400);
add("a CR in front of an empty line without LF", `\rGET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n`, 400);
add("space before the first field", "GET /a.txt HTTP/1.1\r\n Host: h\r\n\r\n", 400);
add("tab before the first field", "GET /a.txt HTTP/1.1\r\n\tHost: h\r\n\r\n", 400);
about("RFC 9112, 2.2", "MAY");
add("a bare LF does not end the request line here", "GET /a.txt HTTP/1.1\nHost: h\r\n\r\n", 400);
add("a bare LF does not end a field line here", "GET /a.txt HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400);
add("a bare LF does not end the head here", "GET /a.txt HTTP/1.1\r\nHost: h\r\n\n", 400);
add("a bare LF before the request line", `\n${ok}`, 400);
about("RFC 9112, 2.1", "MUST");
add("a head byte by byte", [...ok.slice(0, 12)].concat(ok.slice(12)), 200);
add("a head cut within CRLF CRLF", [ok.slice(0, -3), ok.slice(-3, -2), ok.slice(-2)], 200);
add("a body that comes in pieces", [post("Content-Length: 6\r\n", "abc"), "def", ok], [405, 200]);
add("a request that is not finished and then ended gets nothing", "GET /a.txt HT", [], { finish: true, closes: true });
add("NUL as the first byte", "\0GET / HTTP/1.1\r\n\r\n", 400);
add("a TLS ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400);
add("the preface of HTTP/2 is no HTTP/1.1", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);

// ---- request line
about("RFC 9112, 3", "MUST");
add("two spaces after the method", "GET  /a.txt HTTP/1.1\r\nHost: h\r\n\r\n", 400);
add("two spaces before the version", "GET /a.txt  HTTP/1.1\r\nHost: h\r\n\r\n", 400);
add("a tab instead of the first space", "GET\t/a.txt HTTP/1.1\r\nHost: h\r\n\r\n", 400);
add("a tab instead of the second", "GET /a.txt\tHTTP/1.1\r\nHost: h\r\n\r\n", 400);
add("space after the version", "GET /a.txt HTTP/1.1 \r\nHost: h\r\n\r\n", 400);
add("space before the method", " GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n", 400);
add("no version (HTTP/0.9)", "GET /a.txt\r\n\r\n", 400);
add("no target", "GET HTTP/1.1\r\nHost: h\r\n\r\n", 400);
add("only a method", "GET\r\n\r\n", 400);
add("white space within the target", "GET /a txt HTTP/1.1\r\nHost: h\r\n\r\n", 400);
about("RFC 9110, 9.1", "MUST");
add("methods are case-sensitive", "get /a.txt HTTP/1.1\r\nHost: h\r\n\r\n", 501, { closes: false });
add("a method that nobody knows", "BREW /a.txt HTTP/1.1\r\nHost: h\r\n\r\n", 501, { closes: false });
add("a method of token characters only", "!#$%&'*+-.^_`|~ / HTTP/1.1\r\nHost: h\r\n\r\n", 501, { closes: false });
add("a method with a delimiter", "GE(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400);
add("a method with a control character", "GE\x01T / HTTP/1.1\r\nHost: h\r\n\r\n", 400);
add("a method beyond ASCII", "G\xc9T / HTTP/1.1\r\nHost: h\r\n\r\n", 400);
about("RFC 9112, 3", "SHOULD");
add("a method longer than any is 501", `${"A".repeat(40)} / HTTP/1.1\r\nHost: h\r\n\r\n`, 501);
about("RFC 9110, 15.5.6", "MUST");
for (const method of ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
  add(`${method} is 405 with Allow`, `${method} /a.txt HTTP/1.1\r\nHost: h\r\n\r\n`, 405, {
    like: /\r\nAllow: GET, HEAD, OPTIONS\r\n/,
  });
add("CONNECT is 405", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", 405, { like: /\r\nAllow: / });
about("RFC 9110, 9.3.7", "MUST");
add("OPTIONS of a resource", "OPTIONS /a.txt HTTP/1.1\r\nHost: h\r\n\r\n", 204, {
  like: /\r\nAllow: GET, HEAD, OPTIONS\r\n/,
});
add("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 204, { unlike: /Content-Length|Transfer-Encoding/ });
about("RFC 9110, 9.3.2", "MUST");
add("HEAD has the fields of GET and no content", `HEAD /a.txt HTTP/1.1\r\nHost: h\r\n\r\n`, 200, {
  like: /Content-Length: 11\r\n[^]*\r\n\r\n$/,
  unlike: /hello/,
});
add("HEAD of what is not there has no content", "HEAD /no HTTP/1.1\r\nHost: h\r\n\r\n", 404, {
  unlike: /404 Not Found\n/,
});
add("HEAD, then GET on the connection", `HEAD /a.txt HTTP/1.1\r\nHost: h\r\n\r\n${ok}`, [200, 200], {
  like: /hello world$/,
});
about("RFC 9110, 9.3.1", "MAY");
add(
  "content of GET is passed over",
  `GET /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345${ok}`,
  [200, 200],
);
add(
  "chunked content of GET too",
  `GET /a.txt HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n${ok}`,
  [200, 200],
);

// ---- version
about("RFC 9112, 2.3", "MUST");
add("the version is case-sensitive", "GET /a.txt http/1.1\r\nHost: h\r\n\r\n", 400);
for (const version of [
  "HTTP/1",
  "HTTP/11",
  "HTTP/1.10",
  "HTTP/1,1",
  "HTTP /1.1",
  "HTTP/.1",
  "HTTP/1.",
  "HTTX/1.1",
  "HTTP/a.b",
])
  add(`"${version}" is no version`, `GET /a.txt ${version}\r\nHost: h\r\n\r\n`, 400);
add("a minor version above 1 is served as 1.1", get("/a.txt", "", "1.7"), 200, { like: /^HTTP\/1\.1 / });
about("RFC 9110, 15.6.6", "SHOULD");
for (const version of ["0.9", "2.0", "3.0", "9.9"]) add(`HTTP/${version} is 505`, get("/a.txt", "", version), 505);
about("RFC 9112, 9.3", "MUST");
add("HTTP/1.0 ends the connection", get("/a.txt", "", "1.0"), 200, { closes: true, like: /Connection: close\r\n/ });
add("HTTP/1.0 without Host is served", "GET /a.txt HTTP/1.0\r\n\r\n", 200, { closes: true });
add("HTTP/1.0 with keep-alive stays", get("/a.txt", "Connection: keep-alive\r\n", "1.0"), 200, {
  like: /Connection: keep-alive\r\n/,
});
add("HTTP/1.0 with keep-alive and close ends", get("/a.txt", "Connection: keep-alive, close\r\n", "1.0"), 200, {
  closes: true,
});
add("HTTP/1.1 stays", ok, 200, { unlike: /Connection:/ });
about("RFC 9112, 9.6", "MUST");
add("close ends the connection after the response", get("/a.txt", "Connection: close\r\n"), 200, {
  closes: true,
  like: /Connection: close\r\n/,
});
add("the option is case-insensitive", get("/a.txt", "Connection: CLOSE\r\n"), 200, { closes: true });
add("it is found in a list", get("/a.txt", "Connection: x , close,y\r\n"), 200, { closes: true });
add("it is found in a second field", get("/a.txt", "Connection: x\r\nConnection: close\r\n"), 200, { closes: true });
add("it is found among empty elements", get("/a.txt", "Connection: ,, ,close,\r\n"), 200, { closes: true });
add("a part of a word is not it", get("/a.txt", "Connection: closed, x-close\r\n"), 200);
add("what follows close is not answered", `${get("/a.txt", "Connection: close\r\n")}${ok}`, 200, { closes: true });
add("a half-closed client gets its answer", ok, 200, { finish: true, closes: true });
add("and answers to all that it asked", `${ok}${ok}${ok}`, [200, 200, 200], { finish: true, closes: true });

// ---- Host and target
about("RFC 9112, 3.2", "MUST");
add("no Host", "GET /a.txt HTTP/1.1\r\n\r\n", 400);
add("two of them", head("Host: h\r\nHost: h\r\n"), 400);
add("two of them, the second empty", head("Host: h\r\nHost:\r\n"), 400);
add("Host in capitals is Host", head("HOST: h\r\n"), 200);
for (const host of [
  "h h",
  "h/x",
  "h?x",
  "u@h",
  "h#x",
  "h\\x",
  "h:8x",
  "h:80:80",
  "[::1",
  "::1",
  "[]",
  "[::1]x",
  "h,i",
  "[gg::1]",
  ":80",
  '"h"',
  "<h>",
])
  add(`Host: ${host} is refused`, head(`Host: ${host}\r\n`), host === "h,i" ? 200 : 400);
for (const host of ["h:8080", "h:", "[::1]:80", "[::1]", "192.0.2.1", "%68", "a-b.c_d"])
  add(`Host: ${host} is accepted`, head(`Host: ${host}\r\n`), 200);
about("RFC 9112, 3.2", "MAY");
add("an empty Host is that of a target without authority", head("Host:\r\n"), 200);
about("RFC 9112, 3.2.2", "MUST");
add("absolute form is accepted", head("Host: h\r\n").replace("/a.txt", "http://h/a.txt"), 200);
add("its host counts, not the field's", head("Host: other\r\n").replace("/a.txt", "http://special/"), 200, {
  like: /special site$/,
});
add("the field's host counts otherwise", head("Host: special\r\n").replace("/a.txt", "/"), 200, {
  like: /special site$/,
});
add("the scheme is case-insensitive", head("Host: h\r\n").replace("/a.txt", "HTTP://h/a.txt"), 200);
add("without a path it is /", head("Host: h\r\n").replace("/a.txt", "http://h"), 200, { like: /the index$/ });
add("without a path but with a query too", head("Host: h\r\n").replace("/a.txt", "http://h?a=b"), 200, {
  like: /the index$/,
});
add("without Host it is refused all the same", "GET http://h/a.txt HTTP/1.1\r\n\r\n", 400);
about("RFC 9110, 4.2.1", "MUST");
add("an empty host in a target", head("Host: h\r\n").replace("/a.txt", "http:///a.txt"), 400);
add("a host with only a port", head("Host: h\r\n").replace("/a.txt", "http://:80/a.txt"), 400);
about("RFC 9110, 4.2.4", "SHOULD");
add("user information in a target", head("Host: h\r\n").replace("/a.txt", "http://u:p@h/a.txt"), 400);
about("RFC 9112, 3.2", "MUST");
add("another scheme", head("Host: h\r\n").replace("/a.txt", "ftp://h/a.txt"), 400);
add("a path without slash", head("Host: h\r\n").replace("/a.txt", "a.txt"), 400);
add("* for another method than OPTIONS", head("Host: h\r\n").replace("/a.txt", "*"), 400);
add("* with more behind it", "OPTIONS *x HTTP/1.1\r\nHost: h\r\n\r\n", 400);
add("CONNECT with a path", "CONNECT /a.txt HTTP/1.1\r\nHost: h\r\n\r\n", 400);
add("authority form for GET", head("Host: h\r\n").replace("/a.txt", "h:80"), 400);
about("RFC 9112, 3.2.1", "MUST");
for (const [what, target] of [
  ["a fragment", "/a.txt#x"],
  ["NUL", "/a\0.txt"],
  ["a control character", "/a\x1f.txt"],
  ["DEL", "/a\x7f.txt"],
  ["a byte beyond ASCII", "/\xe4.txt"],
  ["a quotation mark", '/a".txt'],
  ["an angle bracket", "/<a>"],
  ["a backslash", "/\\a.txt"],
] as const)
  add(`${what} in the target`, head("Host: h\r\n").replace("/a.txt", target), 400);
about("RFC 3986, 2.1", "MUST");
add("% without digits", get("/%"), 400);
add("% with one digit", get("/a.txt%2"), 400);
add("% with letters that are no digits", get("/%zz"), 400);
add("%00 names nothing", get("/a.txt%00"), 404);
about("RFC 3986, 6.2.2", "SHOULD");
add("an encoded letter is that letter", get("/%61.txt"), 200);
add("digits of encodings are case-insensitive", get("/%4A%4a.txt"), 200);
add("dot segments are removed", get("/x/./y/../../a.txt"), 200);
add("encoded dot segments too", get("/x/%2e%2E/a.txt"), 200);
add("the path is case-sensitive", get("/A.TXT"), 404);
add("an encoded slash is no separator", get("/d%2findex.html"), 404);
add("an encoded question mark begins no query", get("/a.txt%3fq"), 404);
about("RFC 3986, 5.2.4", "MUST");
for (const target of ["/../a.txt", "/../../../../etc/passwd", "/x/../../a.txt", "/%2e%2e/a.txt", "/..", "/..%2fa.txt"])
  add(`nothing is above the root: ${target}`, get(target), 404);
add("a query does not choose the file", get("/a.txt?../../x&%41"), 200);
add("an empty query", get("/a.txt?"), 200);
add("a second question mark belongs to the query", get("/a.txt?a?b"), 200);
add("config.json is no part of a site", get("/../config.json"), 404);
about("RFC 9110, 15.4.2", "SHOULD");
add("a folder without slash is redirected", get("/d"), 301, { like: /\r\nLocation: \/d\/\r\n/ });

// ---- fields
about("RFC 9112, 5.1", "MUST");
add("space before the colon", head("Host : h\r\n"), 400);
add("tab before the colon", head("Host: h\r\nX\t: y\r\n"), 400);
add("no colon", head("Host: h\r\nX y\r\n"), 400);
add("an empty name", head("Host: h\r\n: y\r\n"), 400);
for (const c of ['"', "(", ")", ",", "/", ";", "<", "=", ">", "?", "@", "[", "\\", "]", "{", "}"])
  add(`${c} in a field name`, head(`Host: h\r\nX${c}Y: z\r\n`), 400);
add("a byte beyond ASCII in a name", head("Host: h\r\nX\xe4: z\r\n"), 400);
about("RFC 9110, 5.5", "MUST");
add("NUL in a value", head("Host: h\r\nX: a\0b\r\n"), 400);
about("RFC 9110, 5.5", "SHOULD");
add("a control character in a value", head("Host: h\r\nX: a\x07b\r\n"), 400);
add("DEL in a value", head("Host: h\r\nX: a\x7fb\r\n"), 400);
about("RFC 9110, 5.5", "MAY");
add("obs-text in a value is opaque", head("Host: h\r\nX: \xe4\xff\x80\r\n"), 200);
add("a tab within a value", head("Host: h\r\nX: a\tb\r\n"), 200);
add("an empty value", head("Host: h\r\nX:\r\n"), 200);
add("no space after the colon", head("Host:h\r\n"), 200);
add("much white space around a value", head("Host: \t  h  \t \r\n"), 200);
about("RFC 9112, 5.2", "MUST");
add("obs-fold by space", head("Host: h\r\nX: a\r\n b\r\n"), 400);
add("obs-fold by tab", head("Host: h\r\nX: a\r\n\tb\r\n"), 400);
add("obs-fold in Host", head("Host: h\r\n h\r\n"), 400);

// ---- length of a body
about("RFC 9112, 6.3", "MUST");
add(
  "Content-Length and Transfer-Encoding together",
  post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
  400,
);
add("in the other order", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400);
add("two different lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "12345"), 400);
add("two equal lengths are refused here", post("Content-Length: 5\r\nContent-Length: 5\r\n", "12345"), 400);
for (const length of [
  "5, 5",
  "5,6",
  "+5",
  "-5",
  "0x5",
  "5a",
  "5 5",
  "",
  "5.0",
  "1e1",
  "18446744073709551616",
  "99999999999999999999999",
])
  add(`Content-Length: "${length}"`, post(`Content-Length: ${length}\r\n`, "12345"), 400);
add("leading zeros do not make it octal", `${post("Content-Length: 010\r\n", "1234567890")}${ok}`, [405, 200]);
add("no more than the length belongs to the body", `${post("Content-Length: 3\r\n", "abc")}${ok}`, [405, 200]);
add("without a length there is no body", `${post("")}${ok}`, [405, 200]);
add("a length of 0", `${post("Content-Length: 0\r\n")}${ok}`, [405, 200]);
add("a request within a body is not one", `${post(`Content-Length: ${ok.length}\r\n`, ok)}${ok}`, [405, 200]);
add("a body that ends early gets no second answer", post("Content-Length: 10\r\n", "abc"), [], {
  finish: true,
  closes: true,
});
about("RFC 9112, 6.1", "MUST");
for (const coding of [
  "identity",
  "gzip",
  "gzip, chunked",
  "chunked, gzip",
  "chunked, chunked",
  "xchunked",
  "chunkedx",
  "chunked;q=1",
  '"chunked"',
  "chunked,",
  "",
])
  add(`Transfer-Encoding: "${coding}"`, post(`Transfer-Encoding: ${coding}\r\n`, "0\r\n\r\n"), 501);
add("the coding is case-insensitive", `${post("Transfer-Encoding: ChUnKeD\r\n", "0\r\n\r\n")}${ok}`, [405, 200]);
add(
  "two Transfer-Encoding fields",
  post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
  400,
);
add(
  "a second one that is unknown",
  post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
  400,
);
add("Transfer-Encoding in HTTP/1.0", post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n").replace("1.1", "1.0"), 400);
add("a vertical tab before the coding", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), 400);
add("a name like it is another field", `${post("Transfer_Encoding: chunked\r\n")}${ok}`, [405, 200]);

// ---- chunks
about("RFC 9112, 7.1", "MUST");
add("one chunk", `${chunked("5\r\nhello\r\n0\r\n\r\n")}${ok}`, [405, 200]);
add(
  "sizes in either case, with leading zeros",
  `${chunked(`00A\r\n${"x".repeat(10)}\r\nb\r\n${"x".repeat(11)}\r\n000\r\n\r\n`)}${ok}`,
  [405, 200],
);
add("in pieces", [chunked("5\r"), "\nhel", "lo\r", "\n0\r\n\r", "\n", ok], [405, 200]);
for (const [what, body] of [
  ["no size", "\r\nhello\r\n0\r\n\r\n"],
  ["a sign", "+5\r\nhello\r\n0\r\n\r\n"],
  ["a minus", "-5\r\nhello\r\n0\r\n\r\n"],
  ["0x in front", "0x5\r\nhello\r\n0\r\n\r\n"],
  ["space in front", " 5\r\nhello\r\n0\r\n\r\n"],
  ["space behind", "5 \r\nhello\r\n0\r\n\r\n"],
  ["a size that is no number", "g\r\nhello\r\n0\r\n\r\n"],
  ["a size of 9 digits", "000000005\r\nhello\r\n0\r\n\r\n"],
  ["a size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"],
  ["a bare LF after the size", "5\nhello\r\n0\r\n\r\n"],
  ["a bare CR after the size", "5\rhello\r\n0\r\n\r\n"],
  ["a bare LF after the data", "5\r\nhello\n0\r\n\r\n"],
  ["data longer than the size", "5\r\nhello!\r\n0\r\n\r\n"],
  ["data shorter than the size", "6\r\nhello\r\n0\r\n\r\n"],
  ["a bare LF at the end", "0\r\n\n"],
  ["a bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n"],
  ["a bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"],
  ["NUL in an extension", "5;a\0b\r\nhello\r\n0\r\n\r\n"],
] as const)
  add(`chunks with ${what}`, chunked(body), 400);
about("RFC 9112, 7.1.1", "MUST");
add("extensions are passed over", `${chunked('5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n')}${ok}`, [405, 200]);
about("RFC 9112, 7.1.2", "MAY");
add("trailers are passed over", `${chunked("5\r\nhello\r\n0\r\nX: y\r\nZ: \r\n\r\n")}${ok}`, [405, 200]);
add("trailers cannot set a length", `${chunked("0\r\nContent-Length: 500\r\n\r\n")}${ok}`, [405, 200]);
about("RFC 9112, 7.1.2", "MUST");
add("a trailer that begins with space", chunked("0\r\n X: y\r\n\r\n"), 400);
add("a trailer with a bare LF", chunked("0\r\nX: y\n\r\n"), 400);
about("RFC 9112, 7.1.1", "SHOULD");
add("extensions without end", chunked(`5;${"a".repeat(20000)}`), 400);
add("trailers without end", chunked(`0\r\n${"X: y\r\n".repeat(4000)}`), 400);

// ---- expectations
about("RFC 9110, 10.1.1", "MUST");
add("an expectation that nobody knows is 417", post("Expect: x\r\nContent-Length: 1\r\n", "x"), 417);
add("100-continue gets a final status at once", post("Expect: 100-continue\r\nContent-Length: 5\r\n"), 405, {
  closes: true,
  unlike: /HTTP\/1.1 100/,
});
add("without a body it is ignored", get("/a.txt", "Expect: 100-continue\r\n"), 200);
add(
  "in HTTP/1.0 it is ignored",
  post("Expect: 100-continue\r\nContent-Length: 1\r\n", "x").replace("1.1", "1.0"),
  405,
  { closes: true },
);

// ---- pipelining and smuggling
about("RFC 9112, 9.3.2", "MUST");
add("pipelined requests are answered in order", `${ok}${get("/no")}${get("/d/")}${ok}`, [200, 404, 200, 200]);
add("fifty at once", ok.repeat(50), Array(50).fill(200) as number[]);
add("what follows a refused request is not answered", `GET /a.txt HTTP/1.1\r\n\r\n${ok}`, 400);
add("nor what follows a body without a known end", `${post("Transfer-Encoding: x\r\n", "0\r\n\r\n")}${ok}`, 501);
add("a large response before another", `${get("/large.bin")}${ok}`, [200, 200], { like: /hello world$/ });
add("a request cut by the next", [`${ok}GET /a`, ".txt HTTP/1.1\r\nHost: h\r\n\r\n"], [200, 200]);

// ---- conditions
about("RFC 9110, 13.1.2", "MUST");
add("If-None-Match: * is 304", get("/a.txt", "If-None-Match: *\r\n"), 304, { unlike: /hello/, like: /ETag: "/ });
add("a tag that is another's is 200", get("/a.txt", 'If-None-Match: "x"\r\n'), 200);
add("a malformed tag is 200", get("/a.txt", "If-None-Match: x\r\n"), 200);
add("304 has no content, and the next answer is right", `${get("/a.txt", "If-None-Match: *\r\n")}${ok}`, [304, 200]);
add("what is not there stays 404", get("/no", "If-None-Match: *\r\n"), 404);
about("RFC 9110, 13.1.1", "MUST");
add("If-Match with another tag is 412", get("/a.txt", 'If-Match: "x"\r\n'), 412);
add("If-Match: * is 200", get("/a.txt", "If-Match: *\r\n"), 200);
add("a weak tag never matches strongly", get("/a.txt", 'If-Match: W/"x"\r\n'), 412);
about("RFC 9110, 13.2.2", "MUST");
add("If-Match goes before If-None-Match", get("/a.txt", 'If-Match: "x"\r\nIf-None-Match: *\r\n'), 412);

// ---- ranges
about("RFC 9110, 14.2", "MAY");
add("first bytes", get("/a.txt", "Range: bytes=0-4\r\n"), 206, {
  like: /Content-Range: bytes 0-4\/11\r\n[^]*\r\n\r\nhello$/,
});
add("last bytes", get("/a.txt", "Range: bytes=-5\r\n"), 206, { like: /Content-Range: bytes 6-10\/11\r\n[^]*world$/ });
add("from a byte on", get("/a.txt", "Range: bytes=6-\r\n"), 206, { like: /world$/ });
add("more than there is ends with it", get("/a.txt", "Range: bytes=6-9999\r\n"), 206, { like: /bytes 6-10\/11/ });
add("a suffix longer than the content is all of it", get("/a.txt", "Range: bytes=-99\r\n"), 206, {
  like: /bytes 0-10\/11/,
});
about("RFC 9110, 14.2", "MUST");
add("another unit is ignored", get("/a.txt", "Range: lines=1-2\r\n"), 200);
add("a malformed range is ignored", get("/a.txt", "Range: bytes=a-b\r\n"), 200);
add("last before first is ignored", get("/a.txt", "Range: bytes=5-2\r\n"), 200);
add("a range of HEAD is ignored", "HEAD /a.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\n\r\n", 200, {
  like: /Content-Length: 11\r\n/,
});
add("If-Range with another tag gives the whole", get("/a.txt", 'Range: bytes=0-1\r\nIf-Range: "x"\r\n'), 200);
add(
  "If-Range with a date gives the whole",
  get("/a.txt", "Range: bytes=0-1\r\nIf-Range: Sat, 29 Oct 1994 19:43:31 GMT\r\n"),
  200,
);
about("RFC 9110, 14.2", "MAY");
add("several ranges give the whole", get("/a.txt", "Range: bytes=0-1,3-4\r\n"), 200);
add("two Range fields give the whole", get("/a.txt", "Range: bytes=0-1\r\nRange: bytes=3-4\r\n"), 200);
about("RFC 9110, 15.5.17", "SHOULD");
add("a range beyond the end is 416 with the length", get("/a.txt", "Range: bytes=11-\r\n"), 416, {
  like: /Content-Range: bytes \*\/11\r\n/,
});
add("the last 0 bytes are 416", get("/a.txt", "Range: bytes=-0\r\n"), 416);

// ---- what responses have
about("RFC 9110, 6.6.1", "MUST");
add("Date, in the preferred form", ok, 200, {
  like: /\r\nDate: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n/,
});
about("RFC 9110, 8.8.3", "SHOULD");
add("a strong ETag", ok, 200, { like: /\r\nETag: "[!-~]+"\r\n/ });
about("RFC 9110, 8.3", "SHOULD");
add("a Content-Type", ok, 200, { like: /\r\nContent-Type: text\/plain/ });
about("RFC 9110, 14.3", "MAY");
add("Accept-Ranges", ok, 200, { like: /\r\nAccept-Ranges: bytes\r\n/ });
about("RFC 9110, 8.6", "MUST");
add("304 says nothing of another length", get("/a.txt", "If-None-Match: *\r\n"), 304, { unlike: /Content-Length/ });
about("RFC 9110, 9.3.8", "MUST");
add("nothing that was sent comes back", get("/no?<script>", "").replace("<script>", "%3Cscript%3E"), 404, {
  unlike: /script/,
});
about("RFC 9110, 15.5.1", "SHOULD");
add("a refusal says that it closes", "GET /a.txt HTTP/1.1\r\n\r\n", 400, { like: /Connection: close\r\n/ });

// ---- limits (headerBytes 4KiB, headers 20, bodyBytes 1KiB, time-outs of 400 ms)
about("RFC 9110, 15.5.15", "LIMIT");
add("a target longer than half of the head is 414", get(`/${"a".repeat(3000)}`), 414);
add("one that never ends is 414", `GET /${"a".repeat(5000)}`, 414);
about("RFC 6585, 5", "LIMIT");
add("more than 20 fields are 431", get("/a.txt", "X: y\r\n".repeat(20)), 431);
add("20 are served", get("/a.txt", "X: y\r\n".repeat(19)), 200);
add("a head above 4 KiB is 431", get("/a.txt", `X: ${"y".repeat(4096)}\r\n`), 431);
add("a field that never ends is 431", `GET /a.txt HTTP/1.1\r\nHost: h\r\nX: ${"y".repeat(5000)}`, 431);
add("empty lines without end are 400", "\r\n".repeat(3000), 400);
about("RFC 9110, 15.5.14", "LIMIT");
add("a body above 1 KiB is 413 before it comes", post("Content-Length: 1025\r\n"), 413);
add("one of 1 KiB is read", `${post("Content-Length: 1024\r\n", "x".repeat(1024))}${ok}`, [405, 200]);
add("the largest length that there is", post("Content-Length: 999999999999999\r\n"), 413);
add("chunks above 1 KiB are 413", chunked(`400\r\n${"x".repeat(1024)}\r\n1\r\nx\r\n0\r\n\r\n`), 413);
about("RFC 9110, 15.5.9", "LIMIT");
add("a head that does not come to its end is 408", "GET /a.txt HTTP/1.1\r\nHost:", 408);
add("a body that does not either", post("Content-Length: 5\r\n", "ab"), 408);
add("chunks that do not either", chunked("5\r\nhel"), 408);
about("RFC 9112, 9.5", "LIMIT");
add("a connection on which nothing comes is ended silently", "", [], { closes: true });
add("so is one that stays idle after a response", ok, 200, { closes: true, patience_ms: 3000 });
