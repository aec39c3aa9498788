// The public face of sockets.

export { coreTcp, startTcp } from "./core";
export { NO_DEADLINE, Stream } from "./stream";
export { TcpListener } from "./tcp-listener";
export { socketError, TcpStream } from "./tcp-stream";
