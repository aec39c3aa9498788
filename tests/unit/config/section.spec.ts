// Sections: every key is read or refused, all mistakes of a document come together, each with place and advice.

import { Configuration } from "../../../runtime/config/configuration";
import { readMachine } from "../../../runtime/config/machine";

let text = new ArrayBuffer(0);
function load(source: string): Configuration {
  text = String.UTF8.encode(source);
  return new Configuration("c", changetype<usize>(text), text.byteLength);
}
function machineLines(source: string): string {
  const configuration = load(source);
  readMachine(configuration.root).log.finish();
  configuration.root.finish();
  return configuration.lines().join("\n");
}

describe("the machine's part", () => {
  it("has defaults for everything", () => {
    const configuration = load("{}");
    const machine = readMachine(configuration.root);
    configuration.root.finish();
    expect(configuration.valid).toBe(true);
    expect(machine.hostname).toBe("");
    expect(machine.logLevel).toBe(2);
    expect(machine.logConsole).toBe(true);
  });
  it("is read", () => {
    const configuration = load(
      '{"version": 1, "description": "x", "hostname": "web1", "log": {"level": "debug", "console": false}}',
    );
    const machine = readMachine(configuration.root);
    configuration.root.finish();
    expect(configuration.lines().join("\n")).toBe("");
    expect(machine.hostname).toBe("web1");
    expect(machine.logLevel).toBe(3);
    expect(machine.logConsole).toBe(false);
  });
  it("reports every mistake, sorted, with advice", () => {
    const lines = machineLines(
      '{"versoin": 1,\n "version": 2, "hostname": "a_b",\n "log": {"level": "inof", "ring": "1KB", "consol": true}, "xyz": 0}',
    ).split("\n");
    expect(lines.length).toBe(7);
    expect(lines[0]).toBe(
      'c:1:2: /versoin: unknown key; did you mean "version"? Allowed here: cores, description, hostname, log, version',
    );
    expect(lines[1]).toBe("c:2:13: /version: 2 is not a whole number from 1 to 1");
    expect(lines[2]).toBe(
      'c:2:28: /hostname: "a_b" is not a host name: letters, digits and hyphens, parts of at most 63 separated by dots',
    );
    expect(lines[3]).toBe(
      'c:3:19: /log/level: "inof" is not one of "error", "warn", "info", "debug"; did you mean "info"?',
    );
    expect(lines[4]).toBe('c:3:35: /log/ring: "1KB" is not a size from "4KiB" to "64MiB", such as "16KiB"');
    expect(lines[5]).toBe(
      'c:3:42: /log/consol: unknown key; did you mean "console"? Allowed here: console, description, level, ring',
    );
    expect(lines[6]).toBe("c:3:59: /xyz: unknown key; allowed here: cores, description, hostname, log, version");
  });
  it("refuses wrong kinds", () => {
    expect(machineLines("[]")).toBe("c:1:1: a list is not an object");
    expect(machineLines('{"log": 3}')).toBe("c:1:9: /log: 3 is not an object");
    expect(machineLines('{"hostname": 3}')).toBe("c:1:14: /hostname: 3 is not a host name");
    expect(machineLines('{"log": {"console": "yes"}}')).toBe('c:1:21: /log/console: "yes" is not true or false');
    expect(machineLines('{"version": 1.0}')).toBe("c:1:13: /version: 1.0 is not a whole number from 1 to 1");
    expect(machineLines('{"version": 1e0}')).toBe("c:1:13: /version: 1e0 is not a whole number from 1 to 1");
    expect(machineLines('{"version": 18446744073709551617}')).toBe(
      "c:1:13: /version: 18446744073709551617 is not a whole number from 1 to 1",
    );
    expect(machineLines('{"description": 1}')).toBe("c:1:17: /description: 1 is not a text");
  });
  it("guesses nothing after a syntax error", () => {
    expect(machineLines('{"hostnmae": "x", }')).toBe("c:1:17: a comma before the closing bracket");
  });
});

describe("bounds", () => {
  it("of durations and sizes are part of the message, and the default stands in", () => {
    const configuration = load('{"d": "5h", "s": 16, "t": "1s", "u": "2KiB"}');
    const root = configuration.root;
    expect(root.duration("d", "10s", "1s", "1h")).toBe(10_000_000_000);
    expect(root.size("s", "16KiB", "1KiB", "64KiB")).toBe(16384);
    expect(root.duration("t", "10s", "1s", "1h")).toBe(1_000_000_000);
    expect(root.size("u", "16KiB", "1KiB", "64KiB")).toBe(2048);
    const lines = configuration.lines();
    expect(lines.length).toBe(2);
    expect(lines[0]).toBe('c:1:7: /d: "5h" is not a duration from "1s" to "1h", such as "500ms" or "2h4m"');
    expect(lines[1]).toBe('c:1:18: /s: 16 is not a size from "1KiB" to "64KiB", such as "16KiB"');
  });
});
