// Loads a configuration: finds config.json in the bundles, parses it, and hands its root to the readers of each part. It is
// accepted as a whole or not at all: nothing takes effect before every part was read and `accept` found no mistake.
// clang: -Oz

import { coreNumber } from "../cores/index";
import { log, LogLevel, print } from "../log";
import { JsonDocument } from "../json/document";
import { parseJson } from "../json/parser";
import { Problems } from "../json/problems";
import { Bundles } from "./bundles";
import { Section, ConfigSource } from "./section";

/** What a machine without a configuration has. */
const EMPTY = String.UTF8.encode("{}");

export class Configuration {
  readonly problems: Problems;
  readonly document: JsonDocument;
  readonly source: ConfigSource;
  readonly root: Section;

  constructor(
    /** Name of the text in messages. */
    readonly name: string,
    text: usize,
    length_bytes: u32,
  ) {
    const problems = new Problems();
    const document = parseJson(text, length_bytes, problems);
    const source = new ConfigSource(document, problems);
    this.problems = problems;
    this.document = document;
    this.source = source;
    // After a syntax error the rest would only be guessed at.
    this.root = new Section(source, problems.count == 0 ? document.root : 0);
  }

  /** Whether there was no mistake; each one as a line. */
  get valid(): bool {
    return this.problems.count == 0;
  }
  lines(): Array<string> {
    return this.problems.render(this.name, this.document.text, this.document.length_bytes);
  }
}

/** The configuration in the bundles: config.json of the boot bundle, else of the embedded one, else "{}". */
export function loadConfiguration(bundles: Bundles): Configuration {
  if (bundles.error.length > 0) {
    const configuration = emptyConfiguration("bundle");
    configuration.problems.add(0, "", bundles.error);
    return configuration;
  }
  // All cores read the same.
  const level = coreNumber() == 0 ? LogLevel.INFO : LogLevel.DEBUG;
  const file = bundles.find("config.json");
  if (file == null) {
    log(level, "no config.json: the defaults of {}");
    return emptyConfiguration("config.json");
  }
  const from = bundles.boot.find("config.json") != null ? bundles.bootName : "embedded bundle";
  log(level, "config.json from " + from + ", " + file.length_bytes.toString() + " bytes");
  return new Configuration("config.json", file.address, file.length_bytes);
}

function emptyConfiguration(name: string): Configuration {
  return new Configuration(name, changetype<usize>(EMPTY), EMPTY.byteLength);
}

/** Prints what is wrong with a configuration. */
export function printProblems(configuration: Configuration): void {
  const lines = configuration.lines();
  for (let i = 0; i < lines.length; i++) print(lines[i]);
  print("configuration refused: nothing of it is in effect");
}
