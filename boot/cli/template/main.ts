import { TcpConnection, TcpListener } from "heddle/net";
import { spawn } from "heddle/fibers";
