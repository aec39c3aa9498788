// Inside the network namespace of `heddle run --hosted` (hosted.ts): makes the TAP device, starts the image on it, and
// connects sockets that arrive over the IPC channel, accepted in the host's namespace, to the image's ports.
//
// Plain JavaScript without packages: it starts at once, and runs where nothing else does.
import { execFileSync, spawn } from "node:child_process";
import { createConnection } from "node:net";

const { address, prefix, host, tap, program } = JSON.parse(process.argv[2]);
process.env.PATH += ":/usr/sbin:/sbin";

const ip = (...args) => execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
try {
  ip("link", "set", "lo", "up");
  ip("tuntap", "add", tap, "mode", "tap", "multi_queue");
  ip("addr", "add", `${host}/${prefix}`, "dev", tap);
  ip("link", "set", tap, "up");
} catch (error) {
  const said = `${error.stderr ?? error.message}`.trim();
  const cure = said.includes("/dev/net/tun") ? "; do: sudo modprobe tun" : "";
  console.error(`heddle: cannot make a TAP device: ${said}${cure}`);
  process.exit(1);
}

const image = spawn("setpriv", ["--pdeathsig", "KILL", ...program], { stdio: "inherit" });
image.on("error", (error) => {
  console.error(`heddle: ${error.message}`);
  process.exit(1);
});
image.on("exit", (code, signal) => process.exit(code ?? (signal ? 128 : 1)));
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => image.kill("SIGTERM"));
process.on("disconnect", () => image.kill("SIGTERM"));

process.on("message", ({ port }, socket) => {
  if (!socket) return;
  const guest = createConnection({ host: address, port, allowHalfOpen: true });
  socket.allowHalfOpen = true;
  const close = () => {
    socket.destroy();
    guest.destroy();
  };
  socket.on("error", close);
  guest.on("error", close);
  guest.on("connect", () => {
    socket.pipe(guest);
    guest.pipe(socket);
  });
});
