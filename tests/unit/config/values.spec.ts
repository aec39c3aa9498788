// Values with units: the whole text is such a value, or none.

import { INVALID, parseCount, parseDuration, parseRate, parseShare, parseSize } from "../../../runtime/config/values";
import { closest } from "../../../runtime/config/closest";
import { isHostname } from "../../../runtime/config/machine";

const badDurations = [
  "",
  "5",
  "ms",
  "5 s",
  "-5s",
  "1.5s",
  "5S",
  "5s5s",
  "5s2m",
  "2h4",
  "1s1",
  "0x5s",
  "99999999999999999999s",
  "300000d",
  "5sec",
];
const badSizes = [
  "",
  "16",
  "KiB",
  "16 KiB",
  "16kb",
  "16K",
  "1.5MiB",
  "-1B",
  "16KiB1B",
  "9007199254740993B",
  "9007199254740992TiB",
];
const badRates = ["", "20", "/s", "20/", "20/sec", "20 /s", "-1/s", "20/d", "20/s/s"];
const badShares = ["", "50", "%", "101%", "-1%", "5.5%", "50%%", "50 %"];
const badCounts = ["", "-1", "+1", "01", "1 ", " 1", "1e3", "0x1", "65536"];

describe("values with units", () => {
  it("durations", () => {
    expect(parseDuration("0s")).toBe(0);
    expect(parseDuration("250us")).toBe(250_000);
    expect(parseDuration("500ms")).toBe(500_000_000);
    expect(parseDuration("2h4m")).toBe(7_440_000_000_000);
    expect(parseDuration("1d2h3m4s5ms6us")).toBe(93_784_005_006_000);
    for (let i = 0; i < badDurations.length; i++) expect(parseDuration(badDurations[i])).toBe(INVALID, badDurations[i]);
  });
  it("sizes", () => {
    expect(parseSize("0B")).toBe(0);
    expect(parseSize("16KiB")).toBe(16384);
    expect(parseSize("1TiB")).toBe(1 << 40);
    for (let i = 0; i < badSizes.length; i++) expect(parseSize(badSizes[i])).toBe(INVALID, badSizes[i]);
  });
  it("rates, in a thousand seconds", () => {
    expect(parseRate("20/s")).toBe(20_000);
    expect(parseRate("3/m")).toBe(50);
    expect(parseRate("18/h")).toBe(5);
    for (let i = 0; i < badRates.length; i++) expect(parseRate(badRates[i])).toBe(INVALID, badRates[i]);
  });
  it("shares", () => {
    expect(parseShare("0%")).toBe(0);
    expect(parseShare("100%")).toBe(100);
    for (let i = 0; i < badShares.length; i++) expect(parseShare(badShares[i])).toBe(INVALID, badShares[i]);
  });
  it("counts", () => {
    expect(parseCount("0", 65535)).toBe(0);
    expect(parseCount("65535", 65535)).toBe(65535);
    for (let i = 0; i < badCounts.length; i++) expect(parseCount(badCounts[i], 65535)).toBe(INVALID, badCounts[i]);
  });
});

describe("suggestions", () => {
  it("come for a slip, not for another word", () => {
    const keys = ["hostname", "interfaces", "log", "httpServer"];
    expect(closest("hostnmae", keys)).toBe("hostname");
    expect(closest("HTTPserver", keys)).toBe("httpServer");
    expect(closest("interface", keys)).toBe("interfaces");
    expect(closest("lgo", keys)).toBe("log");
    expect(closest("firewall", keys)).toBe("");
    expect(closest("", keys)).toBe("");
  });
});

describe("host names", () => {
  it("are what RFC 1123 says", () => {
    expect(isHostname("web1")).toBe(true);
    expect(isHostname("3com.example-x.org")).toBe(true);
    expect(isHostname("a".repeat(63))).toBe(true);
    expect(isHostname("a".repeat(64))).toBe(false);
    expect(isHostname("")).toBe(false);
    expect(isHostname("a..b")).toBe(false);
    expect(isHostname("-a")).toBe(false);
    expect(isHostname("a-")).toBe(false);
    expect(isHostname("a_b")).toBe(false);
    expect(isHostname("a.b.")).toBe(false);
    expect(isHostname(("a".repeat(49) + ".").repeat(5) + "abcd")).toBe(false);
  });
});
