// `heddle config show|set`: the configuration inside an image.
import { statSync } from "node:fs";
import { readSlot, writeSlot } from "../../image/formats.ts";
import { unpackUstar } from "../../toolchain/ustar.ts";
import { configOf, isUstar } from "../bundle.ts";
import { Problem, say } from "../problem.ts";
import { appliances } from "../services.ts";
import { applianceOf, readValid } from "../validator.ts";

/** Prints the JSON; the files with it, secrets among them, are only named. */
export async function showCommand(image: string): Promise<void> {
  const { bundle } = await readSlot(needed(image));
  if (!bundle)
    throw new Problem(`${image} has no configuration; put one into it with: heddle config set ${image} FILE`);
  const files = isUstar(bundle) ? unpackUstar(bundle) : [{ name: "config.json", data: bundle }];
  const config = files.find(({ name }) => name === "config.json");
  if (!config) throw new Problem(`${image}: its bundle has no config.json`);
  process.stdout.write(config.data);
  if (config.data.at(-1) !== 10) process.stdout.write("\n");
  for (const { name, data } of files) if (name !== "config.json") say(`with it: ${name}, ${data.length} bytes`);
}

export async function setCommand(image: string, path: string): Promise<void> {
  const { name } = await readSlot(needed(image));
  // An image that was built by hand does not know whose it is.
  const appliance = appliances().includes(name) ? name : applianceOf(configOf(path));
  await writeSlot(image, { name: appliance, bundle: await readValid(path, appliance) });
  console.log(`${image}  has the configuration of ${path}`);
}

function needed(image: string): string {
  if (!statSync(image, { throwIfNoEntry: false })?.isFile()) throw new Problem(`${image}: no such file`);
  return image;
}
