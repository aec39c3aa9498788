// The command line of QEMU and what its end means.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseMachine, macAddress, qemuArguments, stopStatus, type MachineOptions } from "../../boot/cli/qemu.ts";

const base: MachineOptions = {
  machine: "microvm",
  nic: "virtio",
  boot: { kernel: "a.elf" },
  kvm: false,
  cpus: 1,
  memory_bytes: 64 << 20,
  network: { forwards: [{ host: 8080, port: 80, protocol: "tcp" }] },
};

const valuesOf = (args: string[], option: string) => args.filter((_, i) => args[i - 1] === option);

test("microvm under TCG: all that is not needed is off, the first port is forwarded on loopback only", () => {
  const args = qemuArguments(base);
  assert.match(valuesOf(args, "-M")[0], /^microvm,acpi=off,rtc=on,pit=off,pic=off/);
  assert.deepEqual(valuesOf(args, "-global"), ["virtio-mmio.force-legacy=false"]);
  assert.deepEqual([valuesOf(args, "-accel")[0], valuesOf(args, "-cpu")[0]], ["tcg", "max"]);
  assert.deepEqual(valuesOf(args, "-netdev"), ["user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80"]);
  assert.ok(valuesOf(args, "-device").includes(`virtio-net-device,netdev=net0,mac=${macAddress(0)}`));
  assert.deepEqual(valuesOf(args, "-initrd"), []);
});

test("q35 with two e1000 cards on TAP devices, each recorded, a bundle, KVM and gdb", () => {
  const args = qemuArguments({
    ...base,
    ...{ machine: "q35", nic: "e1000", kvm: true, cpus: 4, boot: { kernel: "a.elf", bundle: "b.tar" } },
    ...{ network: { taps: ["tap0", "tap1"] }, pcap: "x,y.pcap", gdb: 1234 },
  });
  assert.deepEqual(
    [valuesOf(args, "-accel")[0], valuesOf(args, "-cpu")[0], valuesOf(args, "-smp")[0]],
    ["kvm", "host", "4"],
  );
  assert.deepEqual(valuesOf(args, "-netdev"), [
    "tap,id=net0,ifname=tap0,script=no,downscript=no",
    "tap,id=net1,ifname=tap1,script=no,downscript=no",
  ]);
  assert.equal(valuesOf(args, "-device").filter((d) => d.startsWith("e1000,")).length, 2);
  assert.deepEqual(valuesOf(args, "-object"), [
    "filter-dump,id=dump0,netdev=net0,file=x,,y.pcap",
    "filter-dump,id=dump1,netdev=net1,file=x,,y.pcap.1",
  ]);
  assert.deepEqual(valuesOf(args, "-initrd"), ["b.tar"]);
  assert.ok(args.includes("-S"));
});

test("a disk image is booted without -kernel and is not written to", () => {
  const args = qemuArguments({ ...base, machine: "pc", boot: { disk: "a.img" } });
  assert.ok(!args.includes("-kernel"));
  assert.match(valuesOf(args, "-drive")[0], /file=a\.img,format=raw,.*snapshot=on/);
});

test("machine and card follow from what was asked; what cannot work is refused with what can", () => {
  assert.deepEqual(chooseMachine(undefined, undefined, false), { machine: "microvm", nic: "virtio" });
  assert.deepEqual(chooseMachine(undefined, "e1000", false), { machine: "q35", nic: "e1000" });
  assert.deepEqual(chooseMachine(undefined, undefined, true), { machine: "pc", nic: "virtio" });
  assert.throws(() => chooseMachine("microvm", "e1000", false), /--machine q35/);
  assert.throws(() => chooseMachine("microvm", undefined, true), /--machine/);
});

test("the exit status is the image's, unless QEMU itself failed", () => {
  assert.equal(stopStatus(0, ""), 0);
  assert.equal(stopStatus(1, ""), 0);
  assert.equal(stopStatus(7, ""), 3);
  assert.equal(stopStatus(1, "qemu-system-x86_64: no such file\n"), 1);
});
