// Two stacks over links that lose, delay, reorder, duplicate and damage: whatever happens, the stream arrives intact and nothing is left behind.
// A failing seed names itself in the expectation's text.

import { initPackets, packetsFree, packetsTotal } from "../../../runtime/memory/packet";
import { Offload } from "../../../net/index";
import { Impairment } from "../../sim/link";
import { MS, SECOND, TcpLink } from "../../sim/tcp";

const PERCENT: u32 = 10_000;

function run(seed: u64, im: Impairment, up: u64, down: u64, limit_ns: i64, offloads: u32 = 0): i64 {
  initPackets();
  const t = new TcpLink(seed, im, 1500, offloads);
  const x = t.exchange(up, down, limit_ns);
  const name = "seed " + seed.toString();
  expect(x.a.received).toBe(down, name);
  expect(x.b.received).toBe(up, name);
  expect(x.intact).toBe(true, name);
  t.finish(x);
  expect(t.atRest).toBe(true, name);
  expect(packetsFree).toBe(packetsTotal, name);
  return x.elapsed_ns;
}

function lossy(loss: u32): Impairment {
  const im = new Impairment();
  im.loss = loss * PERCENT;
  im.delay_ns = 10 * MS;
  return im;
}

describe("a stream over a link that loses", () => {
  it("1 % at random, 20 seeds", () => {
    for (let seed: u64 = 1; seed <= 20; seed++) run(seed, lossy(1), 300000, 100000, 60 * SECOND);
  });
  it("5 % at random, 20 seeds", () => {
    for (let seed: u64 = 100; seed < 120; seed++) run(seed, lossy(5), 200000, 60000, 120 * SECOND);
  });
  it("20 % at random, 20 seeds", () => {
    for (let seed: u64 = 200; seed < 220; seed++) run(seed, lossy(20), 60000, 30000, 600 * SECOND);
  });
  it("bursts, 20 seeds", () => {
    for (let seed: u64 = 300; seed < 320; seed++) {
      const im = new Impairment();
      im.burst = 1 * PERCENT;
      im.burstEnd = 300_000;
      im.delay_ns = 5 * MS;
      run(seed, im, 200000, 100000, 300 * SECOND);
    }
  });
});

describe("a stream over a link that disturbs", () => {
  it("reorders a tenth of the frames, 20 seeds", () => {
    for (let seed: u64 = 400; seed < 420; seed++) {
      const im = new Impairment();
      im.reorder = 10 * PERCENT;
      im.delay_ns = 5 * MS;
      run(seed, im, 300000, 50000, 60 * SECOND);
    }
  });
  it("reorders by jitter, 20 seeds", () => {
    for (let seed: u64 = 500; seed < 520; seed++) {
      const im = new Impairment();
      im.delay_ns = 10 * MS;
      im.jitter_ns = 20 * MS;
      im.jitterReorders = true;
      run(seed, im, 200000, 50000, 120 * SECOND);
    }
  });
  it("duplicates and damages, 20 seeds", () => {
    for (let seed: u64 = 600; seed < 620; seed++) {
      const im = new Impairment();
      im.duplicate = 5 * PERCENT;
      im.corrupt = 2 * PERCENT;
      im.delay_ns = 5 * MS;
      run(seed, im, 200000, 50000, 120 * SECOND);
    }
  });
  it("everything at once, 20 seeds", () => {
    for (let seed: u64 = 700; seed < 720; seed++) {
      const im = new Impairment();
      im.loss = 3 * PERCENT;
      im.burst = PERCENT / 2;
      im.reorder = 5 * PERCENT;
      im.duplicate = 2 * PERCENT;
      im.corrupt = PERCENT;
      im.delay_ns = 20 * MS;
      im.jitter_ns = 10 * MS;
      run(seed, im, 100000, 50000, 600 * SECOND);
    }
  });
});

describe("a stream over a narrow link", () => {
  it("fills it: 10 Mbit/s, 40 ms, at least 80 % of the rate", () => {
    const im = new Impairment();
    im.rate = 10_000_000;
    im.delay_ns = 20 * MS;
    im.queue_bytes = 64 * 1024;
    const elapsed = run(800, im, 5000000, 0, 60 * SECOND);
    expect(elapsed).toBeLessThan(5 * SECOND);
  });
});

describe("a stream of large segments", () => {
  it("through cards that offload (64 KiB segments, received whole), with loss, 10 seeds", () => {
    for (let seed: u64 = 900; seed < 910; seed++)
      run(seed, lossy(1), 2000000, 500000, 120 * SECOND, Offload.CSUM_TX | Offload.TSO4);
  });
});
