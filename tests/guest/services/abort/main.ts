// Fails an assertion two calls below main: what a test of the panic path wants to see in the backtrace.

import { devCount } from "../../../../runtime/platform";

export function main(): void {
  compute(41 + devCount() * 0);
}

// Not inlined, as it recurs: the backtrace has to name it.
function compute(n: i32): void {
  if (n < 41) compute(n + 1);
  else checkAnswer(n);
}

function checkAnswer(n: i32): void {
  if (n != 42) abort("the answer was " + n.toString());
}
