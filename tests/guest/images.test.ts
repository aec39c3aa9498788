// `heddle image` and `heddle config`: an image in each format made of a built appliance and a configuration, without a
// compiler, read and changed again, and booted.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { elfImage, Machine, type Options, root } from "./lib/machine.ts";

const scratch = mkdtempSync(join(tmpdir(), "heddle-images-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
const site = join(scratch, "site");
const SECRET = "correct horse battery staple";

/** Without compilers: what needs one fails. */
function heddle(...args: string[]) {
  const tools = join(scratch, "tools");
  return spawnSync(process.execPath, [join(root, "boot/cli/heddle.js"), ...args], {
    cwd: scratch,
    encoding: "utf8",
    env: { PATH: tools },
  });
}

function write(path: string, text: string): string {
  writeFileSync(join(scratch, path), text);
  return path;
}

before(() => {
  const built = spawnSync(process.execPath, [join(root, "boot/cli/heddle.js"), "images"], { encoding: "utf8" });
  assert.equal(built.status, 0, built.stderr);
  mkdirSync(join(scratch, "tools"));
  const qemuImg = spawnSync("sh", ["-c", "command -v qemu-img"], { encoding: "utf8" }).stdout.trim();
  spawnSync("ln", ["-s", qemuImg, join(scratch, "tools", "qemu-img")]);
  mkdirSync(join(site, "www"), { recursive: true });
  mkdirSync(join(site, "secrets"));
  writeFileSync(
    join(site, "config.json"),
    '{ "hostname": "packed", "httpServer": { "sites": [{ "root": "www" }] } }\n',
  );
  writeFileSync(join(site, "www", "index.html"), "from the image");
  writeFileSync(join(site, "secrets", "site.key"), SECRET);
});

describe("an image of a configuration", () => {
  const formats: [string, (path: string) => Omit<Options, "elf"> & { elf?: string }][] = [
    ["elf", (path) => ({ elf: path })],
    ["img", (path) => ({ machine: "pc", image: { disk: path, format: "raw" } })],
    ["qcow2", (path) => ({ machine: "q35", image: { disk: path, format: "qcow2" } })],
    ["vmdk", (path) => ({ machine: "pc", nic: "e1000", image: { disk: path, format: "vmdk" } })],
    ["vdi", (path) => ({ machine: "pc", nic: "e1000", image: { disk: path, format: "vdi" } })],
  ];
  for (const [format, options] of formats)
    test(`${format}: made, shown, changed, and boots with what it has`, async () => {
      const file = `web.${format}`;
      const made = heddle("image", "http-server", "--config", site, "-o", file);
      assert.equal(made.status, 0, made.stderr);
      assert.equal(statSync(join(scratch, file)).mode & 0o077, 0, "others can read the secrets in it");
      const shown = heddle("config", "show", file);
      assert.equal(shown.stdout, readFileSync(join(site, "config.json"), "utf8"));
      assert.match(shown.stderr, /www\/index\.html, 14 bytes/);
      assert.doesNotMatch(shown.stdout + shown.stderr, new RegExp(SECRET));
      const first = readFileSync(join(scratch, file));

      const changed = write("other.json", '{"hostname": "changed"}');
      assert.equal(heddle("config", "set", file, changed).status, 0);
      assert.equal(heddle("config", "show", file).stdout, '{"hostname": "changed"}\n');
      assert.equal(readFileSync(join(scratch, file)).includes(SECRET), false, "the former secrets are still in it");
      assert.equal(heddle("config", "set", file, site).status, 0);
      if (format === "elf") assert.ok(first.equals(readFileSync(join(scratch, file))), "same inputs, other bytes");

      const machine = await Machine.qemu({ elf: "", ...options(join(scratch, file)) });
      try {
        await machine.until(/serving /);
        assert.match(machine.console, /from bundle of the image|boot module/);
        assert.equal((await machine.fetch("/")).body, "from the image");
      } finally {
        await machine.close();
      }
    });

  test("one given at boot wins over the one inside", async () => {
    assert.equal(heddle("image", "http-server", "--config", site, "-o", "both.elf").status, 0);
    const machine = await Machine.qemu({ elf: join(scratch, "both.elf"), bundle: '{"hostname": "given"}' });
    try {
      await machine.until(/serving /);
      assert.match(machine.console, /config\.json from boot module/);
    } finally {
      await machine.close();
    }
  });
});

describe("mistakes say what to do and change nothing", () => {
  test("an ending that is no format", () => {
    const { status, stderr } = heddle("image", "http-server", "-o", "web.iso");
    assert.equal(status, 1);
    assert.match(stderr, /web\.iso: the name must end in one of \.elf, \.img, \.qcow2, \.vmdk, \.vdi/);
  });

  test("a wrong configuration: every mistake, and no file", () => {
    const bad = write("bad.json", '{"hostnam": "x",\n "log": {"level": "loud"}}');
    const { status, stderr } = heddle("image", "http-server", "--config", bad, "-o", "bad.elf");
    assert.equal(status, 1);
    assert.match(stderr, /bad\.json:1:2: \/hostnam: unknown key; did you mean "hostname"\?/);
    assert.match(stderr, /bad\.json:2:\d+: \/log\/level: /);
    assert.deepEqual(
      readdirSync(scratch).filter((name) => name.startsWith("bad.elf")),
      [],
    );
  });

  test("a wrong configuration leaves the image as it is", () => {
    assert.equal(heddle("image", "http-server", "--config", site, "-o", "kept.elf").status, 0);
    const before = readFileSync(join(scratch, "kept.elf"));
    assert.equal(heddle("config", "set", "kept.elf", write("bad2.json", "{")).status, 1);
    assert.ok(before.equals(readFileSync(join(scratch, "kept.elf"))));
  });

  test("a file that is no image of ours", () => {
    write("not.elf", "#!/bin/sh\n");
    assert.match(heddle("config", "show", "not.elf").stderr, /^heddle: not an ELF file$/m);
    write("not.img", "x".repeat(4096));
    assert.match(heddle("config", "show", "not.img").stderr, /^heddle: not\.img is not a disk image of this tool$/m);
    const foreign = join(scratch, "foreign.elf");
    writeFileSync(foreign, readFileSync(process.execPath).subarray(0, 1 << 20));
    assert.match(heddle("config", "show", foreign).stderr, /^heddle: .*(outside the file|not an image of this tool)/m);
  });

  test("a bundle that does not fit into the disk's slot", () => {
    assert.equal(heddle("image", "http-server", "-o", "small.img").status, 0);
    const big = join(scratch, "big");
    mkdirSync(join(big, "www"), { recursive: true });
    writeFileSync(join(big, "config.json"), "{}");
    writeFileSync(join(big, "www", "index.html"), Buffer.alloc(2 << 20, 97));
    const { status, stderr } = heddle("config", "set", "small.img", big);
    assert.equal(status, 1);
    assert.match(stderr, /the bundle has \d+ bytes, the slot of .* only 1048064/);
    assert.equal(heddle("config", "show", "small.img").status, 1);
  });

  test("an image without a configuration", () => {
    assert.equal(heddle("image", "http-server", "-o", "none.elf").status, 0);
    assert.match(heddle("config", "show", "none.elf").stderr, /none\.elf has no configuration; put one into it with/);
  });
});

test("the ELF of an image is the built one with one segment more", async () => {
  const built = readFileSync(await elfImage("appliances/http-server", "http-server"));
  assert.equal(heddle("image", "http-server", "-o", "plain.elf").status, 0);
  assert.equal(readFileSync(join(scratch, "plain.elf")).length, built.length);
});
