// The smallest service: it says hello and ends. What its image holds is what every image holds.
import { exit, print } from "heddle/runtime";

export function main(): void {
  print("hello");
  exit(0);
}
