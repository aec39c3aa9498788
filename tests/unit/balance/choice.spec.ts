import {
  Admin,
  Algorithm,
  Backend,
  Choice,
  HashSeed,
  NOBODY,
  Operational,
  StickTable,
  Turns,
} from "../../../net/balance";

const SECOND: i64 = 1_000_000_000;

function backends(weights: Array<u32>): Array<Backend> {
  const list = new Array<Backend>();
  for (let i = 0; i < weights.length; i++) {
    const b = new Backend(String.fromCharCode(0x61 + i), 0, i, 80);
    b.weight = weights[i];
    b.operational = Operational.UP;
    list.push(b);
  }
  return list;
}
function choiceOf(algorithm: Algorithm, list: Array<Backend>): Choice {
  return new Choice(algorithm, list, new HashSeed("test"), 7);
}
/** How many of `flows` flows of different sources each backend gets. */
function spread(choice: Choice, flows: i32): StaticArray<i32> {
  const counts = new StaticArray<i32>(choice.backends.length);
  for (let i = 0; i < flows; i++) {
    const b = choice.choose(0, 0xffff0a000000 + <u64>i, 1000 + (i % 7), SECOND);
    if (b != NOBODY) counts[b]++;
  }
  return counts;
}
// Of their own, as an index that is an expression with effects is evaluated twice by `counts[f()]++`.
function count(counts: StaticArray<i32>, i: u32): void {
  counts[i]++;
}
function occupy(choice: Choice, source: u64, now_ns: i64): void {
  const b = choice.choose(0, source, <u32>source, now_ns);
  choice.backends[b].active++;
}
function near(count: i32, share: f64, flows: i32): bool {
  // Five standard deviations of a binomial.
  return abs(<f64>count - share * <f64>flows) < 5.0 * sqrt(<f64>flows * share * (1.0 - share)) + 1.0;
}

describe("smooth weighted round robin", () => {
  it("spreads turns: 5, 1, 1 gives a a b a c a a", () => {
    const turns = new Turns(3);
    turns.set([5, 1, 1]);
    let text = "";
    for (let i = 0; i < 7; i++) text += String.fromCharCode(0x61 + turns.next());
    expect(text).toBe("aabacaa");
  });
  it("scales weights that need too long a period, and forgets nobody", () => {
    const turns = new Turns(2);
    turns.set([256000, 1]);
    const counts = new StaticArray<i32>(2);
    for (let i: u32 = 0; i < turns.count; i++) count(counts, turns.next());
    expect(counts[1]).toBe(1);
    expect(counts[0]).toBeGreaterThan(4000);
  });
  it("gives a whole period exactly by weight", () => {
    const choice = choiceOf(Algorithm.ROUND_ROBIN, backends([3, 2, 1]));
    const counts = spread(choice, 600);
    expect(counts[0]).toBe(300);
    expect(counts[1]).toBe(200);
    expect(counts[2]).toBe(100);
  });
});

describe("the other algorithms", () => {
  it("Maglev and source hash give each source its backend, by weight", () => {
    const list = backends([3, 2, 1]);
    const maglev = choiceOf(Algorithm.MAGLEV, list);
    const source = choiceOf(Algorithm.SOURCE_HASH, list);
    const a = spread(maglev, 6000);
    const b = spread(source, 6000);
    for (let i = 0; i < 3; i++) {
      const share = <f64>(3 - i) / 6.0;
      expect(near(a[i], share, 6000)).toBe(true);
      expect(near(b[i], share, 6000)).toBe(true);
    }
    for (let i: u64 = 0; i < 100; i++) {
      expect(maglev.choose(0, i, 5, SECOND)).toBe(maglev.choose(0, i, 5, SECOND));
      expect(source.choose(0, i, 5, SECOND)).toBe(source.choose(0, i, 6, SECOND));
    }
  });
  it("least connections looks at connections for each weight", () => {
    const list = backends([1, 2]);
    const choice = choiceOf(Algorithm.LEAST_CONNECTIONS, list);
    for (let i = 0; i < 300; i++) occupy(choice, i, SECOND);
    expect(list[0].active).toBe(100);
    expect(list[1].active).toBe(200);
  });
  it("random of two keeps loads close", () => {
    const list = backends([1, 1, 1, 1]);
    const choice = choiceOf(Algorithm.RANDOM_TWO, list);
    for (let i = 0; i < 4000; i++) occupy(choice, i, SECOND);
    for (let i = 0; i < 4; i++) expect(abs(<i32>list[i].active - 1000)).toBeLessThan(20);
  });
});

