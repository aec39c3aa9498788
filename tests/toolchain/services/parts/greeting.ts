export function greeting(): string {
  return "hello from a part";
}
