// Copied and changed by the tests: a file of its own that main uses.
import { exit, print } from "heddle/runtime";
import { greeting } from "./greeting";

export function main(): void {
  print(greeting());
  exit(0);
}
