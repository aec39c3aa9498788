// `heddle check`: everything that is wrong with a configuration, before it reaches a machine.
import { statSync } from "node:fs";
import { join } from "node:path";
import { configOf, readBundle } from "../bundle.ts";
import { applianceOf, validate, warnings } from "../validator.ts";

export async function checkCommand(path: string, options: { appliance?: string }): Promise<void> {
  const bundle = readBundle(path, false);
  const file = statSync(path).isDirectory() ? join(path, "config.json") : path;
  const appliance = options.appliance ?? applianceOf(safeConfig(path));
  const lines = await validate(bundle, appliance, file);
  if (lines.length === 0) {
    for (const line of await warnings(bundle, appliance)) console.log(`${file}: warning: ${line}`);
    console.log(`${file}: a valid configuration of ${appliance}`);
    return;
  }
  console.log(lines.join("\n"));
  process.exitCode = 1;
}

// What is no JSON at all is for the validator to complain about, with the place.
function safeConfig(path: string): Record<string, unknown> | undefined {
  try {
    return configOf(path);
  } catch {
    return undefined;
  }
}
