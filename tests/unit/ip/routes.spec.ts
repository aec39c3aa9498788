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
