// A mistake or a lack that a person can mend: shown as one message, without a stack trace; exit status 1.
export class Problem extends Error {}

/** A line about what the command does; stderr, so that stdout is the image's console alone. */
export function say(line: string): void {
  process.stderr.write(`heddle: ${line}\n`);
}

const UNITS: Record<string, number> = { "": 0, k: 10, kib: 10, m: 20, mib: 20, g: 30, gib: 30 };

/** Bytes of a size like 64MiB, 64M or 1G. */
export function parseSize(option: string, text: string, least_bytes: number, most_bytes: number): number {
  const [, number, unit] = text.match(/^(\d{1,12})([a-z]*)$/i) ?? [];
  const shift = UNITS[unit?.toLowerCase() ?? "none"];
  if (shift === undefined) throw new Problem(`${option} ${text}: not a size like 64MiB`);
  const bytes = Number(number) * 2 ** shift;
  if (bytes < least_bytes || bytes > most_bytes)
    throw new Problem(
      `${option} ${text}: must be from ${least_bytes >> 20}MiB to ${Math.floor(most_bytes / 2 ** 20)}MiB`,
    );
  return bytes;
}
