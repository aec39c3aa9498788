// Runs an image's process: its stdout is the console, shown as it comes and watched line by line; a signal to us ends
// it, and our own death too.
import { spawn, type SpawnOptions } from "node:child_process";
import { Lines } from "./console.ts";
import { which } from "./tools.ts";

export interface Supervised {
  command: string;
  args: string[];
  /** Called with each line of the console: stdout, and stderr, which is a hosted image's console. */
  line: (line: string) => void;
  /** Lines of stderr that are not shown. */
  quiet?: RegExp;
  /** More of the child's descriptors than stdin, stdout and stderr. */
  extra?: ["ipc"];
  /** Called when the process was started. */
  started?: (child: ReturnType<typeof spawn>) => void;
  /** The process has the terminal to itself (gdb): nothing is watched, and signals are its own. */
  interactive?: boolean;
}

export interface Ended {
  status: number;
  /** What it wrote to stderr, without the quiet lines. */
  said: string;
  /** Ended because we were asked to stop. */
  stopped: boolean;
}

const PATIENCE_MS = 3000;

export async function supervise(options: Supervised): Promise<Ended> {
  const { command, args, line, quiet, interactive } = options;
  const stdio: SpawnOptions["stdio"] = interactive ? "inherit" : ["ignore", "pipe", "pipe", ...(options.extra ?? [])];
  // The kernel ends the child when we die without a chance to do so.
  const guard = which("setpriv");
  const child = guard
    ? spawn(guard, ["--pdeathsig", "KILL", command, ...args], { stdio })
    : spawn(command, args, { stdio });

  let stopped = false;
  let killer: NodeJS.Timeout | undefined;
  const stop = () => {
    if (interactive) return;
    stopped = true;
    child.kill("SIGTERM");
    killer ??= setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stop);

  let said = "";
  const console_ = new Lines(line);
  const errors = new Lines((text) => {
    if (quiet?.test(text)) return;
    said += `${text}\n`;
    process.stderr.write(`${text}\n`);
    line(text);
  });
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    process.stdout.write(chunk);
    console_.push(chunk);
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => errors.push(chunk));
  options.started?.(child);
  try {
    const status = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? (signal ? 128 : 1)));
    });
    errors.push("\n");
    return { status, said, stopped };
  } finally {
    clearTimeout(killer);
    for (const signal of signals) process.off(signal, stop);
  }
}
