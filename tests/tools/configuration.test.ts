// The published schema (configs/schema) and the validator, which reads a configuration as the image does, agree key by key:
//
// 1. In each object the validator knows exactly the keys that the schema has.
// 2. Each key's examples are accepted by both, each of its bad values is refused by both, at the key's own pointer. What only
//    the meaning shows to be wrong (`x-bad-meaning`) the validator refuses.
// 3. Each key has a description, examples and bad values: one without them would not be tested.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import Ajv from "ajv/dist/2020.js";
import { validate } from "../../boot/cli/validator.ts";
import { root } from "../../boot/cli/services.ts";
import { packUstar } from "../../boot/toolchain/ustar.ts";

interface Schema {
  [key: string]: unknown;
  $ref?: string;
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  oneOf?: Schema[];
  required?: string[];
  examples?: unknown[];
}

const schema: Schema = JSON.parse(readFileSync(join(root, "configs/schema/heddle.schema.json"), "utf8"));
const ajv = new Ajv.default({ strict: false });
const fits = ajv.compile(schema);

function resolve(node: Schema): Schema {
  if (!node.$ref) return node;
  const target = (schema.$defs as Record<string, Schema>)[node.$ref.replace("#/$defs/", "")]!;
  const { $ref: _, ...own } = node;
  return { ...resolve(target), ...own };
}

/** An object of the schema: where it stands in a document, and what else must stand in it so that it is right. */
interface Place {
  path: string[];
  node: Schema;
  /** For each step of the path what must stand beside it. */
  beside: Record<string, unknown>[];
}

/** What an object must have, by its keys' first examples. */
const requiredOf = (node: Schema): Record<string, unknown> =>
  Object.fromEntries((node.required ?? []).map((key) => [key, resolve(node.properties![key]!).examples?.[0]]));

/** All objects with fixed keys, each at one place; maps of names get one name, lists a single element. */
function objects(node: Schema, path: string[], beside: Record<string, unknown>[] = []): Place[] {
  const here = resolve(node);
  if (here.oneOf)
    return here.oneOf
      .map(resolve)
      .filter((one) => one.type === "object" || one.oneOf)
      .flatMap((one) => objects(one, path, beside));
  if (here.type !== "object") return [];
  if (typeof here.additionalProperties === "object")
    return objects(here.additionalProperties, [...path, "eth0"], [...beside, {}]);
  return [{ path, node: here, beside }].concat(
    Object.entries(here.properties!).flatMap(([key, value]) => {
      const { [key]: _, ...others } = requiredOf(here);
      return objects(value, [...path, key], [...beside, others]);
    }),
  );
}

/** A document with `content` at a place, and around it what the place needs. */
function documentWith(place: Place, content: Record<string, unknown>): Record<string, unknown> {
  const needed = requiredOf(place.node);
  const more = (place.node["x-needs"] ?? {}) as Record<string, unknown>;
  const value0 = { ...needed, ...more, ...content };
  // What cannot stand beside a key (`x-without`) is given as undefined.
  let value = Object.fromEntries(Object.entries(value0).filter(([, content]) => content !== undefined));
  for (const [i, step] of [...place.path.entries()].reverse()) {
    value = { ...place.beside[i], [step]: value };
    // What listens with TLS needs its port.
    if (step === "tls" && place.path.includes("listen")) value.port = 443;
  }
  // What is named must be there: a VLAN's card, a route's interface.
  for (const name of ["eth0", "eth1"])
    if (JSON.stringify(value).includes(`"${name}"`))
      ((value.interfaces ??= {}) as Record<string, unknown>)[name] ??= {};
  // What listens with a certificate needs it.
  if (JSON.stringify(value).includes('"tls":{"certificates"') && !("tls" in value))
    value.tls = { certificates: { main: { chain: "certs/site.pem", key: "secrets/site.key" } } };
  return value;
}

/** Files that examples name. */
const files = ["certs/site.pem", "certs/site.ocsp", "secrets/site.key", "secrets/tickets.key", "www/index.html"].map(
  (name) => ({
    name,
    data: Buffer.from("x"),
  }),
);
/** Sections of one appliance only; all other keys are read alike by all, and here by the HTTP server. */
const SECTIONS: Record<string, string> = { firewall: "firewall" };
const applianceOf = (config: object) =>
  SECTIONS[Object.keys(config).find((key) => key in SECTIONS) ?? ""] ?? "http-server-tls";
