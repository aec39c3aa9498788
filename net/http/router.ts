// Routes: a method, a pattern of a path, a handler. Patterns are compared part by part: "/users/:id" takes any one part as `id`,
// "/files/*path" the rest. The first route that matches is taken; filters run before, in their order.

import { Request, Response } from "./exchange";

export type Handler = (request: Request, response: Response) => void;
/** Runs before the handler; false: the response was made, nothing else runs. */
export type Filter = (request: Request, response: Response) => bool;

class Route {
  readonly parts: Array<string>;
  constructor(
    readonly method: string,
    pattern: string,
    readonly handler: Handler,
  ) {
    this.parts = pattern.split("/");
  }

  /** Whether the path matches; its parameters go to `found`. */
  matches(path: Array<string>, found: Array<string>): bool {
    found.length = 0;
    for (let i = 0; i < this.parts.length; i++) {
      const part = this.parts[i];
      if (part.startsWith("*")) {
        if (i >= path.length) return false;
        found.push(part.substring(1));
        found.push(path.slice(i).join("/"));
        return true;
      }
      if (i >= path.length) return false;
      if (part.startsWith(":")) {
        if (path[i].length == 0) return false;
        found.push(part.substring(1));
        found.push(path[i]);
      } else if (part != path[i]) {
        return false;
      }
    }
    return path.length == this.parts.length;
  }
}

export class Router {
  private readonly routes: Array<Route> = new Array<Route>();
  private readonly filters: Array<Filter> = new Array<Filter>();

  /** Adds a route; GET answers HEAD too. */
  on(method: string, pattern: string, handler: Handler): Router {
    this.routes.push(new Route(method, pattern, handler));
    return this;
  }
  get(pattern: string, handler: Handler): Router {
    return this.on("GET", pattern, handler);
  }
  post(pattern: string, handler: Handler): Router {
    return this.on("POST", pattern, handler);
  }
  put(pattern: string, handler: Handler): Router {
    return this.on("PUT", pattern, handler);
  }
  delete(pattern: string, handler: Handler): Router {
    return this.on("DELETE", pattern, handler);
  }
  /** Adds a filter for all routes. */
  use(filter: Filter): Router {
    this.filters.push(filter);
    return this;
  }

  /** Answers a request: by its route; 404; 405 with Allow when only other methods have one. */
  handle(request: Request, response: Response): void {
    for (let i = 0; i < this.filters.length; i++) {
      if (this.filters[i](request, response)) continue;
      response.end();
      return;
    }
    const path = request.path.split("/");
    const found = request.parameters;
    const allowed = new Array<string>();
    for (let i = 0; i < this.routes.length; i++) {
      const route = this.routes[i];
      if (!route.matches(path, found)) continue;
      if (route.method == request.method || (route.method == "GET" && request.method == "HEAD")) {
        route.handler(request, response);
        response.end();
        return;
      }
      if (!allowed.includes(route.method)) allowed.push(route.method);
    }
    found.length = 0;
    if (allowed.includes("GET")) allowed.push("HEAD");
    response.status = allowed.length > 0 ? 405 : 404;
    if (allowed.length > 0) response.set("Allow", allowed.join(", "));
    response.text(response.status == 405 ? "405 Method Not Allowed\n" : "404 Not Found\n");
  }
}
