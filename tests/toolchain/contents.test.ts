// Only what is used is linked: what an image holds, by name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { functionsFrom, functionsOf, functionsOfImage } from "./lib/contents.ts";
import { buildService, runGuest } from "./lib/images.ts";

/** The network, the drivers of cards, configuration, appliances: a service that uses none of them carries none of them. */
const NOT_IN_HELLO = ["net", "runtime/drivers", "runtime/config", "runtime/json", "appliances"];
const NOT_IN_ECHO = ["net/http", "net/tls", "net/filter", "net/balance", "net/dns", "appliances"];
const HELLO_LIMIT_BYTES = 64 * 1024;

test("hello holds neither network nor drivers nor configuration, and runs", async () => {
  const { elf, bytes } = await buildService("hello", "pc");
  assert.deepEqual(functionsFrom(functionsOfImage(elf!), NOT_IN_HELLO), []);
  assert.ok(bytes[elf!]! <= HELLO_LIMIT_BYTES, `${bytes[elf!]} bytes are more than ${HELLO_LIMIT_BYTES}`);
  const { status, output } = await runGuest(elf!);
  assert.match(output, /^hello$/m);
  // isa-debug-exit: twice the status of the image, plus 1.
  assert.equal(status, 1);
});

test("an echo service has TCP, and no HTTP, TLS, filter or appliance", async () => {
  const { elf } = await buildService("echo", "pc");
  const functions = functionsOfImage(elf!);
  assert.ok(functionsFrom(functions, ["net/tcp"]).length > 10, "an echo service without TCP is not one");
  assert.deepEqual(functionsFrom(functions, NOT_IN_ECHO), []);
});

const LIST = `200000 pvh_entry
200100 core_main
200200 print_backtrace
200300 runtime/loop/loop/runLoop
200400 start:fibers/index~anonymous|0
200500 network_is_not_net/f
200600 
`;

test("the check finds a forbidden function wherever it stands", () => {
  assert.deepEqual(functionsFrom(functionsOf(LIST), NOT_IN_HELLO), []);
  for (const bad of ["net/http/server/HttpServer#poll", "start:net/tcp/table", "~lib/heddle/net/http/head/parse"]) {
    const list = LIST.replace("200600 \n", `200580 ${bad}\n200600 \n`);
    assert.deepEqual(functionsFrom(functionsOf(list), NOT_IN_HELLO), [bad]);
  }
});

test("a list that is not one of an image proves nothing", () => {
  assert.throws(() => functionsOf(""), /not a line/);
  assert.throws(() => functionsOf("200000 main\n"), /without core_main/);
  assert.throws(() => functionsOf(LIST.replace(/^.*runtime.*\n/m, "")), /no AssemblyScript/);
  assert.throws(() => functionsOf("core_main\n"), /not a line/);
});
