import { HashSeed, Maglev, MAGLEV_ENTRIES, NOBODY } from "../../../net/balance";

function names(count: i32): Array<string> {
  const list = new Array<string>();
  for (let i = 0; i < count; i++) list.push("backend-" + i.toString());
  return list;
}
function equal(count: i32, weight: u32): Array<u32> {
  const list = new Array<u32>();
  for (let i = 0; i < count; i++) list.push(weight);
  return list;
}
function shares(table: Maglev, count: i32): StaticArray<u32> {
  const all = new StaticArray<u32>(count);
  for (let i: u32 = 0; i < table.entries; i++) {
    const b = table.at(i);
    all[b]++;
  }
  return all;
}
function usableBut(count: i32, dead: i32): StaticArray<u8> {
  const usable = new StaticArray<u8>(count);
  usable.fill(1);
  if (dead >= 0) usable[dead] = 0;
  return usable;
}

describe("Maglev's table", () => {
  it("gives each backend its weight's share, plus or minus one entry", () => {
    const list = names(37);
    const weights = new Array<u32>();
    let total: u64 = 0;
    for (let i = 0; i < 37; i++) {
      weights.push(i == 0 ? 1000 : 1 + i * 7);
      total += weights[i];
    }
    const table = new Maglev(new HashSeed("a"), list, weights);
    const got = shares(table, 37);
    for (let i = 0; i < 37; i++) {
      const exact = (<f64>MAGLEV_ENTRIES * <f64>weights[i]) / <f64>total;
      expect(abs(<f64>got[i] - exact)).toBeLessThan(1.0);
    }
  });

  it("is the same whatever the order of the configuration", () => {
    const a = new Maglev(new HashSeed("x"), ["p", "q", "r"], [1, 2, 3]);
    const b = new Maglev(new HashSeed("x"), ["r", "p", "q"], [3, 1, 2]);
    let different = 0;
    const place: StaticArray<u32> = [2, 0, 1];
    for (let i: u32 = 0; i < a.entries; i++) if ((a.at(i) + 1) % 3 != b.at(i)) different++;
    expect(different).toBe(0);
    expect(place[0]).toBe(2);
  });

  it("differs with the seed", () => {
    const a = new Maglev(new HashSeed("x"), names(4), equal(4, 1));
    const b = new Maglev(new HashSeed("y"), names(4), equal(4, 1));
    let same = 0;
    for (let i: u32 = 0; i < a.entries; i++) if (a.at(i) == b.at(i)) same++;
    // One in four by chance.
    expect(same).toBeLessThan(<i32>(MAGLEV_ENTRIES / 3));
  });

  it("moves only the flows of a backend that dies, spreads them, and takes them back", () => {
    const count = 10;
    const table = new Maglev(new HashSeed("s"), names(count), equal(count, 5));
    const before = new StaticArray<u16>(<i32>MAGLEV_ENTRIES);
    for (let i: u32 = 0; i < table.entries; i++) before[i] = <u16>table.at(i);
    table.setUsable(usableBut(count, 3));
    let moved = 0;
    for (let i: u32 = 0; i < table.entries; i++) {
      if (before[i] == 3) expect(table.at(i)).not.toBe(3);
      else if (table.at(i) != before[i]) moved++;
    }
    expect(moved).toBe(0);
    const got = shares(table, count);
    for (let i = 0; i < count; i++) if (i != 3) expect(abs(<i32>got[i] - <i32>(MAGLEV_ENTRIES / 9))).toBeLessThan(3);
    // Another dies and the first returns: what was not theirs has never moved.
    table.setUsable(usableBut(count, 7));
    for (let i: u32 = 0; i < table.entries; i++) if (before[i] != 7 && table.at(i) != before[i]) moved++;
    table.setUsable(usableBut(count, -1));
    for (let i: u32 = 0; i < table.entries; i++) if (table.at(i) != before[i]) moved++;
    expect(moved).toBe(0);
  });

  it("is disrupted by at most 1/N + 2 % when the configuration loses a backend", () => {
    const count = 100;
    const list = names(count);
    const a = new Maglev(new HashSeed("s"), list, equal(count, 1));
    const b = new Maglev(new HashSeed("s"), list.slice(0, count - 1), equal(count - 1, 1));
    let moved = 0;
    for (let i: u32 = 0; i < a.entries; i++) if (a.at(i) != b.at(i)) moved++;
    expect(<f64>moved / <f64>MAGLEV_ENTRIES).toBeLessThan(1.0 / <f64>count + 0.02);
  });

  it("names nobody when nobody is usable, nor ever one without weight", () => {
    const table = new Maglev(new HashSeed("s"), names(3), [1, 0, 1]);
    expect(shares(table, 3)[1]).toBe(0);
    const usable = new StaticArray<u8>(3);
    usable[1] = 1;
    table.setUsable(usable);
    for (let i: u32 = 0; i < table.entries; i++) expect(table.at(i)).toBe(NOBODY);
    expect(table.find(0)).toBe(NOBODY);
    expect(table.find(0xffffffff)).toBe(NOBODY);
  });
});