const problemsOf = (config: object) => {
  const json = { name: "config.json", data: Buffer.from(JSON.stringify(config)) };
  return validate(Buffer.from(packUstar([json, ...files])), applianceOf(config), "c");
};
const at = (place: Place) => "/" + place.path.join("/");

describe("schema and validator", () => {
  for (const place of objects(schema, [])) {
    const name = place.path.length > 0 ? at(place) : "/";
    test(`${name}: the same keys`, async () => {
      const config = documentWith(place, { zzzzzz: 0 });
      assert.equal(fits(config), false);
      const lines = await problemsOf(config);
      assert.equal(lines.length, 1, lines.join("\n"));
      const allowed = lines[0]!.match(/unknown key; allowed here: (.*)$/)?.[1]?.split(", ");
      assert.deepEqual(
        allowed,
        Object.keys(place.node.properties!)
          .filter((key) => !(place.path.length === 0 && key in SECTIONS))
          .sort(),
      );
    });

    for (const [key, value] of Object.entries(place.node.properties!)) {
      const node = resolve(value);
      const pointer = `${place.path.length > 0 ? at(place) : ""}/${key}`;
      test(`${pointer}: is described`, () => assert.ok((node.description as string | undefined)?.endsWith(".")));
      if (node.type === "object" || objects(node, []).length > 0) continue;
      const without = ((node["x-without"] ?? []) as string[]).map((other) => [other, undefined]);
      const others = { ...(node["x-with"] as Record<string, unknown>), ...Object.fromEntries(without) };
      test(`${pointer}: good values`, async () => {
        assert.ok(node.examples?.length, "no examples");
        for (const good of node.examples) {
          const config = documentWith(place, { ...others, [key]: good });
          assert.ok(fits(config), `${JSON.stringify(config)}: ${ajv.errorsText(fits.errors)}`);
          assert.deepEqual(await problemsOf(config), [], JSON.stringify(config));
        }
      });
      test(`${pointer}: bad values`, async () => {
        const bad = (node["x-bad"] ?? (node.const !== undefined ? [0, 2, "1"] : [])) as unknown[];
        assert.ok(bad.length > 0, "no bad values");
        for (const value of [...bad, ...((node["x-bad-meaning"] ?? []) as unknown[])]) {
          const config = documentWith(place, { ...others, [key]: value });
          if (bad.includes(value)) assert.equal(fits(config), false, JSON.stringify(config));
          const lines = await problemsOf(config);
          assert.ok(lines.length > 0, `accepted: ${JSON.stringify(config)}`);
          assert.ok(
            lines.every((line) => line.includes(` ${pointer}: `) || line.includes(` ${pointer}/`)),
            lines.join("\n"),
          );
        }
      });
    }
  }
});

describe("routes", () => {
  const interfaces = { eth0: { address: ["10.0.0.1/24", "2001:db8::1/64"] }, eth1: { address: "dhcp" } };
  const lines = (routes: unknown) => problemsOf({ interfaces, routes });

  test("lead through a router on a link, onto a link, or nowhere", async () => {
    const good = [
      { to: "10.99.0.0/16", via: "10.0.0.254" },
      { to: "10.98.0.0/16", via: "192.168.7.1", interface: "eth1" },
      { to: "2001:db8:1::/48", via: "2001:db8::9", metric: 5 },
      { to: "2001:db8:1::/48", via: "fe80::1", interface: "eth0", metric: 6 },
      { to: "0.0.0.0/0", via: "10.0.0.3", source: "10.7.0.0/16" },
      { to: "10.50.0.0/16", interface: "eth0" },
      { to: "192.0.2.0/24", blackhole: true },
    ];
    assert.deepEqual(await lines(good), []);
    assert.deepEqual(await lines(good[0]), []);
  });

  test("are refused with a reason and a place", async () => {
    const cases: [unknown, RegExp][] = [
      [{ to: "10.99.0.0/16" }, /\/routes\/0: needs one of "via", "interface" and "blackhole"/],
      [{ via: "10.0.0.254" }, /\/routes\/0: needs "to"/],
      [{ to: "10.99.0.7/16", via: "10.0.0.254" }, /\/routes\/0\/to: .*write "10\.99\.0\.0\/16"/],
      [{ to: "10.99.0.0/16", via: "10.1.0.254" }, /\/routes\/0\/via: .*say on which it is with "interface"/],
      [{ to: "2001:db8:1::/48", via: "fe80::1" }, /\/routes\/0\/via: .*say on which it is with "interface"/],
      [{ to: "10.99.0.0/16", via: "10.0.0.1" }, /\/routes\/0\/via: .*it is our own/],
      [{ to: "10.99.0.0/16", via: "2001:db8::9" }, /\/routes\/0\/via: .*same version of IP/],
      [{ to: "10.99.0.0/16", via: "10.0.0.9", blackhole: true }, /\/routes\/0: goes nowhere/],
    ];
    for (const [route, wanted] of cases) {
      const found = await lines([route]);
      assert.equal(found.length, 1, found.join("\n"));
      assert.match(found[0]!, wanted);
    }
    const twice = { to: "10.99.0.0/16", via: "10.0.0.254" };
    assert.match((await lines([twice, twice])).join("\n"), /\/routes\/1: leads to the same place/);
  });
});

