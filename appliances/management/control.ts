// The configuration that is in effect, and its change while the machine runs (CONFIG.md, Management).
//
//   boot --> IN EFFECT --change--> ON TRIAL --confirm, on a new connection--> IN EFFECT
//                ^                     `--time is up--> the one before it, again
//                `-------------------------------------------'
//
// Invariants
// 1. What is in effect was read without a mistake, as a whole; a change is read whole before anything of it is in effect.
// 2. At most one configuration is on trial; the one before it is kept, and reading it again finds no mistake.
// 3. All cores go by the same text: core 0 publishes it, the others read it alike.
// clang: -Oz

import {
  acknowledge,
  Configuration,
  coreCount,
  coreNumber,
  log,
  LogLevel,
  onPublished,
  publish,
  publishedBytes,
  readPublished,
  sha256,
  Topic,
} from "../../runtime";
import { now, sleep, spawn } from "../../fibers";
import { Stack } from "../../net";
import { Appliance } from "./appliance";
import { CommonSettings } from "./common";

const NAME: string = "config.json";
const EMPTY: string = "{}";

/** A configuration's text, read. */
export class Version {
  /** First half of the SHA-256 of the text, in hexadecimal: its entity tag. */
  readonly tag: string;
  readonly configuration: Configuration;

  constructor(readonly text: StaticArray<u8>) {
    const at = changetype<usize>(text);
    const digest = new StaticArray<u8>(32);
    sha256(at, text.length, changetype<usize>(digest));
    let tag = "";
    for (let i = 0; i < 16; i++) tag += (<u32>digest[i]).toString(16).padStart(2, "0");
    this.tag = tag;
    this.configuration = new Configuration(NAME, at, text.length);
  }

  /** A copy of bytes. */
  static copy(at: usize, length: u32): Version {
    const text = new StaticArray<u8>(<i32>length);
    memory.copy(changetype<usize>(text), at, length);
    return new Version(text);
  }
}

/** Told after each change, on this core. */
export abstract class Watcher {
  abstract changed(before: CommonSettings, after: CommonSettings): void;
}

export class Control {
  current: Version;
  /** What the current one replaced, while it is on trial. */
  private previous: Version | null = null;
  /** Grows with each configuration on trial, so that a timer finds its own. */
  private trial: u32 = 0;
  /** When the one on trial came into effect, monotonic ns; i64.MAX_VALUE: not yet. */
  private effective_ns: i64 = i64.MAX_VALUE;
  private until_ns: i64 = 0;
  changes: u64 = 0;
  rollbacks: u64 = 0;
  watcher: Watcher | null = null;

  /** @param booted what was read at boot and is in effect */
  constructor(
    readonly appliance: Appliance,
    readonly stack: Stack,
    booted: Configuration,
    public settings: CommonSettings,
  ) {
    const length = booted.document.length_bytes;
    this.current =
      length > 0 ? Version.copy(booted.document.text, length) : new Version(StaticArray.fromArray(bytesOf(EMPTY)));
  }

  /** Whether the current one is on trial, and for how long still, ns. */
  get onTrial(): bool {
    return this.previous != null;
  }
  get left_ns(): i64 {
    return max(this.until_ns - now(), 0);
  }

  /** Why a read configuration cannot be applied without a reboot; empty: it can. */
  obstacle(next: CommonSettings): string {
    const common = this.settings.obstacle(next);
    return common.length > 0 ? common : this.appliance.obstacle();
  }

  /**
   * Tries a configuration that `appliance.read` has just accepted, after `delay_ms`, for as long as it is not confirmed.
   * @returns whether it will be tried: not without memory for the fiber that takes it back
   */
  begin(next: Version, patience_ns: i64, delay_ms: i64): bool {
    this.trial++;
    const trial = new Trial(this, next, this.trial, patience_ns, delay_ms);
    this.previous = this.current;
    this.effective_ns = i64.MAX_VALUE;
    this.until_ns = now() + patience_ns + delay_ms * 1_000_000;
    if (spawn<Trial>(runTrial, trial) != null) return true;
    this.previous = null;
    return false;
  }

  /** Ends the trial. @param opened_ns when the connection of who confirms was taken */
  confirm(opened_ns: i64): bool {
    if (this.previous == null || opened_ns <= this.effective_ns) return false;
    this.previous = null;
    log(LogLevel.INFO, "configuration " + this.current.tag + " confirmed");
    return true;
  }

  run(trial: Trial): void {
    sleep(trial.delay_ms);
    this.put(trial.next);
    this.changes++;
    log(LogLevel.INFO, "configuration " + trial.next.tag + " in effect, to be confirmed");
    this.effective_ns = now();
    while (this.trial == trial.number && this.previous != null && now() < this.until_ns) sleep(50);
    const previous = this.previous;
    if (this.trial != trial.number || previous == null) return;
    this.put(previous);
    this.previous = null;
    this.rollbacks++;
    log(LogLevel.ERROR, "configuration " + trial.next.tag + " was not confirmed: " + previous.tag + " is back");
  }

  /** Puts a version into effect on all cores. It was read without a mistake before. */
  private put(version: Version): void {
    this.current = version;
    if (coreCount() > 1) publish(Topic.CONFIGURATION, changetype<usize>(version.text), version.text.length);
    this.take(version);
  }

  /** Puts a version into effect on this core. */
  take(version: Version): void {
    const next = this.appliance.read(new Configuration(NAME, changetype<usize>(version.text), version.text.length));
    const before = this.settings;
    next.change(this.stack, before, coreNumber() == 0);
    this.appliance.commit();
    this.settings = next;
    const watcher = this.watcher;
    if (watcher != null) watcher.changed(before, next);
  }
}

class Trial {
  constructor(
    readonly control: Control,
    readonly next: Version,
    readonly number: u32,
    readonly patience_ns: i64,
    readonly delay_ms: i64,
  ) {}
}

function runTrial(trial: Trial): void {
  trial.control.run(trial);
}

function bytesOf(text: string): Array<u8> {
  const bytes = new Array<u8>();
  for (let i = 0; i < text.length; i++) bytes.push(<u8>text.charCodeAt(i));
  return bytes;
}

let following: Control | null = null;

/** Another core: goes by what core 0 publishes. */
export function follow(control: Control): void {
  following = control;
  onPublished(Topic.CONFIGURATION, takePublished);
  takePublished(Topic.CONFIGURATION);
}

function takePublished(topic: Topic): void {
  const control = following;
  const length = publishedBytes(topic);
  if (control == null || length == 0) return;
  const text = new StaticArray<u8>(<i32>length);
  const version = readPublished(topic, changetype<usize>(text), length);
  if (version == 0) return;
  const exact = Version.copy(changetype<usize>(text), publishedBytes(topic));
  control.take(exact);
  acknowledge(topic, version);
}
