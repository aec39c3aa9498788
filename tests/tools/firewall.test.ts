// `heddle explain` and the warnings of `heddle check` for firewall configurations.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { explain, validate, warnings } from "../../boot/cli/validator.ts";
import { root } from "../../boot/cli/services.ts";

const office = readFileSync(join(root, "configs/firewall-office/config.json"));
const ask = (packet: string, config: Uint8Array = office) => explain(config, "firewall", packet);

describe("heddle explain", () => {
  test("names the rule that decides, the route and the translations", async () => {
    assert.deepEqual(await ask("tcp 10.0.0.5:1234 -> 9.9.9.9:443 in lan"), [
      "route: out wan by gateway 203.0.113.1",
      'source NAT: "out": 203.0.113.2',
      'accept: rule 2 "lan-out"',
    ]);
    assert.equal((await ask("tcp 10.0.0.5:1234 -> 9.9.9.9:25 in lan")).at(-1), 'reject: rule 1 "no-smtp"');
    assert.equal((await ask("tcp 10.0.0.9:1234 -> 10.0.20.3:8042 in lan")).at(-1), 'accept: rule 3 "admin-dmz"');
    assert.ok((await ask("tcp 10.0.20.3:1 -> 10.99.3.4:1 in dmz")).includes("route: out lan by gateway 10.0.0.254"));
    assert.equal((await ask("tcp 10.0.0.6:1234 -> 10.0.20.3:8042 in lan")).at(-1), 'drop: no rule fits: "default"');
  });

  test("follows port forwards, one-to-one and hairpins", async () => {
    assert.deepEqual(await ask("tcp 9.9.9.9:1234 -> 203.0.113.2:443 in wan"), [
      'destination NAT: "shop": tcp 9.9.9.9:1234 -> 10.0.20.10:8443',
      "route: out dmz",
      "accept: the port forward accepts what it translates",
    ]);
    assert.equal(
      (await ask("tcp 9.9.9.9:9 -> 203.0.113.7:25 in wan")).at(-1),
      'accept: rule 4 "mail-in", within its limit',
    );
    assert.equal((await ask("tcp 9.9.9.9:9 -> 203.0.113.7:26 in wan")).at(-1), 'drop: no rule fits: "default"');
    assert.ok((await ask("tcp 10.0.0.5:9 -> 203.0.113.2:443 in lan")).includes("source NAT: hairpin: 203.0.113.2"));
  });

  test("knows IPv6, ICMP types, bogons and the reverse path", async () => {
    assert.equal((await ask("udp [2001:db8:10::5]:5 -> [2600::1]:53 in lan")).at(-1), 'accept: rule 2 "lan-out"');
    assert.equal(
      (await ask("icmpv6 2001:db8:10::5 -> 2001:db8:10::1 type 128 in lan")).at(-1),
      'accept: rule 5 "ping", within its limit',
    );
    assert.equal((await ask("icmp 10.0.0.5 -> 10.0.0.1 type 13 in lan")).at(-1), 'drop: no rule fits: "default"');
    assert.match((await ask("tcp 192.168.1.1:9 -> 203.0.113.2:443 in wan")).at(-1)!, /^drop: bogon/);
    assert.match(
      (await ask("tcp 10.0.20.9:9 -> 9.9.9.9:443 in lan")).at(-1)!,
      /^drop: no route leads back to 10\.0\.20\.9 by lan/,
    );
  });

  test("says what is wrong with the question", async () => {
    for (const [packet, wrong] of [
      ["tcp 10.0.0.5:1234", /say it as/],
      ["tcq 10.0.0.5:1 -> 1.2.3.4:1 in lan", /is no protocol/],
      ["tcp 10.0.0.5 -> 1.2.3.4:1 in lan", /is no address with a port/],
      ["tcp 10.0.0.5:1 -> 1.2.3.4:1 in lam", /did you mean "lan"/],
      ["tcp 10.0.0.5:1 -> [2001:db8::1]:1 in lan", /different versions/],
    ] as const) {
      const [line] = await ask(packet);
      assert.ok(line!.startsWith("?"));
      assert.match(line!, wrong);
    }
  });
});

describe("heddle check", () => {
  const config = (rules: object[]) =>
    Buffer.from(JSON.stringify({ interfaces: { eth0: {}, eth1: {} }, firewall: { rules } }));

  test("warns of rules that can never decide, and only of them", async () => {
    const shadowed = config([
      { name: "all", action: "accept", from: "eth0", source: "10.0.0.0/8" },
      {
        name: "some",
        action: "drop",
        from: "eth0",
        to: "eth1",
        source: "10.1.0.0-10.2.0.0",
        protocol: "tcp",
        port: 80,
      },
      { name: "wider", action: "drop", source: "10.0.0.0/8" },
      { name: "other", action: "drop", from: "eth0", source: "11.0.0.0/8" },
    ]);
    assert.deepEqual(await warnings(shadowed, "firewall"), [
      '/firewall/rules/1: rule "some" never decides: all that it matches is matched by rule "all" before it, which does otherwise',
    ]);
    assert.deepEqual(await warnings(office, "firewall"), []);
  });

  test("finds an alias that leads back to itself, a range upside down, a port without protocol", async () => {
    const wrong = {
      firewall: {
        aliases: { addresses: { a: "@b", b: ["10.0.0.1", "@a"] } },
        rules: [
          { action: "accept", source: "10.0.0.9-10.0.0.1" },
          { action: "accept", port: 80 },
          { action: "accept", name: "x" },
          { action: "accept", name: "x" },
        ],
      },
    };
    const text = (await validate(Buffer.from(JSON.stringify(wrong)), "firewall", "c")).join("\n");
    assert.match(text, /\/firewall\/aliases\/addresses\/\w+.*leads back to itself/);
    assert.match(text, /\/firewall\/rules\/0\/source: .*first address comes after its last/);
    assert.match(text, /\/firewall\/rules\/1\/port: needs "protocol"/);
    assert.match(text, /\/firewall\/rules\/3\/name: is the name of an earlier one already/);
  });
});
