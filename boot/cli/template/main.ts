// replaced when sockets exist
import { spawn } from "heddle/fibers";
