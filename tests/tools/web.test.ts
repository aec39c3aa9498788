// What is packed beside web files: variants that are worth it and decode to the file, media types, nothing of what is private.
import assert from "node:assert/strict";
import { test } from "node:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { withVariants } from "../../boot/toolchain/web.ts";

const text = Buffer.from("<p>the same again\n".repeat(500));
const entries = [
  { name: "config.json", data: Buffer.from(JSON.stringify({ a: "x".repeat(5000) })) },
  { name: "secrets/x.html", data: text },
  { name: "www/a.html", data: text },
  { name: "www/small.css", data: Buffer.from("p{}") },
  { name: "www/photo.png", data: text },
  { name: "www/app.js", data: Buffer.from("x();\n") },
  { name: "www/without", data: text },
];
const packed = new Map(withVariants(entries).map(({ name, data }) => [name, Buffer.from(data)]));

test("large texts get variants that decode to them, nothing else does", () => {
  const variants = [...packed.keys()].filter((name) => name.startsWith(".packed/") && name !== ".packed/types");
  assert.deepEqual(variants, [".packed/gzip/www/a.html", ".packed/br/www/a.html"]);
  assert.deepEqual(gunzipSync(packed.get(variants[0]!)!), text);
  assert.deepEqual(brotliDecompressSync(packed.get(variants[1]!)!), text);
});

test("media types are those of the kinds of files that are there", () => {
  const expected = [
    "css text/css; charset=utf-8",
    "html text/html; charset=utf-8",
    "js text/javascript; charset=utf-8",
  ];
  assert.equal(packed.get(".packed/types")!.toString(), [...expected, "png image/png", ""].join("\n"));
});

test("the files themselves stay, and packing again adds nothing twice", () => {
  for (const { name, data } of entries) assert.deepEqual(packed.get(name), Buffer.from(data));
  const again = withVariants([...packed].map(([name, data]) => ({ name, data })));
  assert.deepEqual(again.map(({ name }) => name).sort(), [...packed.keys()].sort());
});
