// Hash and dates against known values.

import { hash64 } from "../../../net/http/bytes";
import { DateLine } from "../../../net/http/date";

function hash(text: string): u64 {
  const bytes = String.UTF8.encode(text);
  return hash64(changetype<usize>(bytes), bytes.byteLength);
}
function date(second: i64): string {
  const line = new DateLine();
  line.refresh(second * 1_000_000_000);
  return String.UTF8.decodeUnsafe(line.at, line.length);
}

describe("entity tags", () => {
  it("hash as XXH64 does", () => {
    expect(hash("")).toBe(0xef46db3751d8e999);
    expect(hash("a")).toBe(0xd24ec4f1a98c6e5b);
    expect(hash("abc")).toBe(0x44bc2cf5ad770999);
    expect(hash("Nobody inspects the spammish repetition")).toBe(0xfbcea83c8a378bf1);
  });
});

describe("the Date field", () => {
  it("is an IMF-fixdate, leap days and turns of the year included", () => {
    expect(date(784111777)).toBe("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    expect(date(951782400)).toBe("Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
    expect(date(4107542399)).toBe("Date: Sun, 28 Feb 2100 23:59:59 GMT\r\n");
    expect(date(4107542400)).toBe("Date: Mon, 01 Mar 2100 00:00:00 GMT\r\n");
    expect(date(1798761599)).toBe("Date: Thu, 31 Dec 2026 23:59:59 GMT\r\n");
  });
  it("is absent when the time is unknown", () => {
    expect(date(0)).toBe("");
  });
});
