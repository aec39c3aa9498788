// The garbage collector's face for the loop: rt/tcms.ts has it. Under another runtime (unit tests in V8) nothing is done.

/** Does a part of a collection when one is due, at most about `budget` objects' worth. Only from the loop's stack. */
export function collectStep(budget: u32): void {
  // @ts-ignore: defined by rt/tcms.ts
  if (isDefined(__collect_due)) {
    // @ts-ignore: defined by rt/tcms.ts
    if (__collect_due()) __collect_step(budget);
  }
}

/** Whether a collection is under way or due: the loop then does not halt. */
export function collectDue(): bool {
  // @ts-ignore: defined by rt/tcms.ts
  if (isDefined(__collect_due)) return __collect_due();
  return false;
}

/** A whole collection now; only from the loop's stack. */
export function collectNow(): void {
  // @ts-ignore: defined by rt/tcms.ts
  if (isDefined(__collect_due)) __collect();
}

/** Whether this is a test build with gc=stress, in which every suspension goes to the loop's stack. */
@inline
export function stressing(): bool {
  // @ts-ignore: defined by the toolchain
  return isDefined(HEDDLE_GC_STRESS);
}

/** After every switch back to the loop's stack: in test builds with gc=stress a whole collection, else nothing. */
@inline
export function collectAtSwitch(): void {
  if (stressing()) collectNow();
}
