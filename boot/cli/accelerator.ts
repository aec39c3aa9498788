// KVM or not. /dev/kvm alone proves nothing: inside a virtual machine the device may be there without the CPU's help.
import { accessSync, constants, existsSync, readFileSync } from "node:fs";

export interface Accelerator {
  kvm: boolean;
  /** Why, for people. */
  reason: string;
}

export function accelerator(cpuinfo = "/proc/cpuinfo", device = "/dev/kvm"): Accelerator {
  const flags = readFileSync(cpuinfo, "utf8").match(/^flags\s*:.*$/m)?.[0] ?? "";
  if (!/\b(vmx|svm)\b/.test(flags)) return { kvm: false, reason: "the CPU offers neither vmx nor svm" };
  if (!existsSync(device))
    return { kvm: false, reason: `${device} does not exist: sudo modprobe kvm_intel (or kvm_amd)` };
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
  } catch {
    return { kvm: false, reason: `no permission for ${device}: sudo adduser $USER kvm, then log in again` };
  }
  return { kvm: true, reason: device };
}
