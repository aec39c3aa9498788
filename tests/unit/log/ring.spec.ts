// The log's ring: what was logged last is there, in order and numbered, whatever the lengths and the size.

import { LogReader, resizeLogRing, ringAppend, ringCount } from "../../../runtime/log-ring";

function append(text: string): void {
  const bytes = String.UTF8.encode(text);
  ringAppend(2, 7, changetype<usize>(bytes), bytes.byteLength);
}
function readAll(reader: LogReader): Array<string> {
  const lines = new Array<string>();
  while (reader.read()) lines.push(reader.text);
  return lines;
}

describe("the log's ring", () => {
  it("gives lines in order, once to each reader", () => {
    const a = new LogReader();
    readAll(a);
    append("one");
    append("two");
    expect(readAll(a).join(",")).toBe("one,two");
    expect(a.read()).toBe(false);
    append("");
    expect(a.read()).toBe(true);
    expect(a.text).toBe("");
    expect(a.level).toBe(2);
    expect(a.time_ns).toBe(7);
    const late = new LogReader();
    late.skipAll();
    expect(late.read()).toBe(false);
    append("three");
    expect(readAll(late).join(",")).toBe("three");
  });

  it("keeps the newest lines and tells a reader how many it has missed", () => {
    resizeLogRing(4096);
    const slow = new LogReader();
    slow.skipAll();
    const first = ringCount();
    for (let i = 0; i < 1000; i++) append("line " + i.toString() + "x".repeat(i % 97));
    const lines = readAll(slow);
    expect(lines.length).toBeGreaterThan(20);
    expect(lines.length).toBeLessThan(170);
    expect(slow.missed).toBe(1000 - <u64>lines.length);
    expect(ringCount()).toBe(first + 1000);
    for (let i = 0; i < lines.length; i++) {
      const number = 1000 - lines.length + i;
      expect(lines[i]).toBe("line " + number.toString() + "x".repeat(number % 97));
    }
  });

  it("keeps its lines when it grows, and the newest that fit when it shrinks", () => {
    resizeLogRing(4096);
    const reader = new LogReader();
    reader.skipAll();
    for (let i = 0; i < 50; i++) append("before " + i.toString());
    expect(reader.read()).toBe(true);
    expect(reader.text).toBe("before 0");
    resizeLogRing(65536);
    const lines = readAll(reader);
    expect(lines.length).toBe(49);
    expect(lines[0]).toBe("before 1");
    expect(reader.missed).toBe(0);
    for (let i = 0; i < 1000; i++) append("after " + i.toString());
    resizeLogRing(8192);
    const rest = readAll(reader);
    expect(rest[rest.length - 1]).toBe("after 999");
    expect(<u64>rest.length + reader.missed).toBe(1000);
    expect(rest.length).toBeGreaterThan(150);
  });

  it("cuts a line that is longer than itself", () => {
    resizeLogRing(4096);
    append("y".repeat(10000));
    append("last");
    const reader = new LogReader();
    const lines = readAll(reader);
    expect(lines[lines.length - 1]).toBe("last");
  });
});
