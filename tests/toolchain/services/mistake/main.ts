// Two mistakes of somebody who comes from TypeScript: a closure and a wrong type.
export function main(): void {
  let n = 1;
  const add = (x: i32): i32 => x + n;
  const text: string = add(2);
}
