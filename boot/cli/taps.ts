// Checks of `--tap IF[,IF...]` before anything is built or started.
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { Problem } from "./problem.ts";

const IFF_MULTI_QUEUE = 0x0100;

const read = (path: string) => (existsSync(path) ? readFileSync(path, "utf8").trim() : undefined);

/** Queues that the devices can have, all of them: as many as CPUs where they were made with `multi_queue`, else 1. */
export function tapQueues(names: string[], cpus: number): number {
  const several = (name: string) => (Number(read(`/sys/class/net/${name}/tun_flags`) ?? 0) & IFF_MULTI_QUEUE) !== 0;
  return names.every(several) ? cpus : 1;
}

/** @throws Problem with the commands that make or open the device */
export function checkTaps(names: string[], uid = process.getuid?.() ?? 0): void {
  for (const name of names) {
    if (!/^[\w.-]{1,15}$/.test(name)) throw new Problem(`--tap ${name}: not the name of a network interface`);
    if (names.indexOf(name) !== names.lastIndexOf(name)) throw new Problem(`--tap: ${name} is named twice`);
  }
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new Problem(
      `--tap: ${absent ? "/dev/net/tun does not exist; do: sudo modprobe tun" : "no permission for /dev/net/tun; do: sudo chmod 666 /dev/net/tun"}`,
    );
  }
  for (const name of names) {
    const make = `sudo ip tuntap add ${name} mode tap user $USER && sudo ip link set ${name} up`;
    if (!existsSync(`/sys/class/net/${name}`))
      throw new Problem(`--tap ${name}: there is no such interface; do: ${make}`);
    const owner = read(`/sys/class/net/${name}/owner`);
    if (owner === undefined)
      throw new Problem(`--tap ${name}: this interface is no TAP device; a new one: ${make.replaceAll(name, "tap0")}`);
    if (uid !== 0 && owner !== String(uid))
      throw new Problem(
        `--tap ${name}: it belongs to somebody else; do: sudo ip tuntap del ${name} mode tap && ${make}`,
      );
  }
}
