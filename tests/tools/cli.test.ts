// The `heddle` command as people use it: help, mistakes, what it makes. Nothing here builds an image.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { accelerator } from "../../boot/cli/accelerator.ts";
import { configuredPorts, readBundle } from "../../boot/cli/bundle.ts";
import { Lines, servedBy } from "../../boot/cli/console.ts";
import { checkForwards, chooseForwards, parseForward } from "../../boot/cli/ports.ts";
import { parseSize } from "../../boot/cli/problem.ts";
import { near, root } from "../../boot/cli/services.ts";
import { checkTaps } from "../../boot/cli/taps.ts";

const scratch = mkdtempSync(join(tmpdir(), "heddle-cli-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

function heddle(args: string[], env: NodeJS.ProcessEnv = process.env) {
  return spawnSync(process.execPath, [join(root, "boot/cli/heddle.js"), ...args], {
    cwd: scratch,
    env,
    encoding: "utf8",
  });
}

for (const command of ["build", "run", "image", "config set", "new", "doctor"]) {
  test(`heddle ${command} --help has examples and exits with 0`, () => {
    const { status, stdout } = heddle([...command.split(" "), "--help"]);
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`Examples:\\n[^]* heddle ${command}`));
  });
}

/** Runs heddle with a mistake: status 1, exactly one line, no stack trace. */
function mistake(args: string[], message: RegExp, env?: NodeJS.ProcessEnv) {
  const { status, stdout, stderr } = heddle(args, env);
  assert.equal(status, 1, stderr);
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, /\n\s+at /);
  assert.equal(stderr.trim().split("\n").length, 1, stderr);
  assert.equal(stdout, "");
}

test("an unknown appliance is refused, and near ones are suggested", () => {
  mistake(["run", "no-such-thing-at-all"], /no such appliance or folder/);
  assert.deepEqual(near("htp-server", ["http-server", "firewall"]), ["http-server"]);
  assert.deepEqual(near("server", ["http-server", "firewall"]), ["http-server"]);
  assert.deepEqual(near("zzz", ["http-server", "firewall"]), []);
});

test("a folder without a service is refused with what to do", () => {
  mkdirSync(join(scratch, "empty"));
  mistake(["build", "empty"], /no main\.ts.*heddle new/);
});

test("what cannot go together is refused with what can", () => {
  mkdirSync(join(scratch, "svc"));
  writeFileSync(join(scratch, "svc", "main.ts"), "export function main(): void {}\n");
  mistake(["run", "svc", "--machine", "microvm", "--disk"], /use --machine q35/);
  mistake(["run", "svc", "--machine", "microvm", "--nic", "e1000"], /use --machine q35/);
  mistake(["run", "svc", "--tap", "tap0", "--port", "1:2"], /--port is for user-mode/);
  mistake(["run", "svc", "--hosted", "--machine", "pc"], /leave out --hosted/);
  mistake(["run", "svc", "--hosted", "--pcap", "x"], /tcpdump/);
  mistake(["build", "svc", "--config", "x.json"], /--disk/);
  mistake(["run", "svc", "--memory", "lots"], /64MiB/);
  mistake(["run", "svc", "--port", "80"], /8080:80/);
  mistake(["run", "svc", "--config", "none.json"], /no such file/);
});

test("a missing QEMU is named with the command that installs it", () => {
  // A PATH that has the compilers but no QEMU.
  const bin = join(scratch, "bin");
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, "node"));
  mistake(["run", "svc"], /qemu-system-x86_64 is not installed; do: .*apt-get install .*qemu-system-x86/, {
    PATH: bin,
  });
});

test("a TAP device that is not there is named with the command that makes it", () => {
  if (existsSync("/dev/net/tun"))
    assert.throws(() => checkTaps(["no-such-tap"]), /ip tuntap add no-such-tap mode tap user/);
  assert.throws(() => checkTaps(["a b"]), /not the name/);
  assert.throws(() => checkTaps(["t0", "t0"]), /twice/);
  if (existsSync("/dev/net/tun")) assert.throws(() => checkTaps(["lo"]), /no TAP device/);
});

test("a port in use is refused with a free one, and left out by the defaults", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    await assert.rejects(
      checkForwards([parseForward(`${port}:80`)]),
      new RegExp(`port ${port} is in use; try --port \\d+:80`),
    );
    const told: string[] = [];
    const [forward] = await chooseForwards([{ port, protocol: "tcp" }], (line) => told.push(line));
    assert.ok(forward.host > port);
    assert.equal(told.length, 1);
  } finally {
    server.close();
  }
});

