// QEMU's command line for an image. Pure: what to run follows from the options alone.
import type { Forward } from "./ports.ts";
import { Problem } from "./problem.ts";

export const machines = ["microvm", "q35", "pc"] as const;
export const nics = ["virtio", "e1000"] as const;
export type Machine = (typeof machines)[number];
export type Nic = (typeof nics)[number];

export interface MachineOptions {
  machine: Machine;
  nic: Nic;
  /** The ELF, booted by PVH, or a disk image, booted by its boot sector. */
  boot: { kernel: string; bundle?: string } | { disk: string; format?: string };
  kvm: boolean;
  cpus: number;
  memory_bytes: number;
  network: { forwards: Forward[] } | { taps: string[]; queues?: number };
  pcap?: string;
  gdb?: number;
}

/** The address of card `index`: locally administered, the same at every run. */
export function macAddress(index: number): string {
  return `52:54:00:68:64:${index.toString(16).padStart(2, "0")}`;
}

/** Settles machine and card where only one combination works. @throws Problem for one that cannot */
export function chooseMachine(
  machine: Machine | undefined,
  nic: Nic | undefined,
  disk: boolean,
): { machine: Machine; nic: Nic } {
  if (machine === "microvm" && disk)
    throw new Problem("--disk: microvm has no disk to boot from; use --machine q35 or --machine pc");
  if (machine === "microvm" && nic === "e1000")
    throw new Problem("--nic e1000: microvm has no PCI; use --machine q35 or --machine pc");
  return { machine: machine ?? (disk ? "pc" : nic === "e1000" ? "q35" : "microvm"), nic: nic ?? "virtio" };
}

// QEMU reads a comma as the end of a value, two as one comma.
const quote = (path: string) => path.replace(/,/g, ",,");

/** Where the frames of card `index` go. */
export function pcapFile(pcap: string, index: number): string {
  return index === 0 ? pcap : `${pcap}.${index}`;
}

export function qemuArguments(options: MachineOptions): string[] {
  const { machine, nic, boot, network } = options;
  const args = ["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"];
  if (machine === "microvm") {
    args.push("-M", "microvm,acpi=off,rtc=on,pit=off,pic=off,isa-serial=on,x-option-roms=off,auto-kernel-cmdline=on");
    args.push("-global", "virtio-mmio.force-legacy=false");
  } else {
    args.push("-M", machine);
  }
  args.push("-accel", options.kvm ? "kvm" : "tcg", "-cpu", options.kvm ? "host" : "max");
  args.push("-smp", String(options.cpus), "-m", `${Math.ceil(options.memory_bytes / 2 ** 20)}M`);
  // By this port an image tells its exit status; see stopStatus.
  args.push("-device", "isa-debug-exit,iobase=0x501,iosize=1");

  if ("disk" in boot) {
    args.push("-drive", `file=${quote(boot.disk)},format=${boot.format ?? "raw"},if=ide,snapshot=on`);
  } else {
    args.push("-kernel", boot.kernel);
    if (boot.bundle) args.push("-initrd", boot.bundle);
  }

  // A queue pair for each CPU: MSI-X has a vector for each queue, one for the control queue and one for the configuration.
  const queues = "taps" in network && nic === "virtio" && machine !== "microvm" ? (network.queues ?? 1) : 1;
  const several = queues > 1 ? `,mq=on,vectors=${2 * queues + 2}` : "";
  const netdevs =
    "taps" in network
      ? network.taps.map(
          (tap, i) =>
            `tap,id=net${i},ifname=${tap},script=no,downscript=no${queues > 1 ? `,queues=${queues},vhost=off` : ""}`,
        )
      : [
          [
            "user,id=net0",
            ...network.forwards.map((f) => `hostfwd=${f.protocol}:127.0.0.1:${f.host}-:${f.port}`),
          ].join(),
        ];
  const device = nic === "e1000" ? "e1000" : machine === "microvm" ? "virtio-net-device" : "virtio-net-pci";
  netdevs.forEach((netdev, i) => {
    args.push("-netdev", netdev, "-device", `${device},netdev=net${i},mac=${macAddress(i)}${several}`);
    if (options.pcap)
      args.push("-object", `filter-dump,id=dump${i},netdev=net${i},file=${quote(pcapFile(options.pcap, i))}`);
  });
  if (options.gdb) args.push("-gdb", `tcp:127.0.0.1:${options.gdb}`, "-S");
  return args;
}

/**
 * The image's exit status: isa-debug-exit makes QEMU exit with 2 * status + 1, a power-off or reset with 0.
 * @param said what QEMU itself wrote to stderr: with it, 1 is QEMU's own failure
 */
export function stopStatus(code: number, said: string): number {
  if (code === 1 && said.trim()) return 1;
  return code % 2 === 1 ? (code - 1) / 2 : code;
}