describe("heddle check", () => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-check-"));
  after(() => rmSync(folder, { recursive: true }));
  const check = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, "boot/cli/heddle.js"), "check", ...args], { encoding: "utf8" });

  test("accepts every example", () => {
    for (const name of readdirSync(join(root, "configs"))) {
      if (name === "schema") continue;
      const { status, stdout, stderr } = check(join(root, "configs", name));
      assert.equal(status, 0, stdout + stderr);
      assert.match(stdout, /config\.json: a valid configuration of /);
    }
  });

  test("shows every mistake with file, line and column, and ends with 1", () => {
    const file = join(folder, "bad.json");
    writeFileSync(file, '{"hostnme": "a",\n "log": {"level": "loud", "console": 1}}');
    const { status, stdout } = check(file);
    assert.equal(status, 1);
    const lines = stdout.trim().split("\n");
    assert.equal(lines.length, 3, stdout);
    assert.ok(lines[0]!.startsWith(`${file}:1:2: /hostnme: unknown key; did you mean "hostname"?`), stdout);
    assert.ok(lines[1]!.startsWith(`${file}:2:19: /log/level: "loud" is not one of `), stdout);
    assert.ok(lines[2]!.startsWith(`${file}:2:38: /log/console: 1 is not true or false`), stdout);
  });

  test("shows where JSON ends to be JSON", () => {
    const file = join(folder, "syntax.json");
    writeFileSync(file, '{"hostname": "a",\n}');
    const { status, stdout } = check(file);
    assert.equal(status, 1);
    assert.match(stdout, /syntax\.json:1:17: a comma before the closing bracket/);
  });

  test("knows the files of a folder", () => {
    const folderWithSite = join(folder, "site");
    mkdirSync(join(folderWithSite, "pages"), { recursive: true });
    writeFileSync(join(folderWithSite, "pages/index.html"), "x");
    writeFileSync(join(folderWithSite, "config.json"), '{"httpServer": {"sites": {"root": "pages"}}}');
    assert.equal(check(folderWithSite).status, 0);
    writeFileSync(join(folderWithSite, "config.json"), '{"httpServer": {"sites": {"root": "page"}}}');
    assert.match(check(folderWithSite).stdout, /the bundle has no files under "page\/"/);
  });

  test("finds interfaces that overlap, VLANs without a card, and a card that stands twice", async () => {
    const interfaces = {
      eth0: { address: "10.0.0.1/24" },
      eth1: { address: "10.0.0.129/25" },
      a: { match: { mac: "52:54:00:00:00:01" } },
      b: { match: { mac: "52:54:00:00:00:01" } },
      v: { vlan: { parent: "w", id: 1 }, address: "10.9.0.1/24" },
      w: { vlan: { parent: "eth0", id: 7 }, address: "10.8.0.1/24" },
      x: { vlan: { parent: "eth0", id: 7 }, address: "10.7.0.1/24" },
    };
    const lines = await problemsOf({ interfaces });
    assert.equal(lines.length, 4, lines.join("\n"));
    assert.match(lines[0]!, /\/interfaces\/eth1\/address: .* apart from the network of "eth0" \(10\.0\.0\.1\)/);
    assert.match(lines[1]!, /\/interfaces\/b: is the same card as "a"/);
    assert.match(lines[2]!, /\/interfaces\/v\/vlan\/parent: "w" is not a card: it is a VLAN itself/);
    assert.match(lines[3]!, /\/interfaces\/x: is the same VLAN as "w"/);
  });
});
