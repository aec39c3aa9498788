// The public face of sockets.

export { coreTcp, coreUdp, socketError, startTcp } from "./core";
export { ping } from "./ping";
export { Addresses, configureNames, NameSettings, resolve, resolveError } from "./resolve";
export { NO_DEADLINE, Stream } from "./stream";
export { TcpListener } from "./tcp-listener";
export { TcpStream } from "./tcp-stream";
export { UdpSocket } from "./udp";
