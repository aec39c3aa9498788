// The runtime's public face.
export * from "./errors";
export {
  BundleSource,
  callable,
  clockMonotonic,
  clockWall,
  consoleWrite,
  coreState,
  CoreState,
  DeviceKind,
  devCount,
  devKind,
  exit,
  fibersReport,
  info,
  Info,
  LOOP_STACK,
  panic,
  panicPolicy,
  PanicPolicy,
  Pending,
  random,
  reboot,
  stackCreate,
  stackFree,
  stackSwitch,
  tlsCertificate,
  tlsCertificateFact,
  TlsCertificateFact,
  tlsContext,
  tlsFact,
  TlsFact,
  tlsFree,
  tlsMemory,
  TlsMemory,
  tlsOpen,
  TlsPolicy,
  tlsStaple,
  tlsProtocols,
  TlsStatus,
  tlsStep,
  TlsStep,
  tlsTicketSecret,
  tlsTrust,
  trapTaken,
  watchdog,
} from "./platform";
export { formatTime, setWallTime, wallTime } from "./wall";
export * from "./memory/packet";
export { Timer, TimerCallback, TimerWheel, TICK_SHIFT } from "./loop/timer";
export { addSource, loopHalts, loopNow, loopTurns, onShutdown, runLoop, Source, stopLoop, timers } from "./loop/loop";
export { Card, CardOffload } from "./drivers/card";
export { CardSender, receivePort, sendPort } from "./drivers/shared-card";
export { sharedKey } from "./drivers/published-cards";
export { findCards, openCard, openCards, openError } from "./drivers/cards";
export {
  addLogSink,
  configureLog,
  LEVEL_NAMES,
  log,
  logBytes,
  decimal,
  LogLevel,
  LogSink,
  logs,
  logReports,
  print,
  removeLogSink,
  uptime,
} from "./log";
export { counter, Counter } from "./notes";
export { LogReader, resizeLogRing, ringCount } from "./log-ring";
export * from "./json/index";
export * from "./config/index";
export * from "./crypto/index";
export { collectAtSwitch, collectNow, stressing } from "./memory/collector";
export * from "./cores/index";
