// What sockets of this core use: its stack, TCP and UDP, and why the last one could not be opened.

import { Errno } from "../../runtime";
import { coreStack } from "../source";
import { Stack } from "../stack";
import { TcpLimits, TcpModule } from "../tcp/index";
import { Udp } from "../udp/index";

let module: TcpModule | null = null;
let datagrams: Udp | null = null;
let lastError: i32 = 0;

/** Gives the stack TCP and makes it the one of this core's sockets. Once, before the first socket. */
export function startTcp(stack: Stack, limits: TcpLimits = new TcpLimits()): TcpModule {
  const tcp = new TcpModule(stack, limits);
  module = tcp;
  return tcp;
}

/** This core's TCP, or null before `startTcp`. */
export function coreTcp(): TcpModule | null {
  return module;
}

/** This core's UDP, which the stack gets with the first socket; null with `socketError()` ENETDOWN before there is a stack. */
export function coreUdp(): Udp | null {
  let udp = datagrams;
  if (udp != null) return udp;
  const stack = coreStack();
  if (stack == null) {
    lastError = Errno.ENETDOWN;
    return null;
  }
  udp = new Udp(stack);
  datagrams = udp;
  return udp;
}

/** Why the last call that opens a socket gave null: a negative Errno. */
export function socketError(): i32 {
  return lastError;
}
export function setSocketError(error: i32): void {
  lastError = error;
}
