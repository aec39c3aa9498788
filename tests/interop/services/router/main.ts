// A router: interfaces, routes and forwarding as its configuration says.
import { Routing, startNetwork } from "heddle/net";
import { print } from "heddle/runtime";

export function main(): void {
  startNetwork(0, [new Routing()]);
  print("routing");
}
