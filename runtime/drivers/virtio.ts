// virtio's initialisation over its transports (VIRTIO 1.2, 3.1.1), with the few registers that a driver may touch; the
// platform owns queues and addresses.
// clang: -Oz

import { regRead, regWrite, Region, Transport } from "../platform";

const STATUS_ACKNOWLEDGE: i64 = 1;
const STATUS_DRIVER: i64 = 2;
const STATUS_DRIVER_OK: i64 = 4;
const STATUS_FEATURES_OK: i64 = 8;
const STATUS_FAILED: i64 = 128;

/** VIRTIO_F_VERSION_1: not a transitional device's legacy interface. */
export const F_VERSION_1: u64 = 1 << 32;

export class Virtio {
  /** Features that both sides have. */
  features: u64 = 0;
  private acknowledges: bool;

  constructor(
    readonly device: i32,
    readonly transport: i32,
  ) {
    // Over PCI with MSI-X there is nothing to acknowledge; the platform says so with -1.
    this.acknowledges = this.isMmio || (transport != Transport.HOST && regRead(device, Region.ISR, 0, 1) >= 0);
  }

  get isMmio(): bool {
    return this.transport == Transport.VIRTIO_MMIO || this.transport == Transport.VIRTIO_MMIO_LEGACY;
  }

  /**
   * Steps 1 to 6 of the initialisation: agrees on what is both offered and wanted.
   * @param dependent wanted only from a device that offers all of `base` too
   * @returns false when the device does not accept it
   */
  negotiate(wanted: u64, dependent: u64 = 0, base: u64 = 0): bool {
    this.setStatus(STATUS_ACKNOWLEDGE);
    this.setStatus(STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    const offered = this.offered();
    const features = offered & ((offered & base) == base ? wanted | dependent : wanted);
    if (!this.accept(features)) {
      this.setStatus(STATUS_FAILED);
      return false;
    }
    this.features = features;
    if (features & F_VERSION_1 && this.transport != Transport.HOST) {
      const status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
      this.setStatus(status);
      if (!(this.status() & STATUS_FEATURES_OK)) {
        this.setStatus(STATUS_FAILED);
        return false;
      }
    }
    return true;
  }

  /** Step 8: the device may work. */
  start(): void {
    const ok = this.features & F_VERSION_1 ? STATUS_FEATURES_OK : 0;
    this.setStatus(STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK | ok);
  }

  /** Acknowledges an interrupt, so that the next one can come. */
  acknowledge(): void {
    if (!this.acknowledges) return;
    if (this.isMmio) regWrite(this.device, Region.TRANSPORT, 0x64, 4, 3);
    else regRead(this.device, Region.ISR, 0, 1);
  }

  private offered(): u64 {
    switch (this.transport) {
      case Transport.HOST:
        return regRead(this.device, Region.TRANSPORT, 0, 8);
      case Transport.VIRTIO_PCI_LEGACY:
        return <u64>regRead(this.device, Region.TRANSPORT, 0, 4);
      case Transport.VIRTIO_PCI_MODERN:
        return this.selected(0, 4, 0) | (this.selected(0, 4, 1) << 32);
      case Transport.VIRTIO_MMIO:
        return this.selected(0x14, 0x10, 0) | (this.selected(0x14, 0x10, 1) << 32);
      default:
        return this.selected(0x14, 0x10, 0);
    }
  }

  private selected(select: i32, register: i32, word: i64): u64 {
    regWrite(this.device, Region.TRANSPORT, select, 4, word);
    return <u64>regRead(this.device, Region.TRANSPORT, register, 4);
  }

  private accept(features: u64): bool {
    const low = features & 0xffff_ffff;
    const high = features >> 32;
    switch (this.transport) {
      case Transport.HOST:
        return regWrite(this.device, Region.TRANSPORT, 8, 8, features) == 0;
      case Transport.VIRTIO_PCI_LEGACY:
        return regWrite(this.device, Region.TRANSPORT, 4, 4, low) == 0;
      case Transport.VIRTIO_PCI_MODERN:
        return this.put(8, 12, 0, low) && this.put(8, 12, 1, high);
      case Transport.VIRTIO_MMIO:
        return this.put(0x24, 0x20, 0, low) && this.put(0x24, 0x20, 1, high);
      default:
        return this.put(0x24, 0x20, 0, low);
    }
  }

  private put(select: i32, register: i32, word: i64, value: u64): bool {
    return (
      regWrite(this.device, Region.TRANSPORT, select, 4, word) == 0 &&
      regWrite(this.device, Region.TRANSPORT, register, 4, value) == 0
    );
  }

  private status(): i64 {
    if (this.isMmio) return regRead(this.device, Region.TRANSPORT, 0x70, 4);
    return regRead(this.device, Region.TRANSPORT, this.transport == Transport.VIRTIO_PCI_LEGACY ? 18 : 20, 1);
  }

  private setStatus(status: i64): void {
    if (this.transport == Transport.HOST) return;
    if (this.isMmio) regWrite(this.device, Region.TRANSPORT, 0x70, 4, status);
    else regWrite(this.device, Region.TRANSPORT, this.transport == Transport.VIRTIO_PCI_LEGACY ? 18 : 20, 1, status);
  }
}
