// The TCP that sockets of this core use.

import { Stack } from "../stack";
import { TcpLimits, TcpModule } from "../tcp/index";

let module: TcpModule | null = null;

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
