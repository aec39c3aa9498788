// Calls what only a browser or Node provides.
export function main(): void {
  trace("here");
  console.log("there");
}