describe("who is chosen", () => {
  it("is ready and up: not in drain or maintenance, not checking, down or ejected", () => {
    const list = backends([1, 1, 1, 1, 1, 1]);
    list[0].admin = Admin.DRAIN;
    list[1].admin = Admin.MAINTENANCE;
    list[2].operational = Operational.CHECKING;
    list[3].operational = Operational.DOWN;
    list[4].operational = Operational.EJECTED;
    for (let algorithm = 0; algorithm < 5; algorithm++) {
      const counts = spread(choiceOf(algorithm, list), 100);
      expect(counts[5]).toBe(100);
    }
  });
  it("is a backup only while no other can be", () => {
    const list = backends([1, 1]);
    list[1].backup = true;
    for (let algorithm = 0; algorithm < 5; algorithm++) {
      list[0].operational = Operational.UP;
      const choice = choiceOf(algorithm, list);
      expect(spread(choice, 50)[0]).toBe(50);
      list[0].operational = Operational.DOWN;
      choice.refresh(SECOND);
      expect(choice.onBackups).toBe(true);
      expect(spread(choice, 50)[1]).toBe(50);
    }
  });
  it("has room", () => {
    const list = backends([1, 1]);
    list[0].maxConnections = 3;
    list[1].maxConnections = 2;
    for (let algorithm = 0; algorithm < 5; algorithm++) {
      list[0].active = 0;
      list[1].active = 0;
      const choice = choiceOf(algorithm, list);
      for (let i = 0; i < 5; i++) {
        const b = choice.choose(0, i, i, SECOND);
        list[b].active++;
      }
      expect(list[0].active).toBe(3);
      expect(choice.choose(0, 9, 9, SECOND)).toBe(NOBODY);
    }
  });
  it("is another than the one that has just failed", () => {
    for (let algorithm = 0; algorithm < 5; algorithm++) {
      const choice = choiceOf(algorithm, backends([1, 1]));
      for (let i = 0; i < 40; i++) expect(choice.choose(0, i, 1, SECOND, 0)).toBe(1);
    }
  });
  it("is among the ejected too when too few are up, but not among those that are down", () => {
    const list = backends([1, 1, 1, 1]);
    list[0].operational = Operational.EJECTED;
    list[1].operational = Operational.EJECTED;
    list[2].operational = Operational.DOWN;
    const choice = choiceOf(Algorithm.ROUND_ROBIN, list);
    expect(choice.usable).toBe(1);
    choice.panicShare = 50;
    choice.refresh(SECOND);
    expect(choice.usable).toBe(3);
    expect(choice.isEligible(2)).toBe(false);
  });
});

describe("slow start", () => {
  it("begins with little and ends with the whole weight", () => {
    const list = backends([1, 1]);
    list[1].up_ns = 100 * SECOND;
    const choice = choiceOf(Algorithm.ROUND_ROBIN, list);
    choice.slowStart_ns = 10 * SECOND;
    choice.refresh(100 * SECOND);
    const counts = new StaticArray<i32>(2);
    for (let i = 0; i < 200; i++) count(counts, choice.choose(0, i, 1, 101 * SECOND));
    // A tenth of the time: a tenth of the weight, one turn of eleven.
    expect(counts[1]).toBeGreaterThan(12);
    expect(counts[1]).toBeLessThan(25);
    counts[1] = 0;
    for (let i = 0; i < 200; i++) count(counts, choice.choose(0, i, 1, 111 * SECOND));
    expect(counts[1]).toBe(100);
  });
});

describe("stickiness", () => {
  it("keeps a source's backend until it has not come for the time-out", () => {
    const list = backends([1, 1, 1]);
    const choice = choiceOf(Algorithm.ROUND_ROBIN, list);
    choice.sticks = new StickTable(1, 2, 10 * SECOND, 64);
    const first = choice.choose(0, 5, 1, SECOND);
    for (let t: i64 = 2; t < 40; t += 9) {
      expect(choice.choose(0, 5, 1, t * SECOND)).toBe(first);
      choice.choose(0, 6, 1, t * SECOND);
    }
    expect(choice.stuck).toBeGreaterThan(4);
    expect(choice.sticks!.find(0, 5, 60 * SECOND)).toBe(-1);
  });
  it("gives a source another backend when its own is gone", () => {
    const list = backends([1, 1]);
    const choice = choiceOf(Algorithm.ROUND_ROBIN, list);
    choice.sticks = new StickTable(1, 2, 10 * SECOND, 64);
    const first = choice.choose(0, 5, 1, SECOND);
    list[first].operational = Operational.DOWN;
    choice.refresh(SECOND);
    const second = choice.choose(0, 5, 1, SECOND);
    expect(second).toBe(1 - first);
    list[first].operational = Operational.UP;
    choice.refresh(SECOND);
    expect(choice.choose(0, 5, 1, SECOND)).toBe(second);
  });
  it("gives up the entry used least recently when a set is full", () => {
    const sticks = new StickTable(1, 2, 1000 * SECOND, 8);
    for (let i: u64 = 0; i < 9; i++) sticks.put(0, i, <u32>i, (<i64>i + 1) * SECOND);
    expect(sticks.find(0, 0, 20 * SECOND)).toBe(-1);
    expect(sticks.find(0, 8, 20 * SECOND)).toBe(8);
    expect(sticks.evicted).toBe(1);
  });
});