test("forwards are read strictly", () => {
  assert.deepEqual(parseForward("8080:80"), { host: 8080, port: 80, protocol: "tcp" });
  assert.deepEqual(parseForward("5353:53/udp"), { host: 5353, port: 53, protocol: "udp" });
  for (const bad of ["80", "a:80", "1:2:3", "0:80", "8080:65536", ":80", "8080:", "8080:80/icmp"])
    assert.throws(() => parseForward(bad), /--port/, bad);
});

test("sizes are read with their unit, and bounded", () => {
  assert.equal(parseSize("--memory", "64MiB", 0, 2 ** 32), 64 << 20);
  assert.equal(parseSize("--memory", "1g", 0, 2 ** 32), 1 << 30);
  for (const bad of ["", "-1", "1.5G", "64 MiB", "64MB", "0x10"])
    assert.throws(() => parseSize("--memory", bad, 0, 2 ** 32), /not a size/);
  assert.throws(() => parseSize("--memory", "8M", 16 << 20, 2 ** 31), /must be from 16MiB to 2048MiB/);
});

test("a folder becomes a ustar bundle, a mistake in JSON has its line and column", () => {
  const folder = join(scratch, "bundle");
  mkdirSync(join(folder, "www"), { recursive: true });
  writeFileSync(join(folder, "config.json"), '{ "httpServer": { "listen": [80, "0.0.0.0:8000", { "port": 443 }] } }');
  writeFileSync(join(folder, "www", "index.html"), "<h1>x</h1>");
  const listing = spawnSync("tar", ["-tf", "-"], { input: readBundle(folder), encoding: "utf8" });
  assert.deepEqual(listing.stdout.trim().split("\n"), [".packed/types", "config.json", "www/index.html"]);
  assert.deepEqual(configuredPorts(JSON.parse(readFileSync(join(folder, "config.json"), "utf8"))), [80, 8000, 443]);

  writeFileSync(join(folder, "config.json"), '{\n  "a": 1,\n  oops\n}');
  assert.throws(() => readBundle(folder), /config\.json:3:3: /);
  writeFileSync(join(scratch, "list.json"), "[]");
  assert.throws(() => readBundle(join(scratch, "list.json")), /JSON object/);
});

test("lines that say what is served are told from others, also in pieces", () => {
  const found: unknown[] = [];
  const lines = new Lines((line) => found.push(servedBy(line)));
  lines.push("[0.01] serving http://10.0.");
  lines.push("2.15:80/\r\nhello\nserving tcp://10.0.2.15:7\n");
  assert.deepEqual(found, [
    { scheme: "http", address: "10.0.2.15", port: 80 },
    undefined,
    { scheme: "tcp", address: "10.0.2.15", port: 7 },
  ]);
});

test("KVM is used only where the CPU offers it and the device can be opened", () => {
  const cpuinfo = join(scratch, "cpuinfo");
  const device = join(scratch, "kvm");
  writeFileSync(cpuinfo, "flags\t\t: fpu vme\n");
  writeFileSync(device, "");
  assert.match(accelerator(cpuinfo, device).reason, /neither vmx nor svm/);
  writeFileSync(cpuinfo, "flags\t\t: fpu vmx sse\n");
  assert.equal(accelerator(cpuinfo, device).kvm, true);
  assert.match(accelerator(cpuinfo, join(scratch, "none")).reason, /modprobe/);
});

test("doctor lists what is here and fails, with the command to run, where something needed is missing", () => {
  const here = heddle(["doctor"]);
  assert.match(here.stdout, /^ok +node +v\d+/m);
  assert.equal(here.status, /^MISSING/m.test(here.stdout) ? 1 : 0);
  const missing = heddle(["doctor"], { PATH: join(scratch, "bin") });
  assert.equal(missing.status, 1);
  assert.match(missing.stdout, /^MISSING +qemu-system-x86_64/m);
  assert.match(missing.stdout, /apt-get install .*qemu-system-x86/);
});

test("new makes a service that has no placeholder left, and does not touch a folder with files", () => {
  const { status, stdout } = heddle(["new", "my-echo"]);
  assert.equal(status, 0);
  assert.match(stdout, /heddle run my-echo/);
  const made = join(scratch, "my-echo");
  assert.deepEqual(readdirSync(made).sort(), [".gitignore", "README.md", "main.ts", "package.json", "tsconfig.json"]);
  for (const file of readdirSync(made)) assert.doesNotMatch(readFileSync(join(made, file), "utf8"), /%[A-Z]+%/);
  assert.ok(existsSync(join(made, JSON.parse(readFileSync(join(made, "tsconfig.json"), "utf8")).extends)));
  mistake(["new", "my-echo"], /not empty/);
});

test("set-up is idempotent and quick when nothing is missing", () => {
  const start = Date.now();
  const { status, stderr, stdout } = spawnSync("sh", [join(root, "boot/setup.sh"), "--test"], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.equal(stdout + stderr, "");
  assert.ok(Date.now() - start < 300, `${Date.now() - start} ms`);
});
