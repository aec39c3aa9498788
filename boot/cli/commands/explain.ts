// `heddle explain`: what a configuration does with a packet, and which rule decides: by the same code as in the image.
import { configOf, readBundle } from "../bundle.ts";
import { Problem } from "../problem.ts";
import { applianceOf, explain, readValid } from "../validator.ts";

export async function explainCommand(path: string, packet: string): Promise<void> {
  readBundle(path);
  const appliance = applianceOf(configOf(path));
  const lines = await explain(await readValid(path, appliance), appliance, packet);
  if (lines.length === 0) throw new Problem(`${path}: is a configuration of ${appliance}, which judges no packets`);
  if (lines[0]!.startsWith("?")) throw new Problem(`"${packet}": ${lines[0]!.slice(2)}`);
  console.log(lines.join("\n"));
}
