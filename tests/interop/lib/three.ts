// Client, firewall and server: two network namespaces with Linux's stack, joined by nothing but an image between two TAP
// devices, which live in the namespace of the image and reach the others by bridges and veth pairs.
import { Network, type Result, Running } from "./network.ts";

/** A namespace beside the network's own, with one end of a veth pair as `eth0`. */
export class Host {
  private readonly network: Network;
  readonly name: string;

  constructor(network: Network, name: string) {
    this.network = network;
    this.name = name;
  }

  private inside(command: string, args: string[]): [string, string[]] {
    return ["nsenter", [`--net=/proc/${this.pid}/ns/net`, command, ...args]];
  }
  pid = 0;

  run(command: string, args: string[] = [], timeout_ms = 30_000): Promise<Result> {
    return this.network.run(...this.inside(command, args), timeout_ms);
  }
  must(command: string, args: string[] = [], timeout_ms = 30_000): Promise<string> {
    return this.network.must(...this.inside(command, args), timeout_ms);
  }
  start(command: string, args: string[] = []): Running {
    return this.network.start(...this.inside(command, args));
  }
}

/**
 * Makes a host behind TAP `tap` of the network.
 * @param addresses with prefix lengths; @param gateways default gateways; @param options `queues`: a queue for each core
 */
export async function addHost(
  network: Network,
  name: string,
  tap: string,
  addresses: string[],
  gateways: string[],
  options: { queues?: boolean } = {},
): Promise<Host> {
  const host = new Host(network, name);
  const holder = network.start("unshare", ["-n", "sh", "-c", "ip link set lo up; echo pid $$; exec sleep 100000"]);
  host.pid = Number((await holder.until(/pid (\d+)/))[1]);
  await network.tap(tap, undefined, options);
  const [outer, inner] = [`${tap}v`, `${tap}i`];
  await network.must("ip", ["link", "add", outer, "type", "veth", "peer", "name", inner]);
  await network.must("ip", ["link", "set", inner, "netns", String(host.pid), "name", "eth0"]);
  await network.must("ip", ["link", "set", outer, "up"]);
  await network.bridge(`${tap}b`, [tap, outer]);
  const script = [
    "sysctl -qw net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.accept_ra=0 net.ipv4.tcp_syn_retries=2",
    "ip link set eth0 up",
    ...addresses.map((address) => `ip addr add ${address} dev eth0${address.includes(":") ? " nodad" : ""}`),
    ...gateways.map((gateway) => `ip ${gateway.includes(":") ? "-6 " : ""}route add default via ${gateway}`),
  ].join(" && ");
  await host.must("sh", ["-c", script]);
  return host;
}
