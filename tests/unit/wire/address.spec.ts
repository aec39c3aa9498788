import { formatAddress, parseAddress, samePrefix, v4 } from "../../../net/ip/address";

function round(text: string): string {
  const a = parseAddress(text);
  return a.ok ? formatAddress(a.hi, a.lo) : "no address";
}

describe("text of addresses", () => {
  it("reads and writes dotted quads", () => {
    expect(round("192.0.2.1")).toBe("192.0.2.1");
    expect(round("0.0.0.0")).toBe("0.0.0.0");
    expect(parseAddress("10.0.0.2/24").prefix).toBe(120);
    expect(parseAddress("10.0.0.2").prefix).toBe(-1);
  });
  it("refuses what others read as octal, short forms, and trailing text", () => {
    const bad = [
      "",
      "1",
      "1.2.3",
      "1.2.3.4.5",
      "01.2.3.4",
      "256.1.1.1",
      "1.2.3.4 ",
      "1..2.3",
      "1.2.3.",
      "a.b.c.d",
      "1.2.3.4/33",
      "1.2.3.4/",
      "1.2.3.4/024",
      "1.2.3.4/-1",
      "-1.2.3.4",
    ];
    for (let i = 0; i < bad.length; i++) expect(parseAddress(bad[i]).ok).toBe(false, bad[i]);
  });
  it("writes IPv6 in the canonical form of RFC 5952", () => {
    expect(round("2001:db8:0:0:1:0:0:1")).toBe("2001:db8::1:0:0:1");
    expect(round("2001:DB8::0:1")).toBe("2001:db8::1");
    expect(round("::")).toBe("::");
    expect(round("::1")).toBe("::1");
    expect(round("1::")).toBe("1::");
    expect(round("2001:db8:0:1:1:1:1:1")).toBe("2001:db8:0:1:1:1:1:1");
    expect(round("1:2:3:4:5:6:7:8")).toBe("1:2:3:4:5:6:7:8");
    expect(round("::ffff:192.0.2.1")).toBe("192.0.2.1");
    expect(round("64:ff9b::192.0.2.33")).toBe("64:ff9b::c000:221");
    expect(parseAddress("2001:db8::/32").prefix).toBe(32);
  });
  it("refuses malformed IPv6", () => {
    const bad = [
      ":",
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "12345::",
      "1:2:3:4:5:6:7:",
      ":1:2:3:4:5:6:7",
      "::1/129",
      "1:2:3:4:5:6:7:1.2.3.4",
      "::1%eth0",
      "g::",
      "1:2:3:4:5:6:7::8:9",
      "1.2.3.4::",
      "::1.2.3",
    ];
    for (let i = 0; i < bad.length; i++) expect(parseAddress(bad[i]).ok).toBe(false, bad[i]);
  });
  it("compares prefixes across the halves", () => {
    expect(samePrefix(0, v4(0x0a000001), 0, v4(0x0a0000ff), 120)).toBe(true);
    expect(samePrefix(0, v4(0x0a000001), 0, v4(0x0a000101), 120)).toBe(false);
    expect(samePrefix(1, 2, 3, 4, 0)).toBe(true);
    expect(samePrefix(5, 2, 5, 4, 64)).toBe(true);
    expect(samePrefix(5, 2, 5, 3, 128)).toBe(false);
  });
});
