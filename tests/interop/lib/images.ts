// Builds what the tests run: images by the toolchain, the relay by clang. Each once; later runs find it in the cache.
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type BuildOptions } from "../../../boot/toolchain/index.ts";
import type { Network, Running } from "./network.ts";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

/** Builds a service, or with `tls` an appliance's image with TLS, for Linux; the path of the image. */
export async function hostedImage(
  directory: string,
  name: string,
  variant?: BuildOptions["variant"],
  tls = false,
): Promise<string> {
  const outDirectory = join(root, "dist", name);
  const built = await build({
    ...{ name, directory: join(root, directory), platform: "linux", profile: "image", outDirectory, variant, tls },
    progress: () => {},
  });
  return built.linux!;
}

const RELAY_SOURCES = ["tests/link/relay.c", "tests/link/impairment.c"].concat([
  "boot/platform/linux/link.c",
  "boot/platform/linux/packet.c",
]);
const RELAY_HEADERS = [
  "tests/link/impairment.h",
  "tests/link/pcap.h",
  "boot/platform/linux/host.h",
  "boot/platform/linux/inline.h",
];

/** The relay of tests/link, compiled when its sources have changed. */
export function relayProgram(): string {
  const hash = createHash("sha256");
  for (const file of [...RELAY_SOURCES, ...RELAY_HEADERS]) hash.update(readFileSync(join(root, file)));
  const path = join(root, ".cache", `relay-${hash.digest("hex").slice(0, 16)}`);
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true });
    const partial = `${path}.${process.pid}`;
    execFileSync("clang", ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", ...RELAY_SOURCES, "-o", partial], {
      cwd: root,
    });
    renameSync(partial, path);
  }
  return path;
}

export interface RelayCounters {
  frames: number;
  passed: number;
  loss: number;
  burst: number;
  mtu: number;
  queue: number;
  corrupted: number;
  duplicated: number;
  reordered: number;
}

/**
 * Puts a bad link between the image and the host: `image` is the TAP for the image, `host` the one with the host's
 * address. A bridge joins the image's TAP and the relay's, so that the kernel cuts large frames before they are judged.
 */
export async function badLink(
  network: Network,
  image: string,
  host: string,
  address: string,
  options: string[],
): Promise<Running> {
  await network.tap(image);
  await network.tap(`${image}r`);
  await network.bridge(`${image}b`, [image, `${image}r`]);
  await network.tap(host, address);
  const relay = network.start(relayProgram(), [...options, `tap:${image}r`, `tap:${host}`]);
  await relay.until(/^ready/m);
  return relay;
}

/** Ends the relay and gives what it counted from A (the image) to B (the host) and back. */
export async function relayCounters(relay: Running): Promise<{ ab: RelayCounters; ba: RelayCounters }> {
  await relay.stop();
  return JSON.parse(relay.output.split("\n").find((line) => line.startsWith("{"))!);
}
