import { RoutingTable } from "../../../net/ip/routes";
import { maskLo, samePrefix, v4 } from "../../../net/ip/address";
import { RouteKind } from "../../../net/ip/route";
import { Dice } from "../../sim/link";

describe("the routing table", () => {
  it("finds the longest prefix, as a linear search does, also after removals", () => {
    const dice = new Dice(7);
    const table = new RoutingTable();
    const keys = new Array<u64>();
    const bits = new Array<u32>();
    for (let i = 0; i < 400; i++) {
      const n: u32 = 96 + dice.below(33);
      const key = v4((dice.next() & 0x0f0f0f0f) | 0x0a000000) & maskLo(n);
      let known = false;
      for (let k = 0; k < keys.length; k++) if (keys[k] == key && bits[k] == n) known = true;
      if (known) continue;
      keys.push(key);
      bits.push(n);
      table.add(0, key, n, RouteKind.UNICAST, 0).iface = <u32>keys.length;
    }
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 2000; i++) {
        const key = v4((dice.next() & 0x0f0f0f0f) | 0x0a000000);
        let best: u32 = 0;
        let longest: u32 = 0;
        for (let k = 0; k < keys.length; k++) {
          if (bits[k] != 0 && bits[k] >= longest && samePrefix(0, key, 0, keys[k], bits[k])) {
            best = <u32>k + 1;
            longest = bits[k];
          }
        }
        const found = table.lookup(0, key);
        expect(found == null ? 0 : found.iface).toBe(best);
      }
      for (let k = round; k < keys.length; k += 3) {
        if (bits[k] == 0) continue;
        expect(table.remove(0, keys[k], bits[k], RouteKind.UNICAST, <u32>k + 1, 0, 0)).toBe(true);
        bits[k] = 0;
      }
    }
    expect(table.count).toBe(0);
    expect(table.lookup(0, v4(0x0a000001)) == null).toBe(true);
  });
  it("prefers the lower metric of equal prefixes", () => {
    const table = new RoutingTable();
    table.add(0, v4(0), 96, RouteKind.UNICAST, 10).iface = 1;
    table.add(0, v4(0), 96, RouteKind.UNICAST, 5).iface = 2;
    expect(table.lookup(0, v4(1))!.iface).toBe(2);
    table.remove(0, v4(0), 96, RouteKind.UNICAST, 2, 0, 0);
    expect(table.lookup(0, v4(1))!.iface).toBe(1);
  });
});

describe("routes by source", () => {
  it("take the longest destination first, then the longest source, and fall back to shorter destinations", () => {
    const table = new RoutingTable();
    table.add(0, v4(0), 96, RouteKind.UNICAST, 0).iface = 1;
    table.add(0, v4(0x0a000000), 104, RouteKind.UNICAST, 0).iface = 2;
    table.add(0, v4(0), 96, RouteKind.UNICAST, 0, 0, v4(0xc0a80000), 112).iface = 3;
    table.add(0, v4(0), 96, RouteKind.UNICAST, 0, 0, v4(0xc0a80100), 120).iface = 4;
    table.add(0, v4(0x0a010000), 112, RouteKind.UNICAST, 0, 0, v4(0xc0a80100), 120).iface = 5;
    expect(table.lookupFrom(0, v4(0x08080808), 0, v4(0x7f000001))!.iface).toBe(1, "any source");
    expect(table.lookupFrom(0, v4(0x08080808), 0, v4(0xc0a80505))!.iface).toBe(3, "its /16");
    expect(table.lookupFrom(0, v4(0x08080808), 0, v4(0xc0a80105))!.iface).toBe(4, "its /24");
    expect(table.lookupFrom(0, v4(0x0a020202), 0, v4(0xc0a80105))!.iface).toBe(2, "a longer destination wins");
    expect(table.lookupFrom(0, v4(0x0a010202), 0, v4(0xc0a80105))!.iface).toBe(5, "longer still, for this source");
    expect(table.lookupFrom(0, v4(0x0a010202), 0, v4(0xc0a80205))!.iface).toBe(2, "but not for others");
    expect(table.lookup(0, v4(0x08080808))!.iface).toBe(1);
    expect(table.sourced).toBe(3);
    expect(table.remove(0, v4(0), 96, RouteKind.UNICAST, 4, 0, 0, 0, v4(0xc0a80100), 120)).toBe(true);
    expect(table.remove(0, v4(0), 96, RouteKind.UNICAST, 4, 0, 0, 0, v4(0xc0a80100), 120)).toBe(false);
    expect(table.lookupFrom(0, v4(0x08080808), 0, v4(0xc0a80105))!.iface).toBe(3);
    expect(table.remove(0, v4(0x0a010000), 112, RouteKind.UNICAST, 5, 0, 0, 0, v4(0xc0a80100), 120)).toBe(true);
    expect(table.remove(0, v4(0), 96, RouteKind.UNICAST, 3, 0, 0, 0, v4(0xc0a80000), 112)).toBe(true);
    expect(table.remove(0, v4(0), 96, RouteKind.UNICAST, 1, 0, 0)).toBe(true);
    expect(table.remove(0, v4(0x0a000000), 104, RouteKind.UNICAST, 2, 0, 0)).toBe(true);
    expect(table.count).toBe(0);
    expect(table.sourced).toBe(0);
    expect(table.lookupFrom(0, v4(0x0a010202), 0, v4(0xc0a80105)) == null).toBe(true);
  });
  it("keep the two families apart: ::/0 is no default of IPv4", () => {
    const table = new RoutingTable();
    table.add(0, 0, 0, RouteKind.UNICAST, 0).iface = 6;
    expect(table.lookup(0, v4(0x08080808)) == null).toBe(true);
    expect(table.lookup(0x20010db800000000, 1)!.iface).toBe(6);
    table.add(0, v4(0), 96, RouteKind.UNICAST, 0).iface = 4;
    expect(table.lookup(0, v4(0x08080808))!.iface).toBe(4);
    expect(table.lookup(0x20010db800000000, 1)!.iface).toBe(6);
  });
  it("tell routes to one prefix apart by their gateway when removed", () => {
    const table = new RoutingTable();
    const first = table.add(0, v4(0), 96, RouteKind.UNICAST, 1);
    first.hopLo = v4(0x0a000001);
    const second = table.add(0, v4(0), 96, RouteKind.UNICAST, 2);
    second.hopLo = v4(0x0a000002);
    expect(table.remove(0, v4(0), 96, RouteKind.UNICAST, 0, 0, 0, 0, 0, 0, 0, v4(0x0a000002))).toBe(true);
    expect(table.lookup(0, v4(1))!.hopLo).toBe(v4(0x0a000001));
    expect(table.remove(0, v4(0), 96, RouteKind.UNICAST, 0, 0, 0, 0, 0, 0, 0, v4(0x0a000002))).toBe(false);
  });
});
