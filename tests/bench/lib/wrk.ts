// HTTP load by wrk: one thread, closed loop, bounded in time. An error of any kind makes the measurement void.
import { cpu_s, instructions, type Lab, type Subject } from "./lab.ts";

export interface WrkOptions {
  connections?: number;
  seconds?: number;
  path?: string;
  /** A connection for each request. */
  close?: boolean;
  port?: number;
  /** HTTPS, on port 443. */
  tls?: boolean;
}

/** Requests a second, per CPU second of the server's process, instructions a request where they are counted, latency. */
export async function wrk(
  lab: Lab,
  subject: Subject,
  { connections = 64, seconds = 2, path = "/", close = false, tls = false, port = tls ? 443 : 80 }: WrkOptions = {},
): Promise<Record<string, number>> {
  const command = ["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "--latency"];
  if (close) command.push("-H", "Connection: close");
  command.push(`${tls ? "https" : "http"}://${subject.address}:${port}${path}`);
  const [cpuBefore, before] = [cpu_s(subject.running.pid), subject.counts && instructions(subject.counts)];
  const text = await lab.load(command);
  const [cpuAfter, after] = [cpu_s(subject.running.pid), subject.counts && instructions(subject.counts)];
  if (/Socket errors|Non-2xx/.test(text) && !/Socket errors: connect 0, read \d+, write 0, timeout 0/.test(text))
    throw new Error(`wrk had errors with ${subject.command}:\n${text}`);
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  if (!(requests > 0)) throw new Error(`no request of wrk was answered by ${subject.command}:\n${text}`);
  const latency = (percentile: string) => {
    const found = new RegExp(`^ +${percentile}% +([\\d.]+)(us|ms|s) *$`, "m").exec(text);
    if (!found) throw new Error(`wrk printed no latency:\n${text}`);
    const [, value, unit] = found;
    return Number(value) * { us: 1e-3, ms: 1, s: 1e3 }[unit as "us" | "ms" | "s"];
  };
  const bytes = /([\d.]+)(B|KB|MB|GB) read/.exec(text)!;
  const scale = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }[bytes[2] as "B" | "KB" | "MB" | "GB"];
  return {
    rate: Number(/Requests\/sec: +([\d.]+)/.exec(text)![1]),
    megabytes: (Number(bytes[1]) * scale) / 1e6 / seconds,
    perCpu: requests / (cpuAfter - cpuBefore),
    p50: latency("50"),
    p99: latency("99"),
    ...(before && after ? { instructions: (after.all - before.all) / requests } : {}),
  };
}

/**
 * TLS handshakes by eight `openssl s_time` at once, each a closed loop that fetches a page: full ones, or resumed ones. wrk
 * resumes its sessions wherever it can.
 * @returns handshakes per CPU second of the server's process, and instructions each where they are counted
 */
export async function handshakes(lab: Lab, subject: Subject, resumed: boolean): Promise<Record<string, number>> {
  const one = `openssl s_time -connect ${subject.address}:443 ${resumed ? "-reuse" : "-new"} -tls1_3 -time 2 -www /`;
  const [cpuBefore, before] = [cpu_s(subject.running.pid), subject.counts && instructions(subject.counts)];
  const text = await lab.load(["sh", "-c", `for i in 1 2 3 4 5 6 7 8; do ${one} 2>&1 & done; wait`]);
  const [cpuAfter, after] = [cpu_s(subject.running.pid), subject.counts && instructions(subject.counts)];
  const counts = [...text.matchAll(/^(\d+) connections in \d+ real seconds/gm)].map((match) => Number(match[1]));
  const made = counts.reduce((sum, count) => sum + count, 0);
  if (counts.length !== 8 || counts.some((count) => count === 0) || /error/i.test(text))
    throw new Error(`s_time had errors with ${subject.command}:\n${text}`);
  return {
    perCpu: made / (cpuAfter - cpuBefore),
    ...(before && after ? { instructions: (after.all - before.all) / made } : {}),
  };
}
