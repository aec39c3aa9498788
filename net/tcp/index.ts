// The public face of TCP.

export { Connection, CONNECTION_BYTES, Event, Flag, State, TcpHandler } from "./connection";
export { describeFlows } from "./describe";
export { TcpLimits } from "./limits";
export { AcceptHandler, Listener } from "./listener";
export { receiveQueueCopy, receiveQueuePeek, receiveQueuePeekBytes } from "./receive";
export { sendRoom } from "./sendqueue";
export { stateName } from "./core";
export { tcpAt, TcpModule } from "./tcp";
