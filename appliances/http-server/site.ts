// A site from a folder of the bundles: a resource for each file, its folder's path for an index file, and a redirect from a
// folder's name without slash, so that relative links in its index work.
// clang: -Oz

import { Bundles } from "../../runtime";
import { fileResource, redirectResource, Site } from "../../net/http";

/** The site of a folder; null when it has no files. */
export function buildSite(bundles: Bundles, root: string, index: Array<string>): Site | null {
  const prefix = root.endsWith("/") ? root : root + "/";
  const files = bundles.under(prefix);
  if (files.length == 0) return null;
  const site = new Site(3 * files.length);
  for (let i = 0; i < files.length; i++) {
    const file = files[i];
    site.add(file.path.substring(prefix.length - 1), fileResource(file.path, file.address, file.length_bytes));
  }
  // In the order of the names: of two index files in a folder the first name wins.
  for (let k = 0; k < index.length; k++) {
    for (let i = 0; i < files.length; i++) {
      const path = files[i].path.substring(prefix.length - 1);
      if (!path.endsWith("/" + index[k])) continue;
      const folder = path.substring(0, path.length - index[k].length);
      site.add(folder, site.get(path)!);
      if (folder.length > 1) site.add(folder.substring(0, folder.length - 1), redirectResource(folder));
    }
  }
  return site;
}
