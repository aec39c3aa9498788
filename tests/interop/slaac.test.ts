// IPv6 autoconfiguration with Linux as the peer: addresses, routes and name servers from dnsmasq's router advertisements, and
// hosts that Linux configures by ours.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostedImage, root } from "./lib/images.ts";
import { Network, type Running, sleep } from "./lib/network.ts";

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "heddle-slaac-"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

function configFile(config: object): string {
  const file = join(folder, `config-${Math.random().toString(36).slice(2)}.json`);
  writeFileSync(file, JSON.stringify(config));
  return file;
}

describe("a host with `slaac`", () => {
  let network: Network;
  let running: Running;
  let address: string;

  before(async () => {
    const image = await hostedImage("tests/interop/services/names", "tests/interop-names");
    network = await Network.create();
    await network.tap("t0", "10.9.0.1/24");
    await network.must("sh", ["-c", "echo 0 > /proc/sys/net/ipv6/conf/t0/disable_ipv6"]);
    await network.must("ip", ["-6", "addr", "add", "2001:db8:5::1/64", "dev", "t0", "nodad"]);
    const config = configFile({ interfaces: { eth0: { address: ["10.9.0.2/24", "slaac"] } } });
    running = network.start(image, ["--tap", "t0", "--config", config]);
    await running.until(/^answering/m);
    const server = join(root, "tests/interop/lib/dns-server.ts");
    await network.start(process.execPath, ["--import", "tsx", server, "2001:db8:5::1", "first"]).until(/ready/);
    network.start("dnsmasq", [
      ...["-d", "--conf-file=/dev/null", "--port=0", "--log-facility=-", "--interface=t0"],
      ...["--enable-ra", "--dhcp-range=2001:db8:5::,ra-only,64,600", "--ra-param=t0,mtu:1400,10,600"],
      ...["--dhcp-option=option6:dns-server,[2001:db8:5::1]", `--pid-file=${join(folder, "pid")}`],
    ]);
    [, address] = (await running.until(/eth0: address (2001:db8:5:[0-9a-f:]+)\/128/, 15_000)) as unknown as [
      string,
      string,
    ];
    await sleep(1200);
  });
  after(() => network.close());

  test("makes itself an address that is stable and does not show the hardware address", async () => {
    assert.doesNotMatch(address, /ff:fe/);
    const text = await network.must("ping", ["-6", "-c", "3", "-i", "0.05", "-W", "2", address]);
    assert.match(text, / 3 received/);
  });

  test("reaches what is behind the router, and asks the name server it was told of", async () => {
    await network.must("ip", ["-6", "addr", "add", "2001:db8:77::1/128", "dev", "lo"]);
    const ask = async (question: string) => {
      const script = `const s = require("node:dgram").createSocket("udp4");
        s.on("message", (m) => { console.log(m.toString()); s.close(); });
        s.send(process.argv[1], 9, "10.9.0.2"); setTimeout(() => process.exit(3), 12000).unref();`;
      return (await network.must(process.execPath, ["-e", script, question], 15_000)).trim();
    };
    assert.equal(await ask("ping 2001:db8:77::1"), "answered");
    assert.equal(await ask("resolve good.test"), "2001:db8::1 192.0.2.1 192.0.2.2");
  });

  test("takes the link's MTU from the router", async () => {
    await network.must("ip", ["link", "set", "t0", "mtu", "1400"]);
    const text = await network.must("ping", ["-6", "-c", "2", "-i", "0.05", "-s", "3000", "-W", "2", address]);
    assert.match(text, / 2 received/);
  });
});

describe("a router with `routerAdvertisement`", () => {
  test("configures the hosts of its link, and sends their packets on", async () => {
    const image = await hostedImage("tests/interop/services/router", "tests/interop-router");
    const router = await Network.create();
    try {
      const west = await router.host();
      const east = await router.host();
      await router.tap("t0");
      await router.tap("t1");
      const config = configFile({
        interfaces: {
          eth0: { address: "2001:db8:1::fe/64", routerAdvertisement: true },
          eth1: { address: "2001:db8:2::fe/64" },
        },
        forwarding: true,
      });
      const running = router.start(image, ["--tap", "t0,t1", "--config", config]);
      await running.until(/^routing/m);
      await router.move("t1", east, ["2001:db8:2::1/64"]);
      await east.must("ip", ["-6", "route", "add", "default", "via", "2001:db8:2::fe"]);
      await router.must("ip", ["link", "set", "t0", "netns", String(west.pid)]);
      const conf = "/proc/sys/net/ipv6/conf/t0";
      await west.must("sh", [
        "-c",
        `echo 0 > ${conf}/disable_ipv6; echo 1 > ${conf}/accept_ra; echo 1 > ${conf}/autoconf`,
      ]);
      await west.must("ip", ["link", "set", "t0", "up"]);
      let addresses = "";
      for (let i = 0; i < 100 && !/inet6 2001:db8:1:.* scope global(?! tentative)/.test(addresses); i++) {
        await sleep(100);
        addresses = await west.must("ip", ["-6", "addr", "show", "dev", "t0"]);
      }
      assert.match(addresses, /inet6 2001:db8:1:.*\/64 scope global/);
      const routes = await west.must("ip", ["-6", "route"]);
      assert.match(routes, /default via fe80:.* proto ra .*mtu 1500|default via fe80:.* proto ra/);
      await sleep(1500);
      const text = await west.must("ping", ["-6", "-n", "-c", "3", "-i", "0.05", "-W", "2", "2001:db8:2::1"]);
      assert.match(text, / 3 received/);
    } finally {
      await router.close();
    }
  });
});
