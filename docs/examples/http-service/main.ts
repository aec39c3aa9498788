// A web service: routes with parameters, a filter, bodies that stream in both directions.
//
//   npx heddle run docs/examples/http-service
//   curl http://127.0.0.1:8080/hello/world
//   curl -T FILE http://127.0.0.1:8080/size
import { HttpServer, Request, Response, Router } from "heddle/net/http";
import { announce, startNetwork } from "heddle/net";

function hello(request: Request, response: Response): void {
  response.text("hello " + request.param("name") + "\n");
}

/** Sends the body back. */
function echo(request: Request, response: Response): void {
  const body = request.text();
  if (body == null) {
    response.status = 400;
    response.text("no body: error " + request.error.toString() + "\n");
    return;
  }
  response.text(body, "application/octet-stream");
}

/** Reads an upload of any length piece by piece. */
function size(request: Request, response: Response): void {
  const piece = new StaticArray<u8>(4096);
  let bytes: u64 = 0;
  for (let n = request.read(changetype<usize>(piece), 4096); n > 0;) {
    bytes += n;
    n = request.read(changetype<usize>(piece), 4096);
  }
  response.text(bytes.toString() + " bytes\n");
}

/** Writes a download line by line: its length is not known beforehand. */
function count(request: Request, response: Response): void {
  const to = <i32>parseInt(request.param("to"));
  response.set("Content-Type", "text/plain");
  for (let i = 1; i <= to; i++) if (response.writeText(i.toString() + "\n") < 0) return;
}

function file(request: Request, response: Response): void {
  response.text(request.method + " " + request.param("path") + "?" + request.query + "\n");
}

/** A filter: what is under /private/ needs a key. */
function guard(request: Request, response: Response): bool {
  if (!request.path.startsWith("/private/") || request.header("x-key") == "sesame") return true;
  response.status = 403;
  response.text("403 Forbidden\n");
  return false;
}

export function main(): void {
  startNetwork();
  const router = new Router()
    .use(guard)
    .get("/hello/:name", hello)
    .get("/private/:name", hello)
    .get("/count/:to", count)
    .get("/files/*path", file)
    .post("/echo", echo)
    .put("/size", size);
  announce("http", 80);
  const server = new HttpServer(router);
  server.options.bodyBytes = 64 << 20;
  server.listen(80);
}
