// The bundles of this machine: the one given at boot, and the one embedded when the image was built, which gives the files
// that the first does not have. Which one won is logged.
// clang: -Oz

import { info, Info, BundleSource } from "../platform";
import { log, LogLevel } from "../log";
import { Bundle, BundleFile } from "./ustar";

export class Bundles {
  constructor(
    readonly boot: Bundle,
    readonly embedded: Bundle,
    /** Where the first came from, for messages. */
    readonly bootName: string,
  ) {}

  /** The file of that path: from the boot bundle, else from the embedded one, else null. */
  find(path: string): BundleFile | null {
    const file = this.boot.find(path);
    return file != null ? file : this.embedded.find(path);
  }

  /** All files whose path starts with `prefix`, each path once. */
  under(prefix: string): Array<BundleFile> {
    const files = new Array<BundleFile>();
    for (let i = 0; i < this.boot.files.length; i++) {
      const file = this.boot.files[i];
      if (file.path.startsWith(prefix)) files.push(file);
    }
    for (let i = 0; i < this.embedded.files.length; i++) {
      const file = this.embedded.files[i];
      if (file.path.startsWith(prefix) && this.boot.find(file.path) == null) files.push(file);
    }
    return files;
  }

  /** What is wrong with the bundles; empty when they can be used. */
  get error(): string {
    if (this.boot.error.length > 0) return this.bootName + ": " + this.boot.error;
    if (this.embedded.error.length > 0) return "embedded bundle: " + this.embedded.error;
    return "";
  }
}

/** The bundles that the platform has mapped. */
export function openBundles(): Bundles {
  const name = sourceName(<i32>info(Info.BUNDLE_SOURCE));
  const boot = new Bundle(<usize>info(Info.BUNDLE_ADDRESS), <u32>info(Info.BUNDLE_BYTES));
  const embedded = new Bundle(<usize>info(Info.EMBEDDED_ADDRESS), <u32>info(Info.EMBEDDED_BYTES));
  log(
    LogLevel.DEBUG,
    "bundle from " +
      name +
      ": " +
      boot.files.length.toString() +
      " files; embedded: " +
      embedded.files.length.toString(),
  );
  return new Bundles(boot, embedded, name);
}

function sourceName(source: i32): string {
  if (source == BundleSource.PVH_MODULE) return "boot module (initrd)";
  if (source == BundleSource.FW_CFG) return "fw_cfg opt/heddle/config";
  if (source == BundleSource.IMAGE) return "bundle of the image";
  if (source == BundleSource.EMBEDDED) return "embedded bundle";
  if (source == BundleSource.FILE) return "bundle file";
  return "no bundle";
}
