#!/usr/bin/env node
// The `heddle` command: loads the TypeScript of main.ts through tsx. Plain JavaScript, so that it can say what to do
// when the npm packages are not there yet.
let tsx;
try {
  tsx = await import("tsx/esm/api");
} catch {
  const setup = new URL("../setup.sh", import.meta.url).pathname;
  console.error(`heddle: the npm packages are not installed; run: sh ${setup}`);
  process.exit(1);
}
tsx.register();
await import("./main.ts");
